//! Options that commands share: the global ones, and the flags of configuration keys.
//!
//! The flags are made from the table of keys in `hubless_node::config`, so that a key and its flag
//! are declared once.

use std::path::{Path, PathBuf};

use clap::{
    Arg, ArgAction, ArgMatches,
    builder::{PossibleValuesParser, ValueParser},
    value_parser,
};
use hubless_node::{
    Ticket,
    api::Multiaddr,
    config::{self, ConfigError, Flag, FlagSection, Form, KEYS, Key},
};

/// Options of every command.
#[derive(Debug, clap::Args)]
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

    /// More log output; repeat for more
    ///
    /// HUBLESS_LOG holds a finer filter, such as "hubless_network=debug", and goes before this.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Show no progress: no bar on a terminal, no line every 10 s elsewhere
    #[arg(long, global = true)]
    pub(crate) no_progress: bool,
}

/// How a node reaches others; each option sets a configuration key.
#[derive(Debug)]
pub(crate) struct Network {
    flags: toml::Table,
}

/// What a node that serves does; each option sets a configuration key.
#[derive(Debug)]
pub(crate) struct Serving {
    flags: toml::Table,
}

impl Network {
    /// Adds the configuration that the flags set.
    pub(crate) fn put(&self, flags: &mut toml::Table) {
        flags.extend(self.flags.clone());
    }

    /// The nodes that `--peer` names. What is no address was refused with the configuration.
    pub(crate) fn peers(&self) -> Vec<Multiaddr> {
        let peers = self.flags.get("peers").and_then(toml::Value::as_array);
        let texts = peers.into_iter().flatten().filter_map(toml::Value::as_str);
        texts.filter_map(|text| text.parse().ok()).collect()
    }

    /// The peers to ask for what a ticket names: its own, and those of the command line, which a
    /// node that already runs would otherwise not know.
    pub(crate) fn peers_to_ask(&self, ticket: &Ticket) -> Vec<Multiaddr> {
        [ticket.peers(), &self.peers()].concat()
    }
}

impl Serving {
    /// Adds the configuration that the flags set.
    pub(crate) fn put(&self, flags: &mut toml::Table) {
        flags.extend(self.flags.clone());
    }
}

/// Makes clap's part of a section out of the table of keys.
macro_rules! section {
    ($name:ident) => {
        impl clap::Args for $name {
            fn augment_args(command: clap::Command) -> clap::Command {
                command.args(flags_of(FlagSection::$name).map(|(key, flag)| arg(key, flag)))
            }

            fn augment_args_for_update(command: clap::Command) -> clap::Command {
                Self::augment_args(command)
            }
        }

        impl clap::FromArgMatches for $name {
            fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
                let flags = flags_of(FlagSection::$name)
                    .filter_map(|(key, flag)| {
                        Some((key.name.to_owned(), value(key, flag, matches)?))
                    })
                    .collect();
                Ok(Self { flags })
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
                *self = Self::from_arg_matches(matches)?;
                Ok(())
            }
        }
    };
}

section!(Network);
section!(Serving);

fn flags_of(section: FlagSection) -> impl Iterator<Item = (&'static Key, &'static Flag)> {
    let flags = KEYS
        .iter()
        .filter_map(|key| Some((key, key.flag.as_ref()?)));
    flags.filter(move |(_, flag)| flag.section == section)
}

fn arg(key: &'static Key, flag: &'static Flag) -> Arg {
    let heading = match flag.section {
        FlagSection::Network => "Network",
        FlagSection::Serving => "Serving",
    };
    let arg = Arg::new(key.name).long(flag.name()).help_heading(heading);
    let arg = match flag.help.split_once("\n\n") {
        Some((short, _)) => arg.help(short).long_help(flag.help),
        None => arg.help(flag.help),
    };
    let Some(value_name) = flag.value_name() else {
        return arg.action(ArgAction::SetTrue);
    };
    arg.value_name(value_name)
        .action(if key.form.is_list() {
            ArgAction::Append
        } else {
            ArgAction::Set
        })
        .value_parser(parser(key))
}

fn parser(key: &'static Key) -> ValueParser {
    match key.form {
        Form::OneOf(words) => PossibleValuesParser::new(words).into(),
        Form::Path => value_parser!(PathBuf),
        // Addresses are checked with the rest of the configuration, where the error says what was
        // probably meant.
        Form::Addresses | Form::Texts => value_parser!(String),
        Form::Switch | Form::Text | Form::Size => {
            let parse = |text: &str| match config::parse(key.name, text) {
                Ok(_) => Ok(text.to_owned()),
                // clap names the flag.
                Err(ConfigError::Value { message, .. }) => Err(message),
                Err(error) => Err(error.to_string()),
            };
            ValueParser::new(parse)
        }
    }
}

/// What the flag sets, in the terms of the configuration; none if it is not given.
fn value(key: &Key, flag: &Flag, matches: &ArgMatches) -> Option<toml::Value> {
    match key.form {
        Form::Switch => {
            let turns_off = flag.name().starts_with("no-");
            matches.get_flag(key.name).then(|| (!turns_off).into())
        }
        Form::Path => {
            let path: &PathBuf = matches.get_one(key.name)?;
            Some(absolute(path).to_string_lossy().into_owned().into())
        }
        Form::Addresses | Form::Texts => {
            let items = matches.get_many::<String>(key.name)?;
            Some(items.cloned().collect::<Vec<_>>().into())
        }
        Form::Text | Form::Size | Form::OneOf(_) => {
            let text: &String = matches.get_one(key.name)?;
            Some(text.as_str().into())
        }
    }
}

/// The path from the root: a node that runs elsewhere has another working directory.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
