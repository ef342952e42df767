//! Drives the announcer: walks through the DHT for own keys, and what of it is persistent.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant, SystemTime},
};

use libp2p::{PeerId, kad, kad::QueryId};
use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::{
    announcer::{Announcer, AnnouncerConfig, Priority},
    records::{AnnounceKey, RecordBatch, Records},
};

/// How often changes are written. What is lost in a crash comes back by itself.
const WRITE_INTERVAL: Duration = Duration::from_secs(10);

/// Walks that begin between two ticks, which come each second. Through a large DHT far fewer can be
/// made; in a small one, where a walk takes a millisecond, ten thousand new files would take both
/// cores of the announcing node and of those that receive the records. 1 TiB of chunks needs 53 a second.
const WALKS_PER_TICK_MAX: usize = 100;

type Kad = kad::Behaviour<Records>;

/// A node's part in the DHT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DhtStatus {
    /// Peers in the routing table.
    pub routing_peers: usize,
    /// Whether this node answers the questions of others.
    pub is_server: bool,
    /// Provider records kept for others.
    pub records: usize,
    /// Own keys.
    pub keys: u64,
    /// Own keys that were announced within the time that records live.
    pub announced: u64,
    /// Own keys that should have been announced by now.
    pub backlog: u64,
    /// How long the most overdue of them has waited, if that is worth a word.
    pub behind: Option<Duration>,
}

/// The announcer, its walks, and the way to the database.
pub(crate) struct Announcing {
    announcer: Announcer,
    walks: HashMap<QueryId, AnnounceKey>,
    /// Walks that may still begin before the next tick.
    walks_left: usize,
    batches: mpsc::Sender<RecordBatch>,
    written: Instant,
    is_suspended: bool,
}

impl Announcing {
    pub(crate) fn new(
        local: PeerId,
        interval: Duration,
        kad: &mut Kad,
        batches: mpsc::Sender<RecordBatch>,
    ) -> Self {
        let config = AnnouncerConfig {
            interval,
            ..AnnouncerConfig::new(&local)
        };
        let mut announcer = Announcer::new(config, kad.store_mut().take_announced());
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

    pub(crate) fn add(&mut self, kad: &mut Kad, keys: Vec<(AnnounceKey, Priority)>) {
        provide(kad, &keys);
        self.announcer.add(keys, SystemTime::now());
        self.start_walks(kad, SystemTime::now());
    }

    pub(crate) fn set(&mut self, kad: &mut Kad, keys: Vec<(AnnounceKey, Priority)>) {
        let wanted: HashSet<AnnounceKey> = keys.iter().map(|(key, _)| *key).collect();
        let unwanted = own_keys(kad)
            .into_iter()
            .filter(|key| !wanted.contains(key));
        kad.store_mut().unprovide(unwanted);
        provide(kad, &keys);
        self.announcer.set(keys, SystemTime::now());
        self.start_walks(kad, SystemTime::now());
    }

    pub(crate) fn remove(&mut self, kad: &mut Kad, keys: Vec<AnnounceKey>) {
        kad.store_mut().unprovide(keys.iter().copied());
        self.announcer.remove(keys);
    }

    /// Starts the walks that are due and writes what has changed.
    pub(crate) fn tick(&mut self, kad: &mut Kad, has_dht: bool, now: SystemTime) {
        kad.store_mut().tick(now);
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

    /// A walk of ours is over.
    pub(crate) fn walked(&mut self, kad: &mut Kad, query: QueryId, ok: bool) {
        let Some(key) = self.walks.remove(&query) else {
            return;
        };
        let now = SystemTime::now();
        self.announcer.finished(key, ok, now);
        self.start_walks(kad, now);
    }

    /// Writes all that has changed; for the end.
    pub(crate) async fn write_all(mut self, kad: &mut Kad) {
        let batch = self.take_batch(kad);
        if !batch.is_empty() && self.batches.send(batch).await.is_err() {
            warn!("the last DHT records could not be written");
        }
    }

    pub(crate) fn status(&self) -> DhtStatus {
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
            match kad.start_providing(key.into()) {
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
        let mut batch = kad.store_mut().take_batch();
        batch.extend(self.announcer.take_dirty());
        batch
    }
}

/// Own keys are answered for at once, announced or not.
fn provide(kad: &mut Kad, keys: &[(AnnounceKey, Priority)]) {
    if let Err(error) = kad.store_mut().provide(keys.iter().map(|(key, _)| *key)) {
        warn!(%error, "not all keys can be provided");
    }
}

fn own_keys(kad: &mut Kad) -> Vec<AnnounceKey> {
    let provided = kad::store::RecordStore::provided(kad.store_mut());
    provided
        .filter_map(|record| AnnounceKey::try_from(&record.key).ok())
        .collect()
}
