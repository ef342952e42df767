//! The requests to a node, and its replies.
//!
//! The same types serve callers in this process and, as JSON, callers on the Unix socket
//! (`node.sock` in the home directory). Results serialize to what `--json` prints: scripts rely on
//! these names.

mod models;
mod status;

use std::path::PathBuf;

use hubless_content::{Alias, ContentHash, ModelPath, RefName, RepoId};
use serde::{Deserialize, Serialize};

pub use hubless_repos::names::{
    NameDetails, NameRef, NameRevision, NameSet, Named, Names, ResolvedName, RevisionRemoved,
};
pub use hubless_transfer::{
    Failure, FailureKind, Remedy, Stall, State, Subject, Transfer, TransferSource,
    fetch::{Swarm, SwarmMember},
};

pub use self::{models::*, status::*};

/// A request to a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// Import a directory. Events: [`Event::Progress`]. Result: [`Added`].
    Add {
        /// The directory; absolute.
        path: PathBuf,
        /// Reference files where they lie instead of copying them.
        in_place: bool,
        /// Follow links that leave the directory.
        follow_links: bool,
    },
    /// Fetch a model. Events: [`Event::Progress`]. Result: [`Fetched`] or, for a dry run, [`Plan`].
    Get(GetRequest),
    /// The bytes of a file or of a range of it, verified: [`Reply::Data`]. Result: none.
    Cat {
        /// The model.
        hash: ContentHash,
        /// Addresses of peers to ask, each ending in `/p2p/<peer id>`.
        peers: Vec<String>,
        /// The file.
        path: ModelPath,
        /// First byte, and the byte behind the last one; the whole file without.
        range: Option<(u64, Option<u64>)>,
        /// Seconds to wait without progress.
        timeout_s: u64,
    },
    /// All models. Result: [`Models`].
    List,
    /// One model. Result: [`ModelDetails`].
    Info {
        /// The model.
        hash: ContentHash,
    },
    /// Forget a model; its files are freed by the next garbage collection. Result: none.
    Remove {
        /// The model.
        hash: ContentHash,
    },
    /// Keep a model from garbage collection. Result: none.
    Pin {
        /// The model.
        hash: ContentHash,
    },
    /// Undo [`Request::Pin`]. Result: none.
    Unpin {
        /// The model.
        hash: ContentHash,
    },
    /// Free what no pin reaches. Result: [`Collected`].
    Gc,
    /// Hash what is stored again. Events: [`Event::Progress`]. Result: [`Verified`].
    Verify {
        /// One model, or everything.
        hash: Option<ContentHash>,
    },
    /// Join the network, if that is not done. Result: none.
    Join,
    /// The node's identity. Result: [`Identified`].
    Id,
    /// State and counters of the running node. Result: [`Status`].
    Status,
    /// The fetches under way. Result: [`Transfers`].
    Transfers,
    /// The connected peers. Result: [`Peers`].
    Peers,
    /// Find the providers of a content or file hash. Result: [`Providers`].
    Providers {
        /// A content hash or a file hash.
        hash: ContentHash,
        /// Seconds until the search ends.
        timeout_s: u64,
    },
    /// Find the peers that claim to hold the file with an alias. Result: [`Claims`].
    Claims {
        /// The alias.
        alias: Alias,
        /// Addresses of peers to ask, each ending in `/p2p/<peer id>`.
        peers: Vec<String>,
        /// Seconds until the search ends.
        timeout_s: u64,
    },
    /// How much of a model each connected member of its swarm has. Result: [`Swarm`].
    Swarm {
        /// The model.
        hash: ContentHash,
        /// Seconds after which peers that did not answer are given up.
        timeout_s: u64,
    },
    /// A text with which other nodes fetch a model without the DHT. Result: [`TicketText`].
    Ticket {
        /// The model.
        hash: ContentHash,
        /// Also the node's addresses in its local network and on its machine.
        #[serde(default)]
        local: bool,
    },
    /// Give content a name. Result: [`Named`].
    NameSet(NameSet),
    /// All names. Result: [`Names`].
    NameList,
    /// One name. Result: [`NameDetails`].
    NameShow {
        /// The repo.
        repo: RepoId,
    },
    /// Forget a name, or one of its refs. Result: none.
    NameRemove {
        /// The repo.
        repo: RepoId,
        /// Only this ref.
        name: Option<RefName>,
    },
    /// Forget the content of one revision of a name. Result: [`RevisionRemoved`].
    RevisionRemove {
        /// The repo.
        repo: RepoId,
        /// A commit id or the beginning of one.
        revision: String,
    },
    /// The content of a name. Result: [`ResolvedName`].
    NameResolve {
        /// The repo.
        repo: RepoId,
        /// A branch, tag, ref, commit id or the beginning of one.
        revision: String,
    },
    /// Why a model is held, announced, missing or slow. Result: [`Why`].
    Why {
        /// The model.
        hash: ContentHash,
    },
    /// Set a key in `config.toml`, and in the running node if the key can change there. Result:
    /// [`Configured`].
    Configure {
        /// The key.
        key: String,
        /// The value, in the form of the environment variables; none for the default.
        value: Option<String>,
    },
}

/// The content to fetch, and the directory for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GetRequest {
    /// The model.
    pub hash: ContentHash,
    /// Addresses of peers to ask, each ending in `/p2p/<peer id>`.
    pub peers: Vec<String>,
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

/// A reply to a request: any number of events and data, then one result or failure.
#[derive(Debug)]
pub enum Reply {
    /// An event of the running work.
    Event(Event),
    /// The next bytes of the requested file.
    Data(bytes::Bytes),
    /// The end, with success. The result type is named at the request.
    Done(serde_json::Value),
    /// The end, with a failure.
    Failed(Failure),
}

/// An event of the running work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Progress of long work.
    Progress {
        /// The current phase.
        state: State,
        /// Bytes that were hashed, or fetched and verified.
        bytes_verified: u64,
        /// Bytes in all; 0 as long as it is not known.
        bytes_total: u64,
        /// Peers that take part.
        sources: u32,
        /// Present only while no bytes arrive.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stall: Option<Stall>,
    },
    /// Progress of writing to the target directory; all bytes are verified by then.
    Export {
        /// Bytes that were linked, cloned or copied.
        bytes_exported: u64,
        /// Bytes in all.
        bytes_total: u64,
    },
    /// A warning that does not stop the work.
    Warning {
        /// A sentence.
        message: String,
    },
}
