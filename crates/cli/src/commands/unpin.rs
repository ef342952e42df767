//! `hubless unpin`: undo `hubless pin`.

use hubless_node::api::Unpin;
use serde_json::json;

use crate::{failure::Error, what::What, work::Context};

/// Let garbage collection remove a model
///
/// The model stays until `hubless gc` runs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model's content hash, or its beginning
    #[arg(value_name = "HASH", value_parser = What::parse_hash)]
    hash: What,
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    let (hash, ()) = context
        .find_and_ask(&args.hash, |hash| Unpin { hash })
        .await?;
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
