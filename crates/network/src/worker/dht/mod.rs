//! Drives kad: own keys that are announced, walks for providers, records of other nodes.
//!
//! ```text
//! announcing   drives the announcer: walks for own keys, and what of them goes to the database
//! lookups      walks for providers that a caller waits for
//! kad_records  the records of `dht` as kad stores them
//! ```

mod announcing;
mod kad_records;
mod lookups;

use std::time::{Duration, SystemTime};

use hubless_address::{Reach, is_meant_for_us, split_peer_id};
use hubless_dht::{AnnounceKey, Priority, RecordBatch};
use hubless_transport::{bans::Bans, guard::DialPolicy};
use hubless_wire::KAD_PROTOCOL;
use libp2p::{
    Multiaddr, PeerId,
    core::Endpoint,
    identify,
    kad::{self, GetProvidersOk, InboundRequest, QueryId, QueryResult},
    swarm::{ConnectionId, NetworkBehaviour as _},
};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tracing::{debug, trace};

use self::{announcing::Announcing, kad_records::record_key, lookups::Lookups};
pub(crate) use self::{
    kad_records::KadRecords,
    lookups::{LOOKUPS_MAX, PROVIDERS_PER_LOOKUP_MAX},
};
use super::{behaviour::Behaviour, dialer::ADDRESSES_PER_DIAL_MAX, peers::Peers};
use crate::info::{DhtStatus, Provider};

type Kad = kad::Behaviour<KadRecords>;

/// What the node does in the DHT.
pub(super) struct Dht {
    local: PeerId,
    bans: Bans,
    policy: DialPolicy,
    announcing: Announcing,
    lookups: Lookups,
}

impl Dht {
    /// `interval`: time between two announcements of a key. `batches`: where records go to be
    /// written.
    pub(super) fn new(
        local: PeerId,
        bans: Bans,
        policy: DialPolicy,
        interval: Duration,
        kad: &mut Kad,
        batches: mpsc::Sender<RecordBatch>,
    ) -> Self {
        Self {
            local,
            bans,
            policy,
            announcing: Announcing::new(local, interval, kad, batches),
            lookups: Lookups::default(),
        }
    }

    pub(super) fn announce(&mut self, kad: &mut Kad, keys: Vec<(AnnounceKey, Priority)>) {
        self.announcing.add(kad, keys);
    }

    pub(super) fn withdraw(&mut self, kad: &mut Kad, keys: Vec<AnnounceKey>) {
        self.announcing.remove(kad, keys);
    }

    /// Announces these keys and no others.
    pub(super) fn set_announced(&mut self, kad: &mut Kad, keys: Vec<(AnnounceKey, Priority)>) {
        self.announcing.set(kad, keys);
    }

    /// Begins a walk for providers of a key, which go to `found` as they are reported.
    pub(super) fn find(
        &mut self,
        kad: &mut Kad,
        key: AnnounceKey,
        found: mpsc::Sender<Provider>,
        permit: OwnedSemaphorePermit,
    ) {
        let query = kad.get_providers(record_key(key));
        self.lookups.begun(query, found, permit);
    }

    pub(super) fn tick(&mut self, kad: &mut Kad) {
        let has_dht = routing_peers(kad) > 0;
        self.announcing.tick(kad, has_dht, SystemTime::now());
    }

    /// Writes what has changed; for the end.
    pub(super) async fn write_all(self, kad: &mut Kad) {
        self.announcing.write_all(kad).await;
    }

    pub(super) fn status(&self, kad: &mut Kad) -> DhtStatus {
        DhtStatus {
            routing_peers: routing_peers(kad),
            is_server: kad.mode() == kad::Mode::Server,
            records: kad.store_mut().records.foreign_records(),
            ..self.announcing.status()
        }
    }

