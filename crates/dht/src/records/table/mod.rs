//! Provider records of other nodes: which may stay when there is not room for all.
//!
//! # The problem
//! Peer ids cost nothing, so a node that keeps the first 20 providers of a key for 48 hours, or the
//! first half a million records of all keys, can be locked by one attacker with a loop. What costs
//! something is an address: an attacker has few networks, honest providers come from many.
//!
//! # Room in the whole table: the largest network pays
//! When the table is full, a newcomer takes the place of a record from the network that has the
//! most, if that has at least two more than the newcomer's: max-min fairness. A flood from one
//! network ends up competing with itself, whatever number of peer ids it uses. The same rule holds
//! for the number of distinct providers. Beside this there is a plain cap for each peer id.
//!
//! # The places of a key
//! When all places of a key are taken, a newcomer gets the first of these:
//!
//! 1. the place of an expired record;
//! 2. that of a provider that a node could not reach lately, longest ago first;
//! 3. one of the network with the most places, if that has at least two more than the newcomer's
//!    network: 20 peer ids in one /24 make room for all that come from elsewhere;
//! 4. that of a record not refreshed for more than half its life: an honest provider republishes
//!    in less, so this one has gone;
//! 5. the place of a loser in a **draw**: each network gets a number from a secret seed, the key
//!    and the day (half a record's life, to be exact), and the highest number among 20 holders
//!    leaves if the newcomer's is lower. So 20 attackers from 20 networks, which refresh as often
//!    as they like, cannot lock a key: an honest 21st gets in with 20 chances of 21, drawn anew
//!    each day. Trying again or with other peer ids does not change the number, and it cannot be
//!    computed from outside. Only networks with more places than the newcomer's take part, and its
//!    own, so that no luck makes a network larger than others. For popular keys the holders of the
//!    places are a fair sample of all that announce.
//!
//! A provider that is marked unreachable takes no place of another. Peers with local addresses count as
//! one network each: in a private network all machines may well share one prefix. Peers without any
//! usable address share one.
//!
//! # Memory
//! Addresses belong to a provider, not to each of its records: the latest ones hold for all. A
//! record is then a key, a number and two times, in three ordered sets: 120 bytes and what the
//! trees leave empty.

#[cfg(test)]
mod check;
mod places;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use hubless_address::{Multiaddr, PeerId};

use self::places::{Holder, crowded, stale, unlucky, unreachable};
use super::{
    RecordsConfig,
    address::Origin,
    format::{self, AddressList, EntryKey},
    key::{AnnounceKey, Stamp},
    shares::{Group, Shares},
};

/// How long a provider counts as unreachable after a node failed to reach it. As long as a
/// restart or a move to another network may take; there is no other harm than losing a contest.
const UNREACHABLE_FOR: Duration = Duration::from_secs(2 * 3600);

/// Why a provider record was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The key is not a BLAKE3 multihash.
    #[error("the key is not a BLAKE3 multihash of 34 bytes")]
    NotAKey,
    /// The record was already expired.
    #[error("the record is expired")]
    Expired,
    /// The provider has as many records here as one peer may have.
    #[error("the provider has reached its number of records")]
    PeerQuota,
    /// All places of this key are taken by providers with a better claim.
    #[error("the key has enough providers")]
    KeyFull,
    /// The table is full, and no network has more records than the provider's own.
    #[error("the table of provider records is full")]
    TableFull,
}

/// A provider as a small number, so that records need not repeat its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Slot(u32);

impl Slot {
    const MIN: Self = Self(u32::MIN);
    const MAX: Self = Self(u32::MAX);

    const fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    expires: Stamp,
    refreshed: Stamp,
}

impl Times {
    fn bucket(&self) -> u32 {
        self.expires.bucket()
    }
}

struct Provider {
    id: PeerId,
    group: Group,
    addresses: AddressList,
    records: u32,
    unreachable_since: Option<Stamp>,
}

impl Provider {
    fn is_unreachable(&self, now: Stamp) -> bool {
        self.unreachable_since
            .is_some_and(|since| now.since(since) < UNREACHABLE_FOR)
    }
}

/// The records of other nodes. Pure: no clock, no disk; times are arguments, and changes to be
/// written are collected.
pub(super) struct Table {
    config: RecordsConfig,
    records: BTreeMap<(AnnounceKey, Slot), Times>,
    /// The same records by provider.
    by_provider: BTreeSet<(Slot, AnnounceKey)>,
    /// The same records by [`Times::bucket`].
    by_expiry: BTreeSet<(u32, AnnounceKey, Slot)>,
    slots: HashMap<PeerId, Slot>,
    providers: Vec<Option<Provider>>,
    free_slots: Vec<Slot>,
    /// Providers by network and number of records.
    members: BTreeSet<(Group, u32, Slot)>,
    record_shares: Shares,
    provider_shares: Shares,
    dirty: Dirty,
}

