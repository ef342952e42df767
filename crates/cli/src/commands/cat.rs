//! `hubless cat`: a verified file, or a range of it, to stdout.

use std::time::Duration;

use hubless_content::ModelPath;
use hubless_node::{
    Needs,
    api::{Cat, FailureKind},
};
use tokio::io::AsyncWriteExt;

use crate::{
    args::Network,
    failure::{Error, Failure},
    parse::{parse_age, parse_path},
    what::What,
    work::{Context, Events},
};

/// Print a file of a model, or a range of it, verified
///
/// Chunks that are not here are fetched, and nothing else.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  hubless cat HASH config.json
  hubless cat HASH model.safetensors --range 0-7 | xxd")]
pub(crate) struct Args {
    /// The model's content hash, a ticket, or a name: ORG/NAME[@REV], ID/NAME[@REV] with the id of the
    /// publisher, or @DOMAIN/NAME[@REV]
    #[arg(value_name = "HASH|TICKET|NAME", value_parser = What::parse)]
    what: What,

    /// The file's path in the model
    #[arg(value_name = "PATH", value_parser = parse_path)]
    path: ModelPath,

    /// Bytes A to B, both included and counted from 0, as in HTTP; without B to the end
    #[arg(long, value_name = "A-B", value_parser = parse_range)]
    range: Option<Range>,

    /// Give up after this time without progress
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,

    /// Refuse a name whose publisher confirmed its newest state longer ago than this
    ///
    /// Signers confirm what is newest once a day. Without this option any age is accepted, and one of a
    /// week is warned of.
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    max_age: Option<Duration>,

    #[command(flatten)]
    pub(crate) network: Network,
}

/// The first byte, and the byte behind the last one.
type Range = (u64, Option<u64>);

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    let mut stdout = tokio::io::stdout();
    // A request that moves to another process goes on behind what is printed.
    let mut printed = 0;
    let (first, end) = args.range.unwrap_or_default();
    context
        .session(Needs::Network, async |session| {
            let what = args.what.asked(args.network.peers(), args.max_age);
            let what = context.find(&what, session).await?;
            let call = session.call(Cat {
                hash: what.hash(),
                peers: args.network.peers_to_ask(&what),
                path: args.path.clone(),
                range: Some((first + printed, end)),
                timeout_s: args.timeout,
            });
            let events = &mut Events::drawn(context.output);
            let take = async |bytes: &[u8]| {
                stdout.write_all(bytes).await?;
                printed += bytes.len() as u64;
                Ok(())
            };
            context.follow(call, events, take).await?;
            Ok(stdout.flush().await?)
        })
        .await
}

fn parse_range(text: &str) -> Result<Range, Failure> {
    let error = |message: &str| {
        Failure::new(FailureKind::Usage, message)
            .hint("--range 0-99 prints the first 100 bytes, --range 100- all that follow")
    };
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u64>().ok(),
        false => None,
    };
    let (first, last) = text
        .split_once('-')
        .ok_or_else(|| error("a range is A-B or A-"))?;
    let first = number(first).ok_or_else(|| error("a range begins with a number"))?;
    if last.is_empty() {
        return Ok((first, None));
    }
    let last = number(last).ok_or_else(|| error("a range ends with a number or with nothing"))?;
    if last < first {
        return Err(error("the range ends before it begins"));
    }
    // No file is so long that its end lies behind the greatest number.
    Ok((first, last.checked_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, range) in [
            ("0-0", (0, Some(1))),
            ("0-99", (0, Some(100))),
            ("100-", (100, None)),
            ("7-18446744073709551615", (7, None)),
        ] {
            assert_eq!(parse_range(text).unwrap(), range, "{text}");
        }
        for text in [
            "",
            "-",
            "5",
            "-5",
            "9-8",
            "a-b",
            "1-2-3",
            "+1-2",
            " 1-2",
            "1-99999999999999999999",
        ] {
            assert!(parse_range(text).is_err(), "{text}");
        }
    }
}
