//! The progress of a fetch: events for its caller, and its entry in the list of transfers.

use std::{fmt, sync::Arc};

use hubless_content::{ContentHash, ModelPath, RepoId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How far a fetch is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Its phase.
    pub state: State,
    /// Wanted bytes that are held and verified.
    pub bytes_verified: u64,
    /// Wanted bytes; 0 until they are known.
    pub bytes_total: u64,
    /// Peers that take part.
    pub sources: u32,
    /// Present only while no bytes arrive.
    pub stall: Option<Stall>,
}

/// Receives the progress of one fetch, and can cancel it. Cloning is cheap.
#[derive(Clone)]
pub struct ProgressSink {
    report: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
    cancel: CancellationToken,
}

impl ProgressSink {
    /// Calls `report` a few times a second; `report` must not block. The fetch ends with `cancel`.
    pub fn new(
        cancel: CancellationToken,
        report: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Self {
        Self {
            report: Some(Arc::new(report)),
            cancel,
        }
    }

    /// Drops all progress. The fetch ends when the guard is dropped, or with `parent`.
    pub(crate) fn silent(parent: &CancellationToken) -> (Self, DropGuard) {
        let cancel = parent.child_token();
        let guard = cancel.clone().drop_guard();
        let report = None;
        (Self { report, cancel }, guard)
    }

    pub(crate) fn report(&self, progress: Progress) {
        if let Some(report) = &self.report {
            report(progress);
        }
    }

    pub(crate) async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }
}

/// A fetch that receives nothing, though more is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stall {
    /// Seconds since the last bytes.
    pub seconds: u64,
    /// The peer that does not answer a request, or that sent the last bytes and has left.
    pub waiting_for: Option<String>,
    /// Other peers with open requests, or being dialled.
    pub asking: u32,
}

/// The phase of long work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Hashing files.
    Hashing,
    /// Searching for peers that have the model.
    FindingProviders,
    /// Fetching the list of files and the chunk lists.
    FetchingManifest,
    /// Fetching chunks.
    Fetching,
    /// Writing to the target directory.
    Exporting,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hashing => "hashing",
            Self::FindingProviders => "finding providers",
            Self::FetchingManifest => "fetching manifest",
            Self::Fetching => "fetching",
            Self::Exporting => "exporting",
        })
    }
}

/// The content of a transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Subject {
    /// A model, or parts of it.
    Model {
        /// Its hash.
        hash: ContentHash,
    },
    /// A file of a repo of the upstream. A file that both the upstream and peers send has two
    /// transfers.
    File {
        /// The repo.
        repo: RepoId,
        /// The file.
        path: ModelPath,
        /// The URL of the upstream that sends it; `None` if peers do.
        upstream: Option<String>,
    },
}

impl From<ContentHash> for Subject {
    fn from(hash: ContentHash) -> Self {
        Self::Model { hash }
    }
}

/// One fetch.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Transfer {
    /// A number, counted since the node started.
    pub id: u64,
    /// Its content.
    #[serde(flatten)]
    pub subject: Subject,
    /// Its phase.
    pub state: State,
    /// Wanted bytes that are held.
    pub bytes_verified: u64,
    /// Wanted bytes; 0 until they are known.
    pub bytes_total: u64,
    /// Received payload.
    pub bytes_fetched: u64,
    /// The rate of the last seconds.
    pub bytes_per_second: u64,
    /// Since it began.
    pub seconds: u64,
    /// The peers that take part.
    pub sources: Vec<TransferSource>,
    /// Present only while no bytes arrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stall: Option<Stall>,
}

/// A source of a fetch.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TransferSource {
    /// Its peer id.
    pub peer_id: String,
    /// The number of the model's chunks that it has; none before it reported them.
    pub chunks: Option<u32>,
    /// Payload received from it.
    pub bytes_fetched: u64,
    /// Its rate.
    pub bytes_per_second: u64,
}
