//! `hubless config set` and `unset`: the file, and a node that runs.

use hubless_node::{
    Session,
    api::{Direction, Request},
    config::{self, ByteSize, Origin},
    config_file,
};
use serde::Serialize;

use crate::{
    failure::Error,
    output::Output,
    settings::Settings,
    work::{Context, Events, block_on},
};

/// Set a key in config.toml, and in a node that runs
///
/// Comments and order of the file are kept. A running node takes limit_up and limit_down at once;
/// the other keys hold from its next start. Lists are given with commas.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  hubless config set limit_up 10MB
  hubless config set bootstrap /dns4/a.example.org/tcp/8420/p2p/12D3KooW...")]
pub(super) struct Set {
    /// The key, as `hubless config show` lists it
    #[arg(value_name = "KEY")]
    key: String,

    /// The value, without quotes
    #[arg(value_name = "VALUE")]
    value: String,
}

/// Take a key out of config.toml, so that its default holds
#[derive(Debug, clap::Args)]
pub(super) struct Unset {
    /// The key, as `hubless config show` lists it
    #[arg(value_name = "KEY")]
    key: String,
}

/// What came of it, for `--json`.
#[derive(Serialize)]
struct Changed<'a> {
    key: &'a str,
    value: Option<toml::Value>,
    holds: Holds,
}

/// From when the change holds.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Holds {
    /// A running node has it.
    Now,
    /// A node runs, which has to be started again.
    AfterRestart,
    /// No node runs.
    FromNextStart,
}

impl Set {
    pub(super) fn run(&self, output: &Output, settings: Settings) -> Result<(), Error> {
        let value = config::parse(&self.key, &self.value)?;
        config_file::set(&settings.home, &self.key, &self.value)?;
        tell(&self.key, Some(value), output, settings)
    }
}

impl Unset {
    pub(super) fn run(&self, output: &Output, settings: Settings) -> Result<(), Error> {
        config_file::unset(&settings.home, &self.key)?;
        tell(&self.key, None, output, settings)
    }
}

/// Tells a running node, and the caller.
fn tell(
    key: &str,
    value: Option<toml::Value>,
    output: &Output,
    settings: Settings,
) -> Result<(), Error> {
    if settings.resolved.origins.get(key) == Some(&Origin::Environment) {
        let variable = format!("HUBLESS_{}", key.to_uppercase());
        output.warn(&format!(
            "{variable} is set here and goes before config.toml"
        ));
    }
    block_on(settings, output, async |context| {
        let holds = apply(context, key, value.as_ref()).await?;
        if output.json {
            return output.json(&Changed { key, value, holds });
        }
        let what = match &value {
            Some(value) => format!("{key} = {value}"),
            None => format!("{key} is not set"),
        };
        output.note(&match holds {
            Holds::Now => format!("{what}; the running node has it"),
            Holds::AfterRestart => format!("{what}; start the running node again to have it"),
            Holds::FromNextStart => what,
        });
        Ok(())
    })
}

async fn apply(
    context: &Context<'_>,
    key: &str,
    value: Option<&toml::Value>,
) -> Result<Holds, Error> {
    let Some(node) = Session::running(&context.settings.home).await else {
        return Ok(Holds::FromNextStart);
    };
    let direction = match key {
        "limit_up" => Direction::Up,
        "limit_down" => Direction::Down,
        _ => return Ok(Holds::AfterRestart),
    };
    // `config::parse` has accepted it before.
    let rate = value.and_then(|value| ByteSize::try_from(value.clone()).ok());
    let request = Request::Limit {
        direction,
        bytes_per_second: rate.map(|ByteSize(bytes)| bytes),
    };
    let mut events = Events::silent(context.output);
    let () = context.finish(node.call(request), &mut events).await?;
    Ok(Holds::Now)
}
