//! `hubless providers`: who provides something.

use hubless_content::ContentHash;
use hubless_node::{
    Needs,
    api::{Failure, FailureKind, Providers, Request},
};

use crate::{
    cli::{Network, parse_hash},
    failure::Error,
    text::{Align, Table},
    work::{Context, Events},
};

/// Find the nodes that provide a model or a file
///
/// Asks the DHT and the nodes on the local network. Exit code 3 if nobody is found.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A content hash or a file hash
    #[arg(value_name = "HASH", value_parser = parse_hash)]
    hash: ContentHash,

    /// End the search after this time
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,

    #[command(flatten)]
    pub(crate) network: Network,
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let request = Request::Providers {
        hash: args.hash,
        timeout_s: args.timeout,
    };
    let found: Providers = context
        .session(Needs::Network, async |session| {
            if session.is_remote() && !args.network.peer.is_empty() {
                output
                    .warn("the node that runs on this home does the search: --peer has no effect");
            }
            context
                .finish(session.call(request), &mut Events::drawn(output))
                .await
        })
        .await?;
    if output.json {
        output.json(&found)?;
    } else if !found.providers.is_empty() {
        output.lines(&table(&found))?;
    }
    match found.providers.is_empty() {
        true => Err(nobody(args.hash).into()),
        false => Ok(()),
    }
}

fn table(found: &Providers) -> Vec<String> {
    let mut table = Table::new([("PEER", Align::Left), ("ADDRESSES", Align::Left)]);
    for provider in &found.providers {
        table.row([provider.peer_id.clone(), provider.addresses.join(" ")]);
    }
    table.lines()
}

fn nobody(hash: ContentHash) -> Failure {
    Failure::new(
        FailureKind::NotFound,
        format!("nobody was found that provides {hash}"),
    )
    .hint("check the hash, or give an address of somebody who has it: --peer MULTIADDR")
}
