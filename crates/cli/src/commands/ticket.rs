//! `hubless ticket`: how others fetch a model without the DHT.

use hubless_node::api::{MakeTicket, TicketReach};

use crate::{failure::Error, text, what::What, work::Context};

/// Print a ticket: the model's hash with this node's addresses
///
/// Others give it to `hubless get` and need neither the DHT nor the local network to find this
/// node. Put it in quotes in a shell. It carries the node's public addresses; without one, those in
/// its local network.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model's content hash, or its name
    #[arg(value_name = "HASH|NAME", value_parser = What::parse)]
    what: What,

    /// Add the node's addresses in its local network and on its machine
    #[arg(long)]
    local: bool,
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    let ticket = context
        .ask_about(&args.what, |hash| MakeTicket {
            hash,
            local: args.local,
        })
        .await?;
    if context.output.json {
        return context.output.json(&ticket);
    }
    if let Some(limit) = limit(ticket.works) {
        context.output.warn(&limit);
    }
    context.output.line(&text::printable(&ticket.ticket))
}

/// What to know of a ticket that does not work everywhere.
pub(crate) fn limit(works: TicketReach) -> Option<String> {
    let place = match works {
        TicketReach::Anywhere => return None,
        TicketReach::LocalNetwork => "in this network",
        TicketReach::ThisMachine => "on this machine",
    };
    Some(format!(
        "no public address of this node is known: the ticket works only {place}"
    ))
}
