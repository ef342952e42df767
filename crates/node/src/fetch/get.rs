//! `get`: fetch, then export.

use std::{path::PathBuf, sync::Arc, time::Duration};

use hubless_content::{ContentHash, ManifestEntry};
use hubless_scheduler::Order;
use hubless_store::Progress;

use super::{
    job::{Fetch, Job, Wish},
    selection::Selection,
    target::Target,
};
use crate::{
    api::{Event, Failure, FailureKind, Fetched, FileDetails, GetRequest, Plan},
    blocking::Blocking,
    core::{Core, peer_addresses},
    publish::SinkObserver,
    replies::{ReplySink, interrupted},
    requests::json,
};

pub(crate) async fn get(
    core: &Arc<Core>,
    sink: &ReplySink,
    request: GetRequest,
) -> Result<serde_json::Value, Failure> {
    let selection = Selection::new(&request.include, &request.exclude)?;
    let wanted = selection.clone();
    let wish = Wish {
        target: Target::Model(request.hash),
        named: peer_addresses("peer", &request.peers)?,
        wants: Box::new(move |entry: &ManifestEntry| wanted.wants(&entry.path)),
        range: None,
        demands: None,
        order: Order::RarestFirst,
        patience: Duration::from_secs(request.timeout_s),
        keep: !request.dry_run,
        only_plan: request.dry_run,
    };
    let _lock = tokio::select! {
        lock = core.fetches.lock(request.hash) => lock,
        () = sink.cancelled() => return Err(interrupted()),
    };
    let fetch = Job::new(core, sink, wish)?.run().await?;
    if !fetch.layout.wants_any() {
        let message = format!("no file of {} matches", request.hash);
        return Err(Failure::new(FailureKind::NotFound, message)
            .hint("see its files with `--dry-run`, and put globs into quotes"));
    }
    if request.dry_run {
        return json(plan(request.hash, &fetch, &selection));
    }
    let path = request
        .output
        .unwrap_or_else(|| core.home.export(request.hash));
    export(core, sink, request.hash, path.clone(), selection).await?;
    json(Fetched {
        hash: request.hash,
        path,
        bytes_total: fetch.layout.bytes_total,
        bytes_fetched: fetch.bytes_fetched,
        bytes_present: fetch.bytes_present,
    })
}

fn plan(hash: ContentHash, fetch: &Fetch, selection: &Selection) -> Plan {
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

async fn export(
    core: &Arc<Core>,
    sink: &ReplySink,
    hash: ContentHash,
    path: PathBuf,
    selection: Selection,
) -> Result<(), Failure> {
    let observer = SinkObserver::new(sink, exporting);
    let store = core.store.clone();
    Blocking::run_long(move || {
        std::fs::create_dir_all(&path).map_err(|error| {
            let message = format!("cannot create {}: {error}", path.display());
            Failure::new(FailureKind::Other, message)
                .hint("choose another directory with `-o`; what was fetched is kept")
        })?;
        store.export(hash, &path, &|path| selection.wants(path), &observer)?;
        Ok::<_, Failure>(())
    })
    .await??;
    Ok(())
}
