//! Heads in the DHT: which of them a node keeps for others, and which it serves.
//!
//! A value of the DHT is the record of a [`Head`](hubless_content::Head): signed, self-contained, at most
//! 4 KiB. Any node may put one, and the node that puts it need not be the publisher. Two kinds are kept apart:
//!
//! - **held heads** are those whose state and history are on this node, its own among them: they are
//!   served whatever their distance, and no stranger can displace them;
//! - **foreign heads** have quotas: see [`table`].
//!
//! # Which head of a key stays
//! A record is taken if it is in order, of a subject with this key, proven, and outranks the kept one in
//! the total order of heads, so all nodes that have seen the same heads keep the same one. A record whose
//! keys contradict the kept one's is refused. The same bytes again only move the expiry.
//!
//! # What a stranger's record costs
//! Proving takes 1 to 64 signatures, so it happens where the record arrives, on the event loop: it keeps
//! that from other work for some milliseconds at most, what it may take in all is bounded by [`rates`], and
//! most records take one signature, since [`chains`] remembers the identities that were proven. A record
//! that cannot outrank the kept one is refused before any signature is verified.
//!
//! # Restart
//! Foreign heads are persistent. They are decoded at the start and not proven again: they were proven
//! before they were written, and each reader proves what it is given.

mod chains;
mod rates;
mod table;

use std::{collections::BTreeMap, time::Duration};

use hubless_address::{Multiaddr, PeerId};
use hubless_content::{HeadError, HeadRecord, VerifiedHead};

use self::{chains::Chains, rates::Rates, table::Table};
use super::{
    address::Origin,
    db::RecordBatch,
    key::{AnnounceKey, Stamp},
    shares::Group,
};

/// Memory of all foreign heads: about 50,000 of publishers with one device. A network of a million repos
/// and ten thousand nodes gives each node two thousand.
const BYTES_MAX: u32 = 32 << 20;

/// Memory of the foreign heads that came from one network: about 2,000 heads. A mirror of more repos than
/// that spreads them over the nodes of the DHT.
const NETWORK_BYTES_MAX: u32 = 2_000 * 640;

/// Held heads: a mirror of more repos is asked for the others directly. At most 400 MB, 40 MB in practice.
const HELD_MAX: usize = 100_000;

/// How long a head is kept after it was put, as everywhere in libp2p.
const TTL: Duration = Duration::from_secs(48 * 3600);

/// Quotas of a [`Values`].
#[derive(Debug, Clone)]
pub struct ValuesConfig {
    /// Memory of all foreign heads, in bytes.
    pub bytes_max: u32,
    /// Memory of the foreign heads that came from one network, in bytes.
    pub network_bytes_max: u32,
    /// Held heads.
    pub held_max: usize,
    /// How long a foreign head is kept after it was put, unless the peer that puts it asks for less.
    pub ttl: Duration,
}

impl Default for ValuesConfig {
    fn default() -> Self {
        Self {
            bytes_max: BYTES_MAX,
            network_bytes_max: NETWORK_BYTES_MAX,
            held_max: HELD_MAX,
            ttl: TTL,
        }
    }
}

/// Why a value was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueRefused {
    /// It is no head that counts.
    #[error("the value is no head that counts: {0}")]
    Head(#[from] HeadError),
    /// The head is of another key.
    #[error("the head is of another key")]
    OtherKey,
    /// The value was already expired.
    #[error("the value is expired")]
    Expired,
    /// A head of this key is kept that outranks it.
    #[error("a later head is known")]
    Older,
    /// Its identity contradicts the one of the kept head.
    #[error("the identity contradicts the known one")]
    Contradicts,
    /// The network of the peer has put as much as it may for now.
    #[error("the network of the peer puts too often")]
    TooOften,
    /// This node proves as many heads as it can.
    #[error("too many heads arrive")]
    Busy,
    /// The network of the peer has as many heads here as one network may have.
    #[error("the network of the peer has reached its share of heads")]
    NetworkQuota,
    /// There is no room, and no network has more heads than the peer's own.
    #[error("the table of heads is full")]
    TableFull,
}

/// A node cannot hold more heads: [`ValuesConfig::held_max`] are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this node holds as many heads in the DHT as it may")]
pub struct HeldFull;

/// The heads that a node serves in the DHT.
pub struct Values {
    config: ValuesConfig,
    now: Stamp,
    held: BTreeMap<AnnounceKey, Box<[u8]>>,
    /// Of a key with a held head, only one that outranks it.
    foreign: Table,
    chains: Chains,
    rates: Rates,
}

impl Values {
    pub(super) fn new(config: ValuesConfig, now: Stamp) -> Self {
        Self {
            foreign: Table::new(&config),
            config,
            now,
            held: BTreeMap::new(),
            chains: Chains::default(),
            rates: Rates::default(),
        }
    }

    /// The newest record of a key that is here.
    pub fn get(&self, key: AnnounceKey) -> Option<&[u8]> {
        let foreign = self.foreign.get(key, self.now);
        foreign.or_else(|| self.held.get(&key).map(|record| &**record))
    }

