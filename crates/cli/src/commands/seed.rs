//! `hubless seed`: add, then serve.

use std::{borrow::Cow, future::ready, path::PathBuf, time::Instant};

use hubless_content::{RefName, RepoId};
use hubless_node::{
    Node,
    api::{Added, FailureKind, MakeTicket, TicketText},
};
use serde::Serialize;

use super::{
    add,
    name::{self, parse_repo_and_branch},
    serve, ticket,
};
use crate::{
    args::{Network, Serving},
    failure::{Error, Failure},
    work::{Context, Events},
};

/// Add model directories, then serve them until Ctrl-C
///
/// Prints the content hash of each directory, then runs a node as `hubless serve` does. Everything
/// else that the store holds is served too.
///
/// With --json: {"event":"listening","peer_id","addresses","gateway"} as soon as it can be dialled,
/// then {"event":"added","path","hash","files","bytes"} for each directory, and
/// {"event":"named","kind","name","branch","commit","hash","new"} if it got a name.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  hubless seed ./my-model
  hubless seed --in-place --limit-up 10MB /data/model-a /data/model-b
  hubless seed ./my-model --name acme/my-model")]
pub(crate) struct Args {
    /// The directories to import
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    how: add::How,
    /// Give the directory this name, for clients of the gateway: ORG/NAME[@BRANCH], or
    /// datasets/ORG/NAME, spaces/ORG/NAME
    #[arg(long, value_name = "NAME", value_parser = parse_repo_and_branch)]
    name: Option<(RepoId, RefName)>,
    #[command(flatten)]
    pub(crate) network: Network,
    #[command(flatten)]
    pub(crate) serving: Serving,
}

/// What `--json` prints of a directory that was added.
#[derive(Serialize)]
struct Seeded<'a> {
    path: Cow<'a, str>,
    #[serde(flatten)]
    added: &'a Added,
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    // The node first: a port or a home in use is then reported before hours of hashing, and what the
    // store already holds is served meanwhile.
    if args.name.is_some() && args.paths.len() > 1 {
        let message = "a name is for one directory";
        return Err(Failure::new(FailureKind::Usage, message)
            .hint("seed the others without --name, and name them with `hubless name set`")
            .into());
    }
    args.paths
        .iter()
        .try_for_each(|path| add::check_directory(path))?;
    let running = serve::start(context).await?;
    let outcome = add_and_serve(args, &running, context).await;
    running.stop().await;
    outcome
}

async fn add_and_serve(
    args: &Args,
    running: &serve::Running,
    context: &Context<'_>,
) -> Result<(), Error> {
    let output = context.output;
    let node = &running.node;
    serve::report(running, context)?;
    let mut hashes = Vec::new();
    for path in &args.paths {
        let begin = Instant::now();
        let call = ready(Ok(node.call(args.how.call(path))));
        let added = context
            .finish(call, &mut Events::drawn(output))
            .await
            .map_err(add::interrupted)?;
        if output.json {
            output.json_event(
                "added",
                &Seeded {
                    path: path.to_string_lossy(),
                    added: &added,
                },
            )?;
        } else {
            output.line(&added.hash.to_string())?;
            output.note(&add::summary(&added, begin));
        }
        if let Some((repo, branch)) = &args.name {
            give_name(node, context, repo, branch, &added).await?;
        }
        hashes.push(added.hash);
    }
    for hash in hashes {
        output.note(&format!("\nhubless get {hash}"));
        let call = ready(Ok(node.call(MakeTicket { hash, local: false })));
        let given = context.finish(call, &mut Events::silent(output)).await;
        if let Ok(TicketText {
            ticket: text,
            works,
        }) = given
        {
            output.note(&format!("or, without the DHT:\nhubless get '{text}'"));
            if let Some(limit) = ticket::limit(works) {
                output.note(&limit);
            }
        }
    }
    context.interrupt.wait().await;
    Ok(())
}

async fn give_name(
    node: &Node,
    context: &Context<'_>,
    repo: &RepoId,
    branch: &RefName,
    added: &Added,
) -> Result<(), Error> {
    let output = context.output;
    let call = node.call(name::call(repo.clone(), branch.clone(), added.hash));
    let silent = &mut Events::silent(output);
    let named = context.finish(ready(Ok(call)), silent).await?;
    if output.json {
        return output.json_event("named", &named);
    }
    output.note(&name::summary(&named));
    Ok(())
}
