//! The heads that this node has seen, and what a new one is to them.
//!
//! A head is seen when its state and its history are here: the store keeps both together, for ever. So a
//! reader that has seen a state accepts no earlier one, whichever peer gives it, and a reader that knows
//! the keys of a publisher accepts none that contradict them.
//!
//! | a head | verdict |
//! |---|---|
//! | whose chain contradicts the known one | [`Contradicts`](Verdict::Contradicts) |
//! | of a signer that the newest known chain does not have | [`SignerRemoved`](Verdict::SignerRemoved) |
//! | of an earlier state than the seen one | [`Older`](Verdict::Older) |
//! | of another state with the same number and sequence | [`Fork`](Verdict::Fork): the one that ranks higher counts |
//! | of the same state, confirmed later or under a newer document | [`Confirmed`](Verdict::Confirmed) |
//! | of a later state, or the first one | [`Newer`](Verdict::Newer) |

use hubless_content::{AgainstSeen, Chain, Continues, HeadRecord, VerifiedHead};
use hubless_store::{Store, StoreError};

/// What a head is to those that this node has seen. The verdicts below `Newer` that hold a head hold the
/// seen one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The seen head, or a copy of it that was confirmed earlier.
    Same,
    /// The seen state, confirmed later, or under a newer document of the identity.
    Confirmed,
    /// A later state than the seen one, or the first head of its subject.
    Newer,
    /// Another state with the same number and sequence as the seen one.
    Fork {
        /// Whether it ranks above the seen head, and so counts.
        newer: bool,
        /// The head that was seen before.
        seen: Box<VerifiedHead>,
    },
    /// An earlier state: the peer that gave it is behind, or hides what is newer.
    Older(Box<VerifiedHead>),
    /// Its chain contradicts the one that is known.
    Contradicts(Box<Chain>),
    /// Its signer is none of the newest chain that is known.
    SignerRemoved(Box<Chain>),
}

impl Verdict {
    /// Whether the head counts more than the seen one, so that its state is to be fetched.
    pub fn is_newer(&self) -> bool {
        match self {
            Self::Newer | Self::Fork { newer: true, .. } => true,
            Self::Same
            | Self::Confirmed
            | Self::Fork { newer: false, .. }
            | Self::Older(_)
            | Self::Contradicts(_)
            | Self::SignerRemoved(_) => false,
        }
    }

    /// Why the head does not count, if it does not.
    pub fn refusal(self) -> Option<Refusal> {
        match self {
            Self::Same | Self::Confirmed | Self::Newer | Self::Fork { newer: true, .. } => None,
            Self::Older(seen) | Self::Fork { newer: false, seen } => Some(Refusal::Rollback(seen)),
            Self::Contradicts(known) => Some(Refusal::Contradicts(known)),
            Self::SignerRemoved(known) => Some(Refusal::SignerRemoved(known)),
        }
    }
}

/// Why a head does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A head that ranks higher was seen before; holds that one.
    #[error("it is older than the one seen before (sequence {} of document {})",
        .0.head().seq, .0.head().number)]
    Rollback(Box<VerifiedHead>),
    /// Its keys contradict the known ones: root keys were stolen or lost. Holds the known chain.
    #[error("its keys contradict those that are known of publisher {}", .0.publisher())]
    Contradicts(Box<Chain>),
    /// The publisher has removed its signer. Holds the newest chain that is known.
    #[error("its signer was removed by document {} of publisher {}", .0.current().number, .0.publisher())]
    SignerRemoved(Box<Chain>),
}

/// The heads and chains that this node has seen. Its calls block.
#[derive(Debug, Clone)]
pub struct Book {
    store: Store,
}

impl Book {
    /// The book of a store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// What a head is to those that were seen.
    ///
    /// # Errors
    /// If the store fails.
    pub fn consider(&self, head: &VerifiedHead) -> Result<Verdict, StoreError> {
        let subject = &head.head().subject;
        let known = self.store.chain(subject.publisher())?;
        let seen = match self.store.head(subject.key())? {
            Some(record) => seen(record, known.as_ref()),
            None => None,
        };
        Ok(judge(head, seen, known))
    }
}

/// A head of the store, proven again.
///
/// `None` if it does not verify: its row proves nothing then, and is as good as lost.
pub fn seen(record: HeadRecord, known: Option<&Chain>) -> Option<VerifiedHead> {
    // It was right when it was stored, also if the clock was set back since.
    let now = u64::MAX;
    match known {
        Some(chain) => record.verify_knowing(now, chain),
        None => record.verify(now),
    }
    .ok()
}

fn judge(head: &VerifiedHead, seen: Option<VerifiedHead>, known: Option<Chain>) -> Verdict {
    if let Some(known) = known {
        match head.chain().compare(&known) {
            Continues::Contradicts => return Verdict::Contradicts(Box::new(known)),
            _ if !head.counts_under(&known) => return Verdict::SignerRemoved(Box::new(known)),
            _ => {}
        }
    }
    let Some(seen) = seen else {
        return Verdict::Newer;
    };
    match head.against(&seen) {
        AgainstSeen::Same => Verdict::Same,
        AgainstSeen::Confirmed => Verdict::Confirmed,
        // All heads are signed again under a new document.
        AgainstSeen::Newer if is_same_state(head, &seen) => Verdict::Confirmed,
        AgainstSeen::Newer => Verdict::Newer,
        AgainstSeen::Fork { newer } => {
            let seen = Box::new(seen);
            Verdict::Fork { newer, seen }
        }
        AgainstSeen::Older => Verdict::Older(Box::new(seen)),
        AgainstSeen::Contradicts => Verdict::Contradicts(Box::new(seen.chain().clone())),
    }
}

fn is_same_state(a: &VerifiedHead, b: &VerifiedHead) -> bool {
    (a.head().seq, a.head().state) == (b.head().seq, b.head().state)
}