    /// A peer has reported which protocols it speaks; `reach` is how far away it is.
    pub(super) fn on_identified(
        &self,
        kad: &mut Kad,
        peer: PeerId,
        info: &identify::Info,
        reach: Reach,
    ) {
        let speaks_kad = info
            .protocols
            .iter()
            .any(|protocol| protocol.as_ref() == KAD_PROTOCOL);
        if !speaks_kad {
            kad.remove_peer(&peer);
            return;
        }
        let meant = info
            .listen_addrs
            .iter()
            .filter(|address| is_meant_for_us(address, reach));
        for address in meant.take(ADDRESSES_PER_DIAL_MAX) {
            kad.add_address(&peer, address.clone());
        }
    }

    pub(super) fn on_event(&mut self, behaviour: &mut Behaviour, event: kad::Event, peers: &Peers) {
        match event {
            kad::Event::InboundRequest {
                request:
                    InboundRequest::AddProvider {
                        record: Some(record),
                    },
            } => on_provider_record(&mut behaviour.kad, &record, peers),
            kad::Event::OutboundQueryProgressed {
                id, result, step, ..
            } => {
                self.on_query(behaviour, id, result);
                if step.last {
                    self.lookups.ended(id);
                }
            }
            other => trace!(?other, "ignored event of the DHT"),
        }
    }

    fn on_query(&mut self, behaviour: &mut Behaviour, query: QueryId, result: QueryResult) {
        match result {
            QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { key, providers })) => {
                for peer in self.lookups.unseen(query, providers) {
                    self.on_provider(behaviour, query, peer, &key);
                }
                if !self.lookups.is_wanted(query) {
                    finish(&mut behaviour.kad, query);
                }
            }
            QueryResult::StartProviding(outcome) => {
                self.announcing
                    .walked(&mut behaviour.kad, query, outcome.is_ok());
            }
            _ => {}
        }
    }

    fn on_provider(
        &mut self,
        behaviour: &mut Behaviour,
        query: QueryId,
        peer: PeerId,
        key: &kad::RecordKey,
    ) {
        if peer == self.local || self.bans.is_banned(&peer) {
            return;
        }
        let provider = Provider {
            peer_id: peer,
            addresses: known_addresses(behaviour, peer, key, self.policy.nearest()),
        };
        if !self.lookups.found(query, provider) {
            finish(&mut behaviour.kad, query);
        }
    }
}

fn routing_peers(kad: &mut Kad) -> usize {
    kad.kbuckets().map(|bucket| bucket.num_entries()).sum()
}

/// kad has checked that the provider itself sent the record.
fn on_provider_record(kad: &mut Kad, record: &kad::ProviderRecord, peers: &Peers) {
    let observed = peers.address(&record.provider);
    if let Err(refused) = kad.store_mut().accept(record, observed) {
        debug!(provider = %record.provider, %refused, "refused a provider record");
    }
}

fn finish(kad: &mut Kad, query: QueryId) {
    if let Some(mut query) = kad.query_mut(&query) {
        query.finish();
    }
}

/// Where a peer may be found: the addresses that the DHT and identify know, without those that
/// cannot be meant for this node.
fn known_addresses(
    behaviour: &mut Behaviour,
    peer: PeerId,
    key: &kad::RecordKey,
    nearest: Reach,
) -> Vec<Multiaddr> {
    let records = kad::store::RecordStore::providers(behaviour.kad.store_mut(), key);
    let record = records.into_iter().find(|record| record.provider == peer);
    let mut addresses = record.map_or_else(Vec::new, |record| record.addresses);
    // The addresses at which the behaviours would dial the peer; the id is not used.
    let (id, role) = (ConnectionId::new_unchecked(0), Endpoint::Dialer);
    let from_kad = behaviour
        .kad
        .handle_pending_outbound_connection(id, Some(peer), &[], role);
    addresses.extend(from_kad.into_iter().flatten());
    let from_identify =
        behaviour
            .identify
            .handle_pending_outbound_connection(id, Some(peer), &[], role);
    addresses.extend(from_identify.into_iter().flatten());
    let mut kept = Vec::new();
    for address in addresses {
        let (address, _) = split_peer_id(address);
        if is_meant_for_us(&address, nearest) && !kept.contains(&address) {
            kept.push(address);
        }
    }
    kept.truncate(ADDRESSES_PER_DIAL_MAX);
    kept
}
