//! The configuration of a running node: current values, and changes.

use std::sync::Arc;

use crate::{
    api::{Configured, Failure, Holds},
    config::{self, ByteSize, ChangeHolds, Config, Rate},
    config_file,
    core::{Core, Limit},
    node::NodeHandle,
    requests::json,
};
use hubless_transfer::Blocking;

impl NodeHandle {
    /// The current configuration, with changed limits.
    pub fn config(&self) -> Config {
        let rate = |bytes| Rate(ByteSize(bytes));
        let (up, down) = self.core.limits();
        Config {
            limit_up: up.map(rate),
            limit_down: down.map(rate),
            ..self.core.config.clone()
        }
    }
}

/// Sets or unsets a key in `config.toml`; limits change at once.
pub(crate) async fn configure(
    core: &Arc<Core>,
    key: String,
    text: Option<String>,
) -> Result<Configured, Failure> {
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
    Ok(Configured {
        value: json(value)?,
        key,
        holds,
    })
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
