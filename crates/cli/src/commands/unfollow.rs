//! `hubless unfollow`: receive no more news of a publisher.

use hubless_node::api::Unfollow;

use crate::{failure::Error, work::Context};

/// Follow a publisher no longer
///
/// What is known of it stays; mirrored content stays until garbage collection.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The publisher's id (52 characters), or a namespace that stands for it here
    #[arg(value_name = "ID")]
    publisher: String,
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    let publisher = args.publisher.clone();
    let unfollowed = context.ask(Unfollow { publisher }).await?;
    if context.output.json {
        return context.output.json(&unfollowed);
    }
    context
        .output
        .note(&format!("{} is not followed any more", unfollowed.id));
    Ok(())
}
