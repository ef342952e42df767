//! `hubless name`: names for content, as clients of the gateway see them.

use std::time::Duration;

use hubless_content::{ContentHash, RefName, RepoId, RepoKind};
use hubless_node::api::{FailureKind, NameList, NameRemove, NameSet, NameShow, NameSource, Named};
use serde_json::json;

use crate::{
    failure::{Error, Failure},
    parse::{not_a_name, parse_repo},
    text::{self, Align, Table},
    what::{Name, What},
    work::Context,
};

/// Names for content: ORG/NAME, with branches, tags and a history
///
/// A name whose ORG is a publisher of this node is published, so that every node resolves it (see
/// `hubless publish`); any other belongs to this node alone. Hugging Face clients find content by it
/// (set HF_ENDPOINT to the gateway that `hubless serve` prints), and so do `hubless get` and `hubless
/// cat`. What a branch held before stays readable under its commit id.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Set(Set),
    Ls(Ls),
    Show(Show),
    Rm(Rm),
}

/// Give content a name, or a branch of a name new content
///
/// A branch that holds this content already stays as it is.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  hubless name set model acme/my-model HASH
  hubless name set model acme/my-model@next HASH
  hubless name set dataset acme/corpus HASH --tag v1.0 --message 'First release'")]
struct Set {
    /// What it is: model, dataset or space
    #[arg(value_name = "KIND", value_parser = parse_kind)]
    kind: RepoKind,

    /// The name; the branch is main without
    #[arg(value_name = "ORG/NAME[@BRANCH]", value_parser = parse_repo_and_branch)]
    name: (RepoId, RefName),

    /// The content hash, or the beginning of one that is here
    #[arg(value_name = "HASH", value_parser = What::parse_hash)]
    hash: What,

    /// Have this tag lead there too (repeatable)
    #[arg(long, value_name = "TAG", value_parser = parse_tag)]
    tag: Vec<RefName>,

    /// What is said about the revision, in a line
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
}

/// List the names that this node knows
#[derive(Debug, clap::Args)]
struct Ls {}

/// Show a name: its branches, tags and revisions
#[derive(Debug, clap::Args)]
struct Show {
    /// ORG/NAME, datasets/ORG/NAME or spaces/ORG/NAME; ID/NAME, @DOMAIN/NAME or the ticket of a name
    #[arg(value_name = "NAME", value_parser = Name::parse)]
    name: Name,
}

/// Forget a name, or one branch or tag of it
///
/// The content stays until garbage collection, which keeps what is pinned.
#[derive(Debug, clap::Args)]
struct Rm {
    /// ORG/NAME, datasets/ORG/NAME or spaces/ORG/NAME
    #[arg(value_name = "NAME", value_parser = parse_repo)]
    name: RepoId,

    /// Only this branch
    #[arg(long, value_name = "BRANCH", value_parser = parse_branch, conflicts_with = "tag")]
    branch: Option<RefName>,

    /// Only this tag
    #[arg(long, value_name = "TAG", value_parser = parse_tag)]
    tag: Option<RefName>,
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    match &args.command {
        Command::Set(args) => set(args, context).await,
        Command::Ls(_) => ls(context).await,
        Command::Show(args) => show(args, context).await,
        Command::Rm(args) => rm(args, context).await,
    }
}

async fn set(args: &Set, context: &Context<'_>) -> Result<(), Error> {
    let (repo, branch) = &args.name;
    let repo = RepoId::new(args.kind, repo.id()).map_err(|error| not_a_name(&error))?;
    let call = |hash| NameSet {
        repo: repo.clone(),
        branch: branch.clone(),
        tags: args.tag.clone(),
        hash,
        message: args.message.clone(),
    };
    let named = context.ask_about(&args.hash, call).await?;
    if context.output.json {
        return context.output.json(&named);
    }
    context.output.line(&named.commit.to_string())?;
    context.output.note(&summary(&named));
    if let Some(warning) = &named.warning {
        context.output.note(&format!(
            "warning: {warning} (`hubless providers {}` searches for one)",
            named.hash
        ));
    }
    Ok(())
}

/// The call that gives a branch new content.
pub(crate) fn call(repo: RepoId, branch: RefName, hash: ContentHash) -> NameSet {
    NameSet {
        repo,
        branch,
        tags: Vec::new(),
        hash,
        message: None,
    }
}

/// `acme/my-model@main is revision 1a2b3c4`
pub(crate) fn summary(named: &Named) -> String {
    let is = if named.new { "is now" } else { "was already" };
    let commit = &named.commit.to_string()[..7];
    format!("{}@{} {is} revision {commit}", named.name, named.branch)
}

