//! The node's part of the DHT: provider records and heads that other nodes sent, and what this node
//! provides.
//!
//! libp2p's own store is unfit for an open network: it stops at 1,024 keys and counts those of
//! strangers, so a stranger can keep a node from announcing; it gives the 20 places of a key to
//! the first providers that come, for 48 hours; and it forgets everything on restart. [`Records`] keeps
//! the kinds apart:
//!
//! - **own keys** are a set of 32-byte keys that no stranger can touch;
//! - **foreign records** have quotas for each peer, each key and in total, and when there is no
//!   room, rules by which a newcomer may take a place: see [`table`];
//! - **heads** of repos and profiles, which are values and not records of providers: see [`values`].
//!
//! # Callers
//! The driver of Kademlia calls [`Records::providers`] for each request of a peer, and
//! [`Records::accept`] for records that arrive, [`Records::mark_unreachable`] and
//! [`Records::mark_reachable`] after dialling, [`Records::tick`] every few seconds. It writes what
//! [`Records::take_batch`] gives to the [`RecordDb`] on a thread that may block. Time stands still
//! between ticks.
//!
//! # Not here
//! When own keys are announced: see [`announcer`](crate::announcer).

mod address;
mod db;
mod format;
mod key;
mod shares;
mod table;
mod values;

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use hubless_address::{Multiaddr, PeerId};

#[cfg(test)]
pub(crate) use self::format::decode_announced;
use self::{address::Origin, format::Entry, table::Table};
pub use self::{
    db::{MemoryDb, RecordBatch, RecordDb},
    key::{AnnounceKey, NotAnnounceKey},
    table::Refused,
    values::{HeldFull, ValueRefused, Values, ValuesConfig},
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

/// Providers of one key: Kademlia's K. More would not fit into one response.
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
    /// How long a record is valid after it arrived, unless it is shorter by itself.
    pub ttl: Duration,
    /// Whether loopback and private addresses in records are kept. A node on the open Internet
    /// must not hand them on: a peer that dials them probes machines of its own network.
    pub keep_local_addresses: bool,
    /// Quotas of heads.
    pub values: ValuesConfig,
}

impl RecordsConfig {
    /// The default quotas. `seed` must be random and is shown to no peer.
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
            values: ValuesConfig::default(),
        }
    }
}

/// What a node announces: that it provides what a key stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderRecord {
    /// What it provides.
    pub key: AnnounceKey,
    /// Its peer id.
    pub provider: PeerId,
    /// Where it says it can be dialled.
    pub addresses: Vec<Multiaddr>,
}

/// A node cannot provide more keys: [`RecordsConfig::own_keys_max`] are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this node provides as many keys as it may")]
pub struct OwnKeysFull;

/// Provider records, own and foreign, and heads.
pub struct Records {
    local: PeerId,
    db: Arc<dyn RecordDb>,
    config: RecordsConfig,
    now: Stamp,
    own: BTreeSet<AnnounceKey>,
    foreign: Table,
    values: Values,
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
            values: Values::new(config.values.clone(), now.into()),
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
    /// [`Announcer::new`](crate::Announcer::new). Empty when called again.
    pub fn take_announced(&mut self) -> Vec<(AnnounceKey, SystemTime)> {
        std::mem::take(&mut self.announced)
    }

    /// Lists this node as a provider of these keys from now on. (Announcing them is the announcer's
    /// matter.)
    ///
    /// # Errors
    /// If there is no room for one of them; those before it are listed.
    pub fn provide(
        &mut self,
        keys: impl IntoIterator<Item = AnnounceKey>,
    ) -> Result<(), OwnKeysFull> {
        for key in keys {
            if self.own.len() >= self.config.own_keys_max && !self.own.contains(&key) {
                return Err(OwnKeysFull);
            }
            self.own.insert(key);
        }
        Ok(())
    }

    /// No longer lists this node as a provider of these keys.
    pub fn unprovide(&mut self, keys: impl IntoIterator<Item = AnnounceKey>) {
        for key in keys {
            self.own.remove(&key);
        }
    }

    /// Takes a record that a peer sent about itself. `observed` is the address from which its
    /// connection comes: unlike what the record claims, it cannot be made up. The record is valid
    /// for `ttl`, or for [`RecordsConfig::ttl`] if that is shorter.
    ///
    /// # Errors
    /// If it is expired, or the rules give it no place.
    pub fn accept(
        &mut self,
        record: &ProviderRecord,
        observed: Option<&Multiaddr>,
        ttl: Duration,
    ) -> Result<(), Refused> {
        let keep_local = self.config.keep_local_addresses;
        let addresses = address::sensible(&record.addresses, &record.provider, keep_local);
        let origin = observed.map_or_else(|| Origin::claimed(&addresses), Origin::of);
        let expires = self.now.plus(self.config.ttl.min(ttl));
        let outcome = self.foreign.insert(
            record.key,
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

    /// Providers of a key: this node if it provides it, without addresses, then others.
    pub fn providers(&self, key: AnnounceKey) -> Vec<ProviderRecord> {
        let own = self.own.contains(&key).then(|| (self.local, Vec::new()));
        let foreign = self.foreign.providers(key, self.now);
        own.into_iter()
            .chain(foreign)
            .map(|(provider, addresses)| ProviderRecord {
                key,
                provider,
                addresses,
            })
            .collect()
    }

    /// The heads that this node serves.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The heads that this node serves, to change them.
    pub fn values_mut(&mut self) -> &mut Values {
        &mut self.values
    }

    /// The own keys, in their order.
    pub fn provided(&self) -> impl Iterator<Item = AnnounceKey> + '_ {
        self.own.iter().copied()
    }

    /// Removes the record of a provider, which may be this node.
    pub fn remove(&mut self, key: AnnounceKey, provider: &PeerId) {
        if *provider == self.local {
            self.own.remove(&key);
        } else {
            self.foreign.remove(key, provider);
        }
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
        self.values.tick(self.now);
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
        batch.extend(self.values.take_dirty());
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
                Some(Entry::Value {
                    key,
                    expires,
                    group,
                    record,
                }) => {
                    let is_of_use = self.values.restore(key, &record, (group, expires));
                    if !is_of_use {
                        self.rubbish.push(EntryKey::Value(key).encode());
                    }
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
}

#[cfg(test)]
mod tests;
