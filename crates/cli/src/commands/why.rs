//! `hubless why`: the facts behind a model's state.

use hubless_node::api::Explain;

use crate::{failure::Error, text, what::What, work::Context};

/// Explain why a model is held, announced, missing or slow
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model's content hash, or its name
    #[arg(value_name = "HASH|NAME", value_parser = What::parse)]
    what: What,
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    let why = context
        .ask_about(&args.what, |hash| Explain { hash })
        .await?;
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
