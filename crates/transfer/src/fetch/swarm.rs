//! The share of a model that each member of its swarm holds: responses of peers that are named for it.
//!
//! Only peers that were named are asked, as by a fetch: by the configuration, on the local network, in
//! the DHT, or because they took part in the swarm before.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use hubless_content::{ChunkSet, ContentHash};
use hubless_fetch::{Availability, BadManifest, End, Layout, Target};
use hubless_network::{AnnounceKey, Network, PeerId};
use hubless_scheduler::{Input, SourceId};
use hubless_store::StoreError;
use hubless_wire::Request;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::{
    connection::only_answer,
    discovery::{self, Candidate, join, nearby},
};
use crate::{error::TransferError, fetches::Fetches};

/// The share of a model that each member of its swarm holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Swarm {
    /// The model.
    pub hash: ContentHash,
    /// Its chunks.
    pub chunks: u32,
    /// Those that this node has.
    pub own_chunks: u32,
    /// The others.
    pub members: Vec<SwarmMember>,
}

/// A member of a swarm.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SwarmMember {
    /// Its peer id.
    pub peer_id: String,
    /// How many chunks it says it has; none if it did not answer.
    pub chunks: Option<u32>,
}

/// Members that are asked: what one page shows.
const MEMBERS_MAX: usize = 32;

/// Members that are asked at once.
const ASKED_AT_ONCE: usize = 8;

/// The part of the time that is for finding members; the rest is for asking them.
const FINDING_SHARE: f64 = 0.6;

/// The one ask of each exchange here.
const ASK_ID: u64 = 1;

/// Asks the members of a swarm how much of a model they have, `within` this time.
///
/// # Errors
/// If the model is not known here, or this process has no network.
pub async fn swarm(
    fetches: &Arc<Fetches>,
    hash: ContentHash,
    within: Duration,
) -> Result<Swarm, TransferError> {
    let network = fetches.cx.network()?;
    let store = fetches.cx.store.clone();
    let known = move || Ok::<_, StoreError>((store.manifest(hash)?, store.model_held(hash)?));
    let (manifest, held) = fetches.cx.blocking.run(known).await??;
    let manifest = manifest.ok_or(StoreError::UnknownModel { model: hash })?;
    let layout = Layout::new(Target::Model(hash), manifest, |_| true);
    let layout = layout.map_err(|error| {
        let reason = BadManifest::from(error).into();
        TransferError::of_fetch(&Target::Model(hash), reason)
    })?;

    let start = Instant::now();
    let (own, named) = (
        network.peer_id(),
        find(
            fetches,
            network,
            hash,
            start + within.mul_f64(FINDING_SHARE),
        )
        .await,
    );
    // Those that a fetch is talking to now have said what they have.
    let mut members: BTreeMap<String, Option<u32>> = fetches
        .transfers
        .list()
        .into_iter()
        .filter(|transfer| transfer.subject == hash.into())
        .flat_map(|transfer| transfer.sources)
        .map(|source| (source.peer_id, source.chunks))
        .collect();
    let unknown = named
        .into_iter()
        .filter(|candidate| {
            candidate.peer != own && !members.contains_key(&candidate.peer.to_string())
        })
        .take(MEMBERS_MAX);
    let asked = stream::iter(unknown).map(|candidate| {
        let (layout, peer) = (&layout, candidate.peer);
        async move {
            let asked = timeout_at(start + within, ask(network, candidate, layout)).await;
            (peer.to_string(), asked.ok().and_then(Result::ok))
        }
    });
    members.extend(
        asked
            .buffer_unordered(ASKED_AT_ONCE)
            .collect::<Vec<_>>()
            .await,
    );
    let member = |(peer_id, chunks)| SwarmMember { peer_id, chunks };
    Ok(Swarm {
        hash,
        chunks: layout.chunks(),
        own_chunks: held.map_or(0, |held| held.count()),
        members: members.into_iter().map(member).collect(),
    })
}

/// The peers that are named for the model, until enough are found or the time is over.
async fn find(
    fetches: &Fetches,
    network: &Network,
    hash: ContentHash,
    until: Instant,
) -> Vec<Candidate> {
    let mut found = nearby(fetches, network, &[]).await;
    let members = fetches.swarm_members(hash).await;
    // SSRF guard: never dials a private address that a peer named.
    found.extend(
        members
            .iter()
            .filter_map(discovery::from_exchange)
            .map(|member| Candidate {
                addresses: network.believable(member.addresses),
                ..member
            }),
    );
    let walk = async {
        join(network).await;
        let mut providers = network.find_providers(AnnounceKey::from(hash)).await;
        while found.len() < MEMBERS_MAX
            && let Some(provider) = providers.recv().await
        {
            found.push(Candidate {
                peer: provider.peer_id,
                addresses: provider.addresses,
                file: None,
            });
        }
    };
    let _ = timeout_at(until, walk).await;
    unique(found)
}

fn unique(found: Vec<Candidate>) -> Vec<Candidate> {
    let mut by_peer: BTreeMap<PeerId, Candidate> = BTreeMap::new();
    for candidate in found {
        match by_peer.get_mut(&candidate.peer) {
            Some(known) => known.addresses.extend(candidate.addresses),
            None => drop(by_peer.insert(candidate.peer, candidate)),
        }
    }
    by_peer.into_values().collect()
}

/// How many chunks a peer says it has.
async fn ask(network: &Network, candidate: Candidate, layout: &Layout) -> Result<u32, End> {
    let opened = network.open(candidate.peer, candidate.addresses).await;
    let mut exchange = opened.map_err(|_| End::Unreachable)?;
    let scope = layout.target.scope();
    let sent = exchange
        .requests
        .send(ASK_ID, Request::Availability(scope))
        .await;
    sent.map_err(|_| End::Gone)?;
    let (mut availability, me) = (Availability::new(scope), SourceId(0));
    loop {
        // The time of the whole question bounds each answer.
        let wait = Duration::MAX;
        let (answer, payload) = only_answer(&mut exchange, ASK_ID, wait).await?;
        if answer == hubless_wire::Response::NotHere {
            return Ok(0);
        }
        let inputs = availability.take(me, layout, answer, &payload)?;
        if let Some(chunks) = inputs.iter().find_map(|input| count(input, layout)) {
            return Ok(chunks);
        }
    }
}

fn count(input: &Input, layout: &Layout) -> Option<u32> {
    match input {
        Input::SourceComplete(_) => Some(layout.chunks()),
        Input::SourceHas(_, set) => Some(ChunkSet::count(set)),
        _ => None,
    }
}
