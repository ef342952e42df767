//! The peers that are dialled or connected: each connection is a source of its own.

use std::collections::BTreeMap;

use hubless_scheduler::SourceId;

/// Sources at once. More connections than this do not make a fetch faster, and each costs memory on
/// both sides.
const SOURCES_MAX: usize = 48;

/// One connection.
#[derive(Debug)]
pub(crate) struct Source<P> {
    pub(crate) peer: P,
    /// Whether the dial was answered.
    pub(crate) is_connected: bool,
    /// Whether it gave a chunk.
    pub(crate) was_useful: bool,
    /// Whether it reported that it has something of what is wanted.
    pub(crate) has_some: bool,
}

/// The sources of one fetch.
#[derive(Debug)]
pub(crate) struct Sources<P> {
    all: BTreeMap<SourceId, Source<P>>,
    next: u32,
    /// The first source of each peer, which stands for the peer even after it left.
    firsts: BTreeMap<P, SourceId>,
}

impl<P: Copy + Ord> Sources<P> {
    pub(crate) fn new() -> Self {
        Self {
            all: BTreeMap::new(),
            next: 0,
            firsts: BTreeMap::new(),
        }
    }

    /// A peer is dialled.
    pub(crate) fn add(&mut self, peer: P) -> SourceId {
        let id = SourceId(self.next);
        self.next += 1;
        self.all.insert(
            id,
            Source {
                peer,
                is_connected: false,
                was_useful: false,
                has_some: false,
            },
        );
        id
    }

    pub(crate) fn get_mut(&mut self, id: SourceId) -> Option<&mut Source<P>> {
        self.all.get_mut(&id)
    }

    pub(crate) fn remove(&mut self, id: SourceId) -> Option<Source<P>> {
        self.all.remove(&id)
    }

    /// Removes all connections of a peer.
    pub(crate) fn remove_peer(&mut self, peer: P) -> Vec<SourceId> {
        let of_peer = self.all.iter().filter(|(_, source)| source.peer == peer);
        let removed: Vec<SourceId> = of_peer.map(|(id, _)| *id).collect();
        for id in &removed {
            self.all.remove(id);
        }
        removed
    }

    /// The first source of a peer, if this is another one of it.
    pub(crate) fn first_of_same_peer(&mut self, id: SourceId) -> Option<SourceId> {
        let peer = self.peer(id)?;
        let first = *self.firsts.entry(peer).or_insert(id);
        (first != id).then_some(first)
    }

    pub(crate) fn peer(&self, id: SourceId) -> Option<P> {
        self.all.get(&id).map(|source| source.peer)
    }

    pub(crate) fn has_peer(&self, peer: P) -> bool {
        self.all.values().any(|source| source.peer == peer)
    }

    pub(crate) fn has_room(&self) -> bool {
        self.all.len() < SOURCES_MAX
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SourceId, &Source<P>)> + Clone {
        self.all.iter().map(|(id, source)| (*id, source))
    }

    /// Those that can be given commands.
    pub(crate) fn connected(&self) -> impl Iterator<Item = SourceId> + Clone {
        self.iter()
            .filter(|(_, source)| source.is_connected)
            .map(|(id, _)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_connection_stands_for_all_of_its_peer_even_after_it_left() {
        let mut sources = Sources::new();
        let (first, other) = (sources.add('a'), sources.add('b'));
        assert_eq!(sources.first_of_same_peer(first), None);
        assert_eq!(sources.first_of_same_peer(other), None);
        let second = sources.add('a');
        assert_eq!(sources.first_of_same_peer(second), Some(first));
        sources.remove(first);
        let third = sources.add('a');
        assert_eq!(sources.first_of_same_peer(third), Some(first));
        assert_eq!(sources.remove_peer('a'), [second, third]);
        assert!(!sources.has_peer('a') && sources.has_peer('b'));
    }
}
