//! What can be asked of a node, and what it answers.
//!
//! The same types serve callers in this process and, as JSON, callers on the Unix socket
//! (`node.sock` in the home directory). Results serialize to what `--json` prints: scripts rely on
//! these names.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use hubless_content::{
    Alias, CommitId, ContentHash, FileHash, ModelPath, RefName, RepoId, RepoKind,
};
use serde::{Deserialize, Serialize};

/// One thing to do.
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
    /// The node's identity. Result: [`Identified`].
    Id,
    /// State and counters of the running node. Result: [`Status`].
    Status,
    /// The fetches under way. Result: [`Transfers`].
    Transfers,
    /// The connected peers. Result: [`Peers`].
    Peers,
    /// Who provides a content or file hash. Result: [`Providers`].
    Providers {
        /// A content hash or a file hash.
        hash: ContentHash,
        /// Seconds until the search ends.
        timeout_s: u64,
    },
    /// Who claims to hold the file that another hub calls so. Result: [`Claims`].
    Claims {
        /// What it is called.
        alias: Alias,
        /// Addresses of peers to ask, each ending in `/p2p/<peer id>`.
        peers: Vec<String>,
        /// Seconds until the search ends.
        timeout_s: u64,
    },
    /// Who has how much of a model. Result: [`Swarm`].
    Swarm {
        /// The model.
        hash: ContentHash,
        /// Seconds until those who did not answer are given up.
        timeout_s: u64,
    },
    /// A text with which others fetch a model without the DHT. Result: [`TicketText`].
    Ticket {
        /// The model.
        hash: ContentHash,
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
    /// What a name leads to. Result: [`ResolvedName`].
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
    /// Set a key in `config.toml`, and in the running node if it takes it at once. Result:
    /// [`Configured`].
    Configure {
        /// The key.
        key: String,
        /// The value, in the form that the environment has; none for the default.
        value: Option<String>,
    },
}

/// What to fetch, and where to put it.
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
    /// Only tell what would be fetched.
    pub dry_run: bool,
    /// Seconds to wait without progress.
    pub timeout_s: u64,
}

/// A name to be given.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NameSet {
    /// The repo; made if there is none.
    pub repo: RepoId,
    /// The branch that gets a new revision.
    pub branch: RefName,
    /// Tags that lead to that revision from then on.
    pub tags: Vec<RefName>,
    /// Its content.
    pub hash: ContentHash,
    /// What is said about it, in a line.
    pub message: Option<String>,
}

/// What comes back for a request: any number of events and data, then one result or failure.
#[derive(Debug)]
pub enum Reply {
    /// Something happened.
    Event(Event),
    /// The next bytes of the asked file.
    Data(bytes::Bytes),
    /// The end: it worked. The result type is named at the request.
    Done(serde_json::Value),
    /// The end: it did not.
    Failed(Failure),
}

/// Something that happened on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// How far a long work has come.
    Progress {
        /// What is done now.
        state: State,
        /// Bytes that are hashed, or fetched and verified.
        bytes_verified: u64,
        /// Bytes in all; 0 as long as it is not known.
        bytes_total: u64,
        /// Peers that take part.
        sources: u32,
    },
    /// How far the writing to the target directory has come; all is verified by then.
    Export {
        /// Bytes that are linked, cloned or copied.
        bytes_exported: u64,
        /// Bytes in all.
        bytes_total: u64,
    },
    /// Something that does not stop the work but that a person should know.
    Warning {
        /// A sentence.
        message: String,
    },
}

/// What a long work is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Hashing files.
    Hashing,
    /// Looking for peers that have the model.
    FindingProviders,
    /// Getting the list of files and the chunk lists.
    FetchingManifest,
    /// Getting chunks.
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

/// A model was imported.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Added {
    /// Its address.
    pub hash: ContentHash,
    /// Files in it.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// A model was fetched.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fetched {
    /// Its address.
    pub hash: ContentHash,
    /// Where the files are now.
    pub path: PathBuf,
    /// Bytes of the wanted files.
    pub bytes_total: u64,
    /// Chunk payload that came over the network in this run.
    pub bytes_fetched: u64,
    /// Bytes that were there before.
    pub bytes_present: u64,
}

/// What a fetch would do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// The model.
    pub hash: ContentHash,
    /// Bytes of the wanted files.
    pub bytes_total: u64,
    /// Bytes of them that are there.
    pub bytes_present: u64,
    /// The wanted files.
    pub files: Vec<FileDetails>,
}

/// One file of a model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileDetails {
    /// Where it is in the model.
    pub path: ModelPath,
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of its bytes, as `b3sum` prints it.
    pub hash: FileHash,
}

/// All models of a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Models {
    /// In no special order.
    pub models: Vec<ModelSummary>,
}

