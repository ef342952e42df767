//! SSRF guard: the hosts that may be contacted are the upstream itself and those that the operator
//! named.
//!
//! An upstream answers with redirects, by which an attacker who can write there could direct
//! requests of this node at any machine of its own network. So only redirects to a host of the list
//! are followed; a host that matches only a pattern must also resolve to a public address.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use serde::{Deserialize, Serialize};

/// The default hub.
const HUGGING_FACE: &str = "huggingface.co";

/// The hosts of that hub's files.
const HUGGING_FACE_HOSTS: [&str; 2] = ["*.huggingface.co", "*.hf.co"];

/// The URL of an upstream: `https://huggingface.co`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UpstreamUrl(Url);

/// A text that is not the URL of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the URL of a hub such as https://huggingface.co: a scheme (http or https), a \
     host and perhaps a port, nothing behind them"
)]
pub struct ParseUpstreamUrlError(String);

impl FromStr for UpstreamUrl {
    type Err = ParseUpstreamUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseUpstreamUrlError(text.to_owned());
        let url = Url::parse(text).map_err(|_| error())?;
        let is_bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        let is_web = matches!(url.scheme(), "http" | "https") && url.host().is_some();
        (is_bare && is_web).then_some(Self(url)).ok_or_else(error)
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl TryFrom<String> for UpstreamUrl {
    type Error = ParseUpstreamUrlError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<UpstreamUrl> for String {
    fn from(url: UpstreamUrl) -> Self {
        url.to_string()
    }
}

/// A host, or all below a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    /// `cdn.example` or `cdn.example:8443`.
    Host { name: String, port: Option<u16> },
    /// `*.cdn.example`; holds `.cdn.example`.
    Below(String),
}

/// A text that is not a host or a pattern of hosts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a host such as cdn.example, cdn.example:8443 or *.cdn.example")]
pub struct ParseHostError(String);

impl FromStr for Pattern {
    type Err = ParseHostError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseHostError(text.to_owned());
        let text = text.to_ascii_lowercase();
        if let Some(domain) = text.strip_prefix("*.") {
            let is_name = domain.contains('.') && is_name(domain);
            return is_name
                .then(|| Self::Below(format!(".{domain}")))
                .ok_or_else(error);
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().map_err(|_| error())?)),
            None => (text.as_str(), None),
        };
        let name = name.to_owned();
        is_name(&name)
            .then_some(Self::Host { name, port })
            .ok_or_else(error)
    }
}

fn is_name(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.split('.').all(part)
}

/// The kind of a request's destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The upstream itself, which may get the caller's token.
    Upstream,
    /// Another allowed host, which gets no token.
    Other,
}

/// The hosts that may be contacted.
#[derive(Debug, Clone)]
pub(super) struct Hosts {
    base: Url,
    others: Vec<Pattern>,
}

