//! The configuration: `config.toml` in the home directory, environment, flags.
//!
//! One struct; the doc comment of a field is its text in `hubless config show`. A flag goes before
//! the environment (`HUBLESS_<KEY>`), that before the file, that before the default. Unknown keys
//! are errors.

// The doc comments of fields are printed to people as they are, where `<peer id>` needs no quotes.
#![allow(rustdoc::invalid_html_tags)]

use std::{
    collections::BTreeMap,
    fmt,
    io::Read,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
};

use hubless_network::open_regular;
use serde::{Deserialize, Serialize};

mod scrub_every;

pub use self::scrub_every::{ParseScrubEveryError, ScrubEvery};
pub use hubless_upstream::{ParseUpstreamUrlError, UpstreamUrl};

/// The file's name in the home directory.
pub const CONFIG_FILE: &str = "config.toml";

/// Bytes of a configuration file; a larger one is not a configuration.
const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// How a node is set up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct Config {
    /// Addresses to listen on, as multiaddrs.
    pub listen: Vec<String>,
    /// Nodes through which the DHT is joined, as multiaddrs ending in /p2p/<peer id>.
    pub bootstrap: Vec<String>,
    /// Nodes to stay connected to and to ask first, as multiaddrs ending in /p2p/<peer id>.
    pub peers: Vec<String>,
    /// Find nodes on the local network by multicast DNS.
    pub mdns: bool,
    /// Ask the router for a port (UPnP).
    pub upnp: bool,
    /// Relay connections for nodes that cannot be reached directly, within limits.
    pub relay: bool,
    /// What is announced in the DHT: "roots", "files" or "chunks".
    pub announce: AnnouncePolicy,
    /// Compute the SHA-256 and git ids of files in the background, so that others find them by these.
    pub digests: bool,
    /// How often every stored file is read and checked in the background, such as "30d", or "off".
    pub scrub: ScrubEvery,
    /// Bytes per second sent to others, such as "10MB"; no limit without.
    pub limit_up: Option<Rate>,
    /// Bytes per second taken from others, such as "10MB"; no limit without.
    pub limit_down: Option<Rate>,
    /// The most the store may hold, such as "500GB"; no limit without.
    pub quota: Option<ByteSize>,
    /// A file with a pre-shared key: the node then talks only to nodes with the same key.
    pub network_key: Option<PathBuf>,
    /// Where Hugging Face clients and browsers are answered over HTTP, or "off".
    pub gateway: GatewayAt,
    /// A file with the token that the gateway asks for; needed where other machines reach it.
    pub gateway_token: Option<PathBuf>,
    /// Names and addresses by which the gateway is reached beside its own, such as those of a proxy before it.
    pub gateway_names: Vec<String>,
    /// The hub that the gateway asks for what is not here, by its URL.
    pub upstream: Option<UpstreamUrl>,
    /// A file with a token for the upstream, used for callers that have the gateway's token.
    pub upstream_token_file: Option<PathBuf>,
    /// Hosts that the upstream may send downloads to, as NAME, NAME:PORT or *.NAME; known for huggingface.co.
    pub upstream_hosts: Vec<String>,
    /// Keep what the upstream deletes or makes private readable by its commit id.
    pub upstream_keep_deleted: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: ["/ip4/0.0.0.0/tcp/8420", "/ip4/0.0.0.0/udp/8420/quic-v1"]
                .map(str::to_owned)
                .to_vec(),
            bootstrap: Vec::new(),
            peers: Vec::new(),
            mdns: true,
            upnp: true,
            relay: false,
            announce: AnnouncePolicy::Files,
            digests: true,
            scrub: ScrubEvery::default(),
            limit_up: None,
            limit_down: None,
            quota: None,
            network_key: None,
            gateway: GatewayAt::default(),
            gateway_token: None,
            gateway_names: Vec::new(),
            upstream: None,
            upstream_token_file: None,
            upstream_hosts: Vec::new(),
            upstream_keep_deleted: false,
        }
    }
}

