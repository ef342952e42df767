//! Read-only requests.

use std::{sync::Arc, time::Duration};

use hubless_content::{Alias, ContentHash, FileHash, Manifest};
use hubless_network::{AnnounceKey, Reach, Ticket};
use hubless_store::{ModelInfo, Store, StoreError};
use hubless_transfer::fetch::{
    claims::{self, Wanted},
    discovery,
};

use crate::{
    addresses::peer_addresses,
    api::{
        ClaimDetails, Claims, DhtStatus, Event, Failure, FailureKind, FileDetails, Identified,
        ModelDetails, ModelSummary, Models, PeerDetails, Peers, ProviderDetails, Providers, Remedy,
        State, Status, StoreStatus, TicketReach, TicketText, Transfer, Transfers, Why,
    },
    config::ByteSize,
    core::Core,
    replies::{ReplySink, interrupted},
    text::{count, size},
};

/// How long other providers are searched for content that this node holds: one provider is known
/// without a search.
const OTHERS_WITHIN: Duration = Duration::from_secs(5);

/// Providers gathered for one reply; a person or script can use no more.
const PROVIDERS_MAX: usize = 1000;

pub(crate) async fn list(core: &Arc<Core>) -> Result<Models, Failure> {
    let store = core.cx.store.clone();
    let models = core.cx.blocking.run(move || store.models()).await??;
    Ok(Models {
        models: models.into_iter().map(summary).collect(),
    })
}

pub(crate) fn summary(model: ModelInfo) -> ModelSummary {
    ModelSummary {
        hash: model.hash,
        files: model.files,
        bytes: model.bytes,
        held_bytes: model.held_bytes,
        complete: model.complete,
        pinned: model.pinned,
    }
}

pub(crate) fn unknown(hash: ContentHash) -> StoreError {
    StoreError::UnknownModel { model: hash }
}

pub(crate) async fn info(core: &Arc<Core>, hash: ContentHash) -> Result<ModelDetails, Failure> {
    let store = core.cx.store.clone();
    let details = core
        .cx
        .blocking
        .run(move || details(&store, hash))
        .await??;
    Ok(details)
}

fn details(store: &Store, hash: ContentHash) -> Result<ModelDetails, StoreError> {
    let model = store.model_info(hash)?.ok_or_else(|| unknown(hash))?;
    let manifest = store.manifest(hash)?.ok_or_else(|| unknown(hash))?;
    Ok(ModelDetails {
        hash,
        bytes: model.bytes,
        held_bytes: model.held_bytes,
        complete: model.complete,
        pinned: model.pinned,
        files: files(&manifest),
    })
}

/// The files of a manifest as results.
pub(crate) fn files(manifest: &Manifest) -> Vec<FileDetails> {
    let file = |entry: &hubless_content::ManifestEntry| FileDetails {
        path: entry.path.clone(),
        size: entry.size,
        hash: entry.hash,
    };
    manifest.entries().iter().map(file).collect()
}

pub(crate) fn id(core: &Core) -> Identified {
    Identified {
        peer_id: core.identity.peer_id().to_string(),
        home: core.home.path().to_owned(),
    }
}

pub(crate) async fn status(core: &Arc<Core>) -> Result<Status, Failure> {
    let network = core.network()?;
    let state = network.status().await;
    let counters = network.counters();
    let store = core.cx.store.clone();
    let (usage, stale) = core
        .cx
        .blocking
        .run(move || Ok::<_, StoreError>((store.usage()?, store.stale()?)))
        .await??;
    let banned = network.banned();
    let evictions = core.cx.store.evictions();
    Ok(Status {
        peer_id: core.identity.peer_id().to_string(),
        addresses: state.addresses.iter().map(ToString::to_string).collect(),
        reachability: state.reachability.to_string(),
        peers: state.peers as u64,
        bytes_sent: counters.sent.total(),
        bytes_received: counters.received.total(),
        bytes_from_upstream: core
            .upstream()
            .map_or(0, |upstream| upstream.bytes_received()),
        chunks_rejected: core.cx.counters.rejected.get(),
        dht: DhtStatus {
            routing_peers: state.dht.routing_peers as u64,
            records: state.dht.records as u64,
            announced: state.dht.announced,
            backlog: state.dht.backlog,
        },
        store: StoreStatus {
            bytes: usage.bytes,
            bytes_held: usage.held_bytes,
            quota: usage.quota,
            evicted_models: evictions.models,
            evicted_bytes: evictions.bytes,
            refused: evictions.refused,
            chunks_rejected: core.cx.store.chunks_rejected(),
            bytes_in_place: usage.external_bytes,
            scrubbed_bytes: core.cx.counters.scrubbed.get(),
        },
        transfers: core.fetches.transfers.list(),
        stale: stale.into_iter().map(|(_, path)| path).collect(),
        banned: banned.iter().map(|(peer, _)| peer.to_string()).collect(),
    })
}

