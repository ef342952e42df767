//! `hubless ls`: the models that are here.

use hubless_node::api::{ModelSummary, Models, Request};

use crate::{
    failure::Error,
    text::{self, Align, Table},
    work::Context,
};

/// List the models that are here
///
/// With --quiet only their hashes, one a line.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: &Args, context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let mut listed: Models = context.ask(Request::List).await?;
    listed.models.sort_by_key(|model| model.hash);
    if output.json {
        return output.json(&listed);
    }
    if listed.models.is_empty() {
        output.note(
            "no models here yet: `hubless add DIR` imports one, `hubless get HASH` fetches one",
        );
        return Ok(());
    }
    if output.quiet {
        let hashes: Vec<String> = listed
            .models
            .iter()
            .map(|model| model.hash.to_string())
            .collect();
        return output.lines(&hashes);
    }
    output.lines(&table(&listed.models))
}

fn table(models: &[ModelSummary]) -> Vec<String> {
    let mut table = Table::new([
        ("HASH", Align::Left),
        ("SIZE", Align::Right),
        ("FILES", Align::Right),
        ("HELD", Align::Right),
        ("PINNED", Align::Left),
    ]);
    for model in models {
        table.row([
            model.hash.to_string(),
            text::size(model.bytes),
            model.files.to_string(),
            text::percent(model.held_bytes, model.bytes),
            text::yes_no(model.pinned).to_owned(),
        ]);
    }
    table.lines()
}
