//! Networks for real processes: hosts in network namespaces, joined by a switch or by a long line.
//!
//! A [`Switch`] is a bridge; each of its hosts has a link of its own, whose upload the kernel can
//! shape (tbf). A [`LongLine`] joins two hosts by TUN devices and a program between them that
//! delays, bounds and loses packets: the kernels that tests run on have no netem.
//!
//! All of it needs the right to create network namespaces (root, or CAP_NET_ADMIN and CAP_SYS_ADMIN)
//! and iproute2. Without them a test fails with a message that names them.
//!
//! All devices live in namespaces of this process and are removed when their values are dropped; the
//! network of the machine itself does not change.

mod line;
mod long_line;
mod namespace;
mod switch;

use std::{ffi::OsStr, net::Ipv4Addr, process::Command};

pub(crate) use self::namespace::command_in;
pub use self::{
    line::{Counts, Line, LineSpec},
    long_line::LongLine,
    namespace::Namespace,
    switch::Switch,
};

/// The first three bytes of a network's addresses.
pub type Prefix = [u8; 3];

/// Addresses of a local network, where a node dials TCP before QUIC.
pub const LOCAL: Prefix = [10, 77, 0];

/// Addresses that nodes treat as public: the range for benchmarks (RFC 2544).
pub const INTERNET: Prefix = [198, 18, 0];

/// The name of a host's device, in its namespace.
const DEVICE: &str = "eth0";

/// A namespace with one address.
pub struct Host {
    namespace: Namespace,
    address: Ipv4Addr,
}

impl Host {
    /// Assigns an address to the namespace's device and sets it up.
    fn new(namespace: Namespace, prefix: Prefix, number: u8) -> Self {
        let [a, b, c] = prefix;
        let address = Ipv4Addr::new(a, b, c, number);
        namespace.ip(&["link", "set", "lo", "up"]);
        namespace.ip(&["addr", "add", &format!("{address}/24"), "dev", DEVICE]);
        namespace.ip(&["link", "set", DEVICE, "up"]);
        Self { namespace, address }
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// A command that runs on it; see [`Namespace::command`].
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.namespace.command(program)
    }

    /// Limits its upload, in bits per second.
    ///
    /// A burst of 64 KiB passes the kernel's largest packets unsplit; packets that would wait longer
    /// than 50 ms are dropped.
    pub fn limit_upload(&self, bits_per_second: u64) {
        let rate = format!("{bits_per_second}bit");
        let tbf = ["tbf", "rate", &rate, "burst", "64kb", "latency", "50ms"];
        let add = ["qdisc", "replace", "dev", DEVICE, "root"];
        self.namespace.tc(&[&add[..], &tbf[..]].concat());
    }

    /// Disconnects the host without closing any connection, as an unplugged cable does.
    pub fn unplug(&self) {
        self.namespace.ip(&["link", "set", DEVICE, "down"]);
    }
}
