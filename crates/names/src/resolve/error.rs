//! Why a name has no head for a reader.

use std::{sync::Arc, time::Duration};

use hubless_content::{DocumentHash, Subject};
use hubless_store::StoreError;
use hubless_transfer::Aborted;

use crate::{book::Refusal, clock, sync::SyncError};

/// Why there is no head for a reader.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResolveError {
    /// No node that was asked knows the name.
    #[error("no node that answered knows {0}")]
    Unknown(Subject),
    /// The name is not known here, and this process has no network to ask.
    #[error("{0} is not known on this node, and this process has not joined the network")]
    Offline(Subject),
    /// What the network gives does not count.
    #[error("the head of {subject} was refused: {reason}")]
    Refused {
        /// The name.
        subject: Subject,
        /// Why.
        reason: Box<Refusal>,
    },
    /// Two identities claim to be this publisher, and this node knows neither.
    #[error("two sets of keys that contradict each other claim to be publisher {}: documents {} and {}", .0.publisher(), .1[0], .1[1])]
    Contradiction(Subject, [DocumentHash; 2]),
    /// There is a head, and no peer gives the state or the history that belong to it.
    #[error(
        "a head of {subject} was found (sequence {seq}), and no peer gives what it names: {source}"
    )]
    NoState {
        /// The name.
        subject: Subject,
        /// The head's sequence number.
        seq: u64,
        /// What the peers answered.
        source: Arc<SyncError>,
    },
    /// The newest head is older than the reader accepts.
    #[error("the newest state of {subject} was confirmed {} ago", clock::rough(*age))]
    TooOld {
        /// The name.
        subject: Subject,
        /// How long ago a signer confirmed it.
        age: Duration,
    },
    /// The store failed.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// A call was aborted: the node stops.
    #[error(transparent)]
    Aborted(#[from] Aborted),
}

impl ResolveError {
    /// Whether no node that was asked knows the name.
    pub fn is_unknown(&self) -> bool {
        match self {
            Self::Unknown(_) | Self::Offline(_) => true,
            Self::Refused { .. }
            | Self::Contradiction(..)
            | Self::NoState { .. }
            | Self::TooOld { .. }
            | Self::Store(_)
            | Self::Aborted(_) => false,
        }
    }
}

impl From<StoreError> for ResolveError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}
