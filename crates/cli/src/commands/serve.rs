//! `hubless serve`: run a node in the foreground.

use std::path::PathBuf;

use hubless_gateway::{Gateway, GatewayConfig, StartError, Token};
use hubless_node::{
    Node,
    api::{FailureKind, Multiaddr, NodeId},
    config::{GatewayAt, Origin},
};
use serde::Serialize;

use crate::{
    args::{Network, Serving},
    failure::{Error, Failure, with_causes},
    service::Service,
    work::Context,
};

/// Run a node in the foreground until Ctrl-C
///
/// Announces and serves what the store holds. Other commands with the same home directory talk to
/// this node. Hugging Face clients and browsers talk to its gateway: set HF_ENDPOINT to the address
/// that is printed. SIGTERM and Ctrl-C end it in order, with exit code 0.
/// A service manager is notified by sd_notify when it listens, lives and stops.
///
/// With --json: {"event":"listening","peer_id","addresses","gateway"} as soon as it can be dialled.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  hubless serve
  hubless serve --listen /ip4/0.0.0.0/tcp/9000 --bootstrap /dns/node.example/tcp/8420/p2p/12D3...
  hubless serve --quota 500GB --limit-up 10MB")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) network: Network,
    #[command(flatten)]
    pub(crate) serving: Serving,
}

pub(crate) async fn run(_: &Args, context: &Context<'_>) -> Result<(), Error> {
    let serving = start(context).await?;
    let outcome = report(&serving, context);
    if outcome.is_ok() {
        context.interrupt.wait().await;
    }
    serving.stop().await;
    outcome
}

/// A node that serves, and what answers HTTP for it.
pub(crate) struct Running {
    pub(crate) node: Node,
    gateway: Option<Gateway>,
    service: Service,
}

impl Running {
    /// Stops in order: the gateway before the node that it uses.
    pub(crate) async fn stop(self) {
        self.service.stopping();
        if let Some(gateway) = self.gateway {
            gateway.stop().await;
        }
        self.node.stop().await;
    }
}

pub(crate) async fn start(context: &Context<'_>) -> Result<Running, Error> {
    let settings = &context.settings;
    let config = settings.config();
    if config.upstream.is_some() && config.gateway == GatewayAt::Off {
        let output = context.output;
        output.warn("the gateway is off, so no client can use the upstream; see --gateway");
    }
    let node = context
        .interrupt
        .guard(Node::start(&settings.home, config))
        .await?;
    match start_gateway(&node, context).await {
        Ok(gateway) => Ok(Running {
            service: Service::ready(node.handle(), context.output),
            node,
            gateway,
        }),
        Err(failure) => {
            node.stop().await;
            Err(failure.into())
        }
    }
}

/// The gateway, if there is to be one. A gateway that was not asked for is not worth failing for: another
/// node may have its port.
async fn start_gateway(node: &Node, context: &Context<'_>) -> Result<Option<Gateway>, Failure> {
    let config = context.settings.config();
    let GatewayAt::Address(address) = config.gateway else {
        return Ok(None);
    };
    let read = |path: &Option<PathBuf>| path.as_deref().map(Token::read).transpose();
    let token = read(&config.gateway_token).map_err(|error| {
        Failure::new(FailureKind::Usage, with_causes(&error))
            .hint("make one: (umask 077; openssl rand -hex 32 > FILE)")
    })?;
    let upstream_token = read(&config.upstream_token_file).map_err(|error| {
        Failure::new(FailureKind::Usage, with_causes(&error))
            .hint("write the token alone into a file that only its owner can read (mode 0600)")
    })?;
    if token.is_none() && upstream_token.is_some() {
        let message = "upstream_token_file: without a token of the gateway, every program on this \
                       machine could use it";
        return Err(Failure::new(FailureKind::Usage, message)
            .hint("give the gateway a token with --gateway-token FILE"));
    }
    let gateway = GatewayConfig {
        address,
        token,
        names: config.gateway_names.clone(),
        upstream_token,
    };
    let origin = context.settings.resolved.origins.get("gateway");
    match Gateway::start(node.handle(), gateway).await {
        Ok(gateway) => Ok(Some(gateway)),
        Err(error @ StartError::Listen { .. }) if origin == Some(&Origin::Default) => {
            let why = with_causes(&error);
            let output = context.output;
            output.warn(&format!(
                "no gateway for Hugging Face clients: {why}; choose an address with --gateway"
            ));
            Ok(None)
        }
        Err(error) => Err(refused(&error)),
    }
}

fn refused(error: &StartError) -> Failure {
    let message = with_causes(error);
    match error {
        StartError::Open(_) => Failure::new(FailureKind::Usage, message)
            .hint("give it one with --gateway-token FILE, or listen on a loopback address only"),
        StartError::Listen { .. } => Failure::new(FailureKind::Network, message)
            .hint("choose another address with --gateway, or turn it off: --gateway off"),
    }
}

/// What `--json` prints of a node that can be dialled.
#[derive(Serialize)]
struct Listening {
    peer_id: NodeId,
    addresses: Vec<Multiaddr>,
    gateway: Option<String>,
}

/// Prints where the node can be reached.
pub(crate) fn report(running: &Running, context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let listening = Listening {
        peer_id: running.node.peer_id(),
        addresses: running.node.addresses(),
        gateway: running.gateway.as_ref().map(Gateway::url),
    };
    if output.json {
        return output.json_event("listening", &listening);
    }
    let Listening {
        peer_id,
        addresses,
        gateway,
    } = listening;
    output.note(&format!(
        "serving from {} until Ctrl-C",
        context.settings.home.display()
    ));
    output.note(&format!("peer id  {peer_id}"));
    for address in addresses {
        output.note(&format!("address  {address}"));
    }
    if let Some(url) = gateway {
        output.note(&format!("gateway  {url}  (export HF_ENDPOINT={url})"));
    }
    output.note("Others fetch with `hubless get HASH`; `hubless ls` prints the hashes.");
    Ok(())
}