/// The running fetches.
pub(crate) fn transfers(core: &Core) -> Transfers {
    Transfers {
        transfers: core.fetches.transfers.list(),
    }
}

pub(crate) async fn peers(core: &Arc<Core>) -> Result<Peers, Failure> {
    let peers = core.network()?.peers().await;
    let details = peers.into_iter().map(|peer| PeerDetails {
        peer_id: peer.peer_id.to_string(),
        addresses: peer.addresses.iter().map(ToString::to_string).collect(),
        agent: peer.agent,
        lanes: peer.lanes,
        rtt_ms: peer.round_trip.map(|time| time.as_secs_f64() * 1000.0),
    });
    Ok(Peers {
        peers: details.collect(),
    })
}

/// The progress event of a search for peers.
const FINDING: Event = Event::Progress {
    state: State::FindingProviders,
    bytes_verified: 0,
    bytes_total: 0,
    sources: 0,
    stall: None,
};

pub(crate) async fn providers(
    core: &Arc<Core>,
    sink: &ReplySink,
    hash: ContentHash,
    timeout_s: u64,
) -> Result<Providers, Failure> {
    let network = core.network()?;
    sink.event(FINDING);
    let store = core.cx.store.clone();
    let own = core.cx.blocking.run(move || holds(&store, hash)).await??;
    let within = Duration::from_secs(timeout_s);
    let within = if own {
        within.min(OTHERS_WITHIN)
    } else {
        within
    };
    let mut providers: Vec<ProviderDetails> = Vec::new();
    let search = async {
        discovery::join(network).await;
        let mut found = network.find_providers(AnnounceKey::from(hash)).await;
        while let Some(provider) = found.recv().await {
            let peer_id = provider.peer_id.to_string();
            let new = provider.peer_id != network.peer_id()
                && providers.iter().all(|known| known.peer_id != peer_id);
            if new && providers.len() < PROVIDERS_MAX {
                let addresses = provider.addresses.iter().map(ToString::to_string).collect();
                providers.push(ProviderDetails { peer_id, addresses });
            }
        }
    };
    tokio::select! {
        _ = tokio::time::timeout(within, search) => {}
        () = sink.cancelled() => return Err(interrupted()),
    }
    Ok(Providers { providers, own })
}

/// Whether any part of a model, or all of a file, is held.
fn holds(store: &Store, hash: ContentHash) -> Result<bool, StoreError> {
    let file = store.file(FileHash::new(*hash.as_bytes()))?;
    let is_file = file.is_some_and(|file| file.complete);
    Ok(is_file || store.model_held(hash)?.is_some_and(|held| !held.is_empty()))
}

pub(crate) async fn claims(
    core: &Arc<Core>,
    sink: &ReplySink,
    alias: Alias,
    peers: &[String],
    timeout_s: u64,
) -> Result<Claims, Failure> {
    sink.event(FINDING);
    let wanted = Wanted {
        alias,
        size: None,
        named: peer_addresses("peer", peers)?,
        within: Duration::from_secs(timeout_s),
    };
    let found = claims::search(&core.fetches, wanted)?;
    let found = tokio::select! {
        found = claims::gather(found) => found,
        () = sink.cancelled() => return Err(interrupted()),
    };
    let claims = found.into_iter().map(|claimed| ClaimDetails {
        hash: claimed.file,
        size: claimed.size,
        peers: claimed.peers.iter().map(ToString::to_string).collect(),
    });
    Ok(Claims {
        claims: claims.collect(),
    })
}

