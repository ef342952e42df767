//! The commands, one a file: arguments, call, and what a person reads of the answer.

pub(crate) mod add;
pub(crate) mod cat;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod follow;
pub(crate) mod gc;
pub(crate) mod get;
pub(crate) mod id;
pub(crate) mod info;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod name;
pub(crate) mod peers;
pub(crate) mod pin;
pub(crate) mod providers;
pub(crate) mod publish;
pub(crate) mod publisher;
pub(crate) mod rm;
pub(crate) mod seed;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod ticket;
pub(crate) mod trust;
pub(crate) mod unfollow;
pub(crate) mod unpin;
pub(crate) mod verify;
pub(crate) mod why;

use crate::{failure::Error, output::Output, settings::Settings, work::block_on};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Add(add::Args),
    Seed(seed::Args),
    Publish(publish::Args),
    Serve(serve::Args),
    Get(get::Args),
    Cat(cat::Args),
    Ls(ls::Args),
    Name(name::Args),
    Follow(follow::Args),
    Unfollow(unfollow::Args),
    Publisher(publisher::Args),
    Info(info::Args),
    Rm(rm::Args),
    Pin(pin::Args),
    Unpin(unpin::Args),
    Gc(gc::Args),
    Verify(verify::Args),
    Id(id::Args),
    Status(status::Args),
    Peers(peers::Args),
    Providers(providers::Args),
    Ticket(ticket::Args),
    Trust(trust::Args),
    Why(why::Args),
    Config(config::Args),
    Completions(completions::Args),
    Man(man::Args),
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
            Self::Publish(args) => args.network.put(&mut flags),
            Self::Get(args) => args.network.put(&mut flags),
            Self::Cat(args) => args.network.put(&mut flags),
            Self::Providers(args) => args.network.put(&mut flags),
            // No arm for the rest: a new command has to say whether it takes such flags.
            Self::Add(_)
            | Self::Ls(_)
            | Self::Name(_)
            | Self::Follow(_)
            | Self::Unfollow(_)
            | Self::Publisher(_)
            | Self::Info(_)
            | Self::Rm(_)
            | Self::Pin(_)
            | Self::Unpin(_)
            | Self::Gc(_)
            | Self::Verify(_)
            | Self::Id(_)
            | Self::Status(_)
            | Self::Peers(_)
            | Self::Ticket(_)
            | Self::Trust(_)
            | Self::Why(_)
            | Self::Completions(_)
            | Self::Man(_) => {}
        }
        flags
    }
}

/// Runs the command. `settings` reads the configuration, and `described` makes the whole command
/// line: each is called only for a command that needs it.
pub(crate) fn run(
    command: &Command,
    settings: impl FnOnce() -> Result<Settings, Error>,
    described: fn() -> clap::Command,
    output: &Output,
) -> Result<(), Error> {
    match command {
        // These work whatever the configuration says.
        Command::Completions(args) => completions::run(args, described(), output),
        Command::Man(args) => man::run(args, described(), output),
        Command::Config(args) => config::run(args, output, settings),
        command => block_on(settings()?, output, async |context| match command {
            Command::Add(args) => add::run(args, context).await,
            Command::Seed(args) => seed::run(args, context).await,
            Command::Serve(args) => serve::run(args, context).await,
            Command::Publish(args) => publish::run(args, context).await,
            Command::Get(args) => get::run(args, context).await,
            Command::Cat(args) => cat::run(args, context).await,
            Command::Ls(args) => ls::run(args, context).await,
            Command::Name(args) => name::run(args, context).await,
            Command::Follow(args) => follow::run(args, context).await,
            Command::Unfollow(args) => unfollow::run(args, context).await,
            Command::Publisher(args) => publisher::run(args, context).await,
            Command::Info(args) => info::run(args, context).await,
            Command::Rm(args) => rm::run(args, context).await,
            Command::Pin(args) => pin::run(args, context).await,
            Command::Unpin(args) => unpin::run(args, context).await,
            Command::Gc(args) => gc::run(args, context).await,
            Command::Verify(args) => verify::run(args, context).await,
            Command::Id(args) => id::run(args, context).await,
            Command::Status(args) => status::run(args, context).await,
            Command::Peers(args) => peers::run(args, context).await,
            Command::Providers(args) => providers::run(args, context).await,
            Command::Ticket(args) => ticket::run(args, context).await,
            Command::Trust(args) => trust::run(args, context).await,
            Command::Why(args) => why::run(args, context).await,
            Command::Config(_) | Command::Completions(_) | Command::Man(_) => Ok(()),
        }),
    }
}
