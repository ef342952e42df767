//! `hubless config`: what is configured, and by whom.

mod change;

use hubless_node::config::{CONFIG_FILE, Config, Origin, Resolved, keys};
use serde_json::json;

use crate::{
    cli::{Network, Serving},
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
    for key in in_order(keys()) {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(text_of(&key).map(|text| format!("# {text}")));
        let line = match values.get(&key) {
            Some(value) => format!("{key} = {value}"),
            None => format!("# {key} is not set"),
        };
        let origin = resolved.origins.get(&key).filter(|_| with_origin);
        lines.push(match origin {
            Some(origin) => format!("{line}  # {}", origin_text(*origin, &key)),
            None => line,
        });
    }
    lines
}

fn origin_text(origin: Origin, key: &str) -> String {
    match origin {
        Origin::Default => "default".to_owned(),
        Origin::File => CONFIG_FILE.to_owned(),
        Origin::Environment => format!("environment HUBLESS_{}", key.to_uppercase()),
        Origin::Flag => "flag".to_owned(),
    }
}

/// What each key means, in the order in which people think of them. The texts are the doc comments
/// of [`Config`]'s fields, which a program cannot read; a test holds both equal.
const TEXTS: [(&str, &str); 20] = [
    ("listen", "Addresses to listen on, as multiaddrs."),
    (
        "bootstrap",
        "Nodes through which the DHT is joined, as multiaddrs ending in /p2p/<peer id>.",
    ),
    (
        "peers",
        "Nodes to stay connected to and to ask first, as multiaddrs ending in /p2p/<peer id>.",
    ),
    ("mdns", "Find nodes on the local network by multicast DNS."),
    ("upnp", "Ask the router for a port (UPnP)."),
    (
        "relay",
        "Relay connections for nodes that cannot be reached directly, within limits.",
    ),
    (
        "announce",
        "What is announced in the DHT: \"roots\", \"files\" or \"chunks\".",
    ),
    (
        "digests",
        "Compute the SHA-256 and git ids of files in the background, so that others find them by these.",
    ),
    (
        "scrub",
        "How often every stored file is read and checked in the background, such as \"30d\", or \"off\".",
    ),
    (
        "limit_up",
        "Bytes per second sent to others, such as \"10MB\"; no limit without.",
    ),
    (
        "limit_down",
        "Bytes per second taken from others, such as \"10MB\"; no limit without.",
    ),
    (
        "quota",
        "The most the store may hold, such as \"500GB\"; no limit without.",
    ),
    (
        "network_key",
        "A file with a pre-shared key: the node then talks only to nodes with the same key.",
    ),
    (
        "gateway",
        "Where Hugging Face clients and browsers are answered over HTTP, or \"off\".",
    ),
    (
        "gateway_token",
        "A file with the token that the gateway asks for; needed where other machines reach it.",
    ),
    (
        "gateway_names",
        "Names and addresses by which the gateway is reached beside its own, such as those of a proxy before it.",
    ),
    (
        "upstream",
        "The hub that the gateway asks for what is not here, by its URL.",
    ),
    (
        "upstream_token_file",
        "A file with a token for the upstream, used for callers that have the gateway's token.",
    ),
    (
        "upstream_hosts",
        "Hosts that the upstream may send downloads to, as NAME, NAME:PORT or *.NAME; known for huggingface.co.",
    ),
    (
        "upstream_keep_deleted",
        "Keep what the upstream deletes or makes private readable by its commit id.",
    ),
];

fn text_of(key: &str) -> Option<&'static str> {
    TEXTS
        .iter()
        .find(|(name, _)| *name == key)
        .map(|(_, text)| *text)
}

fn in_order(mut keys: Vec<String>) -> Vec<String> {
    let place = |key: &String| TEXTS.iter().position(|(name, _)| name == key);
    keys.sort_by_key(|key| place(key).unwrap_or(TEXTS.len()));
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_text_from_the_source() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../node/src/config.rs");
        let source = std::fs::read_to_string(path).unwrap();
        for key in keys() {
            let text = text_of(&key).unwrap_or_else(|| panic!("add the text of {key} to TEXTS"));
            let documented = format!("    /// {text}\n    pub {key}: ");
            assert!(
                source.contains(&documented),
                "{key} has another text in {path}"
            );
        }
    }

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