/// Entries of the database that no longer say what the table says.
#[derive(Default)]
struct Dirty {
    records: BTreeSet<(AnnounceKey, PeerId)>,
    providers: BTreeSet<PeerId>,
}

impl Table {
    pub(super) fn new(config: RecordsConfig) -> Self {
        Self {
            config,
            records: BTreeMap::new(),
            by_provider: BTreeSet::new(),
            by_expiry: BTreeSet::new(),
            slots: HashMap::new(),
            providers: Vec::new(),
            free_slots: Vec::new(),
            members: BTreeSet::new(),
            record_shares: Shares::default(),
            provider_shares: Shares::default(),
            dirty: Dirty::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn providers_len(&self) -> usize {
        self.slots.len()
    }

    /// Takes or refreshes a record, if its provider is entitled to the place.
    pub(super) fn insert(
        &mut self,
        key: AnnounceKey,
        peer: PeerId,
        (addresses, origin): (&[Multiaddr], Origin),
        expires: Stamp,
        now: Stamp,
    ) -> Result<(), Refused> {
        if expires <= now {
            return Err(Refused::Expired);
        }
        let list = AddressList::new(addresses);
        let slot = match self.slots.get(&peer) {
            Some(slot) => self.update(*slot, origin, list),
            None => self.enter(peer, origin, list, now)?,
        };
        let times = Times {
            expires,
            refreshed: now,
        };
        let outcome = if self.records.contains_key(&(key, slot)) {
            Ok(())
        } else {
            self.make_room(key, slot, now)
        };
        if outcome.is_ok() {
            self.put(key, slot, times);
        }
        self.leave_if_idle(slot);
        outcome
    }

    /// A provider from the database, each once, before any of its records.
    pub(super) fn restore_provider(&mut self, peer: PeerId, origin: Origin, list: AddressList) {
        if self.slots.len() < self.config.providers_max {
            self.occupy(peer, origin, list);
        } else {
            self.dirty.providers.insert(peer);
        }
    }

    /// A record from the database; false if there is no place for it.
    pub(super) fn restore_record(
        &mut self,
        key: AnnounceKey,
        peer: PeerId,
        (expires, refreshed): (Stamp, Stamp),
        now: Stamp,
    ) -> bool {
        // A clock that was wrong when the record was written must not keep it for years.
        let expires = expires.min(now.plus(self.config.ttl));
        let refreshed = refreshed.min(now);
        let Some(slot) = self.slots.get(&peer).copied() else {
            return false;
        };
        if expires <= now || self.make_room(key, slot, now).is_err() {
            return false;
        }
        self.put(key, slot, Times { expires, refreshed });
        true
    }

    /// Ends a restoration: providers without records go, and nothing counts as changed but what
    /// was dropped on the way.
    pub(super) fn restored(&mut self) {
        for slot in self.slots.values().copied().collect::<Vec<_>>() {
            self.leave_if_idle(slot);
        }
        let slots = &self.slots;
        let records = &self.records;
        self.dirty
            .providers
            .retain(|peer| !slots.contains_key(peer));
        self.dirty.records.retain(|(key, peer)| {
            slots
                .get(peer)
                .is_none_or(|slot| !records.contains_key(&(*key, *slot)))
        });
    }

    /// The providers of a key that are not expired, reachable ones first.
    pub(super) fn providers(&self, key: AnnounceKey, now: Stamp) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let mut found: Vec<&Provider> = self
            .holders(key)
            .filter(|(_, times)| times.expires > now)
            .filter_map(|(slot, _)| self.provider(slot))
            .collect();
        found.sort_by_key(|provider| provider.is_unreachable(now));
        found
            .iter()
            .map(|provider| (provider.id, provider.addresses.to_vec()))
            .collect()
    }

    pub(super) fn remove(&mut self, key: AnnounceKey, peer: &PeerId) {
        if let Some(slot) = self.slots.get(peer).copied() {
            self.take(key, slot);
        }
    }

    pub(super) fn mark_unreachable(&mut self, peer: &PeerId, now: Stamp) {
        if let Some(provider) = self.provider_mut(peer)
            && !provider.is_unreachable(now)
        {
            provider.unreachable_since = Some(now);
        }
    }

    pub(super) fn mark_reachable(&mut self, peer: &PeerId) {
        if let Some(provider) = self.provider_mut(peer) {
            provider.unreachable_since = None;
        }
    }

    /// Frees the records of all buckets that are over; costs as much as there are.
    pub(super) fn expire(&mut self, now: Stamp) {
        let current = now.bucket();
        while let Some((bucket, key, slot)) = self.by_expiry.first().copied()
            && bucket < current
        {
            self.take(key, slot);
        }
    }

    pub(super) fn dirty_len(&self) -> usize {
        self.dirty.records.len() + self.dirty.providers.len()
    }

    /// The entries of the database that must change, with what they become.
    pub(super) fn take_dirty(&mut self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let dirty = std::mem::take(&mut self.dirty);
        let providers = dirty.providers.into_iter().map(|peer| {
            let provider = self.slots.get(&peer).and_then(|slot| self.provider(*slot));
            let value = provider.map(|p| format::provider_value(p.group.0, &p.addresses));
            (EntryKey::Provider(peer).encode(), value)
        });
        let records = dirty.records.into_iter().map(|(key, peer)| {
            let times = self
                .slots
                .get(&peer)
                .and_then(|slot| self.records.get(&(key, *slot)));
            let value = times.map(|times| format::record_value(times.expires, times.refreshed));
            (EntryKey::Record(key, peer).encode(), value)
        });
        providers.chain(records).collect()
    }

    // Which may stay.

    /// Removes records until one more of `slot` at `key` fits.
    fn make_room(&mut self, key: AnnounceKey, slot: Slot, now: Stamp) -> Result<(), Refused> {
        let Some(provider) = self.provider(slot) else {
            return Err(Refused::TableFull);
        };
        let group = provider.group;
        if provider.records >= self.config.records_per_peer_max {
            return Err(Refused::PeerQuota);
        }
        if self.holders(key).count() >= self.config.providers_per_key_max {
            let loser = self.loser(key, slot, now).ok_or(Refused::KeyFull)?;
            self.take(key, loser);
        }
        if self.records.len() >= self.config.foreign_records_max {
            self.expire(now);
        }
        if self.records.len() >= self.config.foreign_records_max {
            let payer = self
                .record_shares
                .payer(group, 1)
                .ok_or(Refused::TableFull)?;
            let (key, slot) = self.spare_record(payer).ok_or(Refused::TableFull)?;
            self.take(key, slot);
        }
        Ok(())
    }

    /// A record of the provider in `group` that has the most.
    fn spare_record(&self, group: Group) -> Option<(AnnounceKey, Slot)> {
        let (.., slot) = self
            .members
            .range(..=(group, u32::MAX, Slot::MAX))
            .next_back()
            .copied()?;
        let (_, key) = self
            .by_provider
            .range((slot, AnnounceKey::new([0; 32]))..)
            .next()
            .copied()?;
        Some((key, slot))
    }

    /// The holder of a place of `key` that must leave for the provider in `newcomer`, by the rules
    /// in the head of this module.
    fn loser(&self, key: AnnounceKey, newcomer: Slot, now: Stamp) -> Option<Slot> {
        let newcomer = self.provider(newcomer)?;
        let holders: Vec<Holder<'_>> = self
            .holders(key)
            .filter_map(|(slot, times)| {
                Some(Holder {
                    slot,
                    times,
                    provider: self.provider(slot)?,
                })
            })
            .collect();
        if let Some(expired) = holders.iter().find(|holder| holder.times.expires <= now) {
            return Some(expired.slot);
        }
        if newcomer.is_unreachable(now) {
            return None;
        }
        let draw = |provider: &Provider| self.draw(key, provider, now);
        unreachable(&holders, now)
            .or_else(|| crowded(&holders, newcomer.group, draw))
            .or_else(|| stale(&holders, now.minus(self.config.ttl / 2)))
            .or_else(|| unlucky(&holders, newcomer, draw))
    }

    /// The provider's number in today's draw for a place of `key`; the lower, the better.
    fn draw(&self, key: AnnounceKey, provider: &Provider, now: Stamp) -> (u64, u64) {
        let day = u64::from(now.0) / (self.config.ttl.as_secs() / 2).max(1);
        // SipHash with a secret in front: enough, since no one outside ever sees a number.
        let number = |what: &dyn Fn(&mut DefaultHasher)| {
            let mut hasher = DefaultHasher::new();
            (self.config.seed, day, key).hash(&mut hasher);
            what(&mut hasher);
            hasher.finish()
        };
        let own = number(&|hasher| provider.id.hash(hasher));
        match provider.group.0 {
            Origin::Local => (own, own),
            network => (number(&|hasher| network.hash(hasher)), own),
        }
    }

    // Providers.

    fn provider(&self, slot: Slot) -> Option<&Provider> {
        self.providers.get(slot.index())?.as_ref()
    }

    fn provider_mut(&mut self, peer: &PeerId) -> Option<&mut Provider> {
        let slot = *self.slots.get(peer)?;
        self.providers.get_mut(slot.index())?.as_mut()
    }

    /// Gives a new provider a slot, in place of one from the network that has the most if need be.
    fn enter(
        &mut self,
        peer: PeerId,
        origin: Origin,
        list: AddressList,
        now: Stamp,
    ) -> Result<Slot, Refused> {
        if self.slots.len() >= self.config.providers_max {
            self.expire(now);
        }
        if self.slots.len() >= self.config.providers_max {
            // A slot that no one has: a local newcomer has no network yet.
            let group = Group::new(origin, Slot::MAX.0);
            let payer = self
                .provider_shares
                .payer(group, 1)
                .ok_or(Refused::TableFull)?;
            self.evict_least(payer);
        }
        Ok(self.occupy(peer, origin, list))
    }

    /// Drops the provider in `group` that has the fewest records, with them.
    fn evict_least(&mut self, group: Group) {
        let Some((.., slot)) = self.members.range((group, 0, Slot::MIN)..).next().copied() else {
            return;
        };
        let of_slot = (slot, AnnounceKey::new([0; 32]))..=(slot, AnnounceKey::new([0xff; 32]));
        for (_, key) in self.by_provider.range(of_slot).copied().collect::<Vec<_>>() {
            self.take(key, slot);
        }
    }

    fn occupy(&mut self, id: PeerId, origin: Origin, addresses: AddressList) -> Slot {
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.providers.push(None);
            // Bounded by `providers_max`, far below 2^32.
            Slot((self.providers.len() - 1) as u32)
        });
        let group = Group::new(origin, slot.0);
        let provider = Provider {
            id,
            group,
            addresses,
            records: 0,
            unreachable_since: None,
        };
        self.providers[slot.index()] = Some(provider);
        self.slots.insert(id, slot);
        self.members.insert((group, 0, slot));
        self.provider_shares.add(group, 1);
        self.dirty.providers.insert(id);
        slot
    }

    /// Notes where a known provider is now.
    fn update(&mut self, slot: Slot, origin: Origin, list: AddressList) -> Slot {
        let group = Group::new(origin, slot.0);
        let Some(Some(provider)) = self.providers.get_mut(slot.index()) else {
            return slot;
        };
        if provider.addresses != list || provider.group != group {
            self.dirty.providers.insert(provider.id);
        }
        provider.addresses = list;
        let old = std::mem::replace(&mut provider.group, group);
        if old != group {
            let records = provider.records;
            self.members.remove(&(old, records, slot));
            self.members.insert((group, records, slot));
            self.provider_shares.sub(old, 1);
            self.provider_shares.add(group, 1);
            self.record_shares.sub(old, records);
            self.record_shares.add(group, records);
        }
        slot
    }

    fn leave_if_idle(&mut self, slot: Slot) {
        let Some(entry) = self.providers.get_mut(slot.index()) else {
            return;
        };
        let Some(provider) = entry.take_if(|provider| provider.records == 0) else {
            return;
        };
        self.members.remove(&(provider.group, 0, slot));
        self.provider_shares.sub(provider.group, 1);
        self.slots.remove(&provider.id);
        self.free_slots.push(slot);
        self.dirty.providers.insert(provider.id);
    }

    fn count(&mut self, slot: Slot, change: i32) {
        let Some(Some(provider)) = self.providers.get_mut(slot.index()) else {
            return;
        };
        self.members
            .remove(&(provider.group, provider.records, slot));
        provider.records = provider.records.saturating_add_signed(change);
        self.members
            .insert((provider.group, provider.records, slot));
    }

    // Records.

    fn holders(&self, key: AnnounceKey) -> impl Iterator<Item = (Slot, Times)> {
        let places = self.records.range((key, Slot::MIN)..=(key, Slot::MAX));
        places.map(|((_, slot), times)| (*slot, *times))
    }

    /// Writes a record that has its place.
    fn put(&mut self, key: AnnounceKey, slot: Slot, times: Times) {
        let Some(Some(provider)) = self.providers.get(slot.index()) else {
            return;
        };
        let group = provider.group;
        self.dirty.records.insert((key, provider.id));
        match self.records.insert((key, slot), times) {
            Some(old) => {
                self.by_expiry.remove(&(old.bucket(), key, slot));
            }
            None => {
                self.by_provider.insert((slot, key));
                self.record_shares.add(group, 1);
                self.count(slot, 1);
            }
        }
        self.by_expiry.insert((times.bucket(), key, slot));
    }

    /// Removes a record, and its provider if that was the last one.
    fn take(&mut self, key: AnnounceKey, slot: Slot) {
        let Some(times) = self.records.remove(&(key, slot)) else {
            return;
        };
        self.by_provider.remove(&(slot, key));
        self.by_expiry.remove(&(times.bucket(), key, slot));
        if let Some(provider) = self.provider(slot) {
            let (id, group) = (provider.id, provider.group);
            self.dirty.records.insert((key, id));
            self.record_shares.sub(group, 1);
        }
        self.count(slot, -1);
        self.leave_if_idle(slot);
    }
}
