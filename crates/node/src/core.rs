//! The shared state of all requests of one node, and the order of its start and stop.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use hubless_names::{
    directory::Directories,
    dns::Dns,
    namespaces::{Namespaces, Profiles},
    serve::Answers,
};
use hubless_network::{Identity, Network, NetworkConfig, NetworkKey, TxtResolver, read_secret};
use hubless_publishers::{names::Names, publishers::Publishers};
use hubless_repos::Repos;
use hubless_store::{Store, StoreOptions};
use hubless_sync::lock;
use hubless_transfer::{
    Blocking, Context, Digester, Fetches, KnownPeers, Service, Withheld, text::sentence,
};
use hubless_upstream::Upstream;
use tokio::sync::OnceCell;

use crate::{
    addresses::of_peers,
    config::{ByteSize, Config, DirectoryRepo, DnsAt, Rate},
    descriptors::Descriptors,
    failure::{Failure, FailureKind},
    home::Home,
    records::StoreRecords,
    remedy::Remedy,
};

/// One of the limits of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Of the bytes sent to peers.
    Up,
    /// Of the bytes received from peers and the upstream.
    Down,
}

/// The parts of a node.
pub struct Core {
    pub(crate) home: Home,
    pub(crate) config: Config,
    pub(crate) identity: Identity,
    /// The limit of file descriptors of each part.
    pub(crate) descriptors: Descriptors,
    /// The current limits, up and down: those of the configuration until they are changed.
    limits: Mutex<(Option<u64>, Option<u64>)>,
    pub(crate) cx: Arc<Context>,
    pub(crate) fetches: Arc<Fetches>,
    pub(crate) digester: Digester,
    pub(crate) names: Arc<Names>,
    /// The files that peers must not get.
    pub(crate) withheld: Withheld,
    /// Whether this process joins the network: calls that need the network wait until it has.
    joins: AtomicBool,
    /// Set when the node joined the network; before, it works on its store only.
    online: OnceCell<Online>,
}

/// The parts of a node that has joined the network.
struct Online {
    /// The upstream, if there is one.
    upstream: Option<Arc<Upstream>>,
}

impl Core {
    /// Opens the store.
    pub(crate) async fn open(home: Home, config: Config) -> Result<Arc<Self>, Failure> {
        let descriptors = Descriptors::claim();
        let (opened, options) = (
            home.clone(),
            StoreOptions {
                quota: config.quota.map(|ByteSize(bytes)| bytes),
                open_files_max: Some(descriptors.files),
            },
        );
        let store = Blocking::run_long(move || Store::open(opened.path(), options)).await??;
        let identity = Identity::load_or_create(&home.identity()).map_err(|error| {
            Failure::new(FailureKind::Other, sentence(&error)).remedy(Remedy::ProtectIdentity {
                path: home.identity(),
            })
        })?;
        let withheld = Withheld::new(config.network_key.is_some());
        let (opened, withholding) = (store.clone(), withheld.clone());
        Blocking::run_long(move || withholding.refresh(&opened)).await??;
        let limits = (
            config.limit_up.map(Rate::bytes),
            config.limit_down.map(Rate::bytes),
        );
        let cx = Context::new(store, identity.peer_id());
        let fetches = Fetches::new(cx.clone(), known_peers(&config));
        let local = |profiles| namespaces(&config, &fetches, profiles);
        let names = Names::new(&fetches, local, home.path());
        Ok(Arc::new(Self {
            home,
            config,
            identity,
            descriptors,
            limits: Mutex::new(limits),
            cx,
            digester: Digester::new(fetches.clone()),
            fetches,
            withheld,
            names: Arc::new(names),
            joins: AtomicBool::new(false),
            online: OnceCell::new(),
        }))
    }

    /// Joins the network, if it has not joined yet. Requests that need only the store skip this.
    ///
    /// # Errors
    /// If an address cannot be listened on, or the configuration makes no sense.
    pub(crate) async fn join(&self) -> Result<(), Failure> {
        self.is_to_join();
        self.online.get_or_try_init(|| self.go_online()).await?;
        Ok(())
    }

    /// Notes that this process joins the network, before it does.
    pub(crate) fn is_to_join(&self) {
        self.joins.store(true, Ordering::Relaxed);
    }

    async fn go_online(&self) -> Result<Online, Failure> {
        let config = &self.config;
        let upstream = config
            .upstream
            .as_ref()
            .map(|url| {
                Upstream::new(
                    url,
                    &config.upstream_hosts,
                    config.upstream_keep_deleted,
                    self.withheld.clone(),
                )
            })
            .transpose()?;
        let content = Service::new(&self.fetches, self.withheld.clone(), self.digester.queue());
        let service = Answers::new(content, &self.names.adopter);
        let records = Arc::new(StoreRecords::new(self.cx.store.clone()));
        let settings = self.network_config()?;
        let identity = self.identity.clone();
        let network = Network::start(settings, identity, records, Arc::new(service)).await?;
        self.fetches.swarms.set_network(Some(network.clone()));
        self.cx.set_network(network);
        Ok(Online { upstream })
    }

