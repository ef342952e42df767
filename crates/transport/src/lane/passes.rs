//! Passes that were given out and not used yet.

use std::{collections::HashMap, fmt};

use libp2p::PeerId;
use rustls::pki_types::ServerName;

use crate::streams::Link;

/// Unused passes of one peer: as many lanes as it may begin at once.
const PASSES_PER_PEER_MAX: usize = 4;

/// Unused passes of all peers: more than all connections may have, so that the passes of some never
/// keep others from theirs.
const PASSES_MAX: usize = 4096;

/// Good for one lane. Random, so that it cannot be guessed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Pass([u8; Self::BYTES]);

impl Pass {
    pub(super) const BYTES: usize = 16;

    pub(super) fn random() -> Self {
        Self(rand::random())
    }

    pub(super) fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As it stands in the TLS hello: a server name of 32 hexadecimal digits.
    pub(super) fn to_name(self) -> Option<ServerName<'static>> {
        let digits: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        ServerName::try_from(digits).ok()
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        let is_hex = name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if name.len() != 2 * Self::BYTES || !is_hex {
            return None;
        }
        u128::from_str_radix(name, 16)
            .ok()
            .map(|number| Self(number.to_be_bytes()))
    }
}

/// Shows no pass: a reader of the log could use it first.
impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pass(..)")
    }
}

/// The passes of all peers, and the connections that they were given out on.
#[derive(Debug, Default)]
pub(super) struct Passes {
    given: HashMap<Pass, (PeerId, Link)>,
}

impl Passes {
    /// A new pass; none if the peer, or all together, have many that they do not use.
    pub(super) fn give(&mut self, peer: PeerId, link: Link) -> Option<Pass> {
        let own = self.given.values().filter(|(other, _)| *other == peer);
        if self.given.len() >= PASSES_MAX || own.count() >= PASSES_PER_PEER_MAX {
            return None;
        }
        let pass = Pass::random();
        self.given.insert(pass, (peer, link));
        Some(pass)
    }

    /// Takes a pass back, so that it is good for nothing any more.
    pub(super) fn take(&mut self, pass: Pass) -> Option<(PeerId, Link)> {
        self.given.remove(&pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_good_once_and_for_the_peer_it_was_given_to() {
        let (mut passes, peer) = (Passes::default(), PeerId::random());
        let pass = passes.give(peer, Link::default()).unwrap();
        assert!(passes.take(Pass::random()).is_none());
        assert_eq!(passes.take(pass).unwrap().0, peer);
        assert!(passes.take(pass).is_none());
    }

    #[test]
    fn what_one_peer_and_what_all_may_have_is_bounded() {
        let (mut passes, peer) = (Passes::default(), PeerId::random());
        let given: Vec<_> = (0..PASSES_PER_PEER_MAX)
            .map(|_| passes.give(peer, Link::default()).unwrap())
            .collect();
        assert!(passes.give(peer, Link::default()).is_none());
        passes.take(given[0]);
        assert!(passes.give(peer, Link::default()).is_some());
        while passes.give(PeerId::random(), Link::default()).is_some() {}
        assert_eq!(passes.given.len(), PASSES_MAX);
    }

    #[test]
    fn names_of_passes_and_of_other_things() {
        let pass = Pass::random();
        let name = pass.to_name().unwrap();
        assert_eq!(Pass::from_name(&name.to_str()), Some(pass));
        for other in [
            "",
            "example.org",
            "+0000000000000000000000000000000",
            &"0".repeat(31),
            &"0".repeat(33),
            &"é".repeat(16),
        ] {
            assert_eq!(Pass::from_name(other), None, "{other}");
        }
    }
}
