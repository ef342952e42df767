//! Walks through the DHT whose results a caller waits for.

use std::collections::{HashMap, HashSet};

use libp2p::{PeerId, kad::QueryId};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::info::Provider;

/// Providers that one walk reports. A caller that needs more peers asks those it has.
pub(crate) const PROVIDERS_PER_LOOKUP_MAX: usize = 256;

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

    /// Which of these have not been reported yet.
    pub(super) fn unseen(&self, query: QueryId, peers: HashSet<PeerId>) -> Vec<PeerId> {
        let Some(lookup) = self.lookups.get(&query) else {
            return Vec::new();
        };
        peers
            .into_iter()
            .filter(|peer| !lookup.seen.contains(peer))
            .collect()
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
