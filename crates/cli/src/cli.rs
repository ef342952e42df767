//! What can be typed: the options that several commands share, and the list of commands.
//!
//! The arguments of one command stand in its own file under `commands/`. The doc comments are the
//! manual: `--help`, the man pages and `docs/cli.md` are made from them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use hubless_content::{ContentHash, ModelPath, PathError};
use hubless_node::{
    Ticket,
    api::FailureKind,
    config::{ByteSize, GatewayAt, UpstreamUrl},
};

use crate::{
    commands,
    failure::{Failure, with_causes},
};

/// Share AI models peer to peer: no hub, every byte verified.
///
/// A model is a directory, and its address is a hash of its content. Whoever has the hash can fetch
/// the model from any node that holds it; every chunk is checked before it is kept, and at once
/// served to the next one.
#[derive(Debug, Parser)]
#[command(name = "hubless", version, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "Try `hubless seed DIR` on one machine and `hubless get HASH` on another.")]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The command line for what is made from it: without `help`, which would be there for every command
/// a second time.
pub(crate) fn described() -> clap::Command {
    <Cli as clap::CommandFactory>::command().disable_help_subcommand(true)
}

const AFTER_LONG_HELP: &str = "\
First steps:
  hubless seed ./my-model           Prints the model's hash and serves it until Ctrl-C
  hubless get HASH -o ./my-model    Fetches it on another machine

When a node runs (`hubless serve` or `hubless seed`), every other command with the same home
directory talks to it; without one, a command does its work itself, and that of others which start
on the same home directory before it ends.

Configuration: a flag goes before the environment (HUBLESS_<KEY>, lists separated by commas), that
before config.toml in the home directory, that before the default. `hubless config show --origin`
prints what is in effect and where it comes from.

Exit codes:
    0  ok
    1  another failure
    2  wrong usage: an argument, a configuration key, a path that is no directory
    3  not found: not here, or nobody provides it
    4  denied
    5  integrity: bytes are not what they should be
    6  network: no peer could be reached, or an address cannot be used
    7  partial: some of it is there, the rest could not be had
    8  busy: something else uses the home directory
    9  no space: the disk or the quota is full
  130  interrupted";

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Directory of the node: its store, identity and config.toml [env: HUBLESS_HOME] [default:
    /// hubless in the XDG data directory, ~/.local/share]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,

    /// Print results as JSON: one object, or one event a line for long work
    ///
    /// Errors are then one JSON object on stderr: {"error":{"kind","message","hint"}}.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Print only results and errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    /// Print what happens inside; again for more
    ///
    /// HUBLESS_LOG holds a finer filter, such as "hubless_network=debug", and goes before this.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Show no progress: no bar on a terminal, no line every 10 s elsewhere
    #[arg(long, global = true)]
    pub(crate) no_progress: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Add(commands::add::Args),
    Seed(commands::seed::Args),
    Serve(commands::serve::Args),
    Get(commands::get::Args),
    Cat(commands::cat::Args),
    Ls(commands::ls::Args),
    Name(commands::name::Args),
    Info(commands::info::Args),
    Rm(commands::rm::Args),
    Pin(commands::pin::Args),
    Unpin(commands::unpin::Args),
    Gc(commands::gc::Args),
    Verify(commands::verify::Args),
    Id(commands::id::Args),
    Status(commands::status::Args),
    Peers(commands::peers::Args),
    Providers(commands::providers::Args),
    Ticket(commands::ticket::Args),
    Why(commands::why::Args),
    Config(commands::config::Args),
    Completions(commands::completions::Args),
    Man(commands::man::Args),
}

impl Command {
    /// Whether it runs a node until it is stopped.
    pub(crate) fn serves(&self) -> bool {
        matches!(self, Self::Serve(_) | Self::Seed(_))
    }

    /// The configuration that the command's flags set, under the names of the configuration's keys.
    pub(crate) fn flags(&self) -> toml::Table {
        let mut flags = toml::Table::new();
        match self {
            Self::Serve(args) => {
                args.network.put(&mut flags);
                args.serving.put(&mut flags);
            }
            Self::Seed(args) => {
                args.network.put(&mut flags);
                args.serving.put(&mut flags);
            }
            Self::Config(args) => args.put(&mut flags),
            Self::Get(args) => args.network.put(&mut flags),
            Self::Cat(args) => args.network.put(&mut flags),
            Self::Providers(args) => args.network.put(&mut flags),
            _ => {}
        }
        flags
    }
}

