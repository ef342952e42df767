//! `hubless ticket`: how others fetch a model without the DHT.

use hubless_node::api::{Request, TicketText};

use crate::{failure::Error, text, what::What, work::Context};

/// Print a ticket: the model's hash with this node's addresses
///
/// Others give it to `hubless get` and need neither the DHT nor the local network to find this
/// node. Put it in quotes in a shell.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model's content hash, or its name
    #[arg(value_name = "HASH|NAME", value_parser = What::parse)]
    what: What,
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    let ticket: TicketText = context
        .ask_about(&args.what, |hash| Request::Ticket { hash })
        .await?;
    if context.output.json {
        return context.output.json(&ticket);
    }
    context.output.line(&text::printable(&ticket.ticket))
}
