//! The keys of the configuration, in the order in which people think of them.
//!
//! This table is the only place that a new key needs. From it are made: [`Config`] and its defaults,
//! the texts of `config.toml`, the `HUBLESS_<KEY>` variables, the flags of the command line, and the
//! schema of the control API. An entry has
//!
//! ```text
//! /// the text that explains the key to people
//! key: Type = default, when a change of it holds in a running node,
//!     section of the flags "--flag <VALUE>" "help of the flag";      (if the key has a flag)
//! ```

#![allow(
    rustdoc::invalid_html_tags,
    reason = "the same texts are printed, where tags need no quotes"
)]

use std::path::PathBuf;

use hubless_network::{Multiaddr, Protocol};
use serde::{Deserialize, Serialize};

use super::{
    AnnouncePolicy, ByteSize, DirectoryRepo, DnsAt, GatewayAt, Rate, ScrubEvery, UpstreamUrl,
    key::{ChangeHolds, Flag, FlagSection, Key, KeyValue},
};

macro_rules! config_keys {
    ($(
        $(#[doc = $text:literal])+
        $key:ident: $type:ty = $default:expr, $holds:ident
        $(, $section:ident $flag:literal $help:literal)?
        ;
    )+) => {
        /// How a node is set up.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Config {
            $( $(#[doc = $text])+ pub $key: $type, )+
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $( $key: $default, )+ }
            }
        }

        /// All keys, in the order in which people think of them.
        pub const KEYS: &[Key] = &[$(
            Key {
                name: stringify!($key),
                doc: concat!($($text),+),
                form: <$type as KeyValue>::FORM,
                holds: ChangeHolds::$holds,
                flag: config_keys!(@flag $($section $flag $help)?),
            },
        )+];
    };
    (@flag) => { None };
    (@flag $section:ident $flag:literal $help:literal) => {
        Some(Flag { section: FlagSection::$section, spelling: $flag, help: $help })
    };
}

