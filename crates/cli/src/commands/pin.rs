//! `hubless pin`: keep a model from garbage collection.

use hubless_node::api::Pin;
use serde_json::json;

use crate::{failure::Error, what::What, work::Context};

/// Keep a model from garbage collection
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model's content hash, or its beginning
    #[arg(value_name = "HASH", value_parser = What::parse_hash)]
    hash: What,
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    let (hash, ()) = context
        .find_and_ask(&args.hash, |hash| Pin { hash })
        .await?;
    if context.output.json {
        return context
            .output
            .json(&json!({ "hash": hash, "pinned": true }));
    }
    context.output.note(&format!("pinned {hash}"));
    Ok(())
}
