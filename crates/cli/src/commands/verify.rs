//! `hubless verify`: hash what is stored again.

use hubless_content::ContentHash;
use hubless_node::{
    Needs,
    api::{Failure, FailureKind, Request, Verified},
};

use crate::{
    cli::parse_hash,
    failure::Error,
    text::{self, Align, Table},
    work::{Context, Events},
};

/// Hash what is stored again, and tell what is damaged
///
/// Exit code 5 if anything is. `hubless get HASH` then fetches what is wrong, and nothing else.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model's content hash; without it everything is hashed
    #[arg(value_name = "HASH", value_parser = parse_hash)]
    hash: Option<ContentHash>,
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let verified: Verified = context
        .session(Needs::Store, async |session| {
            let call = session.call(Request::Verify { hash: args.hash });
            context.finish(call, &mut Events::drawn(output)).await
        })
        .await
        .map_err(|error| {
            error.if_interrupted(
                "interrupted before everything was hashed; nothing is lost",
                "run the same command again for a full answer".to_owned(),
            )
        })?;
    if output.json {
        output.json(&verified)?;
    } else {
        output.lines(&report(&verified))?;
    }
    match verified.damaged.len() as u64 {
        0 => Ok(()),
        damaged => Err(damage(damaged, &verified, args.hash).into()),
    }
}

fn report(verified: &Verified) -> Vec<String> {
    let (files, size) = (
        text::count(verified.files, "file"),
        text::size(verified.bytes),
    );
    if verified.damaged.is_empty() {
        return vec![format!("{files}, {size}: all as they should be")];
    }
    let mut table = Table::new([
        ("DAMAGED FILE", Align::Left),
        ("BAD CHUNKS", Align::Right),
        ("PATH", Align::Left),
    ]);
    for damaged in &verified.damaged {
        let path = damaged
            .path
            .as_deref()
            .map(|path| path.to_string_lossy().into_owned());
        table.row([
            damaged.hash.to_string(),
            damaged.chunks.to_string(),
            path.unwrap_or_else(|| "(in the index)".to_owned()),
        ]);
    }
    table.lines()
}

fn damage(damaged: u64, verified: &Verified, hash: Option<ContentHash>) -> Failure {
    let files = text::count(verified.files, "file");
    let is = if damaged == 1 { "is" } else { "are" };
    let first = verified
        .damaged
        .first()
        .map(|file| file.hash.to_string())
        .unwrap_or_default();
    let others = if damaged == 1 { "" } else { " and others" };
    let message = format!("{damaged} of {files} {is} damaged: {first}{others}");
    Failure::new(FailureKind::Integrity, message).hint(match hash {
        Some(hash) => format!("`hubless get {hash}` fetches what is wrong again"),
        None => {
            "`hubless get HASH` fetches what is wrong again; `hubless ls` prints the hashes".into()
        }
    })
}
