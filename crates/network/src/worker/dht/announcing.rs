//! Drives the announcer: walks through the DHT for own keys, and what of it is persistent.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant, SystemTime},
};

use hubless_dht::{AnnounceKey, Announcer, AnnouncerConfig, Priority, RecordBatch};
use libp2p::{PeerId, kad::QueryId};
use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::{Kad, kad_records::record_key};
use crate::info::DhtStatus;

/// How often changes are written. What is lost in a crash comes back by itself.
const WRITE_INTERVAL: Duration = Duration::from_secs(10);

/// Walks that begin between two ticks, which come each second. Through a large DHT far fewer can be
/// made; in a small one, where a walk takes a millisecond, ten thousand new files would take both
/// cores of the announcing node and of those that receive the records. 1 TiB of chunks needs 53 a second.
const WALKS_PER_TICK_MAX: usize = 100;

/// The announcer, its walks, and the way to the database.
pub(super) struct Announcing {
    announcer: Announcer,
    walks: HashMap<QueryId, AnnounceKey>,
    /// Walks that may still begin before the next tick.
    walks_left: usize,
    batches: mpsc::Sender<RecordBatch>,
    written: Instant,
    is_suspended: bool,
}

impl Announcing {
    pub(super) fn new(
        local: PeerId,
        interval: Duration,
        kad: &mut Kad,
        batches: mpsc::Sender<RecordBatch>,
    ) -> Self {
        let config = AnnouncerConfig {
            interval,
            ..AnnouncerConfig::new(&local)
        };
        let mut announcer = Announcer::new(config, kad.store_mut().records.take_announced());
        announcer.suspend();
        Self {
            announcer,
            walks: HashMap::new(),
            walks_left: WALKS_PER_TICK_MAX,
            batches,
            written: Instant::now(),
            is_suspended: true,
        }
    }

    pub(super) fn add(&mut self, kad: &mut Kad, keys: Vec<(AnnounceKey, Priority)>) {
        provide(kad, &keys);
        self.announcer.add(keys, SystemTime::now());
        self.start_walks(kad, SystemTime::now());
    }

    pub(super) fn set(&mut self, kad: &mut Kad, keys: Vec<(AnnounceKey, Priority)>) {
        let wanted: HashSet<AnnounceKey> = keys.iter().map(|(key, _)| *key).collect();
        let records = &mut kad.store_mut().records;
        let unwanted: Vec<_> = records
            .provided()
            .filter(|key| !wanted.contains(key))
            .collect();
        records.unprovide(unwanted);
        provide(kad, &keys);
        self.announcer.set(keys, SystemTime::now());
        self.start_walks(kad, SystemTime::now());
    }

    pub(super) fn remove(&mut self, kad: &mut Kad, keys: Vec<AnnounceKey>) {
        kad.store_mut().records.unprovide(keys.iter().copied());
        self.announcer.remove(keys);
    }

    /// Starts the walks that are due and writes what has changed.
    pub(super) fn tick(&mut self, kad: &mut Kad, has_dht: bool, now: SystemTime) {
        kad.store_mut().records.tick(now);
        match (has_dht, self.is_suspended) {
            (true, true) => self.announcer.resume(),
            (false, false) => self.announcer.suspend(),
            _ => {}
        }
        self.is_suspended = !has_dht;
        self.walks_left = WALKS_PER_TICK_MAX;
        self.start_walks(kad, now);
        if self.written.elapsed() >= WRITE_INTERVAL {
            self.written = Instant::now();
            self.write(kad);
        }
    }

    /// A walk of ours is over. Returns its key if it is one of the highest priority that is announced now.
    pub(super) fn walked(
        &mut self,
        kad: &mut Kad,
        query: QueryId,
        ok: bool,
    ) -> Option<AnnounceKey> {
        let key = self.walks.remove(&query)?;
        let now = SystemTime::now();
        self.announcer.finished(key, ok, now);
        self.start_walks(kad, now);
        let is_root = self.announcer.priority_of(&key) == Some(Priority::Root);
        (ok && is_root).then_some(key)
    }

    /// Writes all that has changed; for the end.
    pub(super) async fn write_all(mut self, kad: &mut Kad) {
        let batch = self.take_batch(kad);
        if !batch.is_empty() && self.batches.send(batch).await.is_err() {
            warn!("the last DHT records could not be written");
        }
    }

    pub(super) fn status(&self) -> DhtStatus {
        let now = SystemTime::now();
        DhtStatus {
            keys: self.announcer.len(),
            announced: self.announcer.announced(),
            backlog: self.announcer.backlog(now),
            behind: self.announcer.behind(now),
            ..DhtStatus::default()
        }
    }

    fn start_walks(&mut self, kad: &mut Kad, now: SystemTime) {
        while self.walks_left > 0
            && let Some(key) = self.announcer.poll(now)
        {
            self.walks_left -= 1;
            match kad.start_providing(record_key(key)) {
                Ok(query) => {
                    self.walks.insert(query, key);
                }
                Err(error) => {
                    debug!(?key, %error, "cannot announce");
                    self.announcer.finished(key, false, now);
                }
            }
        }
    }

    /// Hands changes to the writer, or keeps them if it is still busy.
    fn write(&mut self, kad: &mut Kad) {
        let batches = self.batches.clone();
        let Ok(place) = batches.try_reserve() else {
            return;
        };
        let batch = self.take_batch(kad);
        if !batch.is_empty() {
            place.send(batch);
        }
    }

    fn take_batch(&mut self, kad: &mut Kad) -> RecordBatch {
        let mut batch = kad.store_mut().records.take_batch();
        batch.extend(self.announcer.take_dirty());
        batch
    }
}

/// This node is listed as a provider of own keys at once, announced or not.
fn provide(kad: &mut Kad, keys: &[(AnnounceKey, Priority)]) {
    let keys = keys.iter().map(|(key, _)| *key);
    if let Err(error) = kad.store_mut().records.provide(keys) {
        warn!(%error, "not all keys can be provided");
    }
}
