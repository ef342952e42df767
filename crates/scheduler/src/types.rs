//! Events that callers report ([`Input`]) and decisions that they execute ([`Output`]).

use std::{fmt, ops::Range, time::Duration};

use hubless_content::{ChunkSet, ModelChunk};

/// A source of chunks, by a number that the caller chooses: a peer, or an upstream over HTTP.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "source {}", self.0)
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// An event. Sources and chunks that the scheduler does not know are ignored, so that a caller
/// need not order the reports of its tasks: a response may arrive after [`Input::SourceGone`].
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Requests can be sent to this source from now on; its chunks are not known yet. Ignored for a
    /// banned source.
    SourceJoined(SourceId),
    /// The first source is another connection to the peer of the second: a duplicate request there
    /// gains nothing, unless the second connection is stuck. The second source may have left: the
    /// wrong chunks that it sent are not requested from the first either.
    SourceSharesPeer(SourceId, SourceId),
    /// All chunks that a source has; replaces what was known about it.
    SourceHas(SourceId, ChunkSet),
    /// A source has these chunks too.
    SourceGained(SourceId, Vec<Range<ModelChunk>>),
    /// A source sends these chunks to other peers, which have not announced them yet: they are no
    /// longer rare, and other chunks are of more use to request.
    OnTheWay(Vec<Range<ModelChunk>>),
    /// A source has all chunks.
    SourceComplete(SourceId),
    /// A source left or was dropped: it gets no more requests, and its open ones go to other
    /// sources.
    SourceGone(SourceId),
    /// The first bytes of a chunk arrived; the rest follows. Optional, but it prevents a duplicate
    /// request for the chunk, and lets requests that have not begun move to another source.
    Started {
        /// The sending source.
        source: SourceId,
        /// The chunk.
        chunk: ModelChunk,
    },
    /// A chunk arrived, was verified and is stored. Also for a chunk that was not requested, whose
    /// request was cancelled, or that is late.
    Received {
        /// The source that sent it.
        source: SourceId,
        /// The chunk.
        chunk: ModelChunk,
        /// Its length in bytes.
        bytes: u32,
    },
    /// A chunk arrived and failed verification. It is not requested from the peer again; after the
    /// first few wrong chunks the peer is banned.
    Wrong {
        /// The source that sent it.
        source: SourceId,
        /// The requested chunk.
        chunk: ModelChunk,
    },
    /// A source does not serve this request.
    Refused {
        /// The source that refused.
        source: SourceId,
        /// The requested chunk.
        chunk: ModelChunk,
        /// The reason.
        refusal: Refusal,
    },
    /// A request failed: the stream broke, the response was cut short or timed out, or the chunk
    /// could not be stored.
    Failed {
        /// The source of the request.
        source: SourceId,
        /// The requested chunk.
        chunk: ModelChunk,
    },
    /// A reader waits for these chunks: they come before all others, in ascending order. Ranges
    /// given later come before those given earlier. Only wanted chunks are requested.
    Prioritize(Range<ModelChunk>),
    /// These chunks are wanted too. Only for chunks that are not held, including those that were
    /// received before and lost again.
    Want(Range<ModelChunk>),
    /// These chunks are no longer wanted, or are held by other means; open requests for them are
    /// cancelled.
    Unwanted(Range<ModelChunk>),
    /// Only time has passed; see [`Output::WakeAt`].
    Tick,
}

/// Why a source did not serve a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It does not have the chunk, or does not give it to this node.
    NotHere,
    /// It is overloaded; it gets no request before this time has passed.
    Busy(Duration),
}

/// A decision for the caller to execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Request this chunk from this source.
    Request(SourceId, ModelChunk),
    /// The response to this request is no longer needed. Best effort: if the chunk arrives all the
    /// same, report it as usual.
    Cancel(SourceId, ModelChunk),
    /// Disconnect this source, which ends all its requests, and do not let it join again.
    Ban(SourceId, BanReason),
    /// Call [`Scheduler::handle`](crate::Scheduler::handle) with [`Input::Tick`] at this time
    /// (since the start of the fetch) unless another input comes first. Replaces the previous one;
    /// waking too early does no harm.
    WakeAt(Duration),
    /// Chunks are missing, no request is open, and no source that can get one now or soon has any
    /// of them: find more sources. Emitted once, and again after a later request.
    Starved,
    /// All wanted chunks arrived. Emitted once, and once more after each [`Input::Want`] that added
    /// some.
    Done,
}

/// Why a source is banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BanReason {
    /// It sent wrong bytes for this chunk, and for others before.
    WrongBytes(ModelChunk),
}

impl fmt::Display for BanReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongBytes(chunk) => write!(f, "sent wrong bytes for chunk {chunk}"),
        }
    }
}

/// The state of one source, for `status` and `why`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SourceView {
    /// The source.
    pub id: SourceId,
    /// Number of the model's chunks that it has; `None` before it reported them.
    pub chunks: Option<u32>,
    /// Open requests, including late ones.
    pub open_requests: usize,
    /// Open requests that are past their deadline.
    pub late: usize,
    /// Limit of its open requests.
    pub window: usize,
    /// Measured rate, 0 before its first response.
    pub bytes_per_second: u64,
    /// The shortest time from a request to its response: the round trip and the transfer of one
    /// chunk; `None` before its first response.
    pub round_trip: Option<Duration>,
    /// Chunks received from it, including duplicates.
    pub chunks_received: u64,
    /// Bytes of these chunks.
    pub bytes_received: u64,
    /// Failures since its last response.
    pub failures: u32,
    /// It failed or is busy, and gets no request before this time (since the start of the fetch).
    pub rests_until: Option<Duration>,
}
