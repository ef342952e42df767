//! `why`: the facts behind a model's state.

use std::sync::Arc;

use hubless_content::ContentHash;
use hubless_network::NetworkStatus;
use hubless_store::{Hold, ModelInfo, StoreError};
use hubless_transfer::{
    Transfer,
    text::{count, size},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AnswerForm, Call, HttpCall, Method, Route};
use crate::{config::ByteSize, core::Core, failure::Failure, replies::ReplySink};

/// Explains why a model is held, announced, missing or slow.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Explain {
    /// The model.
    pub hash: ContentHash,
}

/// Facts about a model, each a sentence.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Why {
    /// The model.
    pub hash: ContentHash,
    /// The facts, most important first.
    pub facts: Vec<String>,
}

impl Call for Explain {
    type Answer = Why;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<Why, Failure> {
        let hash = self.hash;
        let store = core.cx.store.clone();
        let read = move || {
            let (model, hold) = (store.model_info(hash)?, store.hold(hash)?);
            Ok::<_, StoreError>((model, hold, store.stale()?))
        };
        let (model, hold, stale) = core.cx.blocking.run(read).await??;
        let mut facts = Vec::new();
        match &model {
            None => facts.push("It is not in this store.".to_owned()),
            Some(model) => {
                facts.push(held_fact(model));
                facts.push(kept_fact(model.pinned, hold));
            }
        }
        let stale_here = stale.len();
        if stale_here > 0 {
            facts.push(match stale_here {
                1 => "1 file that is shared in place has changed and is not served.".to_owned(),
                files => {
                    format!(
                        "{files} files that are shared in place have changed and are not served."
                    )
                }
            });
        }
        for transfer in core.fetches.transfers.list() {
            if transfer.subject == hash.into() {
                facts.extend(transfer_facts(&transfer, core.limits().1));
            }
        }
        facts.extend(limit_facts(core.limits()));
        match core.online().await {
            Err(_) => {
                facts.push("No node runs on this home directory, so no peer can fetch it.".into());
            }
            Ok(network) => {
                facts.extend(network_facts(&network.status().await));
            }
        }
        Ok(Why { hash, facts })
    }
}

impl HttpCall for Explain {
    type Fields = Self;

    const ROUTE: Route = Route {
        method: Method::Get,
        path: "/models/{hash}/why",
        has_body: false,
        id: "why",
        group: "content",
        summary: "Why a model is held, announced, missing or slow",
        description: "",
        answer: AnswerForm::Json("Facts"),
        failures: &[],
    };

    fn from_fields(fields: Self) -> Result<Self, Failure> {
        Ok(fields)
    }
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

fn kept_fact(pinned: bool, hold: Option<Hold>) -> String {
    let fact = match (pinned, hold) {
        (true, _) => "It is pinned: garbage collection keeps it.",
        (false, Some(Hold::Kept)) => "It is not pinned; a name keeps it.",
        (false, Some(Hold::Cached)) => {
            "It is not pinned; a name of others has it, and it stays until the quota needs its room."
        }
        (false, None) => "It is not pinned: garbage collection frees it.",
    };
    fact.to_owned()
}

fn network_facts(status: &NetworkStatus) -> Vec<String> {
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