/// What a node announces of what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnnouncePolicy {
    /// Content hashes only.
    Roots,
    /// Content hashes and file hashes.
    Files,
    /// Chunks too, one record each: for small networks.
    Chunks,
}

/// Where the gateway listens: `127.0.0.1:8421`, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum GatewayAt {
    /// Nowhere.
    Off,
    /// At this address.
    Address(SocketAddr),
}

/// The gateway's port, beside 8420 of the node itself.
const GATEWAY_PORT: u16 = 8421;

impl Default for GatewayAt {
    fn default() -> Self {
        Self::Address((Ipv4Addr::LOCALHOST, GATEWAY_PORT).into())
    }
}

/// A text that says not where a gateway listens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither \"off\" nor an address with a port such as 127.0.0.1:8421")]
pub struct ParseGatewayAtError(String);

impl FromStr for GatewayAt {
    type Err = ParseGatewayAtError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            _ => text
                .parse()
                .map(Self::Address)
                .map_err(|_| ParseGatewayAtError(text.to_owned())),
        }
    }
}

impl TryFrom<String> for GatewayAt {
    type Error = ParseGatewayAtError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<GatewayAt> for String {
    fn from(at: GatewayAt) -> Self {
        match at {
            GatewayAt::Off => "off".to_owned(),
            GatewayAt::Address(address) => address.to_string(),
        }
    }
}

/// A number of bytes: `500GB`, `10MiB`, `1048576`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "toml::Value", into = "String")]
pub struct ByteSize(pub u64);

/// Bytes per second: `10MB`, `10MiB`.
pub type Rate = ByteSize;

/// A text that is not a number of bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a number of bytes such as 10MB, 10MiB or 1048576")]
pub struct ParseByteSizeError(String);

const UNITS: [(&str, u64); 11] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
    ("", 1),
];

