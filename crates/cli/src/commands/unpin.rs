//! `hubless unpin`: undo `hubless pin`.

use hubless_content::ContentHash;
use hubless_node::api::Request;
use serde_json::json;

use crate::{cli::parse_hash, failure::Error, work::Context};

/// Let garbage collection remove a model
///
/// The model stays until `hubless gc` runs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model's content hash
    #[arg(value_name = "HASH", value_parser = parse_hash)]
    hash: ContentHash,
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    let Args { hash } = *args;
    let () = context.ask(Request::Unpin { hash }).await?;
    if context.output.json {
        return context
            .output
            .json(&json!({ "hash": hash, "pinned": false }));
    }
    context.output.note(&format!(
        "unpinned {hash}; the next `hubless gc` may remove it"
    ));
    Ok(())
}
