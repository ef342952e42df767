//! The table of peers by requested models. Pure.

use std::collections::{BTreeSet, HashMap, VecDeque};

use hubless_content::ContentHash;
use hubless_network::PeerId;

/// Swarms remembered.
const SWARMS_MAX: usize = 1024;

/// Members remembered of each; the one with the oldest request is dropped.
const MEMBERS_MAX: usize = 64;

/// Swarms that one peer is remembered in: more models than it fetches at once.
const SWARMS_PER_PEER_MAX: usize = 64;

/// The members of the swarms. When all swarms are taken, the peer that is in most of them leaves the
/// one that it asked for first: a peer that asks for many models competes with itself.
#[derive(Debug, Default)]
pub(super) struct Table {
    members: HashMap<ContentHash, VecDeque<PeerId>>,
    /// The models that each peer requested, the latest last.
    asked: HashMap<PeerId, VecDeque<ContentHash>>,
    /// The same peers by the number of these models.
    by_count: BTreeSet<(usize, PeerId)>,
}

impl Table {
    /// The members of a swarm, the latest first.
    pub(super) fn members(&self, content: ContentHash) -> impl Iterator<Item = PeerId> {
        self.members.get(&content).into_iter().flatten().copied()
    }

    /// A peer wants, or has, this model.
    pub(super) fn note(&mut self, content: ContentHash, peer: PeerId) {
        self.leave(content, peer);
        if self.count(&peer) >= SWARMS_PER_PEER_MAX {
            self.leave_first(peer);
        }
        while self.members.len() >= SWARMS_MAX && !self.members.contains_key(&content) {
            let Some((_, greediest)) = self.by_count.last().copied() else {
                break;
            };
            self.leave_first(greediest);
        }
        if let Some(last) = self.members.get(&content).and_then(VecDeque::back).copied()
            && self.members[&content].len() >= MEMBERS_MAX
        {
            self.leave(content, last);
        }
        self.members.entry(content).or_default().push_front(peer);
        self.change(peer, |asked| asked.push_back(content));
    }

    fn leave(&mut self, content: ContentHash, peer: PeerId) {
        if let Some(members) = self.members.get_mut(&content) {
            members.retain(|member| *member != peer);
            if members.is_empty() {
                self.members.remove(&content);
            }
        }
        if self.asked.contains_key(&peer) {
            self.change(peer, |asked| asked.retain(|other| *other != content));
        }
    }

    fn leave_first(&mut self, peer: PeerId) {
        let first = self.asked.get(&peer).and_then(VecDeque::front).copied();
        if let Some(first) = first {
            self.leave(first, peer);
        }
    }

    fn count(&self, peer: &PeerId) -> usize {
        self.asked.get(peer).map_or(0, VecDeque::len)
    }

    /// Changes the models of a peer, and keeps the order by count.
    fn change(&mut self, peer: PeerId, change: impl FnOnce(&mut VecDeque<ContentHash>)) {
        let asked = self.asked.entry(peer).or_default();
        let before = asked.len();
        change(asked);
        let now = asked.len();
        self.by_count.remove(&(before, peer));
        if now == 0 {
            self.asked.remove(&peer);
        } else {
            self.by_count.insert((now, peer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(number: u64) -> ContentHash {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        ContentHash::new(bytes)
    }

    fn is_member(table: &Table, number: u64, peer: PeerId) -> bool {
        table.members(content(number)).any(|member| member == peer)
    }

    #[test]
    fn one_peer_that_asks_for_everything_makes_no_other_peer_forgotten() {
        let (mut table, honest, stranger) = (Table::default(), PeerId::random(), PeerId::random());
        table.note(content(0), honest);
        for number in 1..=2 * SWARMS_MAX as u64 {
            table.note(content(number), stranger);
        }
        assert!(is_member(&table, 0, honest));
        assert_eq!(table.members.len(), 1 + SWARMS_PER_PEER_MAX);
        assert!(
            is_member(&table, 2 * SWARMS_MAX as u64, stranger),
            "the latest stay"
        );
    }

    #[test]
    fn many_strangers_compete_with_each_other() {
        let mut table = Table::default();
        let honest: Vec<PeerId> = (0..10).map(|_| PeerId::random()).collect();
        for (number, peer) in honest.iter().enumerate() {
            table.note(content(number as u64), *peer);
        }
        for stranger in 1..=100 {
            let peer = PeerId::random();
            for number in 0..SWARMS_PER_PEER_MAX as u64 {
                table.note(content(stranger * 1000 + number), peer);
            }
        }
        assert_eq!(table.members.len(), SWARMS_MAX);
        for (number, peer) in honest.iter().enumerate() {
            assert!(is_member(&table, number as u64, *peer));
        }
    }

    #[test]
    fn the_latest_members_come_first_and_are_bounded() {
        let mut table = Table::default();
        let peers: Vec<PeerId> = (0..MEMBERS_MAX + 5).map(|_| PeerId::random()).collect();
        for peer in &peers {
            table.note(content(1), *peer);
        }
        table.note(content(1), peers[10]);
        let members: Vec<PeerId> = table.members(content(1)).collect();
        assert_eq!(members.len(), MEMBERS_MAX);
        assert_eq!(members[..2], [peers[10], *peers.last().unwrap()]);
        assert!(!members.contains(&peers[0]));
        assert_eq!(table.asked.len(), MEMBERS_MAX);
        assert_eq!(table.by_count.len(), MEMBERS_MAX);
    }
}