/// One model in a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ModelSummary {
    /// Its address.
    pub hash: ContentHash,
    /// Files in it.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes that are held.
    pub held_bytes: u64,
    /// Whether all are held.
    pub complete: bool,
    /// Whether garbage collection keeps it.
    pub pinned: bool,
}

/// All about one model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ModelDetails {
    /// Its address.
    pub hash: ContentHash,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes that are held.
    pub held_bytes: u64,
    /// Whether all are held.
    pub complete: bool,
    /// Whether garbage collection keeps it.
    pub pinned: bool,
    /// The files, sorted by path.
    pub files: Vec<FileDetails>,
}

/// A name was given.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Named {
    /// What it names.
    pub kind: RepoKind,
    /// `ORG/NAME`.
    pub name: String,
    /// The branch.
    pub branch: String,
    /// Tags that were set.
    pub tags: Vec<String>,
    /// The id of the branch's revision.
    pub commit: CommitId,
    /// Its content.
    pub hash: ContentHash,
    /// Whether the revision is new; if not, the branch held this content already.
    pub new: bool,
}

/// All names.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Names {
    /// By kind and name.
    pub names: Vec<NameRef>,
}

/// One name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NameRef {
    /// What it names.
    pub kind: RepoKind,
    /// `ORG/NAME`.
    pub name: String,
    /// The revision of its main branch.
    pub commit: Option<CommitId>,
    /// The content of that, if its address is known.
    pub hash: Option<ContentHash>,
}

/// All about one name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NameDetails {
    /// What it names.
    pub kind: RepoKind,
    /// `ORG/NAME`.
    pub name: String,
    /// Its branches, tags and other refs.
    pub refs: BTreeMap<RefName, CommitId>,
    /// Its revisions, newest first.
    pub revisions: Vec<NameRevision>,
}

/// One revision of a name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NameRevision {
    /// Its id.
    pub commit: CommitId,
    /// Its content, if its address is known.
    pub hash: Option<ContentHash>,
    /// When it was made: milliseconds since 1970, UTC.
    pub time: u64,
    /// What was said about it.
    pub title: String,
}

/// What a name leads to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ResolvedName {
    /// What it names.
    pub kind: RepoKind,
    /// `ORG/NAME`.
    pub name: String,
    /// The revision.
    pub commit: CommitId,
    /// Its content.
    pub hash: ContentHash,
}

/// What garbage collection freed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Collected {
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What hashing the store again showed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Verified {
    /// Files that were hashed.
    pub files: u64,
    /// Bytes that were hashed.
    pub bytes: u64,
    /// Files whose bytes are not what they should be. `get` fetches what is wrong again.
    pub damaged: Vec<Damaged>,
}

/// A file whose bytes are wrong.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Damaged {
    /// The file.
    pub hash: FileHash,
    /// Where its bytes lie, if they lie in place.
    pub path: Option<PathBuf>,
    /// Chunks that are wrong.
    pub chunks: u64,
}

/// Who the node is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Identified {
    /// The peer id: the hash of the node's public key.
    pub peer_id: String,
    /// The home directory.
    pub home: PathBuf,
}

/// State and counters; payload bytes since start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The peer id.
    pub peer_id: String,
    /// Where it can be dialled, each ending in `/p2p/<peer id>`.
    pub addresses: Vec<String>,
    /// How others can reach it.
    pub reachability: String,
    /// Connected peers.
    pub peers: u64,
    /// Payload sent to peers: chunks, and a little for manifests, chunk lists and bitmaps.
    pub bytes_sent: u64,
    /// Payload received from peers, likewise.
    pub bytes_received: u64,
    /// Bytes of files received from the upstream.
    pub bytes_from_upstream: u64,
    /// Chunks that arrived and failed verification.
    pub chunks_rejected: u64,
    /// The DHT's state.
    pub dht: DhtStatus,
    /// The store's state.
    pub store: StoreStatus,
    /// The fetches under way.
    pub transfers: Vec<Transfer>,
    /// Files referenced in place that have changed and are no longer served.
    pub stale: Vec<PathBuf>,
    /// Peers that are banned now.
    pub banned: Vec<String>,
}

/// The DHT's part of [`Status`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DhtStatus {
    /// Peers in the routing table.
    pub routing_peers: u64,
    /// Provider records kept for others.
    pub records: u64,
    /// Own keys that are announced.
    pub announced: u64,
    /// Own keys that are due but not announced yet.
    pub backlog: u64,
}

/// The store's part of [`Status`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoreStatus {
    /// Bytes in the store, without files that are referenced in place.
    pub bytes: u64,
    /// The most it may hold.
    pub quota: Option<u64>,
}

/// The fetches under way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Transfers {
    /// The oldest first.
    pub transfers: Vec<Transfer>,
}

