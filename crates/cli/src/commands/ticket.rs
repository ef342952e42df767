//! `hubless ticket`: how others fetch a model without the DHT.

use hubless_content::ContentHash;
use hubless_node::api::{Request, TicketText};

use crate::{cli::parse_hash, failure::Error, text, work::Context};

/// Print a ticket: the model's hash with this node's addresses
///
/// Others give it to `hubless get` and need neither the DHT nor the local network to find this
/// node. Put it in quotes in a shell.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model's content hash
    #[arg(value_name = "HASH", value_parser = parse_hash)]
    hash: ContentHash,
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    let ticket: TicketText = context.ask(Request::Ticket { hash: args.hash }).await?;
    if context.output.json {
        return context.output.json(&ticket);
    }
    context.output.line(&text::printable(&ticket.ticket))
}