impl Hosts {
    /// The hosts of an upstream, and others that the operator names.
    pub(super) fn new(base: &UpstreamUrl, others: &[String]) -> Result<Self, ParseHostError> {
        let mut others: Vec<Pattern> = others
            .iter()
            .map(|text| text.parse())
            .collect::<Result<_, _>>()?;
        let base = base.0.clone();
        if base.host_str() == Some(HUGGING_FACE) {
            let known = HUGGING_FACE_HOSTS.iter().map(|text| text.parse());
            others.extend(known.collect::<Result<Vec<_>, _>>()?);
        }
        Ok(Self { base, others })
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// The kind of a URL's host; `None` if it may not be contacted.
    pub(super) fn reach(&self, url: &Url) -> Option<Reach> {
        if url.origin() == self.base.origin() {
            return Some(Reach::Upstream);
        }
        // No downgrade: content of an encrypted upstream must not be readable or changeable in
        // transit.
        let is_as_safe = url.scheme() == "https" || self.base.scheme() == "http";
        let is_web = matches!(url.scheme(), "http" | "https");
        let host = url.host_str()?;
        let fits = |pattern: &Pattern| match pattern {
            Pattern::Host { name, port } => {
                name == host && port.map_or(url.port().is_none(), |p| url.port() == Some(p))
            }
            Pattern::Below(domain) => host.ends_with(domain) && url.port().is_none(),
        };
        (is_as_safe && is_web && self.others.iter().any(fits)).then_some(Reach::Other)
    }

    /// Whether a name may resolve to a private address. The names of proxies, which are in no list,
    /// may: the operator configured them.
    fn may_be_private(&self, name: &str) -> bool {
        let is_named = self.base.host_str() == Some(name)
            || self
                .others
                .iter()
                .any(|pattern| matches!(pattern, Pattern::Host { name: own, .. } if own == name));
        let fits = |pattern: &Pattern| matches!(pattern, Pattern::Below(d) if name.ends_with(d));
        is_named || !self.others.iter().any(fits)
    }
}

/// Resolves names, and drops addresses that their host may not have.
pub(super) struct Resolver(pub(super) Arc<Hosts>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_ascii_lowercase();
        let may_be_private = self.0.may_be_private(&name);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found
                .filter(|address| may_be_private || is_public(address.ip()))
                .collect();
            if found.is_empty() {
                let message = format!("{name} has no address that may be contacted");
                return Err(io::Error::other(message).into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Whether an address can belong to the public internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_for_tests = a == 198 && (b == 18 || b == 19);
    let is_special = a == 0 || a >= 224 || (a == 192 && b == 0 && c == 0);
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || is_shared
        || is_for_tests
        || is_special)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(address) = address.to_ipv4_mapped() {
        return is_public_v4(address);
    }
    let segments = address.segments();
    // An IPv4 address behind a translator (RFC 6052).
    if segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        let [.., a, b, c, d] = address.octets();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    let is_global = segments[0] & 0xe000 == 0x2000;
    let is_documentation = segments[0] == 0x2001 && segments[1] == 0xdb8;
    // 6to4 and Teredo embed IPv4 addresses too, and are not used to serve files.
    let is_tunnel = segments[0] == 0x2002 || (segments[0] == 0x2001 && segments[1] == 0);
    is_global && !is_documentation && !is_tunnel
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(base: &str, others: &[&str]) -> Hosts {
        let others: Vec<String> = others.iter().map(|&text| text.to_owned()).collect();
        Hosts::new(&base.parse().unwrap(), &others).unwrap()
    }

    fn reach(hosts: &Hosts, url: &str) -> Option<Reach> {
        hosts.reach(&url.parse().unwrap())
    }

    #[test]
    fn what_is_an_upstream() {
        for text in [
            "https://huggingface.co",
            "http://127.0.0.1:8421/",
            "https://[::1]:1",
        ] {
            let url: UpstreamUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), text.trim_end_matches('/'));
        }
        for text in [
            "huggingface.co",
            "ftp://huggingface.co",
            "https://host/path",
            "https://me:secret@host",
            "https://host?x",
            "file:///etc/passwd",
            "",
        ] {
            assert!(text.parse::<UpstreamUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_hosts_of_the_list_are_contacted() {
        let hub = hosts("https://huggingface.co", &["other.example:8443"]);
        for (url, expected) in [
            ("https://huggingface.co/a", Some(Reach::Upstream)),
            (
                "https://cas-bridge.xethub.hf.co/x?sig=1",
                Some(Reach::Other),
            ),
            ("https://other.example:8443/", Some(Reach::Other)),
            // No unencrypted connection, and no connection to another service.
            ("http://huggingface.co/a", None),
            ("http://cdn.hf.co/a", None),
            ("https://huggingface.co:22/", None),
            ("https://cdn.hf.co:22/", None),
            ("https://other.example/", None),
            ("https://evilhf.co/", None),
            ("https://hf.co.evil.example/", None),
            ("https://169.254.169.254/latest/meta-data", None),
            ("https://[::1]/", None),
            ("ftp://cdn.hf.co/", None),
        ] {
            assert_eq!(reach(&hub, url), expected, "{url}");
        }
        let plain = hosts("http://127.0.0.1:1", &["127.0.0.2:2"]);
        assert_eq!(reach(&plain, "http://127.0.0.2:2/"), Some(Reach::Other));
        assert_eq!(reach(&plain, "http://127.0.0.1:2/"), None);
        for text in ["*.com", "*", "a b", "", "http://x", "x:y", "*.a.b:1"] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_pattern_never_leads_into_a_private_network() {
        let hub = hosts("https://hub.example", &["*.cdn.example", "in.cdn.example"]);
        for (name, may) in [
            ("hub.example", true),
            ("in.cdn.example", true),
            ("proxy.example", true),
            ("x.cdn.example", false),
        ] {
            assert_eq!(hub.may_be_private(name), may, "{name}");
        }
        for (address, public) in [
            ("1.1.1.1", true),
            ("2606:4700::1111", true),
            ("64:ff9b::101:101", true),
            ("10.0.0.1", false),
            ("127.0.0.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("192.168.1.1", false),
            ("0.0.0.0", false),
            ("255.255.255.255", false),
            ("::1", false),
            ("::", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("::ffff:10.0.0.1", false),
            ("64:ff9b::a00:1", false),
            ("2002:a00:1::", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }
}
