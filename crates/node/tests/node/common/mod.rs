//! Nodes in this process, and requests to them.

use std::{sync::Arc, time::Duration};

use hubless_content::Alias;
use hubless_network::{ExchangeService, Identity, MemoryDb, Multiaddr, Network, NetworkConfig};
use hubless_node::{
    Node,
    api::{ClaimDetails, Claims, Failure, Reply, Request, Status},
    config::Config,
};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

/// Limit of every wait; tests wait for conditions, never for a time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Addresses as a node prints them, for the configuration of another.
pub(crate) fn multiaddrs(texts: &[String]) -> Vec<Multiaddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

pub(crate) fn config(bootstrap: &[String]) -> Config {
    Config {
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        bootstrap: multiaddrs(bootstrap),
        mdns: false,
        upnp: false,
        ..Config::default()
    }
}

pub(crate) async fn node(home: &TempDir, config: Config) -> Node {
    Node::start(home.path(), &config).await.unwrap()
}

/// A peer that is not a node: it answers by its own service, with so many bytes per second.
pub(crate) async fn source(service: impl ExchangeService, limit_up: u64) -> Network {
    let config = NetworkConfig {
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        mdns: false,
        upnp: false,
        limit_up: Some(limit_up),
        ..NetworkConfig::default()
    };
    let records = Arc::new(MemoryDb::default());
    Network::start(config, Identity::generate(), records, Arc::new(service))
        .await
        .unwrap()
}

pub(crate) fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Sends a request to a node that must succeed.
pub(crate) async fn call<T: DeserializeOwned>(node: &Node, request: Request) -> T {
    let value = try_call(node, request).await.unwrap();
    serde_json::from_value(value).unwrap()
}

/// Sends a request to a node.
pub(crate) async fn try_call(node: &Node, request: Request) -> Result<serde_json::Value, Failure> {
    let mut replies = node.call(request).await?;
    while let Some(reply) = replies.next().await {
        match reply {
            Reply::Done(value) => return Ok(value),
            Reply::Failed(failure) => return Err(failure),
            Reply::Event(_) | Reply::Data(_) => {}
        }
    }
    panic!("no answer")
}

pub(crate) async fn claims(node: &Node, alias: Alias, peers: &[String]) -> Vec<ClaimDetails> {
    let request = Request::Claims {
        alias,
        peers: peers.to_vec(),
        timeout_s: 20,
    };
    call::<Claims>(node, request).await.claims
}

pub(crate) async fn status(node: &Node) -> Status {
    call(node, Request::Status).await
}

pub(crate) async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let work = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, work).await;
    found.unwrap_or_else(|_| panic!("not in {PATIENCE:?}: {what}"))
}
