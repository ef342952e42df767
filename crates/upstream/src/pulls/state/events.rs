//! What is reported to a pull, and what it decides.

use std::sync::Arc;

use hubless_content::FileHash;
use hubless_network::PeerId;
use hubless_transfer::fetch::claims::Claim;

use crate::pulls::{candidates::PeerSearch, error::PullError};

/// What happened.
#[derive(Debug)]
pub(crate) enum Input {
    ReaderJoined,
    ReaderLeft,
    /// The store has the file.
    Held(FileHash),
    /// The store does not have it.
    Missing(PeerSearch),
    /// This node could not even begin.
    NotBegun(PullError),
    /// A peer claims to hold the file.
    Claimed(Claim),
    /// All peers that are known without the DHT have answered.
    NearbyAnswered,
    /// No more claims come.
    SearchEnded,
    /// So many chunks of the trusted file that is fetched are stored.
    ChunksStored(u64),
    /// The fetch of a claimed file ended.
    TrialEnded(TrialEnd),
    /// So many bytes of the upstream can be read, from the beginning of the file.
    Written(u64),
    /// The upstream's bytes are in the store, and are the file; or they are not.
    UpstreamEnded(Result<FileHash, PullError>),
    /// The bytes that readers may have got are those of the proven file; or they are not.
    Compared(Result<(), PullError>),
    /// The node stops.
    Stopped,
    /// All that ending asked for is done.
    Settled,
    /// Time has passed.
    Tick,
}

/// How the fetch of a claimed file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrialEnd {
    /// All of it is here and is the wanted file.
    Proven,
    /// All of it is here, and it is another file.
    OtherFile,
    /// Peers do not give it.
    Failed,
}

/// What the driver has to do.
#[derive(Debug)]
pub(crate) enum Output {
    /// Get the rest of the file from the upstream.
    AskUpstream,
    /// Stop doing that.
    LeaveUpstream,
    /// Fetch a claimed file from peers.
    Try { file: FileHash, is_trusted: bool },
    /// Name a peer to the fetch of the claimed file.
    Introduce(Claim),
    /// Ban a peer that lied.
    Ban(PeerId),
    /// Remove what came of a claimed file, unless it was here before.
    Discard(FileHash),
    /// Compare so many bytes that the upstream sent with a file of the store.
    Compare { file: FileHash, bytes: u64 },
    /// Stop the search, the fetch, the upstream.
    StopAll,
    /// Make the outcome known to the rest of the node, then report [`Input::Settled`].
    Settle(Result<FileHash, Arc<PullError>>),
}
