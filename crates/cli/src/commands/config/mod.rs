//! `hubless config`: the configuration that is in effect, where each value comes from, and changes.

mod change;

use hubless_node::config::{CONFIG_FILE, Config, KEYS, Key, Origin, Resolved};
use serde_json::json;

use crate::{
    args::{Network, Serving},
    failure::Error,
    output::Output,
    settings::Settings,
};

/// Show and change the configuration
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Show(Box<Show>),
    Set(change::Set),
    Unset(change::Unset),
}

/// Print the configuration that is in effect, as a config.toml
///
/// A flag goes before the environment (HUBLESS_<KEY>), that before config.toml in the home
/// directory, that before the default. The flags of `hubless serve` can be given to see what they
/// do.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  hubless config show --origin
  hubless config show --defaults > ~/.local/share/hubless/config.toml")]
struct Show {
    /// Print where each value comes from
    #[arg(long)]
    origin: bool,

    /// Print the defaults, whatever is configured
    #[arg(long, conflicts_with = "origin")]
    defaults: bool,

    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    serving: Serving,
}

impl Args {
    /// Adds the configuration that the flags set.
    pub(crate) fn put(&self, flags: &mut toml::Table) {
        if let Command::Show(show) = &self.command {
            show.network.put(flags);
            show.serving.put(flags);
        }
    }
}

pub(crate) fn run(
    args: &Args,
    output: &Output,
    settings: impl FnOnce() -> Result<Settings, Error>,
) -> Result<(), Error> {
    match &args.command {
        Command::Show(args) => show(args, output, settings),
        Command::Set(set) => set.run(output, settings()?),
        Command::Unset(unset) => unset.run(output, settings()?),
    }
}

fn show(
    show: &Show,
    output: &Output,
    settings: impl FnOnce() -> Result<Settings, Error>,
) -> Result<(), Error> {
    let resolved = match show.defaults {
        // Also for a person whose configuration has a mistake.
        true => Resolved {
            config: Config::default(),
            origins: Default::default(),
        },
        false => settings()?.resolved,
    };
    if output.json {
        return match show.origin {
            true => output.json(&with_origins(&resolved)),
            false => output.json(&resolved.config),
        };
    }
    output.lines(&as_toml(&resolved, show.origin))
}

fn with_origins(resolved: &Resolved) -> serde_json::Value {
    let values = serde_json::to_value(&resolved.config).unwrap_or_default();
    let entry = |(key, origin): (&String, &Origin)| {
        (
            key.clone(),
            json!({ "value": values[key], "origin": origin }),
        )
    };
    resolved
        .origins
        .iter()
        .map(entry)
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// The configuration as a file that could be used: keys without a value are commented out.
fn as_toml(resolved: &Resolved, with_origin: bool) -> Vec<String> {
    let values = toml::Table::try_from(&resolved.config).unwrap_or_default();
    let mut lines = Vec::new();
    for key in KEYS {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(format!("# {}", key.text()));
        let name = key.name;
        let line = match values.get(name) {
            Some(value) => format!("{name} = {value}"),
            None => format!("# {name} is not set"),
        };
        let origin = resolved.origins.get(name).filter(|_| with_origin);
        lines.push(match origin {
            Some(origin) => format!("{line}  # {}", origin_text(*origin, key)),
            None => line,
        });
    }
    lines
}

fn origin_text(origin: Origin, key: &Key) -> String {
    match origin {
        Origin::Default => "default".to_owned(),
        Origin::File => CONFIG_FILE.to_owned(),
        Origin::Environment => format!("environment {}", key.variable()),
        Origin::Flag => "flag".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_used_as_a_file() {
        let resolved = Resolved {
            config: Config::default(),
            origins: Default::default(),
        };
        let text = as_toml(&resolved, true).join("\n");
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), Config::default());
    }
}
