//! `hubless publish`: a directory becomes the newest revision of a name of the network.

use std::{path::PathBuf, time::Instant};

use hubless_content::{RefName, RepoId};
use hubless_node::{
    Needs, Session,
    api::{Publish, Published},
};

use super::{
    add,
    name::{parse_branch, parse_tag},
};
use crate::{
    args::Network,
    failure::Error,
    parse::parse_repo,
    text,
    work::{Context, Events},
};

/// Publish a model directory under a name that every node of the network can resolve
///
/// Imports the directory as `hubless add` does, signs a new revision of NAME, and announces it.
/// NAME begins with the handle of a publisher of this node (see `hubless publisher`). The same content
/// makes no new revision. Others get it with `hubless get ID/NAME`, where ID is the publisher's.
///
/// With --json: {"event":"progress","state","bytes_verified","bytes_total","sources"} on the way, and
/// {"event":"published","id","name","branch","commit","hash","seq","url"} at the end.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  hubless publish ./my-model acme/my-model
  hubless publish ./my-model acme/my-model --branch next --message 'Trained for longer'
  hubless publish ./corpus datasets/acme/corpus --tag v1.0 --in-place")]
pub(crate) struct Args {
    /// The directory
    #[arg(value_name = "PATH")]
    path: PathBuf,

    /// HANDLE/NAME, datasets/HANDLE/NAME or spaces/HANDLE/NAME
    #[arg(value_name = "NAME", value_parser = parse_repo)]
    name: RepoId,

    /// The branch that gets the revision
    #[arg(long, value_name = "BRANCH", default_value = "main", value_parser = parse_branch)]
    branch: RefName,

    /// Have this tag lead there too (repeatable)
    #[arg(long, value_name = "TAG", value_parser = parse_tag)]
    tag: Vec<RefName>,

    /// What is said about the revision: its first line is the title
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,

    #[command(flatten)]
    how: add::How,

    #[command(flatten)]
    pub(crate) network: Network,
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    add::check_directory(&args.path)?;
    context
        .session(Needs::Network, async |session| {
            publish(args, session, context)
                .await
                .map_err(add::interrupted)
        })
        .await
}

async fn publish(args: &Args, session: &Session, context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let begin = Instant::now();
    let call = session.call(Publish {
        add: args.how.call(&args.path),
        repo: args.name.clone(),
        branch: args.branch.clone(),
        tags: args.tag.clone(),
        message: args.message.clone(),
    });
    let published = context.finish(call, &mut Events::streamed(output)).await?;
    if output.json {
        return output.json_event("published", &published);
    }
    output.note(&summary(&published, begin));
    if !session.is_served() {
        output.note(
            "no node runs on this home: others get it only from nodes that have it; \
             `hubless serve` gives it to them",
        );
    }
    output.note(&format!("\nhubless get {}", published.url));
    output.line(&published.commit.to_string())
}

/// `acme/my-model@main is now revision 1a2b3c4 (sequence 2), in 0.4 s`
fn summary(published: &Published, begin: Instant) -> String {
    let is = if published.new {
        "is now"
    } else {
        "was already"
    };
    let time = text::duration(begin.elapsed());
    format!(
        "{}@{} {is} revision {} (sequence {}), in {time}",
        published.name,
        published.branch,
        &published.commit.to_string()[..7],
        published.seq
    )
}
