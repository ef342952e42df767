//! `hubless why`: the facts behind a model's state.

use hubless_content::ContentHash;
use hubless_node::api::{Request, Why};

use crate::{cli::parse_hash, failure::Error, text, work::Context};

/// Tell why a model is held, announced, missing or slow
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model's content hash
    #[arg(value_name = "HASH", value_parser = parse_hash)]
    hash: ContentHash,
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    let why: Why = context.ask(Request::Why { hash: args.hash }).await?;
    if context.output.json {
        return context.output.json(&why);
    }
    let facts: Vec<String> = why
        .facts
        .iter()
        .map(|fact| text::printable(fact).into())
        .collect();
    context.output.lines(&facts)
}
