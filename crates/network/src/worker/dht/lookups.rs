//! Walks through the DHT whose results a caller waits for.
//!
//! A node that answers can name as many invented providers as fit into a packet. Each answer counts
//! only up to a limit, so that a few lying nodes near a key cannot end a walk before honest nodes
//! have answered.

use std::collections::{HashMap, HashSet};

use libp2p::{PeerId, kad::QueryId};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::info::Provider;

/// Providers that one walk reports. A caller that needs more peers requests them from those it has.
pub(crate) const PROVIDERS_PER_LOOKUP_MAX: usize = 256;

/// Providers that are taken of one answer: as many as a node keeps for a key, and itself. More than
/// half of the twenty nodes nearest to a key have to lie before a walk ends without the answers of the
/// others.
const PROVIDERS_PER_ANSWER_MAX: usize = 20 + 1;

/// Walks for providers at once; others wait for their turn.
pub(crate) const LOOKUPS_MAX: usize = 64;

struct Lookup {
    seen: HashSet<PeerId>,
    found: mpsc::Sender<Provider>,
    _permit: OwnedSemaphorePermit,
}

/// Walks for providers in progress.
#[derive(Default)]
pub(super) struct Lookups {
    lookups: HashMap<QueryId, Lookup>,
}

impl Lookups {
    pub(super) fn begun(
        &mut self,
        query: QueryId,
        found: mpsc::Sender<Provider>,
        permit: OwnedSemaphorePermit,
    ) {
        let lookup = Lookup {
            seen: HashSet::new(),
            found,
            _permit: permit,
        };
        self.lookups.insert(query, lookup);
    }

    /// The providers of one answer that have not been reported yet, up to
    /// [`PROVIDERS_PER_ANSWER_MAX`].
    pub(super) fn unseen(&self, query: QueryId, answer: HashSet<PeerId>) -> Vec<PeerId> {
        let Some(lookup) = self.lookups.get(&query) else {
            return Vec::new();
        };
        let unseen = answer
            .into_iter()
            .filter(|peer| !lookup.seen.contains(peer));
        unseen.take(PROVIDERS_PER_ANSWER_MAX).collect()
    }

    /// Reports a provider. Returns whether more are wanted.
    pub(super) fn found(&mut self, query: QueryId, provider: Provider) -> bool {
        let Some(lookup) = self.lookups.get_mut(&query) else {
            return false;
        };
        lookup.seen.insert(provider.peer_id);
        // The channel has room for all: this fails only if the caller is gone.
        let is_delivered = lookup.found.try_send(provider).is_ok();
        is_delivered && lookup.seen.len() < PROVIDERS_PER_LOOKUP_MAX
    }

    /// Whether the caller still waits.
    pub(super) fn is_wanted(&self, query: QueryId) -> bool {
        self.lookups
            .get(&query)
            .is_some_and(|lookup| !lookup.found.is_closed())
    }

    /// The walk is over, which the listener sees as the end of the channel.
    pub(super) fn ended(&mut self, query: QueryId) {
        self.lookups.remove(&query);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use libp2p::kad::{Behaviour, store::MemoryStore};
    use tokio::sync::Semaphore;

    use super::*;

    /// Invented providers in one answer: as many as fit into a packet of 16 KiB.
    const INVENTED: usize = 370;

    /// The nodes nearest to the key that lie: 6 of 20.
    const LIARS: usize = 6;

    #[test]
    fn lying_nodes_do_not_end_a_walk_before_honest_nodes_answer() {
        let mut kad = Behaviour::new(PeerId::random(), MemoryStore::new(PeerId::random()));
        let query = kad.get_providers(vec![7].into());
        let (found, mut providers) = mpsc::channel(PROVIDERS_PER_LOOKUP_MAX);
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let mut lookups = Lookups::default();
        lookups.begun(query, found, permit);

        let honest = PeerId::random();
        let lies = (0..LIARS).map(|_| (0..INVENTED).map(|_| PeerId::random()).collect());
        for answer in lies.chain([HashSet::from([honest])]) {
            for peer_id in lookups.unseen(query, answer) {
                let provider = Provider {
                    peer_id,
                    addresses: Vec::new(),
                };
                assert!(lookups.found(query, provider), "more are wanted");
            }
        }
        lookups.ended(query);
        let reported = std::iter::from_fn(|| providers.try_recv().ok());
        let reported: Vec<PeerId> = reported.map(|provider| provider.peer_id).collect();
        assert!(reported.contains(&honest), "{} others", reported.len());
    }
}
