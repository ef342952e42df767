//! `providers`: the nodes that provide a model or a file.

use std::{sync::Arc, time::Duration};

use hubless_content::{ContentHash, FileHash};
use hubless_network::{AnnounceKey, Multiaddr, Network, NodeId};
use hubless_store::{Store, StoreError};
use hubless_transfer::{State, fetch::discovery};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{AnswerForm, Call, HttpCall, Method, Route};
use crate::{
    core::Core,
    event::Event,
    failure::{Failure, interrupted},
    replies::ReplySink,
};

/// Limit of the search for other providers of content that this node holds: one provider is known
/// without a search.
const OTHERS_WITHIN: Duration = Duration::from_secs(5);

/// Providers gathered for one answer; a person or script can use no more.
const PROVIDERS_MAX: usize = 1000;

/// The progress event of a search for peers.
pub(super) const SEARCHING: Event = Event::Progress {
    state: State::FindingProviders,
    bytes_verified: 0,
    bytes_total: 0,
    sources: 0,
    stall: None,
};

/// Finds the providers of a model or of a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FindProviders {
    /// The model or the file.
    pub hash: ProvidedHash,
    /// Seconds until the search ends.
    pub timeout_s: u64,
}

/// The hash of a model or of a file. Both are announced under their bytes, and a person who copied
/// one need not know which it is: the search is the same, and the store is asked about both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct ProvidedHash(ContentHash);

impl ProvidedHash {
    fn as_model(self) -> ContentHash {
        self.0
    }

    fn as_file(self) -> FileHash {
        FileHash::new(*self.0.as_bytes())
    }
}

impl From<ContentHash> for ProvidedHash {
    fn from(model: ContentHash) -> Self {
        Self(model)
    }
}

impl From<FileHash> for ProvidedHash {
    fn from(file: FileHash) -> Self {
        Self(ContentHash::new(*file.as_bytes()))
    }
}

/// The providers of some content.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Providers {
    /// Other nodes, in the order in which they were found.
    pub providers: Vec<ProviderDetails>,
    /// Whether this node holds at least a part of it too.
    #[serde(default)]
    pub own: bool,
}

/// One provider.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ProviderDetails {
    /// Its peer id.
    pub peer_id: NodeId,
    /// Its addresses, as far as the DHT has them.
    #[schemars(with = "Vec<String>")]
    pub addresses: Vec<Multiaddr>,
}

impl Call for FindProviders {
    type Answer = Providers;

    async fn handle(self, core: &Arc<Core>, sink: &ReplySink) -> Result<Providers, Failure> {
        let network = core.online().await?;
        sink.event(SEARCHING);
        let store = core.cx.store.clone();
        let holds = move || is_held(&store, self.hash);
        let own = core.cx.blocking.run(holds).await??;
        let mut within = Duration::from_secs(self.timeout_s);
        if own {
            within = within.min(OTHERS_WITHIN);
        }
        let mut providers = Vec::new();
        tokio::select! {
            // What was found until the end of the time is the answer.
            _ = tokio::time::timeout(within, search(network, self.hash, &mut providers)) => {}
            () = sink.cancelled() => return Err(interrupted()),
        }
        Ok(Providers { providers, own })
    }
}

/// Seconds of a search over HTTP, if the client names none.
const HTTP_TIMEOUT_S: u64 = 10;

/// Limit of the seconds of a search over HTTP: proxies give up a request that lasts longer.
const HTTP_TIMEOUT_S_MAX: u64 = 60;

/// The fields of [`FindProviders`] over HTTP.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ProvidersFields {
    hash: ProvidedHash,
    /// Seconds until the search ends; 10 without
    #[serde(default = "http_timeout", deserialize_with = "seconds")]
    #[schemars(with = "u64", range(min = 1, max = HTTP_TIMEOUT_S_MAX))]
    timeout_s: u64,
}

fn http_timeout() -> u64 {
    HTTP_TIMEOUT_S
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let seconds = String::deserialize(deserializer)?.parse().ok();
    let allowed = seconds.filter(|seconds| (1..=HTTP_TIMEOUT_S_MAX).contains(seconds));
    allowed.ok_or_else(|| {
        let message = format!("timeout_s is a number from 1 to {HTTP_TIMEOUT_S_MAX}");
        serde::de::Error::custom(message)
    })
}

impl HttpCall for FindProviders {
    type Fields = ProvidersFields;

    const ROUTE: Route = Route {
        method: Method::Get,
        path: "/providers/{hash}",
        has_body: false,
        id: "providers",
        group: "content",
        summary: "The nodes that provide a model or a file",
        description: "",
        answer: AnswerForm::Json("The providers, as far as they were found in time"),
        failures: &[],
    };

    fn from_fields(fields: ProvidersFields) -> Result<Self, Failure> {
        Ok(Self {
            hash: fields.hash,
            timeout_s: fields.timeout_s,
        })
    }
}

async fn search(network: &Network, hash: ProvidedHash, providers: &mut Vec<ProviderDetails>) {
    discovery::join(network).await;
    let key = AnnounceKey::from(hash.as_model());
    let mut found = network.find_providers(key).await;
    while let Some(provider) = found.recv().await {
        let peer_id = NodeId::from(provider.peer_id);
        let is_new = provider.peer_id != network.peer_id()
            && providers.iter().all(|known| known.peer_id != peer_id);
        if is_new && providers.len() < PROVIDERS_MAX {
            providers.push(ProviderDetails {
                peer_id,
                addresses: provider.addresses,
            });
        }
    }
}

/// Whether any part of the model, or all of the file, is held.
fn is_held(store: &Store, hash: ProvidedHash) -> Result<bool, StoreError> {
    let file = store.file(hash.as_file())?;
    let is_file = file.is_some_and(|file| file.complete);
    let held = store.model_held(hash.as_model())?;
    Ok(is_file || held.is_some_and(|held| !held.is_empty()))
}
