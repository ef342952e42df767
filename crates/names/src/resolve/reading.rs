//! One read of a name as a state machine: what has been answered, whether that is enough, and which head
//! counts.
//!
//! The driver asks the DHT and holders in parallel and reports each answer; time is an argument. A
//! read ends at the earliest of:
//!
//! - a signer's own node answered,
//! - [`VALUES_ENOUGH`] nodes of the DHT gave a record and [`HOLDERS_ENOUGH`] holders answered,
//! - there is no other node to wait for,
//! - [`ANSWER_WITHIN`] has passed.
//!
//! To hide a newer head from a reader, an attacker has to control the nodes near two keys of the DHT,
//! and the peers at which the publisher says it can be reached.
//!
//! # Not here
//! Proofs: heads come verified. What a reader may do with an older or contradicting head: the reading
//! only sorts them, and [`Outcome`] says what there was.

use std::{
    collections::HashSet,
    hash::Hash,
    sync::Arc,
    time::{Duration, Instant},
};

use hubless_content::{AgainstSeen, VerifiedHead};

/// Nodes of the DHT whose records are enough, together with [`HOLDERS_ENOUGH`]: of the 20 nearest to a
/// key, an attacker would have to control more than half to be most of any eight.
pub(super) const VALUES_ENOUGH: usize = 8;

/// Holders whose answers are enough, together with [`VALUES_ENOUGH`].
pub(super) const HOLDERS_ENOUGH: usize = 2;

/// A person waits no longer; the walk goes on after it, and what it finds counts for the next reader.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// What a reader has got so far. `P` identifies a peer.
#[derive(Debug)]
pub(super) struct Reading<P> {
    begun: Instant,
    /// The head that this node has seen before.
    seen: Option<Arc<VerifiedHead>>,
    best: Option<Arc<VerifiedHead>>,
    /// Peers that gave the best head, or one of the same state: its state and history can be asked of
    /// them.
    holders: Vec<P>,
    /// Peers that a signer said it can be reached at.
    signers: HashSet<P>,
    values: HashSet<P>,
    answered: HashSet<P>,
    /// Holders that have not answered yet.
    asked: usize,
    /// Walks through the DHT that have not ended yet.
    walks: usize,
    /// A signer's own node has answered.
    has_signer: bool,
    /// Another node gave the best head in this read.
    is_confirmed: bool,
    beside: Beside,
}

/// What a read found.
#[derive(Debug, Clone)]
pub(super) struct Outcome<P> {
    /// The greatest head; the seen one if no other node gave a greater one.
    pub(super) best: Option<Arc<VerifiedHead>>,
    /// Whether a node gave this state in this read, and not only this node's memory.
    pub(super) is_confirmed: bool,
    /// Peers that gave it.
    pub(super) holders: Vec<P>,
    /// The other heads.
    pub(super) beside: Beside,
}

/// Heads that do not count, the greatest of each sort.
#[derive(Debug, Clone, Default)]
pub(super) struct Beside {
    /// Less than the best head, and not less than the one that was seen before: it counts if no peer gives
    /// the state of the best.
    pub(super) lower: Option<Arc<VerifiedHead>>,
    /// Less than the one that was seen before.
    pub(super) older: Option<Arc<VerifiedHead>>,
    /// Its identity contradicts that of the best.
    pub(super) contradicting: Option<Arc<VerifiedHead>>,
    /// Of the same number and sequence as the best, with another state.
    pub(super) fork: Option<Arc<VerifiedHead>>,
}

impl<P: Eq + Hash + Clone> Reading<P> {
    /// A read that begins now. `signers` are the peers at which the publisher says it can be reached.
    pub(super) fn new(
        now: Instant,
        seen: Option<Arc<VerifiedHead>>,
        signers: impl IntoIterator<Item = P>,
    ) -> Self {
        Self {
            begun: now,
            best: seen.clone(),
            seen,
            holders: Vec::new(),
            signers: signers.into_iter().collect(),
            values: HashSet::new(),
            answered: HashSet::new(),
            asked: 0,
            walks: 0,
            has_signer: false,
            is_confirmed: false,
            beside: Beside::default(),
        }
    }

    /// A walk through the DHT has begun.
    pub(super) fn walk_began(&mut self) {
        self.walks += 1;
    }

    /// A walk through the DHT has ended.
    pub(super) fn walk_ended(&mut self) {
        self.walks = self.walks.saturating_sub(1);
    }

    /// A holder is asked.
    pub(super) fn asked(&mut self) {
        self.asked += 1;
    }

    /// A node of the DHT gave a head.
    pub(super) fn value(&mut self, from: P, head: Arc<VerifiedHead>) {
        self.values.insert(from);
        self.take(head, None);
    }

