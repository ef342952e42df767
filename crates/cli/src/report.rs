//! Prints why a command ended early, or what is wrong with the arguments; gives the exit code.

use std::{error::Error as _, process::ExitCode};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use hubless_node::api::FailureKind;
use serde::Serialize;

use crate::{
    failure::{Error, Failure, exit_code},
    output::Output,
    text,
};

/// What `--json` prints of a failure.
#[derive(Serialize)]
struct ErrorLine<'a> {
    error: &'a Failure,
}

/// Reports why the command ended early; the exit code.
pub(crate) fn report(error: Error, output: &Output) -> ExitCode {
    let failure = match error {
        Error::ReaderGone => return ExitCode::SUCCESS,
        Error::Failed(failure) => with_hint(failure),
    };
    if output.json {
        output.stderr_json(&ErrorLine { error: &failure });
    } else {
        let label = output.style("31;1", "error:");
        output.stderr(&format!(
            "{label} {}",
            text::printable_lines(failure.message.trim_end())
        ));
        if let Some(hint) = &failure.hint {
            let label = output.style("36;1", "hint:");
            output.stderr(&format!("{label} {}", text::printable_lines(hint)));
        }
    }
    ExitCode::from(exit_code(failure.kind))
}

/// Every failure comes with a next step; this is for those that know none of their own.
fn with_hint(failure: Failure) -> Failure {
    if failure.hint.is_some() {
        return failure;
    }
    let text = match failure.kind {
        FailureKind::Other => "run the same command with -v for more",
        FailureKind::Usage => "`hubless COMMAND --help` lists what fits",
        FailureKind::NotFound => "`hubless ls` lists what is here",
        FailureKind::Denied => {
            "check the owner and the mode of the home directory and of these files"
        }
        FailureKind::Integrity => "`hubless verify` lists what is damaged",
        FailureKind::Network => "`hubless config show` prints the addresses that are used",
        FailureKind::Partial | FailureKind::Interrupted | FailureKind::HostEnded => {
            "the same command goes on from there"
        }
        FailureKind::Busy => "wait for the other command, or choose another home with --home",
        FailureKind::NoSpace => "make room: `hubless rm HASH`, then `hubless gc`",
    };
    failure.hint(text)
}

/// Prints help or version if that was asked for, else what is wrong with the arguments.
pub(crate) fn report_usage(mut error: clap::Error) -> ExitCode {
    suggest_command(&mut error);
    let error = &error;
    let asked_for_help = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    let json = std::env::args_os()
        .skip(1)
        .take_while(|arg| arg != "--")
        .any(|arg| arg == "--json");
    if asked_for_help || (!json && own_failure(error).is_none()) {
        // A closed stream is no failure; clap chooses which one.
        let _ = error.print();
        return ExitCode::from(if asked_for_help {
            0
        } else {
            exit_code(FailureKind::Usage)
        });
    }
    report(usage_failure(error).into(), &Output::for_usage(json))
}

/// What other programs call a command.
const COMMANDS_ELSEWHERE: [(&[&str], &str); 7] = [
    (&["pull", "download", "fetch", "clone"], "get"),
    (&["push", "upload", "share", "publish", "import"], "seed"),
    (&["list", "models", "search", "find"], "ls"),
    (&["show", "inspect"], "info"),
    (&["delete", "remove"], "rm"),
    (&["daemon", "start", "run", "server"], "serve"),
    (&["prune", "clean"], "gc"),
];

/// Names the command that a newcomer may have meant.
fn suggest_command(error: &mut clap::Error) {
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) else {
        return;
    };
    let meant = COMMANDS_ELSEWHERE
        .iter()
        .find(|(names, _)| names.contains(&typed.as_str()));
    if let Some((_, command)) = meant {
        let command = ContextValue::Strings(vec![(*command).to_owned()]);
        error.insert(ContextKind::SuggestedSubcommand, command);
    }
}

fn usage_failure(error: &clap::Error) -> Failure {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    if let Some(own) = own_failure(error) {
        let (value, argument) = (
            context(ContextKind::InvalidValue),
            context(ContextKind::InvalidArg),
        );
        let message = format!("invalid value '{value}' for '{argument}': {}", own.message);
        return Failure {
            message,
            ..own.clone()
        };
    }
    // clap's text begins with "error: ", and its usage lines come after an empty one.
    let rendered = error.render().to_string();
    let message = rendered
        .split("\n\n")
        .next()
        .unwrap_or_default()
        .trim_start_matches("error: ");
    let hint = match context(ContextKind::Usage) {
        "" => "`hubless --help` lists the commands and options".to_owned(),
        usage => usage.to_owned(),
    };
    Failure::new(FailureKind::Usage, message).hint(hint)
}

/// The failure that one of our own parsers gave.
fn own_failure(error: &clap::Error) -> Option<&Failure> {
    error.source()?.downcast_ref()
}
