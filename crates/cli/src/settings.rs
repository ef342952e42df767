//! The home directory and the configuration, put together from flags, environment and file.

use std::path::{Path, PathBuf};

use hubless_node::{
    api::FailureKind,
    config::{self, Config, Origin, Resolved},
};

use crate::{
    args::Global,
    failure::{Error, Failure},
};

/// The port of a node that lives only as long as one command: any free one, so that it never clashes
/// with a node that serves.
const ANY_PORT: u16 = 0;

/// The variable that holds the home directory.
const HOME_VARIABLE: &str = "HUBLESS_HOME";

/// What a command works with.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The command's name, such as `get`.
    pub(crate) command: String,
    /// Absolute.
    pub(crate) home: PathBuf,
    pub(crate) resolved: Resolved,
}

impl Settings {
    pub(crate) fn new(global: &Global, command: &str, flags: toml::Table) -> Result<Self, Error> {
        let home = home(global.home.as_deref())?;
        let environment = config::environment(environment_texts()?.into_iter())?;
        let resolved = config::resolve(&home, environment, flags)?;
        Ok(Self {
            command: command.to_owned(),
            home,
            resolved,
        })
    }

    /// The configuration of a node that serves.
    pub(crate) fn config(&self) -> &Config {
        &self.resolved.config
    }

    /// The configuration of a node that lives only as long as one command.
    pub(crate) fn passing_config(&self) -> Config {
        let mut passing = self.resolved.config.clone();
        if self.resolved.origins.get("listen") == Some(&Origin::Default) {
            passing.listen = config::listen_on_port(ANY_PORT);
        }
        passing
    }

    /// The keys that flags have set, in alphabetic order.
    pub(crate) fn flagged(&self) -> impl Iterator<Item = &str> {
        let origins = self.resolved.origins.iter();
        origins
            .filter(|(_, origin)| **origin == Origin::Flag)
            .map(|(key, _)| key.as_str())
    }
}

/// The home directory, absolute, whether or not it exists.
fn home(given: Option<&Path>) -> Result<PathBuf, Error> {
    // As with XDG's own variables, an empty one counts as not set.
    let variable = || std::env::var_os(HOME_VARIABLE).filter(|dir| !dir.is_empty());
    let home = match given
        .map(PathBuf::from)
        .or_else(|| variable().map(PathBuf::from))
    {
        Some(home) => home,
        None => data_directory()?.join("hubless"),
    };
    std::path::absolute(&home).map_err(|error| {
        let message = format!(
            "the home directory {} has no place: {error}",
            home.display()
        );
        Failure::new(FailureKind::Usage, message)
            .hint("give an absolute --home")
            .into()
    })
}

/// The XDG data directory. A relative `XDG_DATA_HOME` counts as not set, as XDG wants it.
fn data_directory() -> Result<PathBuf, Error> {
    let variable = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|dir| dir.is_absolute())
    };
    let directory = variable("XDG_DATA_HOME").or_else(|| {
        std::env::home_dir()
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join(".local/share"))
    });
    directory.ok_or_else(|| {
        let message = "no home directory: neither XDG_DATA_HOME nor HOME is set";
        Failure::new(FailureKind::Usage, message)
            .hint("give --home DIR or set HUBLESS_HOME")
            .into()
    })
}

/// The variables that may be meant for us. Others need not even be text.
fn environment_texts() -> Result<Vec<(String, String)>, Error> {
    let mut texts = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else {
            continue;
        };
        if !name.starts_with("HUBLESS_") || name == HOME_VARIABLE {
            continue;
        }
        let value = value.into_string().map_err(|_| {
            let message = format!("the environment variable {name} is not UTF-8");
            Failure::new(FailureKind::Usage, message).hint(format!("correct {name}, or unset it"))
        })?;
        texts.push((name, value));
    }
    Ok(texts)
}