config_keys! {
    /// Addresses to listen on, as multiaddrs.
    listen: Vec<Multiaddr> = listen_on_port(PORT), AfterRestart,
        Network "--listen <MULTIADDR>"
        "Listen on this address, such as /ip4/0.0.0.0/tcp/8420 (repeatable)";

    /// Nodes through which the DHT is joined, as multiaddrs ending in /p2p/<peer id>.
    bootstrap: Vec<Multiaddr> = Vec::new(), AfterRestart,
        Network "--bootstrap <MULTIADDR>"
        "Join the DHT through this node, an address ending in /p2p/<peer id> (repeatable)";

    /// Nodes to stay connected to and to ask first, as multiaddrs ending in /p2p/<peer id>.
    peers: Vec<Multiaddr> = Vec::new(), AfterRestart,
        Network "--peer <MULTIADDR>"
        "Stay connected to this node and ask it first, an address ending in /p2p/<peer id> \
         (repeatable)";

    /// Find nodes on the local network by multicast DNS.
    mdns: bool = true, AfterRestart,
        Network "--no-mdns" "Do not look for nodes on the local network";

    /// Ask the router for a port (UPnP).
    upnp: bool = true, AfterRestart,
        Network "--no-upnp" "Do not ask the router for a port";

    /// Datasets with lists of names for publishers, each as ID/NAME; the first that has a name decides.
    directories: Vec<DirectoryRepo> = Vec::new(), AfterRestart;

    /// Where the DNS is asked for the publishers of domains: "system", a resolver such as "9.9.9.9:53", or "off".
    dns: DnsAt = DnsAt::default(), AfterRestart;

    /// Relay connections for nodes that cannot be reached directly, within limits.
    relay: bool = false, AfterRestart,
        Serving "--relay"
        "Relay connections for nodes that cannot be reached directly, within limits";

    /// What is announced in the DHT: "roots", "files" or "chunks".
    announce: AnnouncePolicy = AnnouncePolicy::Files, AfterRestart,
        Serving "--announce <POLICY>"
        "What to announce in the DHT: content hashes, file hashes too (default), or every chunk too \
         (for small networks)";

    /// Compute the SHA-256 and git ids of files in the background, so that others find them by these.
    digests: bool = true, AfterRestart;

    /// How often every stored file is read and checked in the background, such as "30d", or "off".
    scrub: ScrubEvery = ScrubEvery::default(), AfterRestart;

    /// Bytes per second sent to others, such as "10MB"; no limit without.
    limit_up: Option<Rate> = None, Now,
        Network "--limit-up <RATE>" "Send at most this much a second, such as 10MB or 10MiB";

    /// Bytes per second taken from others, such as "10MB"; no limit without.
    limit_down: Option<Rate> = None, Now,
        Network "--limit-down <RATE>" "Take at most this much a second, such as 10MB or 10MiB";

    /// The most the store may hold, such as "500GB"; no limit without.
    quota: Option<ByteSize> = None, AfterRestart,
        Serving "--quota <SIZE>" "Store at most this much, such as 500GB";

    /// A file with a pre-shared key: the node then talks only to nodes with the same key.
    network_key: Option<PathBuf> = None, AfterRestart,
        Network "--network-key <FILE>" "Talk only to nodes with the same pre-shared key";

    /// Where Hugging Face clients and browsers are answered over HTTP, or "off".
    gateway: GatewayAt = GatewayAt::default(), AfterRestart,
        Serving "--gateway <ADDRESS|off>"
        "Answer Hugging Face clients and browsers over HTTP at this address, or \"off\" [default: \
         127.0.0.1:8421]";

    /// A file with the token that the gateway asks for; needed where other machines reach it.
    gateway_token: Option<PathBuf> = None, AfterRestart,
        Serving "--gateway-token <FILE>"
        "Ask for the token in this file; needed where other machines reach the gateway";

    /// Names and addresses by which the gateway is reached beside its own, such as those of a proxy before it.
    gateway_names: Vec<String> = Vec::new(), AfterRestart,
        Serving "--gateway-name <NAME>"
        "Answer under this name or address too, such as that of a proxy before the gateway \
         (repeatable)";

    /// The hub that the gateway asks for what is not here, by its URL.
    upstream: Option<UpstreamUrl> = None, AfterRestart,
        Serving "--upstream <URL>"
        "Ask this hub for repos that are not here, such as https://huggingface.co or another node's \
         gateway\n\n\
         What comes from it is verified, kept and shared like everything else; that of private and \
         gated repos is kept from peers, and given to those clients alone whose token the hub accepts.";

    /// A file with a token for the upstream, used for callers that have the gateway's token.
    upstream_token_file: Option<PathBuf> = None, AfterRestart,
        Serving "--upstream-token-file <FILE>"
        "Use the token in this file at the upstream, for clients that have the gateway's token\n\n\
         Their one Authorization header is for the gateway, so they cannot send a token of their own.";

    /// Hosts that the upstream may send downloads to, as NAME, NAME:PORT or *.NAME; known for huggingface.co.
    upstream_hosts: Vec<String> = Vec::new(), AfterRestart,
        Serving "--upstream-host <HOST>"
        "A host that the upstream may send downloads to: NAME, NAME:PORT or *.NAME (repeatable)\n\n\
         Those of huggingface.co are known. Nothing else is contacted.";

    /// Keep what the upstream deletes or makes private readable by its commit id.
    upstream_keep_deleted: bool = false, AfterRestart;
}

/// The port of a node, beside 8421 of its gateway.
const PORT: u16 = 8420;

/// The addresses of all interfaces of this machine at a port, over TCP and QUIC; 0 for any free port.
pub fn listen_on_port(port: u16) -> Vec<Multiaddr> {
    let any = || Multiaddr::from(std::net::Ipv4Addr::UNSPECIFIED);
    vec![
        any().with(Protocol::Tcp(port)),
        any().with(Protocol::Udp(port)).with(Protocol::QuicV1),
    ]
}
