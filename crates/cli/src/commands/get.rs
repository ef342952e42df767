//! `hubless get`: fetch, verify, print the path.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use hubless_node::{
    Needs, Session, Ticket,
    api::{Fetched, Get, Got, Plan},
};

use super::info::file_table;
use crate::{
    args::{Network, absolute},
    failure::Error,
    output::Output,
    parse::parse_age,
    text,
    what::What,
    work::{Context, Events},
};

/// Fetch a model, verify every byte, and print where it is
///
/// Finds nodes that hold the model (DHT, local network, the ticket's addresses), fetches from many
/// of them at once, and serves what it has while it fetches. What is already there is not fetched
/// again: an interrupted fetch goes on where it was. Needs no running node; if one runs on the same
/// home, it does the work.
///
/// With --json: {"event":"progress","state","bytes_verified","bytes_total","sources"} on the way,
/// with "stall":{"seconds","waiting_for","asking"} while nothing comes (the peer that does not
/// answer, and how many others are asked), {"event":"export","bytes_exported","bytes_total"} while
/// the files are put into place, and
/// {"event":"done","hash","path","bytes_total","bytes_fetched","bytes_present","files_replaced"} at the
/// end, or {"event":"plan",...} for a dry run.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  hubless get HASH
  hubless get HASH -o ./my-model --exclude '*.bin'
  hubless get HASH --include '*.json' --dry-run
  hubless get acme/my-model@v1.0
  hubless get ID/my-model
  hubless get 'hubless:HASH?peer=/ip4/192.0.2.7/tcp/8420/p2p/12D3...'")]
pub(crate) struct Args {
    /// The model's content hash, a ticket, or a name: ORG/NAME[@REV], ID/NAME[@REV] with the id of the
    /// publisher, or @DOMAIN/NAME[@REV]
    #[arg(value_name = "HASH|TICKET|NAME", value_parser = What::parse)]
    what: What,

    /// Put the files into this directory [default: models/HASH in the home directory]
    ///
    /// They share their bytes with the store where the file system can: then the model is on the
    /// disk once.
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Fetch only files whose path matches (repeatable)
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,

    /// Do not fetch files whose path matches (repeatable)
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,

    /// Check every stored byte before it is put into place
    ///
    /// Without it, stored files are read again only if they changed since they were last found to be
    /// right. What is wrong is fetched again.
    #[arg(long)]
    verify: bool,

    /// Replace files in the directory that have other bytes
    ///
    /// Without it, a file with other bytes is replaced only if this node has those bytes too, as
    /// those of another revision; else nothing is put into place, and the file is named. In the home
    /// directory (without -o) such files are always replaced.
    #[arg(long)]
    force: bool,

    /// Only print what would be fetched
    #[arg(long)]
    dry_run: bool,

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

impl Args {
    fn call(&self, what: &Ticket) -> Get {
        Get {
            hash: what.hash(),
            peers: self.network.peers_to_ask(what),
            output: self.output.as_deref().map(absolute),
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            dry_run: self.dry_run,
            timeout_s: self.timeout,
            verify: self.verify,
            force: self.force,
        }
    }
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    context
        .session(Needs::Network, async |session| {
            get(args, session, context).await
        })
        .await
        .map_err(|error| {
            error.if_interrupted(
                "interrupted; what was fetched and verified is kept",
                format!(
                    "the same command goes on from there: {}",
                    text::command_line(std::env::args_os().skip(1))
                ),
            )
        })
}

async fn get(args: &Args, session: &Session, context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let begin = Instant::now();
    let what = args.what.asked(args.network.peers(), args.max_age);
    let what = context.find(&what, session).await?;
    let call = session.call(args.call(&what));
    match context.finish(call, &mut Events::streamed(output)).await? {
        Got::Fetched(fetched) => report_fetched(&fetched, begin.elapsed(), output),
        Got::Plan(plan) => report_plan(&plan, output),
    }
}

fn report_fetched(fetched: &Fetched, time: Duration, output: &Output) -> Result<(), Error> {
    if output.json {
        return output.json_event("done", fetched);
    }
    output.note(&summary(fetched, time));
    if fetched.files_replaced > 0 {
        let files = text::count(fetched.files_replaced, "file");
        output.note(&format!("{files} replaced"));
    }
    output.path(&fetched.path)
}

/// `fetched 80.0 MB in 3.1 s (25.8 MB/s), 12.3 MB were here, all verified`
fn summary(fetched: &Fetched, time: Duration) -> String {
    let size = text::size(fetched.bytes_fetched);
    if fetched.bytes_fetched == 0 {
        return format!(
            "all {} were here, nothing fetched",
            text::size(fetched.bytes_total)
        );
    }
    let (took, rate) = (
        text::duration(time),
        text::rate(fetched.bytes_fetched, time),
    );
    let present = match fetched.bytes_present {
        0 => String::new(),
        bytes => format!(", {} were here", text::size(bytes)),
    };
    format!("fetched {size} in {took} ({rate}){present}, all verified")
}

fn report_plan(plan: &Plan, output: &Output) -> Result<(), Error> {
    if output.json {
        return output.json_event("plan", plan);
    }
    output.lines(&file_table(&plan.files))?;
    let missing = plan.bytes_total.saturating_sub(plan.bytes_present);
    let (files, total) = (
        text::count(plan.files.len() as u64, "file"),
        text::size(plan.bytes_total),
    );
    output.note(&format!(
        "would fetch {} of {total} in {files}",
        text::size(missing)
    ));
    Ok(())
}
