//! What a driver reports ([`Input`]) and executes ([`Output`]).

use std::{ops::Range, sync::Arc, time::Duration};

use hubless_content::{ChunkSet, FileHash, Manifest, ManifestError, ModelChunk};
use hubless_scheduler::SourceId;

use crate::{
    layout::{FileNumber, Layout, TooManyChunks},
    request::{FetchRequest, ReadRequest},
};

/// What a fetch is begun with. `P` names a peer, `A` is an address of one.
#[derive(Debug)]
pub struct FetchArgs<P> {
    /// This node, which is never a source of itself.
    pub own: P,
    /// What to fetch.
    pub request: FetchRequest,
    /// How long to wait without progress.
    pub patience: Duration,
    /// Whether the caller or the configuration names peers: reaching none of them then means that
    /// the network is down.
    pub expects_peers: bool,
    /// The only origin of chance.
    pub seed: u64,
}

/// A peer that may have what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<P, A> {
    /// The peer.
    pub peer: P,
    /// Where it may be reached.
    pub addresses: Vec<A>,
    /// The file it was named for, if not for the whole model.
    pub file: Option<FileHash>,
}

/// A peer to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial<P, A> {
    /// The peer.
    pub peer: P,
    /// All addresses that were named.
    pub addresses: Vec<A>,
    /// The files it was named for.
    pub files: Vec<FileHash>,
}

/// What of the chosen files the store lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Missing chunks that can be verified already.
    pub wanted_now: ChunkSet,
    /// All missing chunks.
    pub missing: ChunkSet,
    /// Files whose chunk lists are missing.
    pub lists: Vec<FileNumber>,
}

/// How a walk through the DHT ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WalkEnded {
    /// Providers that it named, without this node.
    pub providers: u32,
    /// Whether there was a node to query when it began.
    pub among_others: bool,
}

/// What a walk through the DHT searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalkKey {
    /// Providers of the target.
    Target,
    /// Providers of a file of it, which may be in other models too.
    File(FileHash),
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The peer could not be reached.
    Unreachable,
    /// The peer has nothing of what is wanted.
    Nothing,
    /// The stream ended.
    Gone,
    /// The peer sent wrong bytes or broke a rule of the protocol.
    Misbehaved,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input<P, A> {
    /// A peer was named: by the caller, by the DHT or by another peer.
    PeerNamed(Candidate<P, A>),
    /// A connected peer sent a request about the same model.
    PeerAsked(P),
    /// The store has the manifest, so it is requested from no source.
    ManifestKnown(Arc<Manifest>),
    /// A source answered a dial; it can be given commands from now on.
    Connected(SourceId),
    /// A source gave bytes with the right hash: the manifest, or what breaks a rule of manifests.
    Manifest(Result<Arc<Manifest>, ManifestError>),
    /// What [`Output::Plan`] found to be missing.
    Planned(Planned),
    /// What a source says about chunks and sends of them.
    Chunks(hubless_scheduler::Input),
    /// A chunk came from elsewhere, and is stored.
    External {
        /// Its number in the model.
        chunk: ModelChunk,
        /// Its length.
        bytes: u32,
    },
    /// These chunks come first.
    Prioritize(Range<ModelChunk>),
    /// A page of a chunk list came.
    ListPage(SourceId, FileNumber),
    /// A source does not give a chunk list.
    ListRefused(SourceId, FileNumber),
    /// A chunk list is proven and stored.
    ListStored(FileNumber),
    /// A connection ended, or a dial failed.
    Ended(SourceId, End),
    /// A connection has no room for a command.
    Undelivered(SourceId, PeerCommand),
    /// A reader waits for bytes.
    ReadWanted(ReadRequest),
    /// What [`Output::PlanRead`] found to be missing.
    ReadPlanned {
        /// The file that is read.
        file: FileNumber,
        /// The bytes that are read next.
        next: Range<u64>,
        /// What the store lacks of all that the reader will read.
        planned: Planned,
    },
    /// The last reader left.
    ReadersLeft,
    /// [`Output::Join`] is done; whether there is a node in the DHT to query.
    Joined(bool),
    /// A walk that [`Output::Walk`] began has ended.
    WalkEnded(WalkEnded),
    /// Payload that this node received over the network since its start, for whatever fetch.
    BytesReceived(u64),
    /// Time went by; see [`Fetch::next_wake`](crate::Fetch::next_wake).
    Tick,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Output<P, A> {
    /// Wait until the DHT has a node to query, for a few seconds at most.
    Join,
    /// Search the DHT for providers, and name each.
    Walk(WalkKey),
    /// Connect to a peer, which is this source from now on.
    Connect(SourceId, Dial<P, A>),
    /// End a connection.
    Close(SourceId),
    /// Give a connection a command.
    Send(SourceId, PeerCommand),
    /// Store the manifest.
    StoreManifest(Arc<Manifest>),
    /// Compare the layout with the store.
    Plan(Arc<Layout>),
    /// Compare what a reader waits for with the store.
    PlanRead {
        /// The file that is read.
        file: FileNumber,
        /// What the reader waits for.
        request: ReadRequest,
    },
    /// Ban a peer from this node: it misbehaved.
    Ban(P),
    /// Nothing came for long: count it.
    Stalled,
    /// The fetch has ended.
    Finish(Result<Finished<P>, FetchError>),
}

/// What a connection does.
#[derive(Debug, Clone, PartialEq)]
pub enum PeerCommand {
    /// Ask for the manifest.
    AskManifest,
    /// The layout is known: request what the peer has, and report it.
    Begin(Arc<Layout>),
    /// Ask for a chunk.
    Request(ModelChunk),
    /// The answer to the request for a chunk is not needed any more.
    Cancel(ModelChunk),
    /// Ask for the chunk list of a file.
    RequestList(FileNumber),
    /// The chunk list is requested from another source.
    CancelList(FileNumber),
}

/// What a fetch ends with.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished<P> {
    /// Every file and chunk.
    pub layout: Arc<Layout>,
    /// Bytes of the chosen files that were there before.
    pub bytes_present: u64,
    /// Its last state.
    pub progress: Progress<P>,
}

