//! Drives kad: own keys that are announced, walks for providers and values, records of other nodes.
//!
//! ```text
//! announcing   drives the announcer: walks for own keys, and what of them goes to the database
//! lookups      walks for providers that a caller waits for
//! values       walks for values that a caller waits for, and puts
//! kad_records  the records of `dht` as kad stores them
//! ```

mod announcing;
mod kad_records;
mod lookups;
mod values;

use std::time::{Duration, Instant, SystemTime};

use hubless_address::{Reach, is_meant_for_us, split_peer_id, with_peer_id};
use hubless_content::VerifiedHead;
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
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tracing::{debug, trace, warn};

use self::{announcing::Announcing, kad_records::record_key, lookups::Lookups, values::Values};
pub(crate) use self::{
    kad_records::KadRecords,
    lookups::{LOOKUPS_MAX, PROVIDERS_PER_LOOKUP_MAX},
    values::{FindValues, VALUE_WALKS_MAX, VALUES_PER_WALK_MAX},
};
use super::{behaviour::Behaviour, dialer::ADDRESSES_PER_DIAL_MAX, peers::Peers};
use crate::info::{DhtStatus, NetworkEvent, Provider};

type Kad = kad::Behaviour<KadRecords>;

/// Bytes of the addresses of one peer in the routing table, `/p2p/<id>` at their ends included: eight direct
/// ones. A response of kad names twenty peers, beside the value of a key or its providers, in one packet of
/// 16 KiB, and one that is larger is not sent at all.
const ADDRESSES_BYTES_MAX: usize = 448;

/// What the node does in the DHT.
pub(super) struct Dht {
    local: PeerId,
    bans: Bans,
    policy: DialPolicy,
    announcing: Announcing,
    lookups: Lookups,
    values: Values,
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
            values: Values::default(),
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

    /// Begins a walk for the values of a key.
    pub(super) fn find_values(&mut self, kad: &mut Kad, key: AnnounceKey, request: FindValues) {
        self.values.find(kad, record_key(key), request);
    }

    /// Puts a head to these nodes, and to this one if it keeps a head of the key.
    pub(super) fn put_value(
        &mut self,
        kad: &mut Kad,
        head: &VerifiedHead,
        nodes: Vec<PeerId>,
        took: oneshot::Sender<usize>,
    ) {
        kad.store_mut().records.values_mut().learn(head);
        let key = record_key(head.head().subject.key().into());
        let record = kad::Record::new(key, head.record().to_vec());
        self.values.put(kad, record, nodes, took);
    }

    pub(super) fn tick(&mut self, kad: &mut Kad) {
        let has_dht = routing_peers(kad) > 0;
        self.announcing.tick(kad, has_dht, SystemTime::now());
        for query in self.values.overdue(Instant::now()) {
            finish(kad, query);
        }
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
            heads: kad.store_mut().records.values().foreign(),
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
        learn_addresses(kad, peer, meant.cloned());
    }

    /// Returns what has to be reported to subscribers.
    pub(super) fn on_event(
        &mut self,
        behaviour: &mut Behaviour,
        event: kad::Event,
        peers: &Peers,
    ) -> Option<NetworkEvent> {
        match event {
            kad::Event::InboundRequest {
                request:
                    InboundRequest::AddProvider {
                        record: Some(record),
                    },
            } => on_provider_record(&mut behaviour.kad, &record, peers),
            kad::Event::InboundRequest {
                request:
                    InboundRequest::PutRecord {
                        source,
                        record: Some(record),
                        ..
                    },
            } => on_value(&mut behaviour.kad, source, &record, peers),
            kad::Event::OutboundQueryProgressed {
                id, result, step, ..
            } => {
                let key = self.on_query(behaviour, id, result);
                if step.last {
                    self.lookups.ended(id);
                }
                return key.map(|key| NetworkEvent::Announced { key });
            }
            other => trace!(?other, "ignored event of the DHT"),
        }
        None
    }