pub(crate) async fn ticket(
    core: &Arc<Core>,
    hash: ContentHash,
    local: bool,
) -> Result<TicketText, Failure> {
    let store = core.cx.store.clone();
    core.cx
        .blocking
        .run(move || store.model_info(hash)?.ok_or_else(|| unknown(hash)))
        .await??;
    let status = core.network()?.status().await;
    let addresses = status.external_addresses.into_iter();
    let ticket = Ticket::of_node(hash, addresses.chain(status.addresses), local);
    let Some(reach) = ticket.reach() else {
        return Err(Failure::new(
            FailureKind::Network,
            "this node has no address to be dialled at",
        )
        .remedy(Remedy::ConfigureListen));
    };
    Ok(TicketText {
        ticket: ticket.to_string(),
        works: match reach {
            Reach::Public => TicketReach::Anywhere,
            Reach::Private => TicketReach::LocalNetwork,
            Reach::Loopback => TicketReach::ThisMachine,
        },
    })
}

pub(crate) async fn why(core: &Arc<Core>, hash: ContentHash) -> Result<Why, Failure> {
    let store = core.cx.store.clone();
    let (model, stale) = core
        .cx
        .blocking
        .run(move || Ok::<_, StoreError>((store.model_info(hash)?, store.stale()?)))
        .await??;
    let mut facts = Vec::new();
    match &model {
        None => facts.push("It is not in this store.".to_owned()),
        Some(model) => {
            facts.push(held_fact(model));
            facts.push(pinned_fact(model.pinned));
        }
    }
    let stale_here = stale.len();
    if stale_here > 0 {
        facts.push(match stale_here {
            1 => "1 file that is shared in place has changed and is not served.".to_owned(),
            files => {
                format!("{files} files that are shared in place have changed and are not served.")
            }
        });
    }
    for transfer in core.fetches.transfers.list() {
        if transfer.subject == hash.into() {
            facts.extend(transfer_facts(&transfer, core.limits().1));
        }
    }
    facts.extend(limit_facts(core.limits()));
    match core.network() {
        Err(_) => {
            facts.push("No node runs on this home directory, so no peer can fetch it.".into());
        }
        Ok(network) => {
            facts.extend(network_facts(&network.status().await));
        }
    }
    Ok(Why { hash, facts })
}

/// Share of a limit from which on a fetch counts as limited by it: the rate never equals the limit.
const LIMIT_SHARE: f64 = 0.85;

/// The state of a fetch of the model, and its bottleneck.
fn transfer_facts(transfer: &Transfer, limit_down: Option<u64>) -> Vec<String> {
    let rate = transfer.bytes_per_second;
    let mut facts = vec![format!(
        "It is being fetched: {} of {} bytes are here, {} a second come from {} peers.",
        transfer.bytes_verified,
        transfer.bytes_total,
        ByteSize(rate),
        transfer.sources.len()
    )];
    if let Some(stall) = &transfer.stall {
        let peer = stall.waiting_for.as_deref().unwrap_or("a peer");
        facts.push(format!(
            "Nothing came for {} s: {peer} does not answer, {} others are asked.",
            stall.seconds, stall.asking
        ));
    }
    if let Some(limit) = limit_down
        && rate as f64 >= limit as f64 * LIMIT_SHARE
    {
        facts.push("The fetch is as fast as `limit_down` lets it be.".to_owned());
    }
    facts
}

fn limit_facts((up, down): (Option<u64>, Option<u64>)) -> Vec<String> {
    let limits = [
        (down, "limit_down", "is taken from"),
        (up, "limit_up", "is given to"),
    ];
    let fact = |(limit, key, what): (Option<u64>, _, _)| {
        let limit = ByteSize(limit?);
        Some(format!("At most {limit} a second {what} others ({key})."))
    };
    limits.into_iter().filter_map(fact).collect()
}

fn held_fact(model: &ModelInfo) -> String {
    if model.complete {
        format!("All of it is held: {}.", count(model.files, "file"))
    } else {
        let (held, all) = (size(model.held_bytes), size(model.bytes));
        format!("{held} of {all} are held.")
    }
}

fn pinned_fact(pinned: bool) -> String {
    if pinned {
        "It is pinned: garbage collection keeps it.".into()
    } else {
        "It is not pinned: garbage collection frees it.".into()
    }
}

fn network_facts(status: &hubless_network::NetworkStatus) -> Vec<String> {
    let mut facts = vec![format!(
        "The node has {}, and knows {} of the DHT; its reachability is {}.",
        count(status.peers as u64, "connected peer"),
        status.dht.routing_peers,
        status.reachability
    )];
    facts.push(match status.dht.backlog {
        0 => "Everything that is due is announced in the DHT.".into(),
        1 => "1 hash is still to be announced in the DHT.".into(),
        due => format!("{due} hashes are still to be announced in the DHT."),
    });
    facts
}
