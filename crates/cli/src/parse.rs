//! Reads what commands take as arguments, with errors that say what was probably meant.

use std::time::Duration;

use hubless_content::{ContentHash, ModelPath, PathError, RepoId, RepoIdError};
use hubless_node::{Ticket, api::FailureKind};

use crate::failure::{Failure, with_causes};

/// Reads a content hash.
pub(crate) fn parse_hash(text: &str) -> Result<ContentHash, Failure> {
    text.parse().map_err(|error| {
        let failure = Failure::new(FailureKind::Usage, not_a_hash(text, &error));
        match text.parse::<Ticket>() {
            Ok(ticket) => failure.hint(format!("this is a ticket; its hash is {}", ticket.hash())),
            Err(_) => failure.hint("`hubless ls` prints the hashes of the models that are here"),
        }
    })
}

/// Why a text is no hash, in the terms of what may have been meant.
fn not_a_hash(text: &str, error: &dyn std::error::Error) -> String {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match text.len() {
        0..4 if is_hex => format!("{text:?} is no name, and too short for a hash"),
        0..64 if !is_hex => format!("{text:?} is no name (ORG/NAME) and no hash"),
        _ => error.to_string(),
    }
}

/// Reads a content hash or a ticket.
pub(crate) fn parse_ticket(text: &str) -> Result<Ticket, Failure> {
    // What has no scheme was meant as a hash, and is judged as one.
    let is_ticket = text.contains(':');
    let ticket = match text.parse::<ContentHash>() {
        Ok(hash) => return Ok(hash.into()),
        Err(_) if is_ticket => text.parse::<Ticket>().map_err(|error| with_causes(&error)),
        Err(error) => Err(not_a_hash(text, &error)),
    };
    ticket.map_err(|message| {
        Failure::new(FailureKind::Usage, message)
            .hint("give what `hubless add` or `hubless ticket HASH` printed where the model is")
    })
}

/// Reads the path of a file in a model.
pub(crate) fn parse_path(text: &str) -> Result<ModelPath, Failure> {
    text.parse().map_err(|error: PathError| {
        Failure::new(FailureKind::Usage, format!("{error}"))
            .hint("`hubless info HASH` prints the paths of a model's files")
    })
}

/// Reads `ORG/NAME`, `datasets/ORG/NAME` or `spaces/ORG/NAME`.
pub(crate) fn parse_repo(text: &str) -> Result<RepoId, Failure> {
    text.parse()
        .map_err(|error: RepoIdError| not_a_name(&error))
}

/// A failure for a text that is no name.
pub(crate) fn not_a_name(error: &dyn std::error::Error) -> Failure {
    Failure::new(FailureKind::Usage, error.to_string())
        .hint("write names as ORG/NAME, datasets/ORG/NAME or spaces/ORG/NAME")
}

/// Reads a time such as `2d` or `1h 30m`.
pub(crate) fn parse_age(text: &str) -> Result<Duration, Failure> {
    humantime::parse_duration(text).map_err(|error| {
        Failure::new(FailureKind::Usage, format!("{text:?} is no time: {error}"))
            .hint("write it as 45s, 30m, 12h or 2d")
    })
}
