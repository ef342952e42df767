//! The `hubless` command: parse, resolve, run, exit code.
//!
//! # Structure
//! ```text
//! main -> cli (what was typed) -> settings (home, configuration) -> commands/* -> a node
//!                                         commands/* -> output, progress (people, scripts)
//!                                         any error  -> failure (text, hint, exit code) -> report
//! ```
//! Each module imports modules below it only; their order stands in `docs/architecture.md`.
//!
//! The result of a command goes to stdout, everything else to stderr. What a node can do is one
//! list, [`hubless_node::api::Request`]; a command turns arguments into a request and the result
//! into text, and decides nothing about models itself.

#![deny(clippy::self_named_module_files)]
// The doc comments of arguments are what `--help` prints, where `<peer id>`, `[@REV]` and URLs need no quotes.
#![allow(
    rustdoc::invalid_html_tags,
    rustdoc::broken_intra_doc_links,
    rustdoc::bare_urls
)]

mod args;
mod cli;
mod commands;
mod failure;
mod hints;
mod interrupt;
mod logging;
mod output;
mod parse;
mod progress;
mod report;
mod service;
mod settings;
mod text;
mod what;
mod work;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::{cli::Cli, output::Output, settings::Settings};

fn main() -> ExitCode {
    let (cli, command) = match parse() {
        Ok(parsed) => parsed,
        Err(error) => return report::report_usage(error),
    };
    let output = Output::new(&cli.global);
    logging::start(&cli.global, cli.command.serves(), &output);
    let settings = || Settings::new(&cli.global, &command, cli.command.flags());
    match commands::run(&cli.command, settings, cli::described, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::report(error, &output),
    }
}

/// What was typed, and the name of its command.
fn parse() -> Result<(Cli, String), clap::Error> {
    let mut matches = Cli::command().try_get_matches()?;
    let command = matches.subcommand_name().unwrap_or_default().to_owned();
    Ok((Cli::from_arg_matches_mut(&mut matches)?, command))
}
