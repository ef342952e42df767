//! Heads that strangers put: which may stay when there is not room for all.
//!
//! Identities and peer ids cost nothing, so anyone can make any number of heads that are in order. What
//! costs something is an address: as for provider records, **the largest network pays** when there is no
//! room, and a flood from one network ends up competing with itself. A network's share is counted in
//! bytes.
//!
//! # To which network a head counts
//! To that of the peer that put it first, until a peer puts it or its successor whose network has less by
//! more than this head: then to that one. Otherwise a network with many heads could put those of others
//! once more, and they would be dropped when it has to pay.

use std::collections::{BTreeMap, BTreeSet};

use super::{RecordBatch, Stamp, ValueRefused, ValuesConfig};
use crate::records::{
    format::{EntryKey, value_value},
    key::AnnounceKey,
    shares::{Group, Shares},
};

/// Memory that one head takes beside its bytes: three entries in trees that are two thirds full.
const OVERHEAD: u32 = 256;

struct Value {
    record: Box<[u8]>,
    group: Group,
    expires: Stamp,
}

impl Value {
    fn weight(&self) -> u32 {
        weight(&self.record)
    }
}

/// What a record counts for in bytes; records are some KiB long.
fn weight(record: &[u8]) -> u32 {
    u32::try_from(record.len()).map_or(u32::MAX, |bytes| bytes.saturating_add(OVERHEAD))
}

pub(super) struct Table {
    bytes_max: u32,
    network_bytes_max: u32,
    values: BTreeMap<AnnounceKey, Value>,
    /// The same values by network.
    by_group: BTreeSet<(Group, AnnounceKey)>,
    /// The same values by [`Stamp::bucket`] of their expiry.
    by_expiry: BTreeSet<(u32, AnnounceKey)>,
    shares: Shares,
    bytes: u32,
    /// Entries of the database that no longer say what the table says.
    dirty: BTreeSet<AnnounceKey>,
}

