//! Wrong chunks of each peer: a few are a damaged disk, more are a lie.

use std::collections::BTreeMap;

use crate::types::SourceId;

/// Wrong chunks that a peer may send before it counts as a liar. One bad sector damages one or two
/// chunks; together with what is asked for at a time, this bounds what a liar can waste.
const FORGIVEN_MAX: usize = 3;

/// Peers of which wrong chunks are remembered; as many as there can be bans.
const PEERS_MAX: usize = 4096;

/// The wrong chunks of each peer, under the number of its first source. They stay when its sources
/// leave, so that a peer gains nothing by coming back.
#[derive(Debug, Default)]
pub(crate) struct Faults(BTreeMap<SourceId, Vec<u32>>);

impl Faults {
    /// Notes a wrong chunk; false if the peer has sent too many by now.
    pub(crate) fn forgive(&mut self, peer: SourceId, chunk: u32) -> bool {
        if self.0.len() >= PEERS_MAX && !self.0.contains_key(&peer) {
            return false;
        }
        let wrong = self.0.entry(peer).or_default();
        let is_forgiven = wrong.len() < FORGIVEN_MAX;
        if is_forgiven {
            wrong.push(chunk);
        }
        is_forgiven
    }

    /// The chunks that the peer is not asked for again.
    pub(crate) fn of(&self, peer: SourceId) -> Vec<u32> {
        self.0.get(&peer).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_wrong_chunks_are_forgiven_to_each_peer() {
        let mut faults = Faults::default();
        let (alice, bob) = (SourceId(1), SourceId(2));
        assert!((0..FORGIVEN_MAX as u32).all(|chunk| faults.forgive(alice, chunk)));
        assert!(!faults.forgive(alice, 9));
        assert_eq!(faults.of(alice), [0, 1, 2]);
        assert!(faults.forgive(bob, 0));
    }

    #[test]
    fn strangers_cannot_fill_the_memory() {
        let mut faults = Faults::default();
        let forgiven = (0..PEERS_MAX as u32 + 10).filter(|n| faults.forgive(SourceId(*n), 0));
        assert_eq!(forgiven.count(), PEERS_MAX);
    }
}
