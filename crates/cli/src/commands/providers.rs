//! `hubless providers`: the nodes that provide something.

use hubless_content::{Alias, ContentHash, ParseAliasError};
use hubless_node::{
    Needs, Session,
    api::{Claims, FailureKind, FindClaims, FindProviders, Info, Providers},
};

use crate::{
    args::Network,
    failure::{Error, Failure},
    text::{Align, Table, joined, size},
    what::What,
    work::{Context, Events},
};

/// Find the nodes that provide a model or a file
///
/// Asks the DHT and the nodes on the local network. Exit code 3 if no node is found, and this one
/// does not hold it either; what this node holds is searched elsewhere for 5 s.
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

/// What is searched for.
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
    let found = context
        .session(Needs::Network, async |session| {
            if session.is_remote() && !args.network.peers().is_empty() {
                output
                    .warn("the node that runs on this home does the search: --peer has no effect");
            }
            let hash = context.find(what, session).await?.hash();
            note_own(session, hash, context).await;
            let call = session.call(FindProviders {
                hash: hash.into(),
                timeout_s: args.timeout,
            });
            context.finish(call, &mut Events::drawn(output)).await
        })
        .await?;
    if output.json {
        output.json(&found)?;
    } else if !found.providers.is_empty() {
        output.lines(&providers_table(&found))?;
    }
    match (found.providers.is_empty(), found.own) {
        (true, false) => Err(no_provider(&what.to_string()).into()),
        (true, true) => {
            output.note("no other node was found that provides it");
            Ok(())
        }
        (false, _) => Ok(()),
    }
}

/// Says at once that this node holds a model: a search takes seconds.
async fn note_own(session: &Session, hash: ContentHash, context: &Context<'_>) {
    let silent = &mut Events::silent(context.output);
    let known = context.finish(session.call(Info { hash }), silent).await;
    if let Ok(model) = known
        && model.held_bytes > 0
    {
        let (held, all) = (size(model.held_bytes), size(model.bytes));
        context
            .output
            .note(&format!("this node holds {held} of {all}"));
    }
}

fn providers_table(found: &Providers) -> Vec<String> {
    let mut table = Table::new([("PEER", Align::Left), ("ADDRESSES", Align::Left)]);
    for provider in &found.providers {
        table.row([provider.peer_id.to_string(), joined(&provider.addresses)]);
    }
    table.lines()
}

async fn claims(alias: Alias, args: &Args, context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let found = context
        .session(Needs::Network, async |session| {
            let call = session.call(FindClaims {
                alias,
                peers: args.network.peers(),
                timeout_s: args.timeout,
            });
            context.finish(call, &mut Events::drawn(output)).await
        })
        .await?;
    if output.json {
        output.json(&found)?;
    } else if !found.claims.is_empty() {
        output.lines(&claims_table(&found))?;
    }
    match found.claims.is_empty() {
        true => Err(no_provider(&alias.to_string()).into()),
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
        table.row([file, size(claim.size), joined(&claim.peers)]);
    }
    table.lines()
}

fn no_provider(what: &str) -> Failure {
    Failure::new(
        FailureKind::NotFound,
        format!("no node was found that provides {what}"),
    )
    .hint("check the hash, or give the address of a node that has it: --peer MULTIADDR")
}
