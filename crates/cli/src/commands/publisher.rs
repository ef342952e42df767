//! `hubless publisher`: who this node signs names for.

use std::path::{Path, PathBuf};

use hubless_content::{PublicKey, PublisherId};
use hubless_node::api::{
    Begin, Changes, FailureKind, PublisherJoin, PublisherShow, Sign, SignState, Signed,
};

use crate::{
    args::absolute,
    failure::{Error, Failure},
    text::{self, Align, Table},
    work::Context,
};

/// The file of a proposal, if no other is named.
const PROPOSAL: &str = "publisher.proposal";

/// Publishers: names that others can find, signed by this node
///
/// A publisher is a person or an organization. Its id, 52 characters, stays the same for ever; which keys
/// sign for it can change. This node signs with `signing.key` in its home directory. A root key says which
/// nodes sign: keep it elsewhere, and have a copy.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    New(New),
    Show(Show),
    Join(Join),
    Sign(SignArgs),
}

/// Make a publisher, and sign for it on this node
///
/// Names HANDLE/NAME that were given on this node become its repos, with their history.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  hubless publisher new alice
  hubless publisher new acme --org --owner alice --domain acme.com")]
struct New {
    /// The namespace that it proposes to others, and has on this node
    #[arg(value_name = "HANDLE")]
    handle: String,

    /// It is an organization
    #[arg(long)]
    org: bool,

    /// The person that the organization belongs to: another publisher of this node
    #[arg(long, value_name = "HANDLE", requires = "org")]
    owner: Option<String>,

    /// New repos are private unless their maker says otherwise
    #[arg(long)]
    private_by_default: bool,

    /// A domain whose DNS may name the publisher (repeatable, up to 4)
    #[arg(long, value_name = "DOMAIN")]
    domain: Vec<String>,
}

/// Show the publishers that this node signs for, and their keys
#[derive(Debug, clap::Args)]
struct Show {}

/// Print the signing key of this node, for a publisher to add it
///
/// With the id of a publisher that added it, this node signs for that publisher from then on.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  hubless publisher join                     Prints the key to add: did:key:z6Mk...
  hubless publisher join ID                  It was added: sign from now on
  hubless publisher join --root-key my.key   Makes a root key too, for a publisher with several")]
struct Join {
    /// The publisher that has added the key of this node
    #[arg(value_name = "ID")]
    publisher: Option<PublisherId>,

    /// Make a root key in this file, and print it too
    #[arg(long, value_name = "FILE")]
    root_key: Option<PathBuf>,
}

/// Change which keys sign for a publisher, or sign a change that was proposed
///
/// A change needs as many root keys as the threshold says; new root keys sign too. Until it has all
/// signatures it is written to a file, which the next holder of a root key signs with `hubless publisher
/// sign FILE --root KEY_FILE`. When it has them, a node that signs for the publisher puts it into effect:
/// all heads are signed again at once, and a key that was removed counts no longer.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  hubless publisher sign --root /media/usb/root.key --add did:key:z6Mk...
  hubless publisher sign --root /media/usb/root.key --remove did:key:z6Mk...
  hubless publisher sign --root root.key --keys KEY --keys KEY --keys KEY --threshold 2
  hubless publisher sign publisher.proposal --root my.key")]
struct SignArgs {
    /// A proposal to sign, instead of making one
    #[arg(value_name = "FILE", conflicts_with_all = ["publisher", "add", "remove", "keys", "threshold"])]
    proposal: Option<PathBuf>,

    /// The publisher, if this node has several
    #[arg(long, value_name = "HANDLE|ID")]
    publisher: Option<String>,

    /// The file of a root key to sign with
    #[arg(long, value_name = "FILE", required_unless_present = "proposal")]
    root: Option<PathBuf>,

    /// A key that signs from then on (repeatable)
    #[arg(long, value_name = "KEY", value_parser = parse_key)]
    add: Vec<PublicKey>,

    /// A key that signs no longer (repeatable)
    #[arg(long, value_name = "KEY", value_parser = parse_key)]
    remove: Vec<PublicKey>,

    /// A root key from then on, in place of those that there are (repeatable)
    #[arg(long, value_name = "KEY", value_parser = parse_key)]
    keys: Vec<PublicKey>,

    /// Root keys that a change needs from then on
    #[arg(long, value_name = "N")]
    threshold: Option<usize>,

    /// Where the proposal goes until it has all signatures [default: the proposal's own file, or
    /// publisher.proposal]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Error> {
    match &args.command {
        Command::New(args) => new(args, context).await,
        Command::Show(_) => show(context).await,
        Command::Join(args) => join(args, context).await,
        Command::Sign(args) => sign(args, context).await,
    }
}

