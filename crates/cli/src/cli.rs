//! The command line: the options of every command.
//!
//! The list of commands stands in `commands/mod.rs`, the arguments of one command in its own file
//! beside it, those that commands share in `args.rs`. The doc comments are the manual: `--help`,
//! the man pages and `docs/cli.md` are made from them.

use clap::Parser;

use crate::{args::Global, commands::Command};

/// Share AI models peer to peer: no hub, every byte verified.
///
/// A model is a directory, and its address is a hash of its content. With the hash, any node can fetch
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
    3  not found: not here, or no node provides it
    4  denied
    5  integrity: bytes are not what they should be
    6  network: no peer could be reached, or an address cannot be used
    7  partial: some of it is there, the rest could not be had
    8  busy: something else uses the home directory
    9  no space: the disk or the quota is full
  130  interrupted";
