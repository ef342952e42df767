//! The node's part of the DHT: provider records that other nodes sent, and what this node provides.
//!
//! libp2p's own store is unfit for an open network: it stops at 1,024 keys and counts those of
//! strangers, so a stranger can keep a node from announcing; it gives the 20 places of a key to
//! the first providers that come, for 48 hours; and it forgets everything on restart. [`Records`] keeps
//! both kinds apart:
//!
//! - **own keys** are a set of 32-byte keys that no stranger can touch;
//! - **foreign records** have quotas for each peer, each key and in total, and when there is no
//!   room, rules by which a newcomer may take a place: see [`table`].
//!
//! # Callers
//! kad calls the [`RecordStore`] methods. The event loop calls [`Records::accept`] for records that
//! arrive (kad must run with `StoreInserts::FilterBoth`), [`Records::mark_unreachable`] and
//! [`Records::mark_reachable`] after dialling, [`Records::tick`] every few seconds, and writes what
//! [`Records::take_batch`] gives to the [`RecordDb`] on a thread that may block. Time stands still
//! between ticks.
//!
//! # Not here
//! Values: we use provider records only, so `put` always fails and `get` never finds. When own keys
//! are announced: see [`announcer`](crate::dht::announcer).

mod address;
mod db;
mod format;
mod key;
mod table;

use std::{
    borrow::Cow,
    collections::BTreeSet,
    iter,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use libp2p::{
    Multiaddr, PeerId,
    kad::{
        ProviderRecord, Record, RecordKey,
        store::{Error, RecordStore, Result as StoreResult},
    },
};

#[cfg(test)]
pub(crate) use self::format::decode_announced;
use self::{address::Origin, format::Entry, table::Table};
pub use self::{
    db::{MemoryDb, RecordBatch, RecordDb},
    key::{AnnounceKey, NotAnnounceKey},
    table::Refused,
};
pub(crate) use self::{
    format::{EntryKey, announced_value},
    key::Stamp,
};

/// Own keys: 1 TB announced chunk by chunk are 4 million. About 50 bytes each (measured).
const OWN_KEYS_MAX: usize = 5_000_000;

/// Foreign provider records in all: about 200 bytes each, 100 MB (measured).
const FOREIGN_RECORDS_MAX: usize = 500_000;

/// Foreign records of one peer. A mirror of some thousand models announces as many files, spread
/// over the whole network, but in a small one all arrive at each node.
const RECORDS_PER_PEER_MAX: u32 = 20_000;

/// Distinct foreign providers: at most about 800 bytes each, 40 MB.
const PROVIDERS_MAX: usize = 50_000;

/// Providers of one key: Kademlia's K. More would not fit into one answer.
const PROVIDERS_PER_KEY_MAX: usize = 20;

/// How long a provider record is valid, as everywhere in libp2p.
const PROVIDER_TTL: Duration = Duration::from_secs(48 * 3600);

/// Changes that may wait for [`Records::take_batch`]; with more of them, they are written at once.
const CHANGES_MAX: usize = 65_536;

/// Quotas of a [`Records`].
#[derive(Debug, Clone)]
pub struct RecordsConfig {
    /// A secret and random number: decides contests among strangers for the places of a key.
    pub seed: u64,
    /// Own keys.
    pub own_keys_max: usize,
    /// Foreign records in all.
    pub foreign_records_max: usize,
    /// Foreign records of one peer.
    pub records_per_peer_max: u32,
    /// Distinct foreign providers.
    pub providers_max: usize,
    /// Foreign providers of one key.
    pub providers_per_key_max: usize,
    /// How long a record is valid after it arrived; kad's own may shorten it.
    pub ttl: Duration,
    /// Whether loopback and private addresses in records are kept. A node on the open Internet
    /// must not hand them on: a peer that dials them probes machines of its own network.
    pub keep_local_addresses: bool,
}

impl RecordsConfig {
    /// The default quotas. `seed` must be random and is not shown to anyone.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            own_keys_max: OWN_KEYS_MAX,
            foreign_records_max: FOREIGN_RECORDS_MAX,
            records_per_peer_max: RECORDS_PER_PEER_MAX,
            providers_max: PROVIDERS_MAX,
            providers_per_key_max: PROVIDERS_PER_KEY_MAX,
            ttl: PROVIDER_TTL,
            keep_local_addresses: true,
        }
    }
}