    /// A holder that was asked gave a head, or has none, or could not be reached.
    pub(super) fn holder(&mut self, from: P, head: Option<Arc<VerifiedHead>>) {
        self.asked = self.asked.saturating_sub(1);
        let Some(head) = head else { return };
        self.has_signer |= self.signers.contains(&from);
        self.answered.insert(from.clone());
        self.take(head, Some(from));
    }

    fn take(&mut self, head: Arc<VerifiedHead>, holder: Option<P>) {
        let Some(best) = &self.best else {
            return self.replace(head, holder);
        };
        match head.against(best) {
            AgainstSeen::Same => self.confirm(holder),
            AgainstSeen::Confirmed => {
                self.best = Some(head);
                self.confirm(holder);
            }
            AgainstSeen::Newer => self.replace(head, holder),
            AgainstSeen::Fork { newer: true } => {
                self.beside.fork = Some(best.clone());
                self.replace(head, holder);
            }
            AgainstSeen::Fork { newer: false } => self.beside.fork = Some(head),
            AgainstSeen::Older => self.behind(head),
            AgainstSeen::Contradicts => self.beside.contradicting = Some(head),
        }
    }

    fn confirm(&mut self, holder: Option<P>) {
        self.is_confirmed = true;
        self.holders.extend(holder);
    }

    fn replace(&mut self, head: Arc<VerifiedHead>, holder: Option<P>) {
        if let Some(best) = self.best.replace(head) {
            self.behind(best);
        }
        self.holders.clear();
        self.confirm(holder);
    }

    /// A head below the best one. A holder may be a step behind; only a head that is less than the one
    /// that was seen before is a rollback.
    fn behind(&mut self, head: Arc<VerifiedHead>) {
        let place = match &self.seen {
            Some(seen) if head.against(seen) == AgainstSeen::Older => &mut self.beside.older,
            // The seen one is in the store, whatever other nodes give.
            Some(seen) if head.head().state == seen.head().state => return,
            _ => &mut self.beside.lower,
        };
        if place.as_ref().is_none_or(|kept| head.rank() > kept.rank()) {
            *place = Some(head);
        }
    }

    /// Whether the answers so far are enough.
    pub(super) fn is_done(&self, now: Instant) -> bool {
        let is_known = self.best.is_some();
        let are_enough =
            self.values.len() >= VALUES_ENOUGH && self.answered.len() >= HOLDERS_ENOUGH;
        (is_known && (self.has_signer || are_enough))
            || (self.walks == 0 && self.asked == 0)
            || now >= self.deadline()
    }

    /// When the reader waits no longer.
    pub(super) fn deadline(&self) -> Instant {
        self.begun + ANSWER_WITHIN
    }

