//! A node that serves until it is stopped.

use std::{path::Path, sync::Arc};

use hubless_names::namespaces::Namespaces;
use hubless_network::{Multiaddr, NodeId, PlacesConfig};
use hubless_repos::Repos;

use crate::{
    announcing,
    config::{ByteSize, Config, Rate},
    control::Occupant,
    core::Core,
    externals,
    failure::{Failure, FailureKind},
    home::Home,
    host::{self, Found, Host, Needs},
    remedy::Remedy,
    repairing,
    replies::Replies,
    requests::{self, Call},
    scrubbing,
};

/// A serving node: it answers peers, announces its content, and accepts requests on the control
/// socket. Stop it with [`Node::stop`]; a dropped node does not stop in order.
pub struct Node {
    host: Host,
}

/// The failure of a node whose home directory another process uses.
fn occupied(home: &Home, occupant: &Occupant) -> Failure {
    let home = home.path().display();
    if occupant.serves {
        let message = format!("a node already runs on {home} (pid {})", occupant.pid);
        return Failure::new(FailureKind::Busy, message).remedy(Remedy::UseNode);
    }
    let message = format!("{occupant} is at work on {home}");
    Failure::new(FailureKind::Busy, message).remedy(Remedy::WaitForProcess)
}

impl Node {
    /// Starts a node on a home directory. When this returns, it can be dialled.
    ///
    /// # Errors
    /// If another process uses the home directory, the store is damaged, an address cannot be
    /// listened on, or the configuration makes no sense.
    pub async fn start(home: &Path, config: &Config) -> Result<Self, Failure> {
        let home = Home::new(home);
        let me = Occupant::new("serve", true);
        let host = match host::find(&home, config, &me, Needs::Network).await? {
            Found::Opened(host) => host,
            Found::Occupied(other) => return Err(occupied(&home, &other.occupant)),
        };
        if let Err(failure) = host.core.join().await {
            host.stop().await;
            return Err(failure);
        }
        work_in_background(&host.core);
        Ok(Self { host })
    }

    /// The hash of the node's public key.
    pub fn peer_id(&self) -> NodeId {
        self.host.core.identity.peer_id().into()
    }

    /// The addresses on which the node can be dialled; each ends in `/p2p/<peer id>`.
    pub fn addresses(&self) -> Vec<Multiaddr> {
        let network = self.host.core.network();
        network
            .map(|network| network.listen_addresses())
            .unwrap_or_default()
    }

    /// Makes a call.
    pub fn call<C: Call>(&self, call: C) -> Replies<C::Answer> {
        requests::start(self.host.core.clone(), call)
    }

    /// A handle for other parts of this process, such as a gateway. They must end before the node
    /// is stopped.
    pub fn handle(&self) -> NodeHandle {
        NodeHandle {
            core: self.host.core.clone(),
        }
    }

    /// Stops in order; the home directory and the ports can be used again at once.
    pub async fn stop(self) {
        let core = self.host.core.clone();
        self.host.stop().await;
        if let Ok(network) = core.network() {
            network.ports_free().await;
        }
    }
}

/// Not async, so that the spawned futures are compiled here and not in each crate that starts a
/// node.
fn work_in_background(core: &Arc<Core>) {
    core.cx.tasks.spawn(announcing::run(core.clone()));
    core.cx.tasks.spawn(externals::run(core.clone()));
    core.cx.tasks.spawn(repairing::run(core.clone()));
    core.cx.tasks.spawn(core.names.follower.clone().run());
    if let Ok(network) = core.network() {
        let (names, cx, network) = (core.names.clone(), core.cx.clone(), network.clone());
        core.cx
            .tasks
            .spawn(async move { names.announce(cx, network).await });
    }
    if let Some(every) = core.config.scrub.time() {
        core.cx.tasks.spawn(scrubbing::run(core.clone(), every));
    }
    if core.config.digests {
        core.cx.tasks.spawn(core.digester.clone().run());
    }
}

/// A handle to a running node. Cloning is cheap.
#[derive(Clone)]
pub struct NodeHandle {
    pub(crate) core: Arc<Core>,
}

impl std::fmt::Debug for NodeHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeHandle({})", self.core.home.path().display())
    }
}

impl NodeHandle {
    /// Makes a call.
    pub fn call<C: Call>(&self, call: C) -> Replies<C::Answer> {
        requests::start(self.core.clone(), call)
    }

    /// The current configuration, with changed limits.
    pub fn config(&self) -> Config {
        let rate = |bytes| Rate(ByteSize(bytes));
        let (up, down) = self.core.limits();
        Config {
            limit_up: up.map(rate),
            limit_down: down.map(rate),
            ..self.core.config.clone()
        }
    }

    /// The node's repos.
    pub fn repos(&self) -> Repos {
        self.core.repos()
    }

    /// Which publishers the namespaces that people write stand for.
    pub fn namespaces(&self) -> &Namespaces {
        &self.core.names.namespaces
    }

    /// The places for connections over HTTP, limited by the file descriptors.
    pub fn http_places(&self) -> PlacesConfig {
        self.core.descriptors.http_places()
    }
}
