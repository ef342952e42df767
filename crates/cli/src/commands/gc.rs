//! `hubless gc`: free what no pin reaches.

use hubless_node::api::{Collected, Request};

use crate::{failure::Error, text, work::Context};

/// Free the space of everything that no pin reaches
///
/// Models that were added or fetched are pinned until `hubless unpin` or `hubless rm`. Files that
/// were added in place are never touched.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: &Args, context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let collected: Collected = context.ask(Request::Gc).await?;
    if output.json {
        return output.json(&collected);
    }
    let Collected { files, bytes } = collected;
    output.line(&format!(
        "freed {}, {}",
        text::count(files, "file"),
        text::size(bytes)
    ))
}
