//! Networks, and how many of something each has.

use std::collections::{BTreeSet, HashMap};

use super::address::Origin;

/// The network that a peer competes in. Peers of a local network compete alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Group(pub(super) Origin, pub(super) Option<u32>);

impl Group {
    /// `number` distinguishes the peers of a local network.
    pub(super) fn new(origin: Origin, number: u32) -> Self {
        Self(origin, (origin == Origin::Local).then_some(number))
    }
}

/// How many of something each network has, and which has the most.
#[derive(Default)]
pub(super) struct Shares {
    of: HashMap<Group, u32>,
    pub(super) order: BTreeSet<(u32, Group)>,
}

impl Shares {
    pub(super) fn of(&self, group: Group) -> u32 {
        self.of.get(&group).copied().unwrap_or(0)
    }

    fn set(&mut self, group: Group, count: u32) {
        self.order.remove(&(self.of(group), group));
        if count == 0 {
            self.of.remove(&group);
        } else {
            self.of.insert(group, count);
            self.order.insert((count, group));
        }
    }

    pub(super) fn add(&mut self, group: Group, count: u32) {
        self.set(group, self.of(group).saturating_add(count));
    }

    pub(super) fn sub(&mut self, group: Group, count: u32) {
        self.set(group, self.of(group).saturating_sub(count));
    }

    /// The network that must make room for `more` of `group`, if any has too much.
    pub(super) fn payer(&self, group: Group, more: u32) -> Option<Group> {
        let (most, payer) = self.order.last().copied()?;
        (most > self.of(group).saturating_add(more)).then_some(payer)
    }
}
