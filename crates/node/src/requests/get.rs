//! `get`: fetches, then exports.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use hubless_content::{ContentHash, ManifestEntry};
use hubless_fetch::FetchRequest;
use hubless_network::{Multiaddr, Ticket};
use hubless_store::{ExportOptions, Exported, Progress, StoreError};
use hubless_transfer::{
    Blocking,
    fetch::{Driver, DriverArgs, Fetched as FetchedChunks, Selection},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AnswerForm, Call, FileDetails, HttpCall, Method, Route, name_set::usage, observer::SinkObserver,
};
use crate::{
    addresses::of_peers,
    core::Core,
    event::Event,
    failure::interrupted,
    failure::{Failure, FailureKind},
    remedy::Remedy,
    replies::ReplySink,
};

/// Times that chunks which an export found damaged are fetched again. More would not help on a disk
/// that keeps damaging written bytes.
const REPAIRS_MAX: u32 = 3;

/// Fetches a model. Events: [`Event::Progress`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Get {
    /// The model.
    pub hash: ContentHash,
    /// Addresses of peers to ask, each ending in `/p2p/<peer id>`.
    pub peers: Vec<Multiaddr>,
    /// The directory to export to; absolute. Without it, `models/<hash>` in the home directory.
    pub output: Option<PathBuf>,
    /// Globs of paths to fetch; all without.
    pub include: Vec<String>,
    /// Globs of paths not to fetch.
    pub exclude: Vec<String>,
    /// Only report what would be fetched.
    pub dry_run: bool,
    /// Seconds to wait without progress.
    pub timeout_s: u64,
    /// Read and check all stored bytes before they leave, also of files that did not change.
    #[serde(default)]
    pub verify: bool,
    /// Replace files of the output directory that have other bytes and are not of this store. Implied
    /// where the node's own directory is the output.
    #[serde(default)]
    pub force: bool,
}

/// What came of [`Get`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Got {
    /// The model.
    Fetched(Fetched),
    /// What would be fetched: the answer of a dry run.
    Plan(Plan),
}

/// A model was fetched.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Fetched {
    /// Its address.
    pub hash: ContentHash,
    /// The directory of the files.
    pub path: PathBuf,
    /// Bytes of the wanted files.
    pub bytes_total: u64,
    /// Chunk payload received over the network in this run.
    pub bytes_fetched: u64,
    /// Bytes that were held before.
    pub bytes_present: u64,
    /// Files in the directory that replaced others.
    #[serde(default)]
    pub files_replaced: u64,
}

/// The plan of a fetch.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// The model.
    pub hash: ContentHash,
    /// Bytes of the wanted files.
    pub bytes_total: u64,
    /// Bytes of them that are held.
    pub bytes_present: u64,
    /// The wanted files.
    pub files: Vec<FileDetails>,
}

impl Call for Get {
    type Answer = Got;

    async fn handle(self, core: &Arc<Core>, sink: &ReplySink) -> Result<Got, Failure> {
        let selection = Selection::new(&self.include, &self.exclude)?;
        let _lock = tokio::select! {
            lock = core.fetches.models.lock(self.hash) => lock,
            () = sink.cancelled() => return Err(interrupted()),
        };
        let mut fetch = fetch_chunks(core, sink, &self, &selection).await?;
        if !fetch.layout.wants_any() {
            let message = format!("no file of {} matches", self.hash);
            return Err(Failure::new(FailureKind::NotFound, message).remedy(Remedy::ListFiles));
        }
        if self.dry_run {
            return Ok(Got::Plan(plan(self.hash, &fetch, &selection)));
        }
        let path = match &self.output {
            Some(path) => path.clone(),
            None => core.home.export(self.hash),
        };
        let mut repairs = 0;
        let exported = loop {
            let damage = match export(core, sink, &self, &path, &selection).await? {
                Ok(exported) => break exported,
                Err(damage) => damage,
            };
            if repairs == REPAIRS_MAX {
                return Err(not_repaired(&damage, None));
            }
            repairs += 1;
            tracing::warn!(model = %self.hash, %damage, "what is stored is damaged; fetching it again");
            let again = fetch_chunks(core, sink, &self, &selection).await;
            let again = again.map_err(|failure| not_repaired(&damage, Some(failure)))?;
            fetch.bytes_fetched += again.bytes_fetched;
            fetch.bytes_present = fetch.bytes_present.min(again.bytes_present);
        };
        Ok(Got::Fetched(Fetched {
            hash: self.hash,
            path,
            bytes_total: fetch.layout.bytes_total,
            bytes_fetched: fetch.bytes_fetched,
            bytes_present: fetch.bytes_present,
            files_replaced: exported.replaced,
        }))
    }
}

