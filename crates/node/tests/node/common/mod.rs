//! Nodes in this process, and requests to them.

use std::{sync::Arc, time::Duration};

use hubless_content::Alias;
use hubless_network::{ExchangeService, Identity, MemoryDb, Multiaddr, Network, NetworkConfig};
use hubless_node::{
    Node,
    api::{Call, ClaimDetails, Failure, FindClaims, ShowStatus, Status},
    config::Config,
};
use tempfile::TempDir;

/// Limit of every wait; tests wait for conditions, never for a time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn config(bootstrap: &[Multiaddr]) -> Config {
    Config {
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        bootstrap: bootstrap.to_vec(),
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

/// Makes a call that must succeed.
pub(crate) async fn call<C: Call>(node: &Node, call: C) -> C::Answer {
    try_call(node, call).await.unwrap()
}

/// Makes a call.
pub(crate) async fn try_call<C: Call>(node: &Node, call: C) -> Result<C::Answer, Failure> {
    node.call(call).answer().await
}

pub(crate) async fn claims(node: &Node, alias: Alias, peers: &[Multiaddr]) -> Vec<ClaimDetails> {
    let find = FindClaims {
        alias,
        peers: peers.to_vec(),
        timeout_s: 20,
    };
    call(node, find).await.claims
}

pub(crate) async fn status(node: &Node) -> Status {
    call(node, ShowStatus {}).await
}

pub(crate) async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut check: impl FnMut() -> F,
) -> T {
    let work = async {
        loop {
            if let Some(found) = check().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, work).await;
    found.unwrap_or_else(|_| panic!("not in {PATIENCE:?}: {what}"))
}
