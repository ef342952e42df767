//! The configuration: `config.toml` in the home directory, environment, flags.
//!
//! A flag goes before the environment (`HUBLESS_<KEY>`), that before the file, that before the
//! default. Unknown keys are errors. All keys stand in one table: see [`keys.rs`](KEYS).

mod address;
mod key;
mod keys;
mod scrub_every;
mod values;

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
};

use hubless_network::open_regular;
use serde::Serialize;

pub use self::{
    address::{ParseAddressError, parse_address},
    key::{ChangeHolds, Flag, FlagSection, Form, Key},
    keys::{Config, KEYS, listen_on_port},
    scrub_every::{ParseScrubEveryError, ScrubEvery},
    values::{
        AnnouncePolicy, ByteSize, DirectoryRepo, DnsAt, GatewayAt, ParseByteSizeError,
        ParseDirectoryRepoError, ParseDnsAtError, ParseGatewayAtError, Rate,
    },
};
pub use hubless_upstream::{ParseUpstreamUrlError, UpstreamUrl};

/// The file's name in the home directory.
pub const CONFIG_FILE: &str = "config.toml";

/// Bytes of a configuration file; a larger one is not a configuration.
const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It is not set anywhere.
    Default,
    /// `config.toml`.
    File,
    /// `HUBLESS_<KEY>`.
    Environment,
    /// A flag of the command line.
    Flag,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("could not read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file could not be written.
    #[error("could not write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no such key.
    #[error("there is no key {key:?}; there are {}", names().join(", "))]
    UnknownKey {
        /// What was given.
        key: String,
    },
    /// The file has a mistake.
    #[error("{path}: {message}")]
    File {
        /// The file.
        path: PathBuf,
        /// What and where.
        message: String,
    },
    /// A value is not an address.
    #[error("{name}: {source}")]
    Address {
        /// The key, variable or flag.
        name: String,
        /// What is wrong.
        source: ParseAddressError,
    },
    /// An environment variable or a flag has a mistake.
    #[error("{name}: {message}")]
    Value {
        /// The variable or flag.
        name: String,
        /// What.
        message: String,
    },
}

/// A configuration, and for each key where its value came from.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The values.
    pub config: Config,
    /// One entry for each key.
    pub origins: BTreeMap<String, Origin>,
}

/// Puts a configuration together.
///
/// `environment` and `flags` hold values in TOML terms under the names of [`Config`]'s fields; see
/// [`environment`] for the former.
///
/// # Errors
/// [`ConfigError`] if the file cannot be read, or a key or value is not known.
pub fn resolve(
    home: &Path,
    environment: toml::Table,
    flags: toml::Table,
) -> Result<Resolved, ConfigError> {
    let mut merged = toml::Table::new();
    let mut origins: BTreeMap<String, Origin> = KEYS
        .iter()
        .map(|key| (key.name.to_owned(), Origin::Default))
        .collect();
    let layers = [
        (Origin::File, read_file(&home.join(CONFIG_FILE))?),
        (Origin::Environment, environment),
        (Origin::Flag, flags),
    ];
    for (origin, layer) in layers {
        for (key, value) in layer {
            check(origin, &key, &value)?;
            origins.insert(key.clone(), origin);
            merged.insert(key, value);
        }
    }
    let config = merged
        .try_into()
        .map_err(|error| wrong_value("configuration", &error))?;
    Ok(Resolved { config, origins })
}

/// Checks one value by itself, so that a mistake is reported under the name that the value came by.
fn check(origin: Origin, key: &str, value: &toml::Value) -> Result<(), ConfigError> {
    let known = key_of(key)?;
    let name = match (origin, &known.flag) {
        (Origin::Environment, _) => known.variable(),
        (Origin::Flag, Some(flag)) => format!("--{}", flag.name()),
        (Origin::Flag, None) | (Origin::File | Origin::Default, _) => key.to_owned(),
    };
    if known.form == Form::Addresses {
        let texts = value.as_array().into_iter().flatten();
        for text in texts.filter_map(toml::Value::as_str) {
            parse_address(text).map_err(|source| ConfigError::Address {
                name: name.clone(),
                source,
            })?;
        }
    }
    let alone = toml::Table::from_iter([(key.to_owned(), value.clone())]);
    let checked: Result<Config, toml::de::Error> = alone.try_into();
    checked
        .map(drop)
        .map_err(|error| wrong_value(&name, &error))
}

