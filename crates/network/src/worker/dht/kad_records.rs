//! The provider records and heads of a node as kad stores them.

use std::{
    borrow::Cow,
    iter,
    time::{Duration, Instant},
};

use hubless_dht::{AnnounceKey, ProviderRecord, Records, Refused, ValueRefused};
use libp2p::{
    Multiaddr, PeerId,
    kad::{
        self, Record, RecordKey,
        store::{Error, RecordStore, Result as StoreResult},
    },
};

/// [`Records`] as the store of kad. Values come in by [`accept_value`](Self::accept_value), which knows the
/// peer that puts them, so `put` always fails.
pub(crate) struct KadRecords {
    local: PeerId,
    pub(crate) records: Records,
}

impl KadRecords {
    pub(crate) fn new(local: PeerId, records: Records) -> Self {
        Self { local, records }
    }

    /// Takes a record that a peer sent about itself; see [`Records::accept`].
    pub(super) fn accept(
        &mut self,
        record: &kad::ProviderRecord,
        observed: Option<&Multiaddr>,
    ) -> Result<(), Refused> {
        let key = announce_key(&record.key).ok_or(Refused::NotAKey)?;
        let ttl = time_left(record.expires);
        let record = ProviderRecord {
            key,
            provider: record.provider,
            addresses: record.addresses.clone(),
        };
        self.records.accept(&record, observed, ttl)
    }

    /// Takes a value that a peer put; see [`Values::put`](hubless_dht::Values::put).
    pub(super) fn accept_value(
        &mut self,
        record: &Record,
        source: &PeerId,
        observed: Option<&Multiaddr>,
    ) -> Result<(), ValueRefused> {
        let key = announce_key(&record.key).ok_or(ValueRefused::OtherKey)?;
        let ttl = time_left(record.expires);
        let values = self.records.values_mut();
        values.put(key, &record.value, (source, observed), ttl)
    }
}

/// The key of kad under which providers of this key are stored.
pub(super) fn record_key(key: AnnounceKey) -> RecordKey {
    RecordKey::from(key.to_multihash())
}

fn announce_key(key: &RecordKey) -> Option<AnnounceKey> {
    AnnounceKey::from_multihash(key.as_ref()).ok()
}

/// How long kad wants a record to live. Its clock runs from the start of the process, that of
/// [`Records`] survives it.
fn time_left(expires: Option<Instant>) -> Duration {
    expires.map_or(Duration::MAX, |at| {
        at.saturating_duration_since(Instant::now())
    })
}

/// None of them is expired, so `expires` is empty.
fn to_kad(record: ProviderRecord) -> kad::ProviderRecord {
    kad::ProviderRecord::new(record_key(record.key), record.provider, record.addresses)
}

impl RecordStore for KadRecords {
    type RecordsIter<'a> = iter::Empty<Cow<'a, Record>>;
    type ProvidedIter<'a> = Box<dyn Iterator<Item = Cow<'a, kad::ProviderRecord>> + 'a>;

    fn get(&self, key: &RecordKey) -> Option<Cow<'_, Record>> {
        let value = self.records.values().get(announce_key(key)?)?;
        // None of them is expired, and a reader keeps it by its own rules.
        Some(Cow::Owned(Record::new(key.clone(), value.to_vec())))
    }

    fn put(&mut self, _: Record) -> StoreResult<()> {
        Err(Error::MaxRecords)
    }

    fn remove(&mut self, _: &RecordKey) {}

    fn records(&self) -> Self::RecordsIter<'_> {
        iter::empty()
    }

    fn add_provider(&mut self, record: kad::ProviderRecord) -> StoreResult<()> {
        if record.provider == self.local {
            let key = announce_key(&record.key).ok_or(Error::MaxProvidedKeys)?;
            let listed = self.records.provide([key]);
            return listed.map_err(|_| Error::MaxProvidedKeys);
        }
        self.accept(&record, None)
            .map_err(|_| Error::MaxProvidedKeys)
    }

    fn providers(&self, key: &RecordKey) -> Vec<kad::ProviderRecord> {
        let Some(key) = announce_key(key) else {
            return Vec::new();
        };
        let providers = self.records.providers(key);
        providers.into_iter().map(to_kad).collect()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        // kad fills in the node's present addresses.
        let own = |key| kad::ProviderRecord::new(record_key(key), self.local, Vec::new());
        Box::new(self.records.provided().map(move |key| Cow::Owned(own(key))))
    }

    fn remove_provider(&mut self, key: &RecordKey, peer: &PeerId) {
        if let Some(key) = announce_key(key) {
            self.records.remove(key, peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::SystemTime};

    use hubless_dht::{MemoryDb, RecordsConfig};

    use super::*;

    fn store(local: PeerId) -> KadRecords {
        let (db, config) = (Arc::new(MemoryDb::default()), RecordsConfig::new(42));
        KadRecords::new(local, Records::new(local, db, config, SystemTime::now()))
    }

    fn key() -> RecordKey {
        record_key(AnnounceKey::new([1; 32]))
    }

    #[test]
    fn own_records_and_those_of_others_are_found_until_they_are_removed() {
        let (local, other) = (PeerId::random(), PeerId::random());
        let mut store = store(local);
        for peer in [other, local] {
            let record = kad::ProviderRecord::new(key(), peer, Vec::new());
            store.add_provider(record).unwrap();
        }
        let providers = |store: &KadRecords| -> Vec<PeerId> {
            let records = store.providers(&key());
            records.into_iter().map(|record| record.provider).collect()
        };
        assert_eq!(providers(&store), [local, other]);
        let provided: Vec<_> = store.provided().map(|record| record.key.clone()).collect();
        assert_eq!(provided, [key()]);
        store.remove_provider(&key(), &local);
        assert_eq!(providers(&store), [other]);
        store.remove_provider(&key(), &other);
        assert_eq!(providers(&store), []);
    }

    #[test]
    fn kads_time_of_expiry_holds() {
        let mut store = store(PeerId::random());
        let mut record = kad::ProviderRecord::new(key(), PeerId::random(), Vec::new());
        record.expires = Some(Instant::now());
        assert_eq!(store.accept(&record, None), Err(Refused::Expired));
        record.expires = Some(Instant::now() + Duration::from_secs(60));
        assert_eq!(store.accept(&record, None), Ok(()));
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let local = PeerId::random();
        let mut store = store(local);
        let value = Record::new(key(), vec![1]);
        assert!(store.put(value).is_err());
        assert!(store.get(&key()).is_none());
        assert_eq!(store.records().count(), 0);
        let no_head = Record::new(key(), vec![1]);
        assert!(store.accept_value(&no_head, &local, None).is_err());
        assert!(store.get(&key()).is_none());
        let sha256 = RecordKey::from([&[0x12, 0x20][..], &[1; 32]].concat());
        let record = kad::ProviderRecord::new(sha256.clone(), PeerId::random(), Vec::new());
        assert_eq!(store.accept(&record, None), Err(Refused::NotAKey));
        assert!(store.add_provider(record).is_err());
        assert!(store.providers(&sha256).is_empty());
        let own = kad::ProviderRecord::new(sha256, local, Vec::new());
        assert!(store.add_provider(own).is_err());
    }
}