/// Why a manifest with the right hash cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadManifest {
    /// It breaks a rule of manifests.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The model is too large.
    #[error(transparent)]
    TooManyChunks(#[from] TooManyChunks),
}

/// How a fetch fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The publisher's fault: no peer can mend it.
    #[error("the manifest cannot be used")]
    BadManifest(#[from] BadManifest),
    /// Some peers had some of it, and then nothing more came.
    #[error("{held} of {total} bytes are here; no node that has the rest answers")]
    Partial {
        /// Bytes that are here.
        held: u64,
        /// Bytes of all chosen files.
        total: u64,
    },
    /// None of the peers that were named could be reached.
    #[error("none of the named peers could be reached")]
    NoNetwork,
    /// There was no node to query.
    #[error("not connected to any other node")]
    Alone,
    /// None of the nodes that were named has it.
    #[error("no provider was found among {candidates} nodes")]
    NoProvider {
        /// Peers that were named for it.
        candidates: usize,
    },
}

/// What a fetch does, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It searches peers.
    FindingProviders,
    /// It requests the manifest from peers.
    FetchingManifest,
    /// It fetches chunks.
    Fetching,
}

/// How far a fetch is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress<P> {
    /// What it does.
    pub stage: Stage,
    /// Wanted bytes that are missing.
    pub bytes_missing: u64,
    /// Bytes of all chosen files; 0 until the layout is known.
    pub bytes_total: u64,
    /// The peers that are at it, connections of one peer together.
    pub sources: Vec<SourceProgress<P>>,
    /// Present only while no bytes arrive.
    pub stall: Option<Stall<P>>,
    /// Whether it waits until a reader requests bytes, or only planned.
    pub is_idle: bool,
}

/// What one peer gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceProgress<P> {
    /// The peer.
    pub peer: P,
    /// Chunks of the model that it has; `None` until it reported them.
    pub chunks: Option<u32>,
    /// Bytes that came from it.
    pub bytes_fetched: u64,
    /// Measured rate.
    pub bytes_per_second: u64,
}

/// Why nothing comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stall<P> {
    /// For how long.
    pub idle: Duration,
    /// The peer from which the next chunk is expected.
    pub waiting_for: Option<P>,
    /// Other connected peers.
    pub others: usize,
}

/// Whether a fetch may bring something soon, and what was tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Connected peers, if something came in the last seconds.
    pub peers: usize,
    /// Sources that reported that they have some of it.
    pub holders: usize,
    /// Peers that were named for it.
    pub named: usize,
    /// Walks through the DHT that have ended.
    pub walks: u32,
}