fn wrong_value(name: &str, error: &toml::de::Error) -> ConfigError {
    ConfigError::Value {
        name: name.to_owned(),
        message: error.message().to_owned(),
    }
}

/// The names of all keys.
fn names() -> Vec<&'static str> {
    KEYS.iter().map(|key| key.name).collect()
}

/// The key of this name.
///
/// # Errors
/// [`ConfigError::UnknownKey`] if there is none.
pub fn key_of(name: &str) -> Result<&'static Key, ConfigError> {
    let found = KEYS.iter().find(|key| key.name == name);
    found.ok_or_else(|| ConfigError::UnknownKey {
        key: name.to_owned(),
    })
}

/// Reads `HUBLESS_<KEY>` variables into TOML terms. Lists are separated by commas.
///
/// # Errors
/// [`ConfigError::Value`] for a value of another type than its key's.
pub fn environment(
    variables: impl Iterator<Item = (String, String)>,
) -> Result<toml::Table, ConfigError> {
    let mut table = toml::Table::new();
    for (name, text) in variables {
        let Some(key) = KEYS.iter().find(|key| key.variable() == name) else {
            continue;
        };
        let value = from_text(key.form, &text).map_err(|message| ConfigError::Value {
            name: name.clone(),
            message,
        })?;
        table.insert(key.name.to_owned(), value);
    }
    Ok(table)
}

/// The value of a key in TOML terms, from the form that the environment has.
///
/// # Errors
/// [`ConfigError`] if there is no such key, or the value is not one of it.
pub fn parse(key: &str, text: &str) -> Result<toml::Value, ConfigError> {
    let form = key_of(key)?.form;
    let value = from_text(form, text).map_err(|message| ConfigError::Value {
        name: key.to_owned(),
        message,
    })?;
    check(Origin::File, key, &value)?;
    Ok(value)
}

fn from_text(form: Form, text: &str) -> Result<toml::Value, String> {
    match form {
        Form::Texts | Form::Addresses => {
            let items = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            Ok(items
                .map(|item| toml::Value::String(item.to_owned()))
                .collect::<Vec<_>>()
                .into())
        }
        Form::Switch => match text {
            "true" | "1" | "on" => Ok(true.into()),
            "false" | "0" | "off" => Ok(false.into()),
            _ => Err(format!("{text:?} is not true or false")),
        },
        Form::Text | Form::Size | Form::Path | Form::OneOf(_) => Ok(text.into()),
    }
}

