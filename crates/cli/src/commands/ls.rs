//! `hubless ls`: the models that are here, or the files of one.

use std::collections::HashMap;

use hubless_content::{ContentHash, RepoKind};
use hubless_node::{
    Needs,
    api::{Info, List, ModelSummary, NameList, NameRef},
};

use super::info::file_table;
use crate::{
    failure::Error,
    text::{self, Align, Table},
    what::What,
    work::{Context, Events},
};

/// List the models that are here, or the files of one
///
/// With --quiet only the hashes of the models, or the paths of the files, one a line.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// List the files of this model: its content hash, or its name
    #[arg(value_name = "HASH|NAME", value_parser = What::parse)]
    what: Option<What>,
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    match &args.what {
        Some(what) => files(what, context).await,
        None => models(context).await,
    }
}

async fn files(what: &What, context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let details = context.ask_about(what, |hash| Info { hash }).await?;
    if output.json {
        return output.json(&details);
    }
    if output.quiet {
        let paths: Vec<String> = details
            .files
            .iter()
            .map(|file| file.path.to_string())
            .collect();
        return output.lines(&paths);
    }
    output.lines(&file_table(&details.files))
}

async fn models(context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let (mut listed, names) = context
        .session(Needs::Store, async |session| {
            let mut events = Events::silent(output);
            let models = context.finish(session.call(List {}), &mut events).await?;
            let names = context
                .finish(session.call(NameList {}), &mut events)
                .await?;
            Ok((models, names))
        })
        .await?;
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
    output.lines(&table(&listed.models, &by_hash(&names.names)))
}

/// The names of a model, as commands take them.
fn by_hash(names: &[NameRef]) -> HashMap<ContentHash, Vec<String>> {
    let mut by_hash: HashMap<_, Vec<String>> = HashMap::new();
    for name in names {
        let Some(hash) = name.hash else { continue };
        let text = match name.kind {
            RepoKind::Model => name.name.clone(),
            kind => format!("{}/{}", kind.plural(), name.name),
        };
        by_hash.entry(hash).or_default().push(text);
    }
    by_hash
}

fn table(models: &[ModelSummary], names: &HashMap<ContentHash, Vec<String>>) -> Vec<String> {
    let mut table = Table::new([
        ("HASH", Align::Left),
        ("SIZE", Align::Right),
        ("FILES", Align::Right),
        ("HELD", Align::Right),
        ("PINNED", Align::Left),
        ("NAMES", Align::Left),
    ]);
    for model in models {
        let names = names.get(&model.hash).map(|names| names.join(" "));
        table.row([
            model.hash.to_string(),
            text::size(model.bytes),
            model.files.to_string(),
            text::percent(model.held_bytes, model.bytes),
            text::yes_no(model.pinned).to_owned(),
            names.unwrap_or_default(),
        ]);
    }
    table.lines()
}