/// What a transfer brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Subject {
    /// A model, or parts of it.
    Model {
        /// Its hash.
        hash: ContentHash,
    },
    /// A file of a repo of the upstream. One that comes from both sides has two transfers.
    File {
        /// The repo.
        repo: RepoId,
        /// The file.
        path: ModelPath,
        /// The URL of the upstream that gives it; `None` if peers do.
        upstream: Option<String>,
    },
}

impl From<ContentHash> for Subject {
    fn from(hash: ContentHash) -> Self {
        Self::Model { hash }
    }
}

/// One fetch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Transfer {
    /// Counted since the node started.
    pub id: u64,
    /// What it brings.
    #[serde(flatten)]
    pub subject: Subject,
    /// What it is doing.
    pub state: State,
    /// Wanted bytes that are here.
    pub bytes_verified: u64,
    /// Wanted bytes; 0 as long as that is not known.
    pub bytes_total: u64,
    /// Payload that came.
    pub bytes_fetched: u64,
    /// The rate of the last seconds.
    pub bytes_per_second: u64,
    /// Since it began.
    pub seconds: u64,
    /// The peers that take part.
    pub sources: Vec<TransferSource>,
}

/// Who takes part in a fetch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TransferSource {
    /// Its peer id.
    pub peer_id: String,
    /// How many chunks of the model it has; none before it said.
    pub chunks: Option<u32>,
    /// Payload that came from it.
    pub bytes_fetched: u64,
    /// Its rate.
    pub bytes_per_second: u64,
}

/// The connected peers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Peers {
    /// In no special order.
    pub peers: Vec<PeerDetails>,
}

/// One connected peer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PeerDetails {
    /// Its peer id.
    pub peer_id: String,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// What it calls itself.
    pub agent: Option<String>,
    /// The last round trip, in milliseconds.
    pub rtt_ms: Option<f64>,
    /// Lanes that are open with it: exchanges on connections of their own, faster than libp2p's.
    pub lanes: usize,
}

/// Who provides something.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Providers {
    /// In the order they were found.
    pub providers: Vec<ProviderDetails>,
}

/// One provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProviderDetails {
    /// Its peer id.
    pub peer_id: String,
    /// Its addresses, as far as the DHT told.
    pub addresses: Vec<String>,
}

/// What peers say about a file that is known by an alias. Only the file's bytes prove a claim.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    /// First what most peers say.
    pub claims: Vec<ClaimDetails>,
}

/// A file that peers claim to be the wanted one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClaimDetails {
    /// BLAKE3 of its bytes.
    pub hash: FileHash,
    /// Its bytes.
    pub size: u64,
    /// The ids of the peers that say so.
    pub peers: Vec<String>,
}

/// Who has how much of a model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Swarm {
    /// The model.
    pub hash: ContentHash,
    /// Its chunks.
    pub chunks: u32,
    /// Those that this node has.
    pub own_chunks: u32,
    /// The others.
    pub members: Vec<SwarmMember>,
}

/// A member of a swarm.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SwarmMember {
    /// Its peer id.
    pub peer_id: String,
    /// How many chunks it says it has; none if it did not answer.
    pub chunks: Option<u32>,
}

/// A ticket.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TicketText {
    /// `hubless:<hash>?peer=<multiaddr>&...`
    pub ticket: String,
}

/// Facts about a model, each a sentence.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Why {
    /// The model.
    pub hash: ContentHash,
    /// The facts, most important first.
    pub facts: Vec<String>,
}

/// A key of the configuration was set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Configured {
    /// The key.
    pub key: String,
    /// Its value; null if it is not set any more.
    pub value: serde_json::Value,
    /// From when it holds.
    pub holds: Holds,
}

/// From when a change of the configuration holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// A running node has it.
    Now,
    /// A node runs, which has to be started again.
    AfterRestart,
    /// No node runs.
    FromNextStart,
}

/// What kind of failure: decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Exit code 1.
    Other,
    /// The request makes no sense: 2.
    Usage,
    /// Nobody has it, or it is not here: 3.
    NotFound,
    /// Not allowed: 4.
    Denied,
    /// Bytes are not what they should be: 5.
    Integrity,
    /// No peer could be reached, or an address could not be used: 6.
    Network,
    /// Some of it is there, the rest could not be had: 7.
    Partial,
    /// Something else uses the home directory: 8.
    Busy,
    /// The disk or the quota is full: 9.
    NoSpace,
    /// Stopped by the caller: 130.
    Interrupted,
}

impl FailureKind {
    /// The exit code of the command line (see the README).
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Other => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Denied => 4,
            Self::Integrity => 5,
            Self::Network => 6,
            Self::Partial => 7,
            Self::Busy => 8,
            Self::NoSpace => 9,
            Self::Interrupted => 130,
        }
    }
}

/// Why a request could not be done: for people.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind.
    pub kind: FailureKind,
    /// What failed and what was tried; a sentence, with its causes.
    pub message: String,
    /// The next command to try, or what to do.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
        }
    }

    /// Adds what to do next.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}