/// The file's text, if there is a file.
pub(crate) fn read_text(path: &Path) -> Result<Option<String>, ConfigError> {
    let read = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    let mut file = match open_regular(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(read)?,
    };
    if file.metadata().map_err(read)?.len() > CONFIG_BYTES_MAX {
        let message = format!("larger than {CONFIG_BYTES_MAX} bytes");
        return Err(ConfigError::File {
            path: path.to_owned(),
            message,
        });
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(read)?;
    Ok(Some(text))
}

fn read_file(path: &Path) -> Result<toml::Table, ConfigError> {
    let Some(text) = read_text(path)? else {
        return Ok(Default::default());
    };
    let wrong = |error: toml::de::Error| ConfigError::File {
        path: path.to_owned(),
        message: error.to_string().trim_end().to_owned(),
    };
    let table: toml::Table = toml::from_str(&text).map_err(wrong)?;
    // An address first, for which the error names what was probably meant.
    for (key, value) in &table {
        if key_of(key).is_ok_and(|key| key.form == Form::Addresses) {
            check(Origin::File, key, value)?;
        }
    }
    // Then as a whole, so that a mistake is reported with its line.
    toml::from_str::<Config>(&text).map_err(wrong)?;
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_goes_before_the_environment_before_the_file() {
        let home = tempfile::tempdir().unwrap();
        let file = "limit_up = \"1MB\"\nlimit_down = \"1MB\"\nquota = 5\nmdns = false\n";
        std::fs::write(home.path().join(CONFIG_FILE), file).unwrap();
        let variables = [
            ("HUBLESS_LIMIT_UP", "2MB"),
            ("HUBLESS_QUOTA", "6"),
            ("PATH", "x"),
        ];
        let variables = variables.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let environment = environment(variables.into_iter()).unwrap();
        let flags = toml::Table::from_iter([("limit_up".to_owned(), "3MB".into())]);
        let resolved = resolve(home.path(), environment, flags).unwrap();
        assert_eq!(resolved.config.limit_up, Some(Rate(ByteSize(3_000_000))));
        assert_eq!(resolved.config.quota, Some(ByteSize(6)));
        assert_eq!(resolved.config.limit_down, Some(Rate(ByteSize(1_000_000))));
        assert!(!resolved.config.mdns);
        assert_eq!(resolved.config.listen, Config::default().listen);
        let origin = |key: &str| resolved.origins[key];
        assert_eq!(origin("limit_up"), Origin::Flag);
        assert_eq!(origin("quota"), Origin::Environment);
        assert_eq!(origin("mdns"), Origin::File);
        assert_eq!(origin("listen"), Origin::Default);
    }

    #[test]
    fn a_wrong_value_is_reported_under_the_name_it_came_by() {
        let home = tempfile::tempdir().unwrap();
        let environment = toml::Table::from_iter([("quota".to_owned(), "much".into())]);
        let error = resolve(home.path(), environment, toml::Table::new()).unwrap_err();
        assert!(
            error.to_string().starts_with("HUBLESS_QUOTA: \"much\""),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(
            home.path().join(CONFIG_FILE),
            "mdns = true\nlisten_on = []\n",
        )
        .unwrap();
        let error = resolve(home.path(), toml::Table::new(), toml::Table::new()).unwrap_err();
        assert!(error.to_string().contains("listen_on"), "{error}");
        assert!(error.to_string().contains("line 2"), "{error}");
    }

    #[test]
    fn a_flag_is_named_as_it_was_typed() {
        let home = tempfile::tempdir().unwrap();
        for (key, value, flag) in [
            (
                "peers",
                toml::Value::from(vec!["1.2.3.4:5".to_owned()]),
                "--peer",
            ),
            ("limit_up", "fast".into(), "--limit-up"),
        ] {
            let flags = toml::Table::from_iter([(key.to_owned(), value)]);
            let error = resolve(home.path(), toml::Table::new(), flags).unwrap_err();
            assert!(error.to_string().starts_with(flag), "{error}");
        }
    }

    #[test]
    fn every_key_can_be_set_by_its_variable() {
        let defaults = serde_json::to_value(Config::default()).unwrap();
        let directory = format!("{}/names", hubless_content::PublisherId::new([4; 32]));
        for key in KEYS {
            let text = match key.form {
                Form::Switch if defaults[key.name] == true => "off",
                Form::Switch => "on",
                Form::Text if key.name == "upstream" => "https://hub.example",
                Form::Texts if key.name == "directories" => &directory,
                Form::Text => "off",
                Form::Size => "5MB",
                Form::Path | Form::Texts => "x",
                Form::OneOf(words) => words[0],
                Form::Addresses => "/ip4/192.0.2.7/tcp/1",
            };
            let variables = [(key.variable(), text.to_owned())];
            let environment = environment(variables.into_iter()).unwrap();
            let home = tempfile::tempdir().unwrap();
            let resolved = resolve(home.path(), environment, toml::Table::new()).unwrap();
            assert_eq!(resolved.origins[key.name], Origin::Environment);
            assert_ne!(resolved.config, Config::default(), "{}", key.name);
        }
    }

    #[test]
    fn the_words_of_a_key_are_those_that_its_type_reads() {
        for key in KEYS {
            if let Form::OneOf(words) = key.form {
                for word in words {
                    parse(key.name, word).unwrap();
                }
                parse(key.name, "another").unwrap_err();
            }
        }
    }
}
