//! `hubless pin`: keep a model from garbage collection.

use hubless_content::ContentHash;
use hubless_node::api::Request;
use serde_json::json;

use crate::{cli::parse_hash, failure::Error, work::Context};

/// Keep a model from garbage collection
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model's content hash
    #[arg(value_name = "HASH", value_parser = parse_hash)]
    hash: ContentHash,
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    let Args { hash } = *args;
    let () = context.ask(Request::Pin { hash }).await?;
    if context.output.json {
        return context
            .output
            .json(&json!({ "hash": hash, "pinned": true }));
    }
    context.output.note(&format!("pinned {hash}"));
    Ok(())
}
