//! `hubless serve`: run a node in the foreground.

use hubless_node::Node;
use serde::Serialize;

use crate::{
    cli::{Network, Serving},
    failure::Error,
    work::Context,
};

/// Run a node in the foreground until Ctrl-C
///
/// Announces and serves what the store holds. Other commands with the same home directory talk to
/// this node. SIGTERM and Ctrl-C end it in order, with exit code 0.
///
/// With --json: {"event":"listening","peer_id","addresses"} as soon as it can be dialled.
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
    let node = start(context).await?;
    let outcome = tell(&node, context);
    if outcome.is_ok() {
        context.interrupt.wait().await;
    }
    node.stop().await;
    outcome
}

pub(crate) async fn start(context: &Context<'_>) -> Result<Node, Error> {
    let settings = &context.settings;
    context
        .interrupt
        .guard(Node::start(&settings.home, settings.config()))
        .await
}

/// What `--json` prints of a node that can be dialled.
#[derive(Serialize)]
struct Listening {
    peer_id: String,
    addresses: Vec<String>,
}

/// Tells where the node can be reached.
pub(crate) fn tell(node: &Node, context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let (peer_id, addresses) = (node.peer_id(), node.addresses());
    if output.json {
        return output.json_event("listening", &Listening { peer_id, addresses });
    }
    output.note(&format!(
        "serving from {} until Ctrl-C",
        context.settings.home.display()
    ));
    output.note(&format!("peer id  {peer_id}"));
    for address in addresses {
        output.note(&format!("address  {address}"));
    }
    output.note("Others fetch with `hubless get HASH`; `hubless ls` prints the hashes.");
    Ok(())
}
