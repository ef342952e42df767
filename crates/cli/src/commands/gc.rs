//! `hubless gc`: free what no pin reaches.

use hubless_node::api::{Collected, Gc};

use crate::{failure::Error, text, work::Context};

/// Free the space of everything that no pin reaches
///
/// Models that were added or fetched are pinned until `hubless unpin` or `hubless rm`, and a name
/// keeps its revisions until `hubless rm NAME@REVISION` or `hubless name rm`. What came from an
/// upstream, or belongs to a publisher whose content is not mirrored, stays until the quota needs its room. Files that were added in place are never touched.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: &Args, context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let collected = context.ask(Gc {}).await?;
    if output.json {
        return output.json(&collected);
    }
    let Collected { files, bytes, .. } = collected;
    output.line(&format!(
        "freed {}, {}",
        text::count(files, "file"),
        text::size(bytes)
    ))?;
    if let Some(stays) = stays(&collected) {
        output.note(&stays);
    }
    Ok(())
}

/// What stays, and what would let it go.
fn stays(collected: &Collected) -> Option<String> {
    let reasons = [
        (collected.pinned, "model", "pinned (`hubless unpin`)"),
        (collected.named, "revision", "named (`hubless name rm`)"),
        (
            collected.cached,
            "revision",
            "of others (until the quota needs the room)",
        ),
    ];
    let reasons = reasons.into_iter().filter(|(number, ..)| *number > 0);
    let reasons = reasons.map(|(number, what, why)| format!("{} {why}", text::count(number, what)));
    let reasons: Vec<String> = reasons.collect();
    (!reasons.is_empty()).then(|| format!("kept {}", reasons.join(", ")))
}
