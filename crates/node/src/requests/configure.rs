//! `configure`: changes of the configuration.

use std::sync::Arc;

use hubless_transfer::Blocking;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Call;
use crate::{
    config::{self, ByteSize, ChangeHolds},
    config_file,
    core::{Core, Limit},
    failure::Failure,
    replies::ReplySink,
};

/// Sets a key in `config.toml`, and in the running node if the key can change there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Configure {
    /// The key.
    pub key: String,
    /// The value, in the form of the environment variables; none for the default.
    pub value: Option<String>,
}

/// A key of the configuration was set.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Configured {
    /// The key.
    pub key: String,
    /// Its value; null if it was unset.
    #[schemars(with = "serde_json::Value")]
    pub value: Option<toml::Value>,
    /// When the change takes effect.
    pub holds: Holds,
}

/// When a change of the configuration takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// A running node has applied it.
    Now,
    /// A running node must be restarted.
    AfterRestart,
    /// No node runs.
    FromNextStart,
}

impl Call for Configure {
    type Answer = Configured;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<Configured, Failure> {
        let Self { key, value: text } = self;
        let value = match &text {
            Some(text) => Some(config::parse(&key, text)?),
            None => None,
        };
        let (home, name) = (core.home.path().to_owned(), key.clone());
        Blocking::run_long(move || match text {
            Some(text) => config_file::set(&home, &name, &text),
            None => config_file::unset(&home, &name),
        })
        .await??;
        // A key without a limit of its own changes nothing in the running node.
        if let Some(limit) = limit_of(&key) {
            // `config::parse` has accepted it before.
            let rate = value.clone().and_then(|rate| ByteSize::try_from(rate).ok());
            core.limit(limit, rate.map(|ByteSize(bytes)| bytes));
        }
        let holds = match config::key_of(&key)?.holds {
            ChangeHolds::Now => Holds::Now,
            ChangeHolds::AfterRestart => Holds::AfterRestart,
        };
        Ok(Configured { key, value, holds })
    }
}

/// The limit of a running node that a key sets.
fn limit_of(key: &str) -> Option<Limit> {
    match key {
        "limit_up" => Some(Limit::Up),
        "limit_down" => Some(Limit::Down),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KEYS;

    #[test]
    fn what_is_said_to_hold_at_once_is_applied_to_the_running_node() {
        for key in KEYS {
            let is_applied = limit_of(key.name).is_some();
            assert_eq!(is_applied, key.holds == ChangeHolds::Now, "{}", key.name);
        }
    }
}
