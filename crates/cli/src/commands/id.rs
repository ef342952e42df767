//! `hubless id`: the peer id of this node.

use hubless_node::api::{Identified, Request};

use crate::{failure::Error, text, work::Context};

/// Print the node's peer id
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: &Args, context: &Context<'_>) -> Result<(), Error> {
    let identified: Identified = context.ask(Request::Id).await?;
    if context.output.json {
        return context.output.json(&identified);
    }
    context.output.line(&text::printable(&identified.peer_id))
}
