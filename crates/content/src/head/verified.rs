//! Heads that are proven, and what they are to heads that were seen before.

use std::cmp::Ordering;

use super::Head;
use crate::{
    hash::DocumentHash,
    identity::{Chain, Continues},
    signing::PublicKey,
};

/// A head whose record was proven: made by [`HeadRecord`](super::HeadRecord) only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedHead {
    bytes: Vec<u8>,
    head: Head,
    signer: PublicKey,
    chain: Chain,
}

/// What a head is to the one that a reader has seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgainstSeen {
    /// The same state, confirmed no later.
    Same,
    /// The same state, confirmed later.
    Confirmed,
    /// A later state.
    Newer,
    /// Another state of the same number and sequence that outranks the seen one: two devices signed at
    /// once, or a backup was restored, or a key was stolen. `newer` tells which of both counts.
    Fork {
        /// Whether the head outranks the seen one.
        newer: bool,
    },
    /// An earlier state: a holder is behind, or hides what is newer.
    Older,
    /// The chains of both contradict each other: root keys were stolen or lost.
    Contradicts,
}

impl VerifiedHead {
    pub(super) fn new(bytes: Vec<u8>, head: Head, signer: PublicKey, chain: Chain) -> Self {
        Self {
            bytes,
            head,
            signer,
            chain,
        }
    }

    /// The head.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The canonical bytes of its record.
    pub fn record(&self) -> &[u8] {
        &self.bytes
    }

    /// The key that signed it.
    pub fn signer(&self) -> PublicKey {
        self.signer
    }

    /// The chain of the identity.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The place of the head among all heads of its subject.
    pub fn rank(&self) -> (u64, u64, DocumentHash, u64) {
        self.head.rank()
    }

    /// Whether a node that keeps `kept` takes this head of the same subject in its place.
    pub fn replaces(&self, kept: &Self) -> bool {
        self.chain.compare(&kept.chain) != Continues::Contradicts && self.rank() > kept.rank()
    }

    /// What this head is to the one of the same subject that a reader has seen before.
    pub fn against(&self, seen: &Self) -> AgainstSeen {
        if self.chain.compare(&seen.chain) == Continues::Contradicts {
            return AgainstSeen::Contradicts;
        }
        let place = |head: &Head| (head.number, head.seq);
        match place(&self.head).cmp(&place(&seen.head)) {
            Ordering::Less => AgainstSeen::Older,
            Ordering::Greater => AgainstSeen::Newer,
            Ordering::Equal if self.head.state != seen.head.state => AgainstSeen::Fork {
                newer: self.rank() > seen.rank(),
            },
            Ordering::Equal if self.head.time > seen.head.time => AgainstSeen::Confirmed,
            Ordering::Equal => AgainstSeen::Same,
        }
    }

    /// Whether the signer is still one in `newest`, the newest chain of the publisher that is known: a
    /// signer that was removed since may not speak for it.
    pub fn counts_under(&self, newest: &Chain) -> bool {
        match newest.compare(&self.chain) {
            Continues::Contradicts => false,
            Continues::Same | Continues::Older => true,
            Continues::Newer => newest.has_signer(&self.signer),
        }
    }
}
