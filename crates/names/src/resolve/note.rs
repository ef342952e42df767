//! What a person should know of a head that counts.

use std::{fmt, time::Duration};

use hubless_content::{DocumentHash, PublisherId};

use crate::{book::Refusal, clock};

/// What was found beside the head that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// No other node gave this head now.
    Unconfirmed,
    /// The network gives an older head, which was refused.
    Older {
        /// Its sequence number.
        seq: u64,
        /// That of the head that counts.
        seen: u64,
    },
    /// Two heads have the same sequence number: two devices signed at once, a backup was restored, or a
    /// signing key was stolen.
    Fork {
        /// The sequence number.
        seq: u64,
        /// The state that does not count.
        other: DocumentHash,
    },
    /// A head with keys that contradict the known ones was refused.
    Contradicted {
        /// The publisher.
        publisher: PublisherId,
    },
    /// No signer has confirmed it for longer than [`STALE_AFTER`](super::STALE_AFTER).
    Stale {
        /// How long.
        age: Duration,
    },
    /// A head was refused.
    Refused(Box<Refusal>),
    /// No peer gave the state of a newer head.
    NoState {
        /// The sequence number of the newer head.
        seq: u64,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unconfirmed => {
                f.write_str("no other node gave this state now: it is the last one known here")
            }
            Self::Older { seq, seen } => write!(
                f,
                "the network gave an older state (sequence {seq}), which was refused: this node has seen sequence {seen}"
            ),
            Self::Fork { seq, other } => write!(
                f,
                "two states have the sequence {seq}: two devices signed at once, a backup was restored, or a \
                 signing key was stolen. The other one is {other}"
            ),
            Self::Contradicted { publisher } => write!(
                f,
                "a state with keys that contradict those known of {publisher} was refused"
            ),
            Self::Stale { age } => write!(
                f,
                "its publisher confirmed it {} ago: what is newer may be withheld",
                clock::rough(*age)
            ),
            Self::Refused(reason) => write!(f, "a state was refused: {reason}"),
            Self::NoState { seq } => write!(
                f,
                "a newer state exists (sequence {seq}), and no peer gives it now"
            ),
        }
    }
}
