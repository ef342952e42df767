//! What callers say ([`Input`]) and hear ([`Output`]).

use std::{fmt, ops::Range, time::Duration};

use hubless_content::ChunkSet;

/// A source of chunks, by a number that the caller gives: a peer, or an upstream over HTTP.
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

/// What happened. Sources and chunks that the scheduler does not know are ignored, so that a
/// caller need not order what its tasks report: an answer may come after [`Input::SourceGone`].
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A source can be asked from now on; what it has is not known yet. One that was banned stays
    /// out.
    SourceJoined(SourceId),
    /// The first source is one more way to the peer that the second is: asking it for what the other
    /// is asked for brings nothing sooner, unless that is stuck. The second may have left: what it
    /// sent wrong is not asked of the first either.
    SourceIsTwin(SourceId, SourceId),
    /// What a source has; replaces what was known about it.
    SourceHas(SourceId, ChunkSet),
    /// A source has these chunks too.
    SourceGained(SourceId, Vec<Range<u32>>),
    /// A source sends these chunks to others, who are not known to have them yet: they are rare no
    /// more, and what else it is asked for is of more use.
    OnTheWay(Vec<Range<u32>>),
    /// A source has all chunks.
    SourceComplete(SourceId),
    /// A source left, or was let go: it is asked no more, and what it was asked for is asked
    /// elsewhere.
    SourceGone(SourceId),
    /// The first bytes of a chunk arrived; the others follow. Optional, but what is known to be on
    /// its way is not asked of anybody else, and what waits at one source can go to another.
    Started {
        /// Who sends it.
        source: SourceId,
        /// Which one.
        chunk: u32,
    },
    /// A chunk arrived, was verified and is stored. Also for one that was not asked for, was
    /// cancelled or is late.
    Received {
        /// Who sent it.
        source: SourceId,
        /// Which one.
        chunk: u32,
        /// Its length in bytes.
        bytes: u32,
    },
    /// A chunk arrived and failed verification. The peer is not asked for it again; after the first
    /// few it is banned.
    Wrong {
        /// Who sent it.
        source: SourceId,
        /// Which one was asked for.
        chunk: u32,
    },
    /// A source will not serve this ask.
    Refused {
        /// Who refused.
        source: SourceId,
        /// What it was asked for.
        chunk: u32,
        /// Why.
        refusal: Refusal,
    },
    /// An ask failed on its way: the stream broke, the answer was cut short or timed out, or the
    /// chunk could not be stored.
    Failed {
        /// Who was asked.
        source: SourceId,
        /// For what.
        chunk: u32,
    },
    /// Somebody waits for these chunks: they come before all others, in ascending order. Ranges
    /// given later come before those given earlier. Only wanted chunks are asked for.
    Prioritize(Range<u32>),
    /// These chunks are wanted too. Only for chunks that are not held; those that were received
    /// before and are lost again are among them.
    Want(Range<u32>),
    /// These chunks are wanted no more, or are held by other means; open asks for them are
    /// cancelled.
    Unwanted(Range<u32>),
    /// Nothing happened, but time went by; see [`Output::WakeAt`].
    Tick,
}

/// Why a source did not serve an ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It does not have the chunk, or not for us.
    NotHere,
    /// It has too much to do; not to be asked for anything before this long.
    Busy(Duration),
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Ask this source for this chunk.
    Request(SourceId, u32),
    /// The answer to this ask is not needed any more. Best effort: if it comes all the same,
    /// report it as usual.
    Cancel(SourceId, u32),
    /// Break with this source, with all that it was asked for, and do not let it join again.
    Ban(SourceId, BanReason),
    /// Call [`Scheduler::handle`](crate::Scheduler::handle) with [`Input::Tick`] at this time
    /// (since the start of the fetch) unless another input comes then. Replaces the one before;
    /// waking too early does no harm.
    WakeAt(Duration),
    /// Chunks are missing, nothing is asked for, and no source that can be asked now or soon has
    /// any of them: find more sources. Said once, and again after something was asked for.
    Starved,
    /// All wanted chunks arrived. Said once, and once more after each [`Input::Want`] that added
    /// some.
    Done,
}

/// Why a source is banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BanReason {
    /// It sent wrong bytes for this chunk, and for others before.
    WrongBytes(u32),
}

impl fmt::Display for BanReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongBytes(chunk) => write!(f, "sent wrong bytes for chunk {chunk}"),
        }
    }
}

/// One source, for people: `status` and `why`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SourceView {
    /// Which one.
    pub id: SourceId,
    /// How many chunks of the model it has; `None` before it said.
    pub chunks: Option<u32>,
    /// Open asks, those that are late among them.
    pub asks: usize,
    /// Open asks that are past their deadline.
    pub late: usize,
    /// How many asks it may have open.
    pub window: usize,
    /// Measured rate, 0 before its first answer.
    pub bytes_per_second: u64,
    /// The shortest time lately from an ask to its answer: the round trip and the sending of one
    /// chunk; `None` before its first answer.
    pub round_trip: Option<Duration>,
    /// Chunks that came from it, those that had come before from elsewhere among them.
    pub chunks_received: u64,
    /// Bytes of these chunks.
    pub bytes_received: u64,
    /// Failures since its last answer.
    pub failures: u32,
    /// It failed or is busy, and is not asked before this time (since the start of the fetch).
    pub rests_until: Option<Duration>,
}
