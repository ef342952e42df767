//! `hubless follow`: publishers whose news this node receives.

use std::time::Duration;

use hubless_node::api::{Follow, FollowDetails, ListFollows, Mirror};

use crate::{
    failure::Error,
    output::Output,
    text::{self, Align, Table},
    work::Context,
};

/// Follow a publisher: its repos are known here within seconds of a change
///
/// A node that runs on this home (`hubless serve`) watches holders of the publisher's repos. History
/// comes always, content with --mirror; what is mirrored is kept from garbage collection.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_long_help = "\
Examples:
  hubless follow aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq
  hubless follow acme --mirror latest
  hubless follow ls
"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// The publisher's id (52 characters), or a namespace that stands for it here
    #[arg(value_name = "ID", required = true)]
    publisher: Option<String>,

    /// Also fetch and keep content: of branches, of branches and tags, or of all revisions
    #[arg(long, value_name = "WHAT")]
    mirror: Option<What>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the publishers that are followed
    Ls,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum What {
    /// What branches lead to
    Latest,
    /// What branches and tags lead to
    Tags,
    /// All revisions
    All,
}

impl From<What> for Mirror {
    fn from(what: What) -> Self {
        match what {
            What::Latest => Self::Latest,
            What::Tags => Self::Tags,
            What::All => Self::All,
        }
    }
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    match (&args.command, &args.publisher) {
        (None, Some(publisher)) => follow(publisher, args.mirror, context).await,
        _ => ls(context).await,
    }
}

async fn follow(publisher: &str, mirror: Option<What>, context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let followed = context
        .ask(Follow {
            publisher: publisher.to_owned(),
            mirror: mirror.map_or(Mirror::Nothing, Mirror::from),
        })
        .await?;
    if output.json {
        return output.json(&followed);
    }
    explain(&followed, output);
    output.lines(&followed.repos)
}

fn explain(followed: &FollowDetails, output: &Output) {
    let id = followed.id;
    let Some(handle) = &followed.handle else {
        output.note(&format!(
            "following {id}; nothing of it is here yet (a node that runs on this home, `hubless \
             serve`, goes on searching)"
        ));
        return;
    };
    let handle = text::printable(handle);
    let repos = text::count(followed.repos.len() as u64, "repo");
    output.note(&format!(
        "following {id}, which calls itself {handle}: {repos}; `hubless trust {handle} {id}` gives it \
         that name here"
    ));
}

async fn ls(context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let listed = context.ask(ListFollows {}).await?;
    if output.json {
        return output.json(&listed);
    }
    if listed.follows.is_empty() {
        output.note("no publisher is followed: `hubless follow ID` follows one");
        return Ok(());
    }
    let mut table = Table::new([
        ("PUBLISHER", Align::Left),
        ("HANDLE", Align::Left),
        ("REPOS", Align::Right),
        ("MIRROR", Align::Left),
        ("CONFIRMED", Align::Left),
    ]);
    for follow in &listed.follows {
        let handle = follow.handle.as_deref().unwrap_or("-");
        let confirmed = follow
            .confirmed_s
            .map(|age| format!("{} ago", text::duration(Duration::from_secs(age))));
        table.row([
            follow.id.to_string(),
            text::printable(handle).into_owned(),
            follow.repos.len().to_string(),
            mirror(follow.mirror).to_owned(),
            confirmed.unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    output.lines(&table.lines())
}

fn mirror(mirror: Mirror) -> &'static str {
    match mirror {
        Mirror::Nothing => "-",
        Mirror::Latest => "latest",
        Mirror::Tags => "tags",
        Mirror::All => "all",
    }
}