    /// The upstream, if there is one and this process joined the network.
    pub(crate) fn upstream(&self) -> Option<&Arc<Upstream>> {
        self.online.get()?.upstream.as_ref()
    }

    /// The repos of the node, including those of the upstream if this process joined the network.
    pub(crate) fn repos(&self) -> Repos {
        let upstream = self.upstream().cloned();
        let resolver = self.names.resolver.clone();
        Repos::new(
            self.fetches.clone(),
            self.digester.clone(),
            resolver,
            upstream,
        )
    }

    /// The publishers that the node signs for.
    pub(crate) fn publishers(&self) -> Publishers {
        Publishers::new(
            self.cx.clone(),
            self.home.path(),
            self.names.adopter.watchers().clone(),
        )
    }

    /// The network, which a process that is to join it joins first.
    ///
    /// # Errors
    /// If this process joins none, or cannot join it.
    pub(crate) async fn online(&self) -> Result<&Network, Failure> {
        if self.joins.load(Ordering::Relaxed) {
            self.join().await?;
        }
        self.network()
    }

    /// The network.
    ///
    /// # Errors
    /// If this process did not join one.
    pub(crate) fn network(&self) -> Result<&Network, Failure> {
        Ok(self.cx.network()?)
    }

    /// Changes a limit, with immediate effect.
    pub(crate) fn limit(&self, limit: Limit, rate: Option<u64>) {
        let mut limits = lock(&self.limits);
        match limit {
            Limit::Up => limits.0 = rate,
            Limit::Down => limits.1 = rate,
        }
        if let Ok(network) = self.network() {
            network.set_limits(limits.0, limits.1);
        }
    }

    /// The current limits, up and down.
    pub(crate) fn limits(&self) -> (Option<u64>, Option<u64>) {
        *lock(&self.limits)
    }

    fn network_config(&self) -> Result<NetworkConfig, Failure> {
        let config = &self.config;
        let network_key = match &config.network_key {
            Some(path) => Some(load_network_key(path)?),
            None => None,
        };
        let (limit_up, limit_down) = self.limits();
        Ok(NetworkConfig {
            listen: config.listen.clone(),
            bootstrap: of_peers("bootstrap", &config.bootstrap)?,
            static_peers: of_peers("peers", &config.peers)?,
            mdns: config.mdns,
            upnp: config.upnp,
            relay_server: config.relay,
            network_key,
            limits: self.descriptors.connections(),
            limit_up,
            limit_down,
            ..NetworkConfig::default()
        })
    }

    /// Stops in order: the users of the network, the network, the store.
    pub(crate) async fn stop(&self) {
        self.cx.cancel.cancel();
        self.cx.tasks.close();
        self.cx.tasks.wait().await;
        self.fetches.swarms.set_network(None);
        if let Ok(network) = self.network() {
            network.stop().await;
        }
        let store = self.cx.store.clone();
        match Blocking::run_long(move || store.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the store did not close cleanly"),
            Err(error) => tracing::error!(%error, "the store did not close cleanly"),
        }
    }
}

/// The local views of names that the configuration asks for.
fn namespaces(config: &Config, fetches: &Arc<Fetches>, profiles: Arc<dyn Profiles>) -> Namespaces {
    let directories = config
        .directories
        .iter()
        .map(|DirectoryRepo(repo)| repo.clone());
    // A question to the DNS would leave a private network.
    let resolver = match config.dns {
        _ if config.network_key.is_some() => None,
        DnsAt::Off => None,
        DnsAt::System => Some(TxtResolver::of_system()),
        DnsAt::Address(server) => Some(TxtResolver::at(server)),
    };
    Namespaces::new(
        fetches.cx.clone(),
        Directories::new(fetches.clone(), directories.collect()),
        resolver.map(Dns::new),
        profiles,
        config.upstream.is_some(),
    )
}

/// The peers of the configuration. One without a peer id is refused when the node joins the network.
fn known_peers(config: &Config) -> KnownPeers {
    KnownPeers {
        peers: config.peers.clone(),
        has_bootstrap: !config.bootstrap.is_empty(),
        is_private: config.network_key.is_some(),
    }
}

/// Bytes of a network key file; it has three short lines.
const NETWORK_KEY_BYTES_MAX: u64 = 4096;

fn load_network_key(path: &Path) -> Result<NetworkKey, Failure> {
    let wrong = |error: &dyn std::error::Error| {
        let message = format!("cannot use the network key {}: {error}", path.display());
        Failure::new(FailureKind::Usage, message).remedy(Remedy::WriteNetworkKey)
    };
    let key = read_secret(path, NETWORK_KEY_BYTES_MAX).map_err(|error| {
        let message = format!("cannot use the network key {}: {error}", path.display());
        Failure::new(FailureKind::Usage, message).remedy(Remedy::ProtectNetworkKey)
    })?;
    String::from_utf8_lossy(&key)
        .parse::<NetworkKey>()
        .map_err(|error| wrong(&error))
}
