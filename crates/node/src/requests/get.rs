//! `get`: fetch, then export.

use std::{path::Path, sync::Arc, time::Duration};

use hubless_content::{ContentHash, ManifestEntry};
use hubless_fetch::FetchRequest;
use hubless_store::{ExportOptions, Exported, Progress, StoreError};
use hubless_transfer::{
    Blocking,
    fetch::{Driver, DriverArgs, Fetched as FetchedChunks, Selection},
};

use crate::{
    addresses::peer_addresses,
    api::{Event, Failure, FailureKind, Fetched, FileDetails, GetRequest, Plan, Remedy},
    core::Core,
    publish::SinkObserver,
    replies::{ReplySink, interrupted},
    requests::json,
};

/// Times that chunks which an export found damaged are fetched again. More would not help on a disk
/// that keeps damaging written bytes.
const REPAIRS_MAX: u32 = 3;

pub(crate) async fn get(
    core: &Arc<Core>,
    sink: &ReplySink,
    request: GetRequest,
) -> Result<serde_json::Value, Failure> {
    let selection = Selection::new(&request.include, &request.exclude)?;
    let _lock = tokio::select! {
        lock = core.fetches.models.lock(request.hash) => lock,
        () = sink.cancelled() => return Err(interrupted()),
    };
    let mut fetch = fetch(core, sink, &request, &selection).await?;
    if !fetch.layout.wants_any() {
        let message = format!("no file of {} matches", request.hash);
        return Err(Failure::new(FailureKind::NotFound, message).remedy(Remedy::ListFiles));
    }
    if request.dry_run {
        return json(plan(request.hash, &fetch, &selection));
    }
    let path = match &request.output {
        Some(path) => path.clone(),
        None => core.home.export(request.hash),
    };
    let mut repairs = 0;
    let exported = loop {
        let damage = match export(core, sink, &request, &path, &selection).await? {
            Ok(exported) => break exported,
            Err(damage) => damage,
        };
        if repairs == REPAIRS_MAX {
            return Err(not_repaired(&damage, None));
        }
        repairs += 1;
        tracing::warn!(model = %request.hash, %damage, "what is stored is damaged; fetching it again");
        let again = self::fetch(core, sink, &request, &selection).await;
        let again = again.map_err(|failure| not_repaired(&damage, Some(failure)))?;
        fetch.bytes_fetched += again.bytes_fetched;
        fetch.bytes_present = fetch.bytes_present.min(again.bytes_present);
    };
    json(Fetched {
        hash: request.hash,
        path,
        bytes_total: fetch.layout.bytes_total,
        bytes_fetched: fetch.bytes_fetched,
        bytes_present: fetch.bytes_present,
        files_replaced: exported.replaced,
    })
}

async fn fetch(
    core: &Arc<Core>,
    sink: &ReplySink,
    request: &GetRequest,
    selection: &Selection,
) -> Result<FetchedChunks, Failure> {
    let (model, selection) = (request.hash, selection.clone());
    let chosen = Box::new(move |entry: &ManifestEntry| selection.wants(&entry.path));
    let args = DriverArgs {
        request: if request.dry_run {
            FetchRequest::Plan { model, chosen }
        } else {
            FetchRequest::Files { model, chosen }
        },
        named: peer_addresses("peer", &request.peers)?,
        reads: None,
        patience: Duration::from_secs(request.timeout_s),
    };
    Driver::new(&core.fetches, &sink.of_fetch(), args)?
        .run()
        .await
}

/// Stored bytes were wrong, and could not be fetched again.
fn not_repaired(damage: &StoreError, failure: Option<Failure>) -> Failure {
    let mut message = format!("what is stored was damaged ({damage})");
    match failure {
        None => Failure::new(FailureKind::Integrity, message).remedy(Remedy::CheckDisk),
        Some(failure) => {
            message.push_str(&format!(", and not fetched again: {}", failure.message));
            let kind = match failure.kind {
                FailureKind::NotFound | FailureKind::Network => FailureKind::Integrity,
                kind => kind,
            };
            Failure {
                message,
                kind,
                ..failure
            }
        }
    }
}

fn plan(hash: ContentHash, fetch: &FetchedChunks, selection: &Selection) -> Plan {
    let entries = fetch.layout.manifest.entries().iter();
    let wanted = entries.filter(|entry| selection.wants(&entry.path));
    let files = wanted.map(|entry| FileDetails {
        path: entry.path.clone(),
        size: entry.size,
        hash: entry.hash,
    });
    Plan {
        hash,
        bytes_total: fetch.layout.bytes_total,
        bytes_present: fetch.bytes_present,
        files: files.collect(),
    }
}

fn exporting(progress: Progress) -> Event {
    Event::Export {
        bytes_exported: progress.bytes_done,
        bytes_total: progress.bytes_total,
    }
}

/// Exports the files; the inner error is damage of stored chunks, which are no longer held.
async fn export(
    core: &Arc<Core>,
    sink: &ReplySink,
    request: &GetRequest,
    path: &Path,
    selection: &Selection,
) -> Result<Result<Exported, StoreError>, Failure> {
    let observer = SinkObserver::new(sink, exporting);
    let (store, hash) = (core.cx.store.clone(), request.hash);
    let (path, selection) = (path.to_owned(), selection.clone());
    // `models/` in the home directory is the node's own: a different file there is damaged.
    let force = request.force || request.output.is_none();
    let verify = request.verify;
    let exported = Blocking::run_long(move || {
        let options = ExportOptions {
            wants: &|path| selection.wants(path),
            verify,
            force,
        };
        store.export(hash, &path, &options, &observer)
    })
    .await?;
    match exported {
        Err(StoreError::Incomplete { .. }) => Ok(exported),
        exported => Ok(Ok(exported?)),
    }
}
