//! Wrong chunks of each peer: a few count as a damaged disk, more as a lie.

use std::collections::BTreeMap;

use hubless_content::ModelChunk;

use crate::types::SourceId;

/// Wrong chunks that a peer may send before it counts as a liar. One bad sector damages one or two
/// chunks; together with the window of open requests, this bounds what a liar can waste.
const FORGIVEN_MAX: usize = 3;

/// Peers whose wrong chunks are remembered; as many as there can be bans.
const PEERS_MAX: usize = 4096;

/// The wrong chunks of each peer, under the number of its first source. They stay when its sources
/// leave, so that a peer gains nothing by reconnecting.
#[derive(Debug, Default)]
pub(crate) struct Faults(BTreeMap<SourceId, Vec<ModelChunk>>);

impl Faults {
    /// Records a wrong chunk; false if the peer has sent too many.
    pub(crate) fn forgive(&mut self, peer: SourceId, chunk: ModelChunk) -> bool {
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

    /// The chunks that are not requested from the peer again.
    pub(crate) fn of(&self, peer: SourceId) -> Vec<ModelChunk> {
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
        let few: Vec<ModelChunk> = (0..FORGIVEN_MAX as u32).map(ModelChunk).collect();
        assert!(few.iter().all(|chunk| faults.forgive(alice, *chunk)));
        assert!(!faults.forgive(alice, ModelChunk(9)));
        assert_eq!(faults.of(alice), few);
        assert!(faults.forgive(bob, ModelChunk(0)));
    }

    #[test]
    fn strangers_cannot_fill_the_memory() {
        let mut faults = Faults::default();
        let peers = (0..PEERS_MAX as u32 + 10).map(SourceId);
        let forgiven = peers.filter(|peer| faults.forgive(*peer, ModelChunk(0)));
        assert_eq!(forgiven.count(), PEERS_MAX);
    }
}