/// Provider records, own and foreign.
pub struct Records {
    local: PeerId,
    db: Arc<dyn RecordDb>,
    config: RecordsConfig,
    now: Stamp,
    own: BTreeSet<AnnounceKey>,
    foreign: Table,
    announced: Vec<(AnnounceKey, SystemTime)>,
    /// Entries of the database that cannot be read or are of no use any more.
    rubbish: Vec<Vec<u8>>,
}

impl Records {
    /// Loads what `db` holds and is still valid.
    pub fn new(
        local: PeerId,
        db: Arc<dyn RecordDb>,
        config: RecordsConfig,
        now: SystemTime,
    ) -> Self {
        let entries = db.load();
        let mut records = Self {
            local,
            db,
            foreign: Table::new(config.clone()),
            config,
            now: now.into(),
            own: BTreeSet::new(),
            announced: Vec::new(),
            rubbish: Vec::new(),
        };
        records.restore(entries);
        records
    }

    /// When own keys were last announced, as the database had it at the start: for
    /// [`Announcer::new`](crate::dht::announcer::Announcer::new). Empty when called again.
    pub fn take_announced(&mut self) -> Vec<(AnnounceKey, SystemTime)> {
        std::mem::take(&mut self.announced)
    }

    /// Answers for these own keys from now on. (Announcing them is the announcer's matter.)
    pub fn provide(&mut self, keys: impl IntoIterator<Item = AnnounceKey>) -> StoreResult<()> {
        for key in keys {
            if self.own.len() >= self.config.own_keys_max && !self.own.contains(&key) {
                return Err(Error::MaxProvidedKeys);
            }
            self.own.insert(key);
        }
        Ok(())
    }

    /// No longer answers for these own keys.
    pub fn unprovide(&mut self, keys: impl IntoIterator<Item = AnnounceKey>) {
        for key in keys {
            self.own.remove(&key);
        }
    }

    /// Takes a record that a peer sent about itself. `observed` is the address from which its
    /// connection comes: unlike what the record claims, it cannot be made up.
    pub fn accept(
        &mut self,
        record: &ProviderRecord,
        observed: Option<&Multiaddr>,
    ) -> Result<(), Refused> {
        let key = AnnounceKey::try_from(&record.key).map_err(|_| Refused::NotAKey)?;
        let keep_local = self.config.keep_local_addresses;
        let addresses = address::sensible(&record.addresses, &record.provider, keep_local);
        let origin = observed.map_or_else(|| Origin::claimed(&addresses), Origin::of);
        let ttl = self.config.ttl.min(time_left(record.expires));
        let expires = self.now.plus(ttl);
        let outcome = self.foreign.insert(
            key,
            record.provider,
            (&addresses, origin),
            expires,
            self.now,
        );
        if self.foreign.dirty_len() > CHANGES_MAX {
            self.flush();
        }
        outcome
    }

    /// A dial to `peer` failed: it loses contests for a while. Unknown peers are ignored.
    pub fn mark_unreachable(&mut self, peer: &PeerId) {
        self.foreign.mark_unreachable(peer, self.now);
    }

    /// A dial to `peer` succeeded.
    pub fn mark_reachable(&mut self, peer: &PeerId) {
        self.foreign.mark_reachable(peer);
    }

    /// Whether loopback and private addresses are kept from now on: not once the node knows that
    /// it can be reached from the open Internet.
    pub fn keep_local_addresses(&mut self, keep: bool) {
        self.config.keep_local_addresses = keep;
    }

    /// Moves time on and frees what has expired.
    pub fn tick(&mut self, now: SystemTime) {
        self.now = now.into();
        self.foreign.expire(self.now);
    }

    /// Number of own keys.
    pub fn own_keys(&self) -> usize {
        self.own.len()
    }

    /// Number of foreign records.
    pub fn foreign_records(&self) -> usize {
        self.foreign.len()
    }

    /// Number of distinct foreign providers.
    pub fn foreign_providers(&self) -> usize {
        self.foreign.providers_len()
    }

    /// The database, for writing batches on another thread.
    pub fn db(&self) -> Arc<dyn RecordDb> {
        self.db.clone()
    }

