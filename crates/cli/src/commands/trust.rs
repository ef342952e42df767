//! `hubless trust`: which publisher a name stands for on this node.

use hubless_content::PublisherId;
use hubless_node::api::{FailureKind, Trust, Trusted, Untrust};
use serde_json::json;

use super::name;
use crate::{
    failure::{Error, Failure},
    text::{self, Align, Table},
    work::Context,
};

/// Have a name stand for a publisher on this node
///
/// `hubless trust acme ID` makes acme/my-model the same as ID/my-model here, for commands, for
/// Hugging Face clients of the gateway, and on its pages. Other nodes have their own names for the same
/// publisher; ID/my-model means the same everywhere.
///
/// A name that came from a directory or from the DNS stays with the publisher that it was first used
/// for, even if they name another one later; this command changes it.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    after_long_help = "\
Examples:
  hubless trust acme ID
  hubless trust ls
  hubless trust rm acme"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// The name: what stands before the slash
    #[arg(value_name = "NAME", requires = "id")]
    name: Option<String>,

    /// The id of the publisher, 52 characters
    #[arg(value_name = "ID", value_parser = parse_publisher)]
    id: Option<PublisherId>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Ls(Ls),
    Rm(Rm),
}

/// List the names that stand for publishers here, whatever bound them
#[derive(Debug, clap::Args)]
struct Ls {}

/// Forget which publisher a name stands for
///
/// Directories and the DNS decide again when it is next used.
#[derive(Debug, clap::Args)]
struct Rm {
    /// The name
    #[arg(value_name = "NAME")]
    name: String,
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    match (&args.command, &args.name, args.id) {
        (Some(Command::Ls(_)), ..) => ls(context).await,
        (Some(Command::Rm(args)), ..) => rm(args, context).await,
        (None, Some(name), Some(id)) => trust(name, id, context).await,
        (None, ..) => {
            let failure = Failure::new(FailureKind::Usage, "a name and an id are needed");
            Err(failure.hint("hubless trust NAME ID").into())
        }
    }
}

async fn trust(name: &str, id: PublisherId, context: &Context<'_>) -> Result<(), Error> {
    let name = name.to_owned();
    let bound = context.ask(Trust { name, id }).await?;
    if context.output.json {
        return context.output.json(&bound);
    }
    let (name, id) = (&bound.name, bound.id);
    context
        .output
        .note(&format!("{name}/NAME is {id}/NAME on this node now"));
    Ok(())
}

async fn ls(context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let trusted = context.ask(Trusted {}).await?;
    if output.json {
        return output.json(&trusted);
    }
    if trusted.names.is_empty() {
        output.note("no name stands for a publisher yet: `hubless trust NAME ID` binds one");
        return Ok(());
    }
    let mut table = Table::new([
        ("NAME", Align::Left),
        ("PUBLISHER", Align::Left),
        ("SOURCE", Align::Left),
    ]);
    for bound in trusted.names {
        let source = match &bound.directory {
            Some(directory) => format!("directory {}", text::printable(directory)),
            None => name::source(bound.source).to_owned(),
        };
        table.row([bound.name, bound.id.to_string(), source]);
    }
    output.lines(&table.lines())
}

async fn rm(args: &Rm, context: &Context<'_>) -> Result<(), Error> {
    let name = args.name.clone();
    context.ask(Untrust { name }).await?;
    if context.output.json {
        return context
            .output
            .json(&json!({ "name": args.name, "removed": true }));
    }
    context
        .output
        .note(&format!("{} stands for no publisher any more", args.name));
    Ok(())
}

fn parse_publisher(text: &str) -> Result<PublisherId, Failure> {
    text.parse()
        .map_err(|error: hubless_content::ParsePublisherIdError| {
            Failure::new(FailureKind::Usage, error.to_string())
                .hint("the publisher prints it with `hubless publisher show`")
        })
}
