//! The commands, one a file: arguments, request, and what a person reads of the result.

pub(crate) mod add;
pub(crate) mod cat;
pub(crate) mod completions;
pub(crate) mod config;
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
pub(crate) mod rm;
pub(crate) mod seed;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod ticket;
pub(crate) mod unpin;
pub(crate) mod verify;
pub(crate) mod why;

use crate::{
    cli::{Cli, Command},
    failure::Error,
    output::Output,
    settings::Settings,
    work::block_on,
};

/// Runs the command.
pub(crate) fn run(cli: Cli, command: &str, output: &Output) -> Result<(), Error> {
    let settings = || Settings::new(&cli.global, command, cli.command.flags());
    match &cli.command {
        // These work whatever the configuration says.
        Command::Completions(args) => completions::run(args, output),
        Command::Man(args) => man::run(args, output),
        Command::Config(args) => config::run(args, output, settings),
        command => block_on(settings()?, output, async |context| match command {
            Command::Add(args) => add::run(args, context).await,
            Command::Seed(args) => seed::run(args, context).await,
            Command::Serve(args) => serve::run(args, context).await,
            Command::Get(args) => get::run(args, context).await,
            Command::Cat(args) => cat::run(args, context).await,
            Command::Ls(args) => ls::run(args, context).await,
            Command::Name(args) => name::run(args, context).await,
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
            Command::Why(args) => why::run(args, context).await,
            Command::Config(_) | Command::Completions(_) | Command::Man(_) => Ok(()),
        }),
    }
}