    /// All changes since the last batch; empty if there are none. Batches must be written in the
    /// order in which they were taken.
    pub fn take_batch(&mut self) -> RecordBatch {
        // Rubbish first: a record that was of no use at the start may have come back since.
        let rubbish = std::mem::take(&mut self.rubbish).into_iter();
        let mut batch: RecordBatch = rubbish.map(|key| (key, None)).collect();
        batch.extend(self.foreign.take_dirty());
        batch
    }

    /// Writes all changes here and now; may block. For the end of a run.
    pub fn flush(&mut self) {
        let batch = self.take_batch();
        if !batch.is_empty() {
            self.db.write(batch);
        }
    }

    /// Takes the entries of a database: providers first, since records refer to them.
    fn restore(&mut self, entries: Vec<(Vec<u8>, Vec<u8>)>) {
        let mut records = Vec::new();
        for (key, value) in entries {
            match format::decode(&key, &value) {
                Some(Entry::Announced { key, at }) => self.announced.push((key, at.into())),
                Some(Entry::Provider {
                    peer,
                    origin,
                    addresses,
                }) if peer != self.local => {
                    self.foreign.restore_provider(peer, origin, addresses);
                }
                Some(Entry::Record {
                    key,
                    peer,
                    expires,
                    refreshed,
                }) => {
                    records.push((key, peer, expires, refreshed));
                }
                _ if format::is_ours(&key) => self.rubbish.push(key),
                _ => {}
            }
        }
        for (key, peer, expires, refreshed) in records {
            if !self
                .foreign
                .restore_record(key, peer, (expires, refreshed), self.now)
            {
                self.rubbish.push(EntryKey::Record(key, peer).encode());
            }
        }
        self.foreign.restored();
    }

    fn own_record(&self, key: AnnounceKey) -> ProviderRecord {
        // kad fills in the node's present addresses.
        ProviderRecord::new(key, self.local, Vec::new())
    }
}

/// How long kad wants a record to live. kad speaks of a clock that runs from the start of the
/// process, we of one that survives it.
fn time_left(expires: Option<Instant>) -> Duration {
    expires.map_or(Duration::MAX, |at| {
        at.saturating_duration_since(Instant::now())
    })
}

impl RecordStore for Records {
    type RecordsIter<'a> = iter::Empty<Cow<'a, Record>>;
    type ProvidedIter<'a> = Box<dyn Iterator<Item = Cow<'a, ProviderRecord>> + 'a>;

    fn get(&self, _: &RecordKey) -> Option<Cow<'_, Record>> {
        None
    }

    fn put(&mut self, _: Record) -> StoreResult<()> {
        Err(Error::MaxRecords) // of which there are none
    }

    fn remove(&mut self, _: &RecordKey) {}

    fn records(&self) -> Self::RecordsIter<'_> {
        iter::empty()
    }

    fn add_provider(&mut self, record: ProviderRecord) -> StoreResult<()> {
        if record.provider == self.local {
            let key = AnnounceKey::try_from(&record.key).map_err(|_| Error::MaxProvidedKeys)?;
            return self.provide([key]);
        }
        self.accept(&record, None)
            .map_err(|_| Error::MaxProvidedKeys)
    }

    /// The local node if it provides the key, then others. None of them is expired, so `expires`
    /// is empty.
    fn providers(&self, key: &RecordKey) -> Vec<ProviderRecord> {
        let Ok(announced) = AnnounceKey::try_from(key) else {
            return Vec::new();
        };
        let own = self
            .own
            .contains(&announced)
            .then(|| self.own_record(announced));
        let foreign = self.foreign.providers(announced, self.now).into_iter();
        own.into_iter()
            .chain(
                foreign.map(|(peer, addresses)| ProviderRecord::new(key.clone(), peer, addresses)),
            )
            .collect()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        Box::new(self.own.iter().map(|key| Cow::Owned(self.own_record(*key))))
    }

    fn remove_provider(&mut self, key: &RecordKey, peer: &PeerId) {
        let Ok(key) = AnnounceKey::try_from(key) else {
            return;
        };
        if *peer == self.local {
            self.own.remove(&key);
        } else {
            self.foreign.remove(key, peer);
        }
    }
}

#[cfg(test)]
mod tests;
