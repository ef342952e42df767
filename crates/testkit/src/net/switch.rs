//! Hosts on one switch.

use super::{
    DEVICE, Host, Prefix,
    namespace::{Namespace, ip, run},
};

/// A bridge in a namespace of its own.
pub struct Switch {
    namespace: Namespace,
    prefix: Prefix,
    hosts: u8,
}

impl Switch {
    /// Creates a switch without hosts.
    pub fn new(prefix: Prefix) -> Self {
        let namespace = Namespace::new("switch");
        // Without snooping, multicast reaches all ports at once.
        let bridge = ["type", "bridge", "mcast_snooping", "0"];
        namespace.ip(&[&["link", "add", "bridge"], &bridge[..]].concat());
        namespace.ip(&["link", "set", "bridge", "up"]);
        Self {
            namespace,
            prefix,
            hosts: 0,
        }
    }

    /// Adds a host with the next address; at most 254.
    pub fn host(&mut self, label: &str) -> Host {
        self.hosts += 1;
        let port = format!("port{}", self.hosts);
        let (namespace, switch) = (Namespace::new(label), self.namespace.name());
        let here = ["link", "add", DEVICE, "netns", namespace.name(), "type"];
        let there = ["veth", "peer", "name", &port, "netns", switch];
        run(&mut ip(&[&here[..], &there[..]].concat()));
        self.namespace
            .ip(&["link", "set", &port, "master", "bridge", "up"]);
        Host::new(namespace, self.prefix, self.hosts)
    }
}
