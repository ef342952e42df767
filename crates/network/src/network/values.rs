//! Heads in the DHT: reading what its nodes have, and putting what is newer.
//!
//! Nodes near a key may have different heads of it: some were away when the newest one was put, some lie.
//! So a reader takes all that a walk finds, and a writer reads before it writes, puts the best head that
//! there is to the nodes that had less, and learns of one that is newer than its own.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use bytes::Bytes;
use hubless_content::{HeadRecord, SubjectKey, VerifiedHead};
use libp2p::PeerId;
use tokio::sync::{mpsc, oneshot};

use super::Network;
use crate::{
    info::FoundValue,
    worker::{
        Cmd,
        dht::{FindValues, VALUES_PER_WALK_MAX},
    },
};

/// A walk through the DHT for the values of a key. Dropping it ends the walk.
#[derive(Debug)]
pub struct ValueWalk {
    network: Network,
    values: mpsc::Receiver<FoundValue>,
    nearest: oneshot::Receiver<Vec<PeerId>>,
    gave: HashMap<Option<PeerId>, Bytes>,
}

/// What became of a head that was put.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutOutcome {
    /// Nodes nearest to the key, at most twenty, that had the best head already.
    pub had: usize,
    /// Nodes among them that had nothing or less, and answered when the best head was put to them.
    /// They answer the same whether they keep it or not.
    pub took: usize,
    /// The best head that was found, if it outranks the one to be put: it was put instead.
    pub newer: Option<VerifiedHead>,
}

impl Network {
    /// Searches the DHT for the values of a key. They come as they are found, not proven; the walk takes ten
    /// seconds at most.
    pub async fn find_values(&self, key: SubjectKey) -> ValueWalk {
        let (found, values) = mpsc::channel(VALUES_PER_WALK_MAX);
        let (to_caller, nearest) = oneshot::channel();
        if let Ok(permit) = Arc::clone(&self.inner.value_walks).acquire_owned().await {
            let request = FindValues {
                found,
                nearest: to_caller,
                _permit: permit,
            };
            let key = key.into();
            self.send(Cmd::FindValues { key, request }).await;
        }
        ValueWalk {
            network: self.clone(),
            values,
            nearest,
            gave: HashMap::new(),
        }
    }

    /// Puts a head to those of the nodes nearest to its key that have nothing or less.
    pub async fn put_value(&self, head: &VerifiedHead) -> PutOutcome {
        let walk = self.find_values(head.head().subject.key()).await;
        walk.put(head).await
    }

    /// Serves a head in the DHT from now on, whatever its distance: one whose state and history are on
    /// this node.
    pub async fn hold(&self, head: &VerifiedHead) {
        let head = Box::new(head.clone());
        self.send(Cmd::Hold { head }).await;
    }

    /// Holds the head of this key no longer.
    pub async fn release(&self, key: SubjectKey) {
        self.send(Cmd::Release { key: key.into() }).await;
    }
}

impl ValueWalk {
    /// The next value; `None` at the end of the walk.
    pub async fn recv(&mut self) -> Option<FoundValue> {
        let value = self.values.recv().await?;
        self.gave.insert(value.from, value.record.clone());
        Some(value)
    }

    /// Waits for the end of the walk, and puts `head`, or a better one that was found, to those of the nodes
    /// nearest to the key that have less.
    pub async fn put(mut self, head: &VerifiedHead) -> PutOutcome {
        while self.recv().await.is_some() {}
        let nearest = (&mut self.nearest).await.unwrap_or_default();
        let (own, gave) = (head.clone(), self.gave);
        // Up to twenty records of up to 64 signatures.
        let planned = tokio::task::spawn_blocking(move || Plan::new(own, &nearest, &gave, now()));
        let Ok(plan) = planned.await else {
            return PutOutcome::default();
        };
        let mut outcome = PutOutcome {
            had: plan.had,
            ..PutOutcome::default()
        };
        let put = |took| Cmd::PutValue {
            head: Box::new(plan.best.clone()),
            nodes: plan.less,
            took,
        };
        outcome.took = self.network.call(put).await.unwrap_or(0);
        outcome.newer = (plan.best != *head).then_some(plan.best);
        outcome
    }
}

/// What is to be put where.
struct Plan {
    best: VerifiedHead,
    /// How many nodes have it.
    had: usize,
    /// Nodes that have nothing, nothing that counts, or a head that it replaces.
    less: Vec<PeerId>,
}

impl Plan {
    fn new(
        head: VerifiedHead,
        nearest: &[PeerId],
        gave: &HashMap<Option<PeerId>, Bytes>,
        now: u64,
    ) -> Self {
        // Most nodes have the same bytes.
        let mut proven: HashMap<&Bytes, Option<VerifiedHead>> = HashMap::new();
        for node in nearest.iter().copied().map(Some).chain([None]) {
            if let Some(record) = gave.get(&node) {
                let proof = || prove(record, &head, now);
                proven.entry(record).or_insert_with(proof);
            }
        }
        let mut best = &head;
        for found in proven.values().flatten() {
            if found.replaces(best) {
                best = found;
            }
        }
        let (mut had, mut less) = (0, Vec::new());
        for node in nearest {
            let record = gave.get(&Some(*node));
            match record.and_then(|record| proven.get(record)?.as_ref()) {
                Some(found) if found.record() == best.record() => had += 1,
                // Its identity contradicts the best one's, so it would not take the head.
                Some(found) if !best.replaces(found) => {}
                Some(_) | None => less.push(*node),
            }
        }
        let best = best.clone();
        Self { best, had, less }
    }
}

/// A record, if it is a head of the same subject.
fn prove(record: &[u8], head: &VerifiedHead, now: u64) -> Option<VerifiedHead> {
    let record = HeadRecord::decode(record).ok()?;
    let is_of_key = record.head().subject.key() == head.head().subject.key();
    let proven = is_of_key.then(|| record.verify_knowing(now, head.chain()));
    proven?.ok()
}

/// In milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |time| {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    })
}
