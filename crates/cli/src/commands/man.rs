//! `hubless man`: the manual pages.

use std::path::{Path, PathBuf};

use clap_mangen::Man;
use hubless_node::api::FailureKind;

use crate::{
    failure::{Error, Failure},
    output::Output,
};

/// Print the manual page, or write a page for every command into a directory
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  hubless man | man -l -
  hubless man ~/.local/share/man/man1")]
pub(crate) struct Args {
    /// Write hubless.1, hubless-add.1 and so on into this directory; it is made if it is not there
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, described: clap::Command, output: &Output) -> Result<(), Error> {
    match &args.directory {
        Some(directory) => write_pages(directory, described, output),
        None => {
            let mut page = Vec::new();
            Man::new(described).render(&mut page)?;
            output.raw(&page)
        }
    }
}

fn write_pages(directory: &Path, described: clap::Command, output: &Output) -> Result<(), Error> {
    let written = std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(described, directory));
    written.map_err(|error| {
        let message = format!(
            "could not write manual pages to {}: {error}",
            directory.display()
        );
        Failure::new(FailureKind::Other, message).hint("choose a directory that you may write to")
    })?;
    output.note(&format!(
        "wrote the manual pages to {}",
        directory.display()
    ));
    Ok(())
}
