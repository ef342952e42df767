//! `hubless info`: all about one model.

use hubless_node::api::{FileDetails, Info};

use crate::{
    failure::Error,
    text::{self, Align, Table},
    what::What,
    work::Context,
};

/// Show a model that is here: its files, sizes and hashes
///
/// A file's hash is BLAKE3 of its bytes, what `b3sum` prints.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model's content hash, a ticket, or its name
    #[arg(value_name = "HASH|TICKET|NAME", value_parser = What::parse)]
    what: What,
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let details = context.ask_about(&args.what, |hash| Info { hash }).await?;
    if output.json {
        return output.json(&details);
    }
    let files = text::count(details.files.len() as u64, "file");
    let held = match details.complete {
        true => "all".to_owned(),
        false => {
            let percent = text::percent(details.held_bytes, details.bytes);
            format!("{} ({percent})", text::size(details.held_bytes))
        }
    };
    output.lines(&[
        format!("hash    {}", details.hash),
        format!("size    {} in {files}", text::size(details.bytes)),
        format!("held    {held}"),
        format!("pinned  {}", text::yes_no(details.pinned)),
        String::new(),
    ])?;
    output.lines(&file_table(&details.files))
}

pub(crate) fn file_table(files: &[FileDetails]) -> Vec<String> {
    let mut table = Table::new([
        ("FILE HASH", Align::Left),
        ("SIZE", Align::Right),
        ("PATH", Align::Left),
    ]);
    for file in files {
        table.row([
            file.hash.to_string(),
            text::size(file.size),
            file.path.to_string(),
        ]);
    }
    table.lines()
}
