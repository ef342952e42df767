//! Places for connections: which one gives way when all are taken.
//!
//! # The problem
//! A bound on the number of connections that are kept in the order they came is a lock: one client
//! that holds as many idle ones refuses service to all others, at no cost. What costs something is
//! an address, and being served.
//!
//! # The rules
//! Each place is *idle* or *busy*. A connection begins idle.
//!
//! 1. A prefix (a /24 of IPv4, a /48 of IPv6) holds at most its share. A newcomer above it takes the
//!    place of the longest idle connection of its own prefix.
//! 2. When all places are taken, a newcomer takes the place of the longest idle connection of the
//!    prefix that holds the most, if that is the newcomer's own or holds more than it.
//! 3. A busy connection never gives way. Without an idle one a newcomer is refused.
//! 4. So many places of all, and of each share, are a reserve that busy connections do not take: a
//!    newcomer is always admitted, if only to get the answer that there is no more room.
//!
//! # Roles
//! [`Places`] is the table: pure, with time as an argument. [`SharedPlaces`] is the same table for
//! tasks: a [`Place`] is left when it is dropped, and reports when it was given to another.
//!
//! # Not here
//! What makes a connection busy: its owner knows.

mod prefix;
mod shared;

use std::{
    collections::{BTreeSet, HashMap},
    time::Instant,
};

pub use self::{
    prefix::Prefix,
    shared::{Place, SharedPlaces},
};

/// The bounds of a table of places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlacesConfig {
    /// Places in all.
    pub total: usize,
    /// Places that one prefix may hold.
    pub share_per_prefix: usize,
    /// Places that this machine may hold: more, for proxies and tools on it speak for many.
    pub share_loopback: usize,
    /// Places, of all and of each share, that busy connections do not take.
    pub reserve: usize,
}

impl PlacesConfig {
    /// A quarter of the places for one prefix, three quarters for this machine, no reserve.
    pub fn new(total: usize) -> Self {
        Self {
            total,
            share_per_prefix: (total / 4).max(1),
            share_loopback: (total / 4 * 3).max(1),
            reserve: 0,
        }
    }

    /// The same for handshakes: half of a share cannot be held by those that stop half-way.
    pub fn of_handshakes(total: usize) -> Self {
        let config = Self::new(total);
        let reserve = config.share_per_prefix / 2;
        Self { reserve, ..config }
    }

    fn share(&self, prefix: Prefix) -> usize {
        match prefix {
            Prefix::Loopback => self.share_loopback,
            _ => self.share_per_prefix,
        }
    }
}

/// One connection in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceId(u64);

/// What becomes of a newcomer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// It has a place.
    Admitted(PlaceId),
    /// It has the place of another connection (the second), which is no longer in the table and has
    /// to be closed.
    AdmittedInsteadOf(PlaceId, PlaceId),
    /// It has no place.
    Refused,
}

struct Held {
    prefix: Prefix,
    /// None while it is busy.
    idle_since: Option<Instant>,
}

/// What one prefix holds.
#[derive(Default)]
struct Group {
    held: usize,
    /// The longest idle first.
    idle: BTreeSet<(Instant, PlaceId)>,
}

impl Group {
    fn busy(&self) -> usize {
        self.held - self.idle.len()
    }
}

/// A table of places. Pure; costs as much as there are places.
pub struct Places {
    config: PlacesConfig,
    next: u64,
    held: HashMap<PlaceId, Held>,
    groups: HashMap<Prefix, Group>,
    busy: usize,
}

impl Places {
    /// An empty table.
    pub fn new(config: PlacesConfig) -> Self {
        Self {
            config,
            next: 0,
            held: HashMap::new(),
            groups: HashMap::new(),
            busy: 0,
        }
    }

    /// Places that are taken.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether no place is taken.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Takes a place for a connection that came from this address, and is idle from now on.
    pub fn enter(&mut self, now: Instant, from: impl Into<Prefix>) -> Entry {
        let prefix = from.into();
        let own = self.groups.get(&prefix).map_or(0, |group| group.held);
        let gives_way = if own >= self.config.share(prefix) {
            self.longest_idle_of(prefix)
        } else if self.held.len() >= self.config.total {
            self.longest_idle_of_most(prefix, own)
        } else {
            return Entry::Admitted(self.take(prefix, now));
        };
        let Some(old) = gives_way else {
            return Entry::Refused;
        };
        self.leave(old);
        Entry::AdmittedInsteadOf(self.take(prefix, now), old)
    }

    /// Marks a connection as busy. False, and it stays idle, if only the reserve is left.
    pub fn busy(&mut self, id: PlaceId) -> bool {
        let Some(held) = self.held.get_mut(&id) else {
            return false;
        };
        let Some(since) = held.idle_since else {
            return true;
        };
        let Some(group) = self.groups.get_mut(&held.prefix) else {
            return false;
        };
        let reserve = self.config.reserve;
        let share = self.config.share(held.prefix);
        if self.busy >= self.config.total.saturating_sub(reserve)
            || group.busy() >= share.saturating_sub(reserve)
        {
            return false;
        }
        group.idle.remove(&(since, id));
        held.idle_since = None;
        self.busy += 1;
        true
    }

    /// Marks a connection as idle from now on, also if it was idle before.
    pub fn idle(&mut self, id: PlaceId, now: Instant) {
        let Some(held) = self.held.get_mut(&id) else {
            return;
        };
        let Some(group) = self.groups.get_mut(&held.prefix) else {
            return;
        };
        match held.idle_since.replace(now) {
            Some(before) => {
                group.idle.remove(&(before, id));
            }
            None => self.busy -= 1,
        }
        group.idle.insert((now, id));
    }

    /// Gives a place back; nothing if it was given to another before.
    pub fn leave(&mut self, id: PlaceId) {
        let Some(held) = self.held.remove(&id) else {
            return;
        };
        if held.idle_since.is_none() {
            self.busy -= 1;
        }
        if let Some(group) = self.groups.get_mut(&held.prefix) {
            group.held -= 1;
            if let Some(since) = held.idle_since {
                group.idle.remove(&(since, id));
            }
            if group.held == 0 {
                self.groups.remove(&held.prefix);
            }
        }
    }

    fn take(&mut self, prefix: Prefix, now: Instant) -> PlaceId {
        let id = PlaceId(self.next);
        self.next += 1;
        let idle_since = Some(now);
        self.held.insert(id, Held { prefix, idle_since });
        let group = self.groups.entry(prefix).or_default();
        group.held += 1;
        group.idle.insert((now, id));
        id
    }

    fn longest_idle_of(&self, prefix: Prefix) -> Option<PlaceId> {
        let (_, id) = self.groups.get(&prefix)?.idle.first()?;
        Some(*id)
    }

    /// Of prefixes that hold equally many, the one with the longest idle connection pays.
    fn longest_idle_of_most(&self, newcomer: Prefix, own: usize) -> Option<PlaceId> {
        let may_pay =
            |(prefix, group): &(&Prefix, &Group)| **prefix == newcomer || group.held > own;
        let groups = self.groups.iter().filter(may_pay);
        let idle = groups.filter_map(|(_, group)| {
            let (since, id) = *group.idle.first()?;
            Some((std::cmp::Reverse(group.held), since, id))
        });
        idle.min().map(|(_, _, id)| id)
    }
}

#[cfg(test)]
mod tests;