    /// Returns the key that was announced, if it is one of the highest priority.
    fn on_query(
        &mut self,
        behaviour: &mut Behaviour,
        query: QueryId,
        result: QueryResult,
    ) -> Option<AnnounceKey> {
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
                let kad = &mut behaviour.kad;
                return self.announcing.walked(kad, query, outcome.is_ok());
            }
            QueryResult::GetRecord(result) => {
                let is_wanted = self.values.on_walk(query, result);
                if !is_wanted {
                    finish(&mut behaviour.kad, query);
                }
            }
            QueryResult::PutRecord(result) => self.values.on_put(query, result),
            _ => {}
        }
        None
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

/// kad answers the putter the same whatever becomes of the value.
fn on_value(kad: &mut Kad, source: PeerId, record: &kad::Record, peers: &Peers) {
    let observed = peers.address(&source);
    if let Err(refused) = kad.store_mut().accept_value(record, &source, observed) {
        debug!(%source, %refused, "refused a value");
    }
}

/// Serves a head whose state and history are on this node.
pub(super) fn hold(kad: &mut Kad, head: &VerifiedHead) {
    if let Err(error) = kad.store_mut().records.values_mut().hold(head) {
        warn!(subject = %head.head().subject, %error, "a head is not served in the DHT");
    }
}

/// No longer serves the head of a key whatever comes.
pub(super) fn release(kad: &mut Kad, key: AnnounceKey) {
    kad.store_mut().records.values_mut().release(key);
}

/// Adds the addresses that a peer names to the routing table, the first of them, in place of those named
/// before.
fn learn_addresses(kad: &mut Kad, peer: PeerId, named: impl Iterator<Item = Multiaddr>) {
    // What protobuf adds to an address.
    let bytes = |address: &Multiaddr| address.len() + 3;
    let mut total = 0;
    let named: Vec<Multiaddr> = named
        .take(ADDRESSES_PER_DIAL_MAX)
        .map(|address| with_peer_id(address, peer))
        .take_while(|address| {
            total += bytes(address);
            total <= ADDRESSES_BYTES_MAX
        })
        .collect();
    for address in &named {
        kad.add_address(&peer, address.clone());
    }
    let mut known = routing_addresses(kad, peer);
    let mut total: usize = known.iter().map(bytes).sum();
    known.retain(|address| !named.contains(address));
    // The oldest come first.
    for address in known {
        if total <= ADDRESSES_BYTES_MAX {
            break;
        }
        kad.remove_address(&peer, &address);
        total -= bytes(&address);
    }
}

/// The addresses of a peer in the routing table.
fn routing_addresses(kad: &mut Kad, peer: PeerId) -> Vec<Multiaddr> {
    let bucket = kad.kbucket(peer);
    let entry = bucket.and_then(|bucket| {
        let mut entries = bucket.iter();
        let entry = entries.find(|entry| *entry.node.key.preimage() == peer)?;
        Some(entry.node.value.iter().cloned().collect())
    });
    entry.unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hubless_dht::{MemoryDb, Records, RecordsConfig};

    use super::*;

    #[test]
    fn addresses_of_a_peer_do_not_pile_up_in_the_routing_table() {
        let (local, peer) = (PeerId::random(), PeerId::random());
        let config = RecordsConfig::new(42);
        let db = Arc::new(MemoryDb::default());
        let records = Records::new(local, db, config, SystemTime::now());
        let mut kad = Kad::new(local, KadRecords::new(local, records));
        let address = |port: u16| -> Multiaddr {
            format!("/ip4/81.2.3.4/udp/{port}/quic-v1").parse().unwrap()
        };
        for first in (1..1_000).step_by(20) {
            learn_addresses(&mut kad, peer, (first..first + 20).map(address));
        }
        let known = routing_addresses(&mut kad, peer);
        assert!((7..=9).contains(&known.len()), "{}", known.len());
        assert_eq!(known[0], with_peer_id(address(981), peer), "the newest");
        learn_addresses(&mut kad, peer, std::iter::once(address(7)));
        assert!(routing_addresses(&mut kad, peer).contains(&with_peer_id(address(7), peer)));
    }
}
