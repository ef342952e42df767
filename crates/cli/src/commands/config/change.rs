//! `hubless config set` and `unset`: the file, and a node that runs.

use hubless_node::{
    Session,
    api::{Configure, FailureKind, Holds},
    config::{self, ConfigError, Origin},
    config_file,
};
use serde::Serialize;

use crate::{
    failure::{Error, Failure, with_causes},
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

impl Set {
    pub(super) fn run(&self, output: &Output, settings: Settings) -> Result<(), Error> {
        change(&self.key, Some(&self.value), output, settings)
    }
}

impl Unset {
    pub(super) fn run(&self, output: &Output, settings: Settings) -> Result<(), Error> {
        change(&self.key, None, output, settings)
    }
}

/// Changes the key, and reports from when the change holds.
fn change(key: &str, text: Option<&str>, output: &Output, settings: Settings) -> Result<(), Error> {
    let parsed = text.map(|text| config::parse(key, text)).transpose();
    let value = parsed.map_err(|error| match error {
        // It was typed here, and nowhere else: no variable or file has to be checked.
        ConfigError::Value { .. } => Failure::new(FailureKind::Usage, with_causes(&error))
            .hint(format!("`hubless config show` explains {key}"))
            .into(),
        error => Error::from(error),
    })?;
    if settings.resolved.origins.get(key) == Some(&Origin::Environment) {
        let variable = config::key_of(key)?.variable();
        output.warn(&format!(
            "{variable} is set here and goes before config.toml"
        ));
    }
    block_on(settings, output, async |context| {
        let holds = apply(context, key, text).await?;
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

async fn apply(context: &Context<'_>, key: &str, text: Option<&str>) -> Result<Holds, Error> {
    let home = &context.settings.home;
    let Some(node) = Session::running(home).await? else {
        match text {
            Some(text) => config_file::set(home, key, text)?,
            None => config_file::unset(home, key)?,
        }
        return Ok(Holds::FromNextStart);
    };
    let call = node.call(Configure {
        key: key.to_owned(),
        value: text.map(str::to_owned),
    });
    let mut events = Events::silent(context.output);
    let configured = context.finish(call, &mut events).await?;
    // A command that is under way ends; what is not changed in it now holds from the next one.
    Ok(match configured.holds {
        Holds::AfterRestart if !node.is_served() => Holds::FromNextStart,
        holds => holds,
    })
}
