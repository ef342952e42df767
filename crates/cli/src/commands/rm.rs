//! `hubless rm`: forget a model, or the content of an old revision.

use hubless_content::RepoId;
use hubless_node::api::{FailureKind, Remove, RevisionRemove};
use serde_json::json;

use crate::{
    failure::{Error, Failure},
    parse::parse_repo,
    what::What,
    work::Context,
};

/// Forget a model, or the content of an old revision of a name
///
/// It is no longer announced or served, and what `hubless get` put into models/HASH in the home
/// directory is deleted. The store keeps the bytes until `hubless gc`. Files that were added in
/// place, or fetched with `--output`, are never touched.
///
/// A revision stays in the history of its name, without its content. One that a branch or a tag
/// leads to is not removed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  hubless rm HASH
  hubless rm acme/my-model@1a2b3c4")]
pub(crate) struct Args {
    /// The model's content hash or its beginning, or a name and the id of one of its revisions
    #[arg(value_name = "HASH|ORG/NAME@REVISION", value_parser = parse_target)]
    target: Target,
}

#[derive(Debug, Clone)]
enum Target {
    Model(What),
    Revision(RepoId, String),
}

fn parse_target(text: &str) -> Result<Target, Failure> {
    match text.split_once('@') {
        Some((name, revision)) => Ok(Target::Revision(parse_repo(name)?, revision.to_owned())),
        None if text.contains('/') => Err(Failure::new(
            FailureKind::Usage,
            format!("{text:?} names no revision"),
        )
        .hint(format!(
            "`hubless rm {text}@REVISION` forgets one revision, `hubless name rm {text}` the name"
        ))),
        None => What::parse_hash(text).map(Target::Model),
    }
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    match &args.target {
        Target::Model(what) => remove_model(what, context).await,
        Target::Revision(repo, revision) => remove_revision(repo, revision, context).await,
    }
}

async fn remove_model(what: &What, context: &Context<'_>) -> Result<(), Error> {
    let (hash, ()) = context.find_and_ask(what, |hash| Remove { hash }).await?;
    if context.output.json {
        return context
            .output
            .json(&json!({ "hash": hash, "removed": true }));
    }
    context
        .output
        .note(&format!("removed {hash}; `hubless gc` frees its space"));
    Ok(())
}

async fn remove_revision(
    repo: &RepoId,
    revision: &str,
    context: &Context<'_>,
) -> Result<(), Error> {
    let call = RevisionRemove {
        repo: repo.clone(),
        revision: revision.to_owned(),
    };
    let removed = context.ask(call).await?;
    if context.output.json {
        return context.output.json(&json!({
            "name": repo,
            "commit": removed.commit,
            "hash": removed.hash,
            "removed": true,
        }));
    }
    let commit = &removed.commit.to_string()[..7];
    context.output.note(&format!(
        "removed the content of revision {commit} of {repo}; `hubless gc` frees its space"
    ));
    Ok(())
}
