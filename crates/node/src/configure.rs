//! The configuration of a running node: current values, and changes.

use std::sync::Arc;

use crate::{
    api::{Configured, Failure, Holds},
    config::{self, ByteSize, Config},
    config_file,
    core::{Core, Limit},
    node::NodeHandle,
    requests::json,
};
use hubless_transfer::Blocking;

impl NodeHandle {
    /// The current configuration, with changed limits.
    pub fn config(&self) -> Config {
        let (up, down) = self.core.limits();
        Config {
            limit_up: up.map(ByteSize),
            limit_down: down.map(ByteSize),
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
    let limit = match key.as_str() {
        "limit_up" => Some(Limit::Up),
        "limit_down" => Some(Limit::Down),
        _ => None,
    };
    let holds = match limit {
        Some(limit) => {
            // `config::parse` has accepted it before.
            let rate = value.clone().and_then(|rate| ByteSize::try_from(rate).ok());
            core.limit(limit, rate.map(|ByteSize(bytes)| bytes));
            Holds::Now
        }
        None => Holds::AfterRestart,
    };
    Ok(Configured {
        value: json(value)?,
        key,
        holds,
    })
}
