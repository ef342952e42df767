//! What values of the configuration can be, beside texts, paths and switches.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
};

use hubless_content::{PublisherId, RepoId, RepoKind};
use serde::{Deserialize, Serialize};

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

/// A text that does not say where a gateway listens.
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

/// Where the DNS is asked for the publishers of domains: `system`, `9.9.9.9:53`, or `off`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DnsAt {
    /// Nowhere.
    Off,
    /// At the resolvers of the system.
    #[default]
    System,
    /// At the resolver with this address.
    Address(SocketAddr),
}

/// A text that does not say where the DNS is asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither \"system\", \"off\" nor the address of a resolver such as 9.9.9.9:53")]
pub struct ParseDnsAtError(String);

impl FromStr for DnsAt {
    type Err = ParseDnsAtError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            "system" => Ok(Self::System),
            _ => text
                .parse()
                .map(Self::Address)
                .map_err(|_| ParseDnsAtError(text.to_owned())),
        }
    }
}

impl TryFrom<String> for DnsAt {
    type Error = ParseDnsAtError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<DnsAt> for String {
    fn from(at: DnsAt) -> Self {
        match at {
            DnsAt::Off => "off".to_owned(),
            DnsAt::System => "system".to_owned(),
            DnsAt::Address(address) => address.to_string(),
        }
    }
}

/// The dataset that is a directory of names, as `ID/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DirectoryRepo(pub RepoId);

/// A text that names no directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not ID/NAME of a dataset, with the id of a publisher")]
pub struct ParseDirectoryRepoError(String);

impl TryFrom<String> for DirectoryRepo {
    type Error = ParseDirectoryRepoError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let id = text.strip_prefix("datasets/").unwrap_or(&text);
        let repo = RepoId::new(RepoKind::Dataset, id).ok();
        // What another node could mean by the name must not decide what all names mean.
        let repo = repo.filter(|repo| {
            let namespace = repo.namespace().map(str::parse::<PublisherId>);
            matches!(namespace, Some(Ok(_)))
        });
        repo.map(Self).ok_or(ParseDirectoryRepoError(text))
    }
}

impl From<DirectoryRepo> for String {
    fn from(directory: DirectoryRepo) -> Self {
        directory.0.id().to_owned()
    }
}

/// A number of bytes: `500GB`, `10MiB`, `1048576`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "toml::Value", into = "String")]
pub struct ByteSize(pub u64);

/// Bytes per second: `10MB`, `10MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate(pub ByteSize);

impl Rate {
    /// Bytes per second.
    pub fn bytes(self) -> u64 {
        self.0.0
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_datasets_of_publishers() {
        let id = PublisherId::new([4; 32]);
        let read = |text: String| DirectoryRepo::try_from(text);
        let directory = read(format!("{id}/names")).unwrap();
        assert_eq!(directory.0.to_string(), format!("datasets/{id}/names"));
        assert_eq!(read(format!("datasets/{id}/names")), Ok(directory.clone()));
        assert_eq!(String::from(directory), format!("{id}/names"));
        for wrong in [
            "acme/names".to_owned(),
            "names".into(),
            format!("spaces/{id}/names"),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn where_the_dns_is_asked() {
        for text in ["off", "system", "127.0.0.1:53", "[::1]:5353"] {
            assert_eq!(String::from(text.parse::<DnsAt>().unwrap()), text);
        }
        assert!("9.9.9.9".parse::<DnsAt>().is_err());
    }

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
}