impl FromStr for ByteSize {
    type Err = ParseByteSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseByteSizeError(text.to_owned());
        let digits = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim();
        let (_, factor) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(error)?;
        if let Ok(whole) = number.parse::<u64>() {
            return whole.checked_mul(*factor).map(Self).ok_or_else(error);
        }
        let bytes = number.parse::<f64>().map_err(|_| error())? * *factor as f64;
        if bytes.is_finite() && bytes < 1e18 {
            Ok(Self(bytes as u64))
        } else {
            Err(error())
        }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(name, factor): &&(&str, u64)| {
            *factor > 1 && *name != "kB" && self.0 >= *factor && self.0.is_multiple_of(*factor)
        };
        match UNITS.iter().filter(fits).max_by_key(|(_, factor)| *factor) {
            Some((name, factor)) => write!(f, "{}{name}", self.0 / factor),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

impl TryFrom<toml::Value> for ByteSize {
    type Error = ParseByteSizeError;

    fn try_from(value: toml::Value) -> Result<Self, Self::Error> {
        match value {
            toml::Value::String(text) => text.parse(),
            toml::Value::Integer(bytes) => bytes
                .try_into()
                .map(Self)
                .map_err(|_| ParseByteSizeError(bytes.to_string())),
            other => Err(ParseByteSizeError(other.to_string())),
        }
    }
}

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Nobody set it.
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
    #[error("there is no key {key:?}; there are {}", keys().join(", "))]
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
    let mut origins: BTreeMap<String, Origin> = keys()
        .into_iter()
        .map(|key| (key, Origin::Default))
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

/// Checks one value by itself, so that a mistake is told with its own name.
fn check(origin: Origin, key: &str, value: &toml::Value) -> Result<(), ConfigError> {
    let name = match origin {
        Origin::Environment => format!("HUBLESS_{}", key.to_uppercase()),
        Origin::Flag => format!("--{}", key.replace('_', "-")),
        Origin::File | Origin::Default => key.to_owned(),
    };
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
pub fn keys() -> Vec<String> {
    // `None` values have no TOML form, so the optional keys are filled before they are listed.
    let size = Some(ByteSize(1));
    let all = Config {
        limit_up: size,
        limit_down: size,
        quota: size,
        network_key: Some(PathBuf::new()),
        gateway_token: Some(PathBuf::new()),
        upstream: "http://localhost".parse().ok(),
        upstream_token_file: Some(PathBuf::new()),
        ..Config::default()
    };
    match toml::Table::try_from(all) {
        Ok(table) => table.into_iter().map(|(key, _)| key).collect(),
        Err(_) => Vec::new(),
    }
}

/// Reads `HUBLESS_<KEY>` variables into TOML terms. Lists are separated by commas.
///
/// # Errors
/// [`ConfigError::Value`] for a value of another type than its key's.
pub fn environment(
    variables: impl Iterator<Item = (String, String)>,
) -> Result<toml::Table, ConfigError> {
    let keys = keys();
    let mut table = toml::Table::new();
    for (name, text) in variables {
        let Some(key) = name.strip_prefix("HUBLESS_").map(str::to_lowercase) else {
            continue;
        };
        if keys.contains(&key) {
            let value = from_text(&key, &text).map_err(|message| ConfigError::Value {
                name: name.clone(),
                message,
            })?;
            table.insert(key, value);
        }
    }
    Ok(table)
}

/// The value of a key in TOML terms, from the form that the environment has.
///
/// # Errors
/// [`ConfigError`] if there is no such key, or the value is not one of it.
pub fn parse(key: &str, text: &str) -> Result<toml::Value, ConfigError> {
    check_key(key)?;
    let value = from_text(key, text).map_err(|message| ConfigError::Value {
        name: key.to_owned(),
        message,
    })?;
    check(Origin::File, key, &value)?;
    Ok(value)
}

/// Whether there is such a key.
pub(crate) fn check_key(key: &str) -> Result<(), ConfigError> {
    match keys().iter().any(|known| known == key) {
        true => Ok(()),
        false => Err(ConfigError::UnknownKey {
            key: key.to_owned(),
        }),
    }
}

fn from_text(key: &str, text: &str) -> Result<toml::Value, String> {
    match key {
        "listen" | "bootstrap" | "peers" | "gateway_names" | "upstream_hosts" => {
            let items = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            Ok(items
                .map(|item| toml::Value::String(item.to_owned()))
                .collect::<Vec<_>>()
                .into())
        }
        "mdns" | "upnp" | "relay" | "digests" | "upstream_keep_deleted" => match text {
            "true" | "1" | "on" => Ok(true.into()),
            "false" | "0" | "off" => Ok(false.into()),
            _ => Err(format!("{text:?} is not true or false")),
        },
        _ => Ok(text.into()),
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
    // Read as a whole first: mistakes are then told with their line.
    toml::from_str::<Config>(&text).map_err(wrong)?;
    toml::from_str(&text).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes, shown) in [
            ("10MB", 10_000_000, "10MB"),
            ("10MiB", 10 << 20, "10MiB"),
            ("1.5GB", 1_500_000_000, "1500MB"),
            ("1048576", 1 << 20, "1MiB"),
            ("0", 0, "0B"),
            ("7 B", 7, "7B"),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
            assert_eq!(ByteSize(bytes).to_string(), shown);
        }
        for text in ["", "MB", "10XB", "-1", "1e400", "99999999TB", "1.2.3MB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

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
        assert_eq!(resolved.config.limit_up, Some(ByteSize(3_000_000)));
        assert_eq!(resolved.config.quota, Some(ByteSize(6)));
        assert_eq!(resolved.config.limit_down, Some(ByteSize(1_000_000)));
        assert!(!resolved.config.mdns);
        assert_eq!(resolved.config.listen, Config::default().listen);
        let origin = |key: &str| resolved.origins[key];
        assert_eq!(origin("limit_up"), Origin::Flag);
        assert_eq!(origin("quota"), Origin::Environment);
        assert_eq!(origin("mdns"), Origin::File);
        assert_eq!(origin("listen"), Origin::Default);
    }

    #[test]
    fn a_wrong_value_is_told_with_the_name_it_came_by() {
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
}