async fn new(args: &New, context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let begun = context
        .ask(Begin {
            handle: args.handle.clone(),
            org: args.org,
            owner: args.owner.clone(),
            private_by_default: args.private_by_default,
            domains: args.domain.clone(),
        })
        .await?;
    if output.json {
        return output.json(&begun);
    }
    output.line(&begun.id.to_string())?;
    for name in &begun.names {
        output.note(&format!("{name} is {}/{} now", begun.id, name.name()));
    }
    output.warn(&format!(
        "{} can change who signs for {}: move it away from this node, and keep a copy",
        begun.root_key.display(),
        begun.handle
    ));
    Ok(())
}

async fn show(context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let shown = context.ask(PublisherShow {}).await?;
    if output.json {
        return output.json(&shown);
    }
    if shown.publishers.is_empty() {
        output.note("this node signs for no publisher: `hubless publisher new HANDLE` makes one");
        return Ok(());
    }
    let mut table = Table::new([
        ("HANDLE", Align::Left),
        ("ID", Align::Left),
        ("WHAT", Align::Left),
        ("KEY", Align::Left),
    ]);
    for publisher in &shown.publishers {
        let mut first = [
            text::printable(&publisher.handle).into_owned(),
            publisher.id.to_string(),
        ];
        let root = match publisher.keys.len() {
            1 => "root key".to_owned(),
            all => format!("root key, {} of {all} sign", publisher.threshold),
        };
        let signers = publisher
            .signers
            .iter()
            .map(|key| ("signer".to_owned(), key));
        let roots = publisher.keys.iter().map(|key| (root.clone(), key));
        for (what, key) in signers.chain(roots) {
            let [handle, id] = std::mem::take(&mut first);
            table.row([handle, id, what, key.to_string()]);
        }
    }
    output.lines(&table.lines())?;
    let idle = shown.publishers.iter().filter(|publisher| !publisher.signs);
    for publisher in idle {
        output.warn(&format!(
            "the key of this node is no signer of {} any more",
            publisher.handle
        ));
    }
    Ok(())
}

async fn join(args: &Join, context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let joined = context
        .ask(PublisherJoin {
            publisher: args.publisher,
            root: args.root_key.as_deref().map(absolute),
        })
        .await?;
    if output.json {
        return output.json(&joined);
    }
    output.line(&joined.signer.to_string())?;
    if let Some(root) = joined.root {
        output.line(&root.to_string())?;
    }
    match joined.publisher {
        Some(publisher) => output.note(&format!("this node signs for {publisher} from now on")),
        None => output.note(
            "where the root key is: `hubless publisher sign --root FILE --add KEY`; then here: \
             `hubless publisher join ID`",
        ),
    }
    Ok(())
}

async fn sign(args: &SignArgs, context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let file = args.output.as_deref().or(args.proposal.as_deref());
    let signed = context
        .ask(Sign {
            publisher: args.publisher.clone(),
            proposal: args.proposal.as_deref().map(absolute),
            changes: Changes {
                add: args.add.clone(),
                remove: args.remove.clone(),
                keys: args.keys.clone(),
                threshold: args.threshold,
            },
            root: args.root.as_deref().map(absolute),
            output: absolute(file.unwrap_or(Path::new(PROPOSAL))),
        })
        .await?;
    if output.json {
        return output.json(&signed);
    }
    if let Some(proposal) = &signed.proposal {
        output.line(&text::printable(&proposal.to_string_lossy()))?;
    }
    output.note(&outcome(&signed));
    Ok(())
}

fn outcome(signed: &Signed) -> String {
    match signed.state {
        SignState::Published => format!(
            "change {} is in effect: {}",
            signed.number,
            text::count(signed.heads as u64, "head")
        ),
        SignState::Signed => {
            "it has all signatures: `hubless publisher sign FILE` on a node that signs for the publisher \
             puts it into effect"
                .to_owned()
        }
        SignState::Proposed => {
            let missing = [
                (signed.missing, "root key"),
                (signed.missing_new, "new root key"),
            ];
            let missing = missing.into_iter().filter(|(number, _)| *number > 0);
            let missing = missing.map(|(number, what)| text::count(number as u64, what));
            let missing: Vec<String> = missing.collect();
            format!(
                "it needs {} more: `hubless publisher sign FILE --root KEY_FILE`",
                missing.join(" and ")
            )
        }
    }
}

fn parse_key(text: &str) -> Result<PublicKey, Failure> {
    text.parse()
        .map_err(|error: hubless_content::ParseKeyError| {
            Failure::new(FailureKind::Usage, error.to_string())
                .hint("`hubless publisher join` prints the key of a node")
        })
}