/// How a node reaches others; each option sets the configuration key of the same name.
#[derive(Debug, Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct Network {
    /// Listen on this address, such as /ip4/0.0.0.0/tcp/8420 (repeatable)
    #[arg(long, value_name = "MULTIADDR")]
    listen: Vec<String>,

    /// Join the DHT through this node, an address ending in /p2p/<peer id> (repeatable)
    #[arg(long, value_name = "MULTIADDR")]
    bootstrap: Vec<String>,

    /// Stay connected to this node and ask it first, an address ending in /p2p/<peer id>
    /// (repeatable)
    #[arg(long, value_name = "MULTIADDR")]
    pub(crate) peer: Vec<String>,

    /// Do not look for nodes on the local network
    #[arg(long)]
    no_mdns: bool,

    /// Do not ask the router for a port
    #[arg(long)]
    no_upnp: bool,

    /// Talk only to nodes with the same pre-shared key
    #[arg(long, value_name = "FILE")]
    network_key: Option<PathBuf>,

    /// Send at most this much a second, such as 10MB or 10MiB
    #[arg(long, value_name = "RATE")]
    limit_up: Option<ByteSize>,

    /// Take at most this much a second, such as 10MB or 10MiB
    #[arg(long, value_name = "RATE")]
    limit_down: Option<ByteSize>,
}

impl Network {
    pub(crate) fn put(&self, flags: &mut toml::Table) {
        put_list(flags, "listen", &self.listen);
        put_list(flags, "bootstrap", &self.bootstrap);
        put_list(flags, "peers", &self.peer);
        put(flags, "mdns", self.no_mdns.then_some(false));
        put(flags, "upnp", self.no_upnp.then_some(false));
        put_path(flags, "network_key", self.network_key.as_deref());
        put(flags, "limit_up", self.limit_up.map(String::from));
        put(flags, "limit_down", self.limit_down.map(String::from));
    }

    /// The peers to ask for what a ticket names: its own, and those of the command line, which a
    /// node that already runs would otherwise not know.
    pub(crate) fn peers_to_ask(&self, ticket: &Ticket) -> Vec<String> {
        let named = ticket.peers().iter().map(ToString::to_string);
        named.chain(self.peer.iter().cloned()).collect()
    }
}

/// What a node that serves does; each option sets the configuration key of the same name.
#[derive(Debug, Args)]
#[command(next_help_heading = "Serving")]
pub(crate) struct Serving {
    /// Store at most this much, such as 500GB
    #[arg(long, value_name = "SIZE")]
    quota: Option<ByteSize>,

    /// What to announce in the DHT: content hashes, file hashes too (default), or every chunk too
    /// (for small networks)
    #[arg(long, value_name = "POLICY", value_parser = ["roots", "files", "chunks"])]
    announce: Option<String>,

    /// Relay connections for nodes that cannot be reached directly, within limits
    #[arg(long)]
    relay: bool,

    /// Answer Hugging Face clients and browsers over HTTP at this address, or "off" [default:
    /// 127.0.0.1:8421]
    #[arg(long, value_name = "ADDRESS|off")]
    gateway: Option<GatewayAt>,

    /// Ask for the token in this file; needed where other machines reach the gateway
    #[arg(long, value_name = "FILE")]
    gateway_token: Option<PathBuf>,

    /// Answer under this name or address too, such as that of a proxy before the gateway (repeatable)
    #[arg(long, value_name = "NAME")]
    gateway_name: Vec<String>,

    /// Ask this hub for repos that are not here, such as https://huggingface.co or another node's
    /// gateway
    ///
    /// What comes from it is verified, kept and shared like everything else; that of private and
    /// gated repos is kept from peers, and given to those clients alone whose token the hub accepts.
    #[arg(long, value_name = "URL")]
    upstream: Option<UpstreamUrl>,

    /// Use the token in this file at the upstream, for clients that have the gateway's token
    ///
    /// Their one Authorization header is for the gateway, so they cannot send a token of their own.
    #[arg(long, value_name = "FILE")]
    upstream_token_file: Option<PathBuf>,

    /// A host that the upstream may send downloads to: NAME, NAME:PORT or *.NAME (repeatable)
    ///
    /// Those of huggingface.co are known. Nothing else is contacted.
    #[arg(long, value_name = "HOST")]
    upstream_host: Vec<String>,
}

impl Serving {
    pub(crate) fn put(&self, flags: &mut toml::Table) {
        put(flags, "quota", self.quota.map(String::from));
        put(flags, "announce", self.announce.clone());
        put(flags, "relay", self.relay.then_some(true));
        put(flags, "gateway", self.gateway.map(String::from));
        put_path(flags, "gateway_token", self.gateway_token.as_deref());
        put_list(flags, "gateway_names", &self.gateway_name);
        put(flags, "upstream", self.upstream.clone().map(String::from));
        put_path(
            flags,
            "upstream_token_file",
            self.upstream_token_file.as_deref(),
        );
        put_list(flags, "upstream_hosts", &self.upstream_host);
    }
}

fn put(flags: &mut toml::Table, key: &str, value: Option<impl Into<toml::Value>>) {
    if let Some(value) = value {
        flags.insert(key.to_owned(), value.into());
    }
}

fn put_path(flags: &mut toml::Table, key: &str, path: Option<&std::path::Path>) {
    let absolute = path.map(absolute);
    put(
        flags,
        key,
        absolute.map(|path| path.to_string_lossy().into_owned()),
    );
}

fn put_list(flags: &mut toml::Table, key: &str, items: &[String]) {
    put(flags, key, (!items.is_empty()).then(|| items.to_vec()));
}

/// The path from the root: a node that runs elsewhere has another working directory.
pub(crate) fn absolute(path: &std::path::Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

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