impl Table {
    pub(super) fn new(config: &ValuesConfig) -> Self {
        Self {
            bytes_max: config.bytes_max,
            network_bytes_max: config.network_bytes_max,
            values: BTreeMap::new(),
            by_group: BTreeSet::new(),
            by_expiry: BTreeSet::new(),
            shares: Shares::default(),
            bytes: 0,
            dirty: BTreeSet::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn get(&self, key: AnnounceKey, now: Stamp) -> Option<&[u8]> {
        let value = self.values.get(&key)?;
        (value.expires > now).then_some(&*value.record)
    }

    /// A kept record was put again.
    pub(super) fn refresh(&mut self, key: AnnounceKey, group: Group, expires: Stamp) {
        let Some(value) = self.values.get(&key) else {
            return;
        };
        let owner = self.owner(value, group);
        // A peer can only prolong the life of what others put.
        let expires = expires.max(value.expires);
        if (owner, expires.bucket()) != (value.group, value.expires.bucket())
            && let Some(value) = self.remove(key)
        {
            self.insert(
                key,
                Value {
                    group: owner,
                    expires,
                    ..value
                },
            );
        }
    }

    /// Replaces a kept record by one that outranks it, or drops it if there is no room for that.
    pub(super) fn renew(&mut self, key: AnnounceKey, record: &[u8]) {
        if let Some(kept) = self.values.get(&key) {
            let (owner, now) = ((kept.group, kept.expires), Stamp(0));
            if self.put(key, record, owner, now).is_err() {
                self.remove(key);
            }
        }
    }

    /// Takes a record that outranks the kept one, if its network is entitled to the place.
    pub(super) fn put(
        &mut self,
        key: AnnounceKey,
        record: &[u8],
        (group, expires): (Group, Stamp),
        now: Stamp,
    ) -> Result<(), ValueRefused> {
        let kept = self.values.get(&key);
        let group = kept.map_or(group, |kept| self.owner(kept, group));
        let of_kept = kept.map_or(0, Value::weight);
        // A head moves with all that it weighs to a network that has less.
        let of_group = kept
            .filter(|kept| kept.group == group)
            .map_or(0, Value::weight);
        let more_of_group = weight(record).saturating_sub(of_group);
        if self.shares.of(group).saturating_add(more_of_group) > self.network_bytes_max {
            return Err(ValueRefused::NetworkQuota);
        }
        self.make_room(key, group, weight(record).saturating_sub(of_kept), now)?;
        self.remove(key);
        let record = record.into();
        self.insert(
            key,
            Value {
                record,
                group,
                expires,
            },
        );
        Ok(())
    }

    /// A head from the database; whether there is room for it.
    pub(super) fn restore(
        &mut self,
        key: AnnounceKey,
        record: &[u8],
        (group, expires): (Group, Stamp),
        now: Stamp,
    ) -> bool {
        let more = weight(record);
        let fits = self.bytes.saturating_add(more) <= self.bytes_max
            && self.shares.of(group).saturating_add(more) <= self.network_bytes_max;
        if expires <= now || !fits {
            return false;
        }
        let record = record.into();
        self.insert(
            key,
            Value {
                record,
                group,
                expires,
            },
        );
        self.dirty.remove(&key);
        true
    }

    pub(super) fn take(&mut self, key: AnnounceKey) {
        self.remove(key);
    }

    /// Frees the values of all buckets that are over; costs as much as there are.
    pub(super) fn expire(&mut self, now: Stamp) {
        while let Some((bucket, key)) = self.by_expiry.first().copied()
            && bucket < now.bucket()
        {
            self.remove(key);
        }
    }

    /// The entries of the database that must change, with what they become.
    pub(super) fn take_dirty(&mut self) -> RecordBatch {
        let dirty = std::mem::take(&mut self.dirty).into_iter();
        let entry = |key| {
            let value = self.values.get(&key);
            let value = value.map(|value| value_value(value.expires, value.group, &value.record));
            (EntryKey::Value(key).encode(), value)
        };
        dirty.map(entry).collect()
    }

    /// The network to which a kept head counts once a peer of `group` has put it too.
    fn owner(&self, kept: &Value, group: Group) -> Group {
        let with_it = self.shares.of(group).saturating_add(kept.weight());
        if self.shares.of(kept.group) > with_it {
            group
        } else {
            kept.group
        }
    }

    /// Removes values until `more` bytes of `group` fit; the value of `key` is not among them.
    fn make_room(
        &mut self,
        key: AnnounceKey,
        group: Group,
        more: u32,
        now: Stamp,
    ) -> Result<(), ValueRefused> {
        if self.bytes.saturating_add(more) > self.bytes_max {
            self.expire(now);
        }
        while self.bytes.saturating_add(more) > self.bytes_max {
            let payer = self
                .shares
                .payer(group, more)
                .ok_or(ValueRefused::TableFull)?;
            let spare = self.spare(payer, key).ok_or(ValueRefused::TableFull)?;
            self.remove(spare);
        }
        Ok(())
    }

    /// A value of a network: the one that follows `key` on the ring of all keys, so that chance decides.
    fn spare(&self, group: Group, key: AnnounceKey) -> Option<AnnounceKey> {
        let (first, last) = (AnnounceKey::new([0; 32]), AnnounceKey::new([0xff; 32]));
        let after = self.by_group.range((group, key)..=(group, last));
        let from_start = self.by_group.range((group, first)..=(group, last));
        let mut keys = after.chain(from_start).map(|(_, key)| *key);
        keys.find(|spare| *spare != key)
    }

    fn insert(&mut self, key: AnnounceKey, value: Value) {
        let weight = value.weight();
        self.by_group.insert((value.group, key));
        self.by_expiry.insert((value.expires.bucket(), key));
        self.shares.add(value.group, weight);
        self.bytes = self.bytes.saturating_add(weight);
        self.dirty.insert(key);
        self.values.insert(key, value);
    }

    fn remove(&mut self, key: AnnounceKey) -> Option<Value> {
        let value = self.values.remove(&key)?;
        let weight = value.weight();
        self.by_group.remove(&(value.group, key));
        self.by_expiry.remove(&(value.expires.bucket(), key));
        self.shares.sub(value.group, weight);
        self.bytes = self.bytes.saturating_sub(weight);
        self.dirty.insert(key);
        Some(value)
    }
}

#[cfg(test)]
impl Table {
    /// Asserts that all sets agree and no quota is exceeded.
    pub(super) fn check(&self) {
        let by_group = self.values.iter().map(|(key, value)| (value.group, *key));
        assert_eq!(self.by_group, by_group.collect());
        let by_expiry = self
            .values
            .iter()
            .map(|(key, value)| (value.expires.bucket(), *key));
        assert_eq!(self.by_expiry, by_expiry.collect());
        let mut shares = Shares::default();
        for value in self.values.values() {
            shares.add(value.group, value.weight());
        }
        assert_eq!(self.shares.order, shares.order);
        assert_eq!(
            self.bytes,
            self.values.values().map(Value::weight).sum::<u32>()
        );
        assert!(self.bytes <= self.bytes_max);
        let largest = shares.order.last().map_or(0, |(bytes, _)| *bytes);
        assert!(largest <= self.network_bytes_max);
    }

    /// Bytes of one value in all sets, before what the trees leave empty.
    pub(super) const VALUE_BYTES: usize = size_of::<(AnnounceKey, Value)>()
        + size_of::<(Group, AnnounceKey)>()
        + size_of::<(u32, AnnounceKey)>();
    pub(super) const OVERHEAD: usize = OVERHEAD as usize;
}
