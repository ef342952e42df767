//! `hubless ticket`: how others fetch a model without the DHT.

use hubless_content::RepoId;
use hubless_node::{
    NameAt, Needs, Ticket,
    api::{MakeTicket, ResolvedName, TicketReach, TicketText},
};

use crate::{
    failure::Error,
    text,
    what::{MAIN, Name, What},
    work::{Context, Events},
};

/// Print a ticket: the model's hash, or a publisher's name for it, with this node's addresses
///
/// Others give it to `hubless get` and need neither the DHT nor the local network to find this
/// node. The ticket of a name leads to what the name means when it is used; that of a hash, or of a
/// name that only this node gave, always to the same model. Put it in quotes in a shell. It carries the node's public addresses; without one, those in
/// its local network.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model's content hash, or its name: ORG/NAME[@REV] or ID/NAME[@REV]
    #[arg(value_name = "HASH|NAME", value_parser = What::parse)]
    what: What,

    /// Add the node's addresses in its local network and on its machine
    #[arg(long)]
    local: bool,
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    let ticket = context
        .session(Needs::Store, async |session| {
            let (hash, name) = match &args.what {
                What::Name(name) => {
                    let resolved = context.resolve(name, session).await?;
                    (resolved.hash, published(&resolved, name))
                }
                what => (context.find(what, session).await?.hash(), None),
            };
            let local = args.local;
            let call = session.call(MakeTicket { hash, local });
            let events = &mut Events::silent(context.output);
            let ticket = context.finish(call, events).await?;
            Ok(match name {
                Some(name) => of_name(ticket, name),
                None => ticket,
            })
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

/// The name that other nodes know too, if it is that of a publisher.
fn published(resolved: &ResolvedName, asked: &Name) -> Option<NameAt> {
    let repo = RepoId::new(resolved.kind, &resolved.name).ok()?;
    let revision = Some(&*asked.revision).filter(|revision| *revision != MAIN);
    NameAt::new(&repo, revision).ok()
}

/// The ticket of a name with the addresses of a ticket of its content.
pub(crate) fn of_name(ticket: TicketText, name: NameAt) -> TicketText {
    match ticket.ticket.parse::<Ticket>() {
        Ok(of_hash) => TicketText {
            ticket: Ticket::fitting(name, of_hash.peers().to_vec()).to_string(),
            ..ticket
        },
        Err(_) => ticket,
    }
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