    /// Takes a record that a peer puts. `observed` is the address from which its connection comes. The
    /// record is kept for `ttl`, or for [`ValuesConfig::ttl`] if that is shorter.
    ///
    /// # Errors
    /// If it does not count, does not outrank the kept one, or the rules give it no place.
    pub fn put(
        &mut self,
        key: AnnounceKey,
        value: &[u8],
        (peer, observed): (&PeerId, Option<&Multiaddr>),
        ttl: Duration,
    ) -> Result<(), ValueRefused> {
        let expires = self.now.plus(self.config.ttl.min(ttl));
        if expires <= self.now {
            return Err(ValueRefused::Expired);
        }
        let group = network(peer, observed);
        if self.get(key) == Some(value) {
            self.foreign.refresh(key, group, expires);
            return Ok(());
        }
        let head = self.prove(key, value, group)?;
        self.foreign
            .put(key, head.record(), (group, expires), self.now)
    }

    /// Proves that a record is of `key` and outranks the kept one, cheapest checks first.
    fn prove(
        &mut self,
        key: AnnounceKey,
        value: &[u8],
        group: Group,
    ) -> Result<VerifiedHead, ValueRefused> {
        let record = HeadRecord::decode(value)?;
        if AnnounceKey::from(record.head().subject.key()) != key {
            return Err(ValueRefused::OtherKey);
        }
        let kept = self
            .get(key)
            .and_then(|bytes| HeadRecord::decode(bytes).ok());
        if let Some(kept) = &kept
            && kept.head().rank() >= record.head().rank()
        {
            return Err(ValueRefused::Older);
        }
        // With the same documents, neither contradicts the other.
        let other = kept.filter(|kept| kept.chain() != record.chain());
        let cost = self.chains.cost(&record) + other.as_ref().map_or(0, chains::signatures);
        self.rates.admit(group, cost, self.now)?;
        let now = self.now.milliseconds();
        let head = self.chains.prove(record, now)?;
        // A kept record that is wrong was damaged on the disk.
        if let Some(Ok(kept)) = other.map(|kept| kept.verify(now))
            && !head.replaces(&kept)
        {
            return Err(ValueRefused::Contradicts);
        }
        Ok(head)
    }

    /// Serves a head whose state and history are on this node, in place of the one held before.
    ///
    /// # Errors
    /// If no more can be held.
    pub fn hold(&mut self, head: &VerifiedHead) -> Result<(), HeldFull> {
        let key = head.head().subject.key().into();
        if self.held.len() >= self.config.held_max && !self.held.contains_key(&key) {
            return Err(HeldFull);
        }
        self.held.insert(key, head.record().into());
        self.chains.remember(head.chain());
        if self.is_foreign_at_most(key, head) {
            self.foreign.take(key);
        }
        Ok(())
    }

    /// Replaces the foreign head of a key by one that this node puts to others, if that outranks it.
    pub fn learn(&mut self, head: &VerifiedHead) {
        let key = head.head().subject.key().into();
        if self.is_foreign_at_most(key, head) {
            self.foreign.renew(key, head.record());
        }
    }

    fn is_foreign_at_most(&self, key: AnnounceKey, head: &VerifiedHead) -> bool {
        let foreign = self.foreign.get(key, self.now).map(HeadRecord::decode);
        foreign.is_some_and(|foreign| {
            foreign.is_ok_and(|foreign| foreign.head().rank() <= head.head().rank())
        })
    }

    /// No longer holds the head of a key.
    pub fn release(&mut self, key: AnnounceKey) {
        self.held.remove(&key);
    }

    /// Number of held heads.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Number of foreign heads.
    pub fn foreign(&self) -> usize {
        self.foreign.len()
    }

    pub(super) fn tick(&mut self, now: Stamp) {
        self.now = now;
        self.foreign.expire(now);
    }

    pub(super) fn take_dirty(&mut self) -> RecordBatch {
        self.foreign.take_dirty()
    }

    /// A foreign head from the database; whether it is of any use.
    pub(super) fn restore(
        &mut self,
        key: AnnounceKey,
        record: &[u8],
        (group, expires): (Group, Stamp),
    ) -> bool {
        let expires = expires.min(self.now.plus(self.config.ttl));
        let is_of_key = HeadRecord::decode(record)
            .is_ok_and(|record| AnnounceKey::from(record.head().subject.key()) == key);
        is_of_key
            && self
                .foreign
                .restore(key, record, (group, expires), self.now)
    }
}

/// The network that answers for what a peer puts.
fn network(peer: &PeerId, observed: Option<&Multiaddr>) -> Group {
    let origin = observed.map_or(Origin::Unknown, Origin::of);
    // The end of a peer id is that of a key or a hash.
    let bytes = peer.to_bytes();
    let number = bytes.last_chunk().map_or(0, |end| u32::from_be_bytes(*end));
    Group::new(origin, number)
}

#[cfg(test)]
mod tests;
