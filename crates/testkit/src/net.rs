//! Networks for real processes: hosts in network namespaces, joined by a switch or by a long line.
//!
//! A [`Switch`] is a bridge; each of its hosts has a link of its own, whose upload the kernel can
//! shape (tbf). A [`LongLine`] joins two hosts by TUN devices and a program between them that
//! delays, bounds and loses packets: the kernels that tests run on have no netem.
//!
//! All of it needs the right to make network namespaces (root, or CAP_NET_ADMIN and CAP_SYS_ADMIN)
//! and iproute2. Where that is missing, a test fails and says so.
//!
//! Everything lives in namespaces of this process alone and goes with the values that stand for
//! it; the network of the machine itself is not touched.

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

/// Addresses of a local network, where a node gives TCP a head start.
pub const LOCAL: Prefix = [10, 77, 0];

/// Addresses that nodes take for those of the Internet: the range for benchmarks (RFC 2544).
pub const INTERNET: Prefix = [198, 18, 0];

/// The name of a host's device, in its namespace.
const DEVICE: &str = "eth0";

/// A namespace with one address.
pub struct Host {
    namespace: Namespace,
    address: Ipv4Addr,
}

impl Host {
    /// Gives the namespace's device an address and sets it up.
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

    /// The namespace it lives in.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// A command that runs on it; see [`Namespace::command`].
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.namespace.command(program)
    }

    /// Bounds what it sends, in bits per second.
    ///
    /// A burst of 64 KiB lets the kernel's largest packets through as they are; what waits longer
    /// than 50 ms is dropped.
    pub fn limit_upload(&self, bits_per_second: u64) {
        let rate = format!("{bits_per_second}bit");
        let tbf = ["tbf", "rate", &rate, "burst", "64kb", "latency", "50ms"];
        let add = ["qdisc", "replace", "dev", DEVICE, "root"];
        self.namespace.tc(&[&add[..], &tbf[..]].concat());
    }

    /// Pulls the plug: nothing goes in or out any more, and nobody is told.
    pub fn unplug(&self) {
        self.namespace.ip(&["link", "set", DEVICE, "down"]);
    }
}
