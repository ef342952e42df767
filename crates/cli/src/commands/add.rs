//! `hubless add`: import a directory.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use hubless_node::{
    Needs,
    api::{Add, Added, FailureKind},
};

use crate::{
    args::absolute,
    failure::{Error, Failure},
    text,
    work::{Context, Events},
};

/// Import a model directory and print its content hash
///
/// The files are hashed and copied into the store (or, if the file system can, shared with it
/// without taking space). A node that runs on the same home announces and serves them at once.
/// The same files always give the same hash, on every machine.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  hubless add ./my-model              Copies the files into the store
  hubless add --in-place /data/model  References them where they lie: takes no space")]
pub(crate) struct Args {
    /// The directory to import
    #[arg(value_name = "PATH")]
    path: PathBuf,
    #[command(flatten)]
    pub(crate) how: How,
}

/// How directories are imported.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct How {
    /// Reference the files where they lie instead of copying them
    ///
    /// They must stay there unchanged: a file that changes is no longer served until it is as it
    /// was, or added again.
    #[arg(long)]
    pub(crate) in_place: bool,

    /// Follow links that lead out of the directory
    ///
    /// Links to files inside it are always followed. A snapshot in a Hugging Face cache is
    /// recognized and needs no flag.
    #[arg(long)]
    pub(crate) follow_links: bool,
}

impl How {
    pub(crate) fn call(self, path: &Path) -> Add {
        let Self {
            in_place,
            follow_links,
        } = self;
        Add {
            path: absolute(path),
            in_place,
            follow_links,
        }
    }
}

/// Checks what can be known before anything starts.
pub(crate) fn check_directory(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Ok(());
    }
    let message = format!("{} is not a directory", path.display());
    Err(
        Failure::new(FailureKind::Usage, message).hint(match path.exists() {
            true => "a model is a directory: put the file into one of its own and add that",
            false => "there is nothing at this path: check it",
        }),
    )
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    check_directory(&args.path)?;
    let begin = Instant::now();
    let added = context
        .session(Needs::Store, async |session| {
            let call = session.call(args.how.call(&args.path));
            context
                .finish(call, &mut Events::drawn(output))
                .await
                .map_err(interrupted)
        })
        .await?;
    if output.json {
        return output.json(&added);
    }
    output.line(&added.hash.to_string())?;
    output.note(&summary(&added, begin));
    Ok(())
}

/// `added 13 files, 92.3 MB, in 0.4 s (230.1 MB/s)`
pub(crate) fn summary(added: &Added, begin: Instant) -> String {
    let time = begin.elapsed();
    let (files, size) = (text::count(added.files, "file"), text::size(added.bytes));
    let (time, rate) = (text::duration(time), text::rate(added.bytes, time));
    format!("added {files}, {size}, in {time} ({rate})")
}

pub(crate) fn interrupted(error: Error) -> Error {
    error.if_interrupted(
        "interrupted before the model was added; what was imported so far is kept",
        "the same command goes on from there".to_owned(),
    )
}
