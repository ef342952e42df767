//! `hubless rm`: forget a model.

use hubless_content::ContentHash;
use hubless_node::api::Request;
use serde_json::json;

use crate::{cli::parse_hash, failure::Error, work::Context};

/// Forget a model
///
/// It is no longer announced or served, and what `hubless get` put into models/HASH in the home
/// directory is deleted. The store keeps the bytes until `hubless gc`. Files that were added in
/// place, or fetched with `--output`, are never touched.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model's content hash
    #[arg(value_name = "HASH", value_parser = parse_hash)]
    hash: ContentHash,
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    let Args { hash } = *args;
    let () = context.ask(Request::Remove { hash }).await?;
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
