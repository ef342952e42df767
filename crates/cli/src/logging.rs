//! The log on stderr, for finding the cause of a problem.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::{
    args::Global,
    output::{LogWriter, Output},
};

/// The variable that holds a filter, as `tracing_subscriber::EnvFilter` reads it.
const LOG_VARIABLE: &str = "HUBLESS_LOG";

/// Starts the log of a command that serves, or of one that does not.
pub(crate) fn start(global: &Global, serves: bool, output: &Output) {
    let filter = || EnvFilter::new(default_filter(global, serves));
    let filter = match std::env::var(LOG_VARIABLE) {
        Ok(text) if !text.is_empty() => EnvFilter::try_new(&text).unwrap_or_else(|error| {
            output.warn(&format!("{LOG_VARIABLE} is not a log filter: {error}"));
            filter()
        }),
        _ => filter(),
    };
    let output = output.clone();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_writer(move || LogWriter(output.clone()))
        .init();
}

/// What people must know of a command comes as events and errors, so that the log can be silent. A
/// node that serves has nothing but its log.
fn default_filter(global: &Global, serves: bool) -> &'static str {
    match (global.quiet, global.verbose) {
        (false, 0) if serves => "off,hubless=warn",
        (_, 0) => "off",
        (_, 1) => "warn,hubless=info",
        (_, 2) => "info,hubless=debug",
        _ => "debug,hubless=trace",
    }
}