/// Seconds without progress after which a fetch over HTTP ends, if the client names none.
const HTTP_TIMEOUT_S: u64 = 30;

/// Limit of these seconds: a day, for peers that come back.
const HTTP_TIMEOUT_S_MAX: u64 = 24 * 3600;

/// A model to fetch, as HTTP clients name it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Fetch")]
pub struct FetchFields {
    /// A content hash or a ticket
    model: String,
    /// Globs of paths to fetch; all without
    #[serde(default)]
    include: Vec<String>,
    /// Globs of paths not to fetch
    #[serde(default)]
    exclude: Vec<String>,
    /// Seconds to wait without progress; 30 without
    #[schemars(range(min = 1, max = HTTP_TIMEOUT_S_MAX))]
    timeout_s: Option<u64>,
}

fn ticket(text: &str) -> Result<Ticket, Failure> {
    if let Ok(hash) = text.parse::<ContentHash>() {
        return Ok(hash.into());
    }
    let wrong = |error| usage(format!("model is neither a hash nor a ticket: {error}"));
    text.parse::<Ticket>().map_err(wrong)
}

impl HttpCall for Get {
    type Fields = FetchFields;

    const ROUTE: Route = Route {
        method: Method::Post,
        path: "/fetches",
        has_body: true,
        id: "fetch",
        group: "content",
        summary: "Fetch a model, with its progress",
        description: "\
            The answer is a stream of server-sent events: `progress`, `export` and `warning` while it \
            goes on, and at the end `done` (with `hash`, `path`, `bytes_total`, `bytes_fetched` and \
            `bytes_present`) or `failed` (with an error). The fetch lives as long as the connection; \
            what came stays.",
        answer: AnswerForm::Events("The events"),
        failures: &[],
    };

    fn from_fields(fields: FetchFields) -> Result<Self, Failure> {
        let timeout_s = fields.timeout_s.unwrap_or(HTTP_TIMEOUT_S);
        if !(1..=HTTP_TIMEOUT_S_MAX).contains(&timeout_s) {
            let message = format!("timeout_s is a number from 1 to {HTTP_TIMEOUT_S_MAX}");
            return Err(usage(message));
        }
        let ticket = ticket(&fields.model)?;
        Ok(Self {
            hash: ticket.hash(),
            peers: ticket.peers().to_vec(),
            output: None,
            include: fields.include,
            exclude: fields.exclude,
            dry_run: false,
            timeout_s,
            verify: false,
            force: false,
        })
    }
}

async fn fetch_chunks(
    core: &Arc<Core>,
    sink: &ReplySink,
    request: &Get,
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
        named: of_peers("peer", &request.peers)?,
        reads: None,
        patience: Duration::from_secs(request.timeout_s),
    };
    let driver = Driver::new(&core.fetches, &sink.of_fetch(), args)?;
    Ok(driver.run().await?)
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
    Plan {
        hash,
        bytes_total: fetch.layout.bytes_total,
        bytes_present: fetch.bytes_present,
        files: wanted.map(Into::into).collect(),
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
    request: &Get,
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
