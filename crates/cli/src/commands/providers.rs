//! `hubless providers`: who provides something.

use hubless_content::{Alias, ParseAliasError};
use hubless_node::{
    Needs,
    api::{Claims, Failure, FailureKind, ModelDetails, Providers, Request},
};

use crate::{
    cli::Network,
    failure::Error,
    text::{Align, Table, size},
    what::What,
    work::{Context, Events},
};

/// Find the nodes that provide a model or a file
///
/// Asks the DHT and the nodes on the local network. Exit code 3 if nobody is found.
///
/// With what another hub calls a file, `sha256:` and its SHA-256 or `git:` and its git blob id, the
/// nodes are asked which file that is. What they say is a claim: only the file's bytes prove it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A content hash, a model's name, a file hash, sha256:HASH or git:HASH
    #[arg(value_name = "HASH|NAME", value_parser = parse_wanted)]
    wanted: Wanted,

    /// End the search after this time
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,

    #[command(flatten)]
    pub(crate) network: Network,
}

/// Whose providers are looked for.
#[derive(Debug, Clone)]
enum Wanted {
    /// A model, or a file by its hash.
    What(What),
    Alias(Alias),
}

fn parse_wanted(text: &str) -> Result<Wanted, Failure> {
    match text.parse::<Alias>() {
        Ok(alias) => Ok(Wanted::Alias(alias)),
        Err(ParseAliasError::Kind) => What::parse(text).map(Wanted::What),
        Err(error @ ParseAliasError::Hash(_)) => {
            Err(Failure::new(FailureKind::Usage, error.to_string())
                .hint("`sha256sum FILE` and `git hash-object FILE` print them"))
        }
    }
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    match &args.wanted {
        Wanted::What(what) => providers(what, args, context).await,
        Wanted::Alias(alias) => claims(*alias, args, context).await,
    }
}

async fn providers(what: &What, args: &Args, context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let (found, is_here): (Providers, bool) = context
        .session(Needs::Network, async |session| {
            if session.is_remote() && !args.network.peer.is_empty() {
                output
                    .warn("the node that runs on this home does the search: --peer has no effect");
            }
            let hash = what.find(session, context).await?.hash();
            let timeout_s = args.timeout;
            let call = session.call(Request::Providers { hash, timeout_s });
            let found = context.finish(call, &mut Events::drawn(output)).await?;
            let call = session.call(Request::Info { hash });
            let own: Result<ModelDetails, _> =
                context.finish(call, &mut Events::silent(output)).await;
            Ok((found, own.is_ok_and(|own| own.held_bytes > 0)))
        })
        .await?;
    if output.json {
        output.json(&found)?;
    } else if !found.providers.is_empty() {
        output.lines(&providers_table(&found))?;
    }
    match found.providers.is_empty() {
        true if is_here => {
            let message = format!("this node has {what}; no other node that provides it was found");
            Err(Failure::new(FailureKind::NotFound, message)
                .hint("others fetch it from here while `hubless serve` runs")
                .into())
        }
        true => Err(nobody(&what.to_string()).into()),
        false => Ok(()),
    }
}

fn providers_table(found: &Providers) -> Vec<String> {
    let mut table = Table::new([("PEER", Align::Left), ("ADDRESSES", Align::Left)]);
    for provider in &found.providers {
        table.row([provider.peer_id.clone(), provider.addresses.join(" ")]);
    }
    table.lines()
}

async fn claims(alias: Alias, args: &Args, context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let request = Request::Claims {
        alias,
        peers: args.network.peer.clone(),
        timeout_s: args.timeout,
    };
    let found: Claims = context
        .session(Needs::Network, async |session| {
            context
                .finish(session.call(request.clone()), &mut Events::drawn(output))
                .await
        })
        .await?;
    if output.json {
        output.json(&found)?;
    } else if !found.claims.is_empty() {
        output.lines(&claims_table(&found))?;
    }
    match found.claims.is_empty() {
        true => Err(nobody(&alias.to_string()).into()),
        false => Ok(()),
    }
}

fn claims_table(found: &Claims) -> Vec<String> {
    let mut table = Table::new([
        ("FILE", Align::Left),
        ("SIZE", Align::Right),
        ("CLAIMED BY", Align::Left),
    ]);
    for claim in &found.claims {
        let file = claim.hash.to_string();
        table.row([file, size(claim.size), claim.peers.join(" ")]);
    }
    table.lines()
}

fn nobody(what: &str) -> Failure {
    Failure::new(
        FailureKind::NotFound,
        format!("nobody was found that provides {what}"),
    )
    .hint("check the hash, or give an address of somebody who has it: --peer MULTIADDR")
}