    /// What was found until now.
    pub(super) fn outcome(&self) -> Outcome<P> {
        Outcome {
            best: self.best.clone(),
            is_confirmed: self.is_confirmed,
            holders: self.holders.clone(),
            beside: self.beside.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use hubless_content::{
        Chain, DocumentHash, Head, HeadRecord, Identity, RepoKind, SecretKey, SignedIdentity,
        Subject,
    };

    use super::*;

    /// A publisher with one root key and one signer.
    struct Publisher {
        chain: Chain,
        key: SecretKey,
    }

    impl Publisher {
        fn new() -> Self {
            let (root, key) = (SecretKey::new(&[1; 32]), SecretKey::new(&[2; 32]));
            let identity = Identity::first(vec![root.public()], 1, vec![key.public()], [3; 16]);
            let chain = Chain::new(vec![SignedIdentity::unsigned(identity).unwrap()]).unwrap();
            Self { chain, key }
        }

        fn head(&self, seq: u64, state: u8) -> Arc<VerifiedHead> {
            self.confirmed(seq, state, 1_000)
        }

        fn confirmed(&self, seq: u64, state: u8, time: u64) -> Arc<VerifiedHead> {
            let subject = Subject::repo(self.chain.publisher(), RepoKind::Model, "m").unwrap();
            let head = Head {
                subject,
                number: 0,
                seq,
                state: DocumentHash::new([state; 32]),
                previous: (seq > 1).then(|| DocumentHash::new([0; 32])),
                summary: None,
                time,
            };
            Arc::new(HeadRecord::sign(&head, &self.chain, &self.key).unwrap())
        }
    }

    fn best_state(reading: &Reading<u32>) -> u8 {
        reading.outcome().best.unwrap().head().state.as_bytes()[0]
    }

    #[test]
    fn a_read_without_another_node_ends_with_what_was_seen() {
        let (now, publisher) = (Instant::now(), Publisher::new());
        let reading = Reading::<u32>::new(now, Some(publisher.head(1, 1)), []);
        assert!(reading.is_done(now));
        assert!(!reading.outcome().is_confirmed);
        assert_eq!(best_state(&reading), 1);
    }

    #[test]
    fn the_answer_of_a_signer_is_enough() {
        let (now, publisher) = (Instant::now(), Publisher::new());
        let mut reading = Reading::new(now, None, [7]);
        reading.walk_began();
        (0..2).for_each(|_| reading.asked());
        reading.holder(8, Some(publisher.head(1, 1)));
        assert!(!reading.is_done(now), "a holder alone is not");
        reading.asked();
        reading.holder(7, Some(publisher.head(2, 2)));
        assert!(reading.is_done(now));
        assert_eq!(best_state(&reading), 2);
        assert_eq!(
            reading.outcome().holders,
            [7],
            "the other one is a step behind"
        );
    }

    #[test]
    fn eight_records_and_two_holders_are_enough_and_neither_alone() {
        let (now, publisher) = (Instant::now(), Publisher::new());
        let mut reading = Reading::new(now, None, []);
        reading.walk_began();
        for node in 0..8 {
            reading.value(node, publisher.head(1, 1));
        }
        assert!(!reading.is_done(now));
        for holder in [20, 21] {
            reading.asked();
            assert!(!reading.is_done(now));
            reading.holder(holder, Some(publisher.head(1, 1)));
        }
        assert!(reading.is_done(now));
        let repeated = |reading: &mut Reading<u32>, node| reading.value(node, publisher.head(1, 1));
        let mut one = Reading::new(now, None, []);
        one.walk_began();
        (0..9).for_each(|_| repeated(&mut one, 3));
        (0..3).for_each(|_| one.asked());
        (0..2).for_each(|holder| one.holder(holder, Some(publisher.head(1, 1))));
        assert!(!one.is_done(now), "one node of the DHT counts once");
    }

    #[test]
    fn a_silent_network_is_waited_for_and_not_for_ever() {
        let now = Instant::now();
        let mut reading = Reading::<u32>::new(now, None, []);
        reading.walk_began();
        reading.asked();
        reading.walk_ended();
        assert!(!reading.is_done(now));
        assert!(!reading.is_done(now + ANSWER_WITHIN - Duration::from_millis(1)));
        assert!(reading.is_done(now + ANSWER_WITHIN));
        assert!(reading.outcome().best.is_none());
        reading.holder(1, None);
        assert!(reading.is_done(now), "there is no other node to wait for");
    }

    #[test]
    fn what_is_less_than_the_seen_head_is_refused_and_reported() {
        let (now, publisher) = (Instant::now(), Publisher::new());
        let mut reading = Reading::new(now, Some(publisher.head(5, 5)), []);
        reading.walk_began();
        reading.value(1, publisher.head(3, 3));
        reading.value(2, publisher.head(4, 4));
        reading.value(3, publisher.head(2, 2));
        let outcome = reading.outcome();
        assert_eq!(best_state(&reading), 5);
        assert!(!outcome.is_confirmed, "no other node gave it");
        assert_eq!(outcome.beside.older.unwrap().head().seq, 4);
        reading.value(4, publisher.head(6, 6));
        assert_eq!(best_state(&reading), 6);
        assert!(reading.outcome().is_confirmed);
    }

    #[test]
    fn a_holder_that_is_a_step_behind_rolls_nothing_back() {
        let (now, publisher) = (Instant::now(), Publisher::new());
        let mut reading = Reading::new(now, Some(publisher.head(1, 1)), []);
        reading.walk_began();
        reading.value(1, publisher.head(2, 2));
        reading.value(2, publisher.head(4, 4));
        reading.value(3, publisher.head(3, 3));
        let outcome = reading.outcome();
        assert!(outcome.beside.older.is_none());
        assert_eq!(
            outcome.beside.lower.unwrap().head().seq,
            3,
            "if the best has no state"
        );
    }

    #[test]
    fn of_a_fork_the_greater_head_counts_and_the_other_is_reported() {
        let (now, publisher) = (Instant::now(), Publisher::new());
        let (less, greater) = (publisher.head(2, 1), publisher.head(2, 9));
        for order in [[&less, &greater], [&greater, &less]] {
            let mut reading = Reading::new(now, None, []);
            for (node, head) in (0..).zip(order) {
                reading.value(node, head.clone());
            }
            assert_eq!(best_state(&reading), 9);
            assert_eq!(reading.outcome().beside.fork.as_ref(), Some(&less));
        }
    }

    #[test]
    fn a_later_confirmation_replaces_an_earlier_one() {
        let (now, publisher) = (Instant::now(), Publisher::new());
        let mut reading = Reading::new(now, Some(publisher.head(1, 1)), []);
        reading.asked();
        reading.holder(4, Some(publisher.confirmed(1, 1, 2_000)));
        let outcome = reading.outcome();
        assert_eq!(outcome.best.unwrap().head().time, 2_000);
        assert!(outcome.is_confirmed);
        assert_eq!(outcome.holders, [4]);
    }
}
