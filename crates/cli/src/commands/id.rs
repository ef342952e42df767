//! `hubless id`: the peer id of this node.

use hubless_node::api::Id;

use crate::{failure::Error, work::Context};

/// Print the node's peer id
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: &Args, context: &Context<'_>) -> Result<(), Error> {
    let identified = context.ask(Id {}).await?;
    if context.output.json {
        return context.output.json(&identified);
    }
    context.output.line(&identified.peer_id.to_string())
}