async fn ls(context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let listed = context.ask(NameList {}).await?;
    if output.json {
        return output.json(&listed);
    }
    if listed.names.is_empty() {
        output.note("no names here yet: `hubless name set model ORG/NAME HASH` gives one");
        return Ok(());
    }
    let mut table = Table::new([
        ("KIND", Align::Left),
        ("NAME", Align::Left),
        ("HASH", Align::Left),
    ]);
    for name in &listed.names {
        table.row([name.kind.to_string(), name.name.clone(), or_dash(name.hash)]);
    }
    output.lines(&table.lines())
}

async fn show(args: &Show, context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let call = NameShow {
        repo: args.name.repo.clone(),
        sources: args.name.sources,
    };
    let details = context.ask(call).await?;
    if output.json {
        return output.json(&details);
    }
    if let Some(signed) = &details.signed {
        let age = text::duration(Duration::from_secs(signed.confirmed_s));
        output.lines(&[
            format!(
                "publisher  {} ({})",
                signed.publisher,
                source(details.source)
            ),
            format!("state      {}, confirmed {age} ago", signed.seq),
            String::new(),
        ])?;
    }
    let mut refs = Table::new([("REF", Align::Left), ("REVISION", Align::Left)]);
    for (name, commit) in &details.refs {
        refs.row([name.as_str().to_owned(), commit.to_string()]);
    }
    let mut revisions = Table::new([
        ("REVISION", Align::Left),
        ("HASH", Align::Left),
        ("TITLE", Align::Left),
    ]);
    for revision in &details.revisions {
        revisions.row([
            revision.commit.to_string(),
            or_dash(revision.hash),
            match revision.removed {
                true => format!("{} (content removed)", text::printable(&revision.title)),
                false => text::printable(&revision.title).into_owned(),
            },
        ]);
    }
    output.lines(&refs.lines())?;
    output.lines(&[String::new()])?;
    output.lines(&revisions.lines())
}

async fn rm(args: &Rm, context: &Context<'_>) -> Result<(), Error> {
    let (repo, name) = (args.name.clone(), args.branch.clone().or(args.tag.clone()));
    context
        .ask(NameRemove {
            repo: repo.clone(),
            name: name.clone(),
        })
        .await?;
    if context.output.json {
        return context
            .output
            .json(&json!({ "name": repo, "ref": name, "removed": true }));
    }
    context.output.note(&match name {
        Some(name) => format!("{repo} has no {name} any more"),
        None => format!("forgot {repo}"),
    });
    Ok(())
}

/// How this node knows which publisher a name is of.
pub(super) fn source(source: NameSource) -> &'static str {
    match source {
        NameSource::Own => "its keys are here",
        NameSource::Petname => "bound by hand",
        NameSource::Directory => "from a directory",
        NameSource::Dns => "from the DNS",
        NameSource::Id => "named by its id",
        NameSource::Local => "named here",
        NameSource::Upstream => "a hub",
    }
}

fn or_dash(hash: Option<ContentHash>) -> String {
    hash.map_or_else(|| "-".to_owned(), |hash| hash.to_string())
}

fn parse_kind(text: &str) -> Result<RepoKind, Failure> {
    text.parse().map_err(|error: hubless_content::RepoIdError| {
        if text.contains('/') {
            let message = format!("{text} is no kind: model, dataset or space comes first");
            return Failure::new(FailureKind::Usage, message)
                .hint(format!("hubless name set model {text} HASH"));
        }
        Failure::new(FailureKind::Usage, error.to_string())
            .hint("a kind is model, dataset or space")
    })
}

/// Reads a name with a branch behind `@`, or main.
pub(crate) fn parse_repo_and_branch(text: &str) -> Result<(RepoId, RefName), Failure> {
    match text.split_once('@') {
        Some((repo, branch)) => Ok((parse_repo(repo)?, parse_branch(branch)?)),
        None => Ok((parse_repo(text)?, RefName::main())),
    }
}

pub(super) fn parse_branch(text: &str) -> Result<RefName, Failure> {
    RefName::branch(text).map_err(|error| not_a_ref(&error))
}

pub(super) fn parse_tag(text: &str) -> Result<RefName, Failure> {
    RefName::tag(text).map_err(|error| not_a_ref(&error))
}

fn not_a_ref(error: &dyn std::error::Error) -> Failure {
    Failure::new(FailureKind::Usage, error.to_string())
        .hint("branches and tags are named as in git: main, v1.0")
}
