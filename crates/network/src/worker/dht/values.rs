//! Walks for the value of a key, and puts to nodes that a walk has found.
//!
//! A walk goes on to its end, whatever it finds: nodes hold different records of one key, and the caller
//! decides which counts. At the end it names the nodes nearest to the key, so that the caller can give the
//! best record to those that had less.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hubless_content::HEAD_RECORD_BYTES_MAX;
use libp2p::{
    PeerId,
    kad::{
        GetRecordError, GetRecordOk, GetRecordResult, K_VALUE, KBucketKey, PeerRecord,
        PutRecordError, PutRecordResult, QueryId, Quorum, Record, RecordKey,
    },
};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::Kad;
use crate::info::FoundValue;

/// Walks for values at once; others wait for their turn.
pub(crate) const VALUE_WALKS_MAX: usize = 32;

/// Values that wait for the caller of one walk, which queries some thirty nodes. What comes when as many
/// wait is lost: 16 MiB in all walks.
pub(crate) const VALUES_PER_WALK_MAX: usize = 128;

/// The longest walk for a value, and the longest put. A node that is gone takes a walk to this limit, and
/// all others have answered long before.
const TIME_MAX: Duration = Duration::from_secs(10);

/// A walk that a caller wants.
pub(crate) struct FindValues {
    pub(crate) found: mpsc::Sender<FoundValue>,
    /// The nodes nearest to the key that answered.
    pub(crate) nearest: oneshot::Sender<Vec<PeerId>>,
    pub(crate) _permit: OwnedSemaphorePermit,
}

struct Walk {
    key: RecordKey,
    began: Instant,
    gave: Vec<PeerId>,
    request: FindValues,
}

struct Put {
    began: Instant,
    nodes: usize,
    took: oneshot::Sender<usize>,
}

/// Walks for values and puts in progress.
#[derive(Default)]
pub(super) struct Values {
    walks: HashMap<QueryId, Walk>,
    puts: HashMap<QueryId, Put>,
}

impl Values {
    pub(super) fn find(&mut self, kad: &mut Kad, key: RecordKey, request: FindValues) {
        let walk = Walk {
            key: key.clone(),
            began: Instant::now(),
            gave: Vec::new(),
            request,
        };
        self.walks.insert(kad.get_record(key), walk);
    }

    /// Puts a record to these nodes; reports how many answered.
    pub(super) fn put(
        &mut self,
        kad: &mut Kad,
        record: Record,
        nodes: Vec<PeerId>,
        took: oneshot::Sender<usize>,
    ) {
        let put = Put {
            began: Instant::now(),
            nodes: nodes.len(),
            took,
        };
        let query = kad.put_record_to(record, nodes.into_iter(), Quorum::All);
        self.puts.insert(query, put);
    }

    /// A walk has found something, or is over. Returns whether it is still wanted.
    pub(super) fn on_walk(&mut self, query: QueryId, result: GetRecordResult) -> bool {
        let without = match result {
            Ok(GetRecordOk::FoundRecord(found)) => return self.on_value(query, found),
            Ok(GetRecordOk::FinishedWithNoAdditionalRecord { cache_candidates }) => {
                cache_candidates.into_values().collect()
            }
            Err(GetRecordError::NotFound { closest_peers, .. }) => closest_peers,
            Err(GetRecordError::Timeout { .. }) => Vec::new(),
        };
        if let Some(walk) = self.walks.remove(&query) {
            let nearest = nearest(&walk.key, [walk.gave, without].concat());
            // Fails only if the caller is gone.
            let _ = walk.request.nearest.send(nearest);
        }
        true
    }

    fn on_value(&mut self, query: QueryId, PeerRecord { peer, record }: PeerRecord) -> bool {
        let Some(walk) = self.walks.get_mut(&query) else {
            return false;
        };
        // One value of each node, however often it answers.
        if peer.is_some_and(|peer| walk.gave.contains(&peer)) {
            return true;
        }
        walk.gave.extend(peer);
        let found = &walk.request.found;
        if record.value.len() <= HEAD_RECORD_BYTES_MAX {
            let record = Bytes::from(record.value);
            // Fails if the caller is gone, which is checked below, or as many wait as may.
            let _ = found.try_send(FoundValue { record, from: peer });
        }
        !found.is_closed()
    }

    pub(super) fn on_put(&mut self, query: QueryId, result: PutRecordResult) {
        let Some(put) = self.puts.remove(&query) else {
            return;
        };
        let took = match result {
            Ok(_) => put.nodes,
            Err(
                PutRecordError::QuorumFailed { success, .. }
                | PutRecordError::Timeout { success, .. },
            ) => success.len(),
        };
        let _ = put.took.send(took);
    }

    /// Walks and puts that have taken too long.
    pub(super) fn overdue(&self, now: Instant) -> Vec<QueryId> {
        let is_over = |began: Instant| now.saturating_duration_since(began) >= TIME_MAX;
        let walks = self.walks.iter().map(|(id, walk)| (id, walk.began));
        let puts = self.puts.iter().map(|(id, put)| (id, put.began));
        let overdue = walks.chain(puts).filter(|(_, began)| is_over(*began));
        overdue.map(|(id, _)| *id).collect()
    }
}

/// The nodes nearest to a key, as many as keep a record of it.
fn nearest(key: &RecordKey, mut nodes: Vec<PeerId>) -> Vec<PeerId> {
    let key = KBucketKey::new(key.clone());
    nodes.sort_by_cached_key(|node| KBucketKey::from(*node).distance(&key));
    nodes.dedup();
    nodes.truncate(K_VALUE.get());
    nodes
}
