//! Identities: which keys may speak for a publisher.
//!
//! A publisher is the hash of its first document ([`PublisherId`]), so the id of a publisher is no
//! key and outlives all of them. Each document names *root keys*, which may change the identity and are
//! kept offline, and *signers*, one for each device or server, which sign heads. A later document is
//! signed by the root keys of an earlier one; a [`Chain`] is the shortest proof that the current
//! document descends from the first.
//!
//! # Not here
//! No files and no randomness: the caller brings keys and a salt. What a reader remembers of chains is
//! kept by `repos`.
//!
//! Source: `proto/identity.proto`. The rule that a change of keys needs the old and the new threshold is
//! that of The Update Framework (specification 1.0, 5.3).

mod chain;
mod document;
mod publisher_id;
#[cfg(test)]
mod tests;

pub use self::{
    chain::{CHAIN_BYTES_MAX, Chain, Continues, KEY_CHANGES_MAX},
    document::{Identity, ROOT_KEYS_MAX, SIGNERS_MAX, SignedIdentity},
    publisher_id::{ParsePublisherIdError, PublisherId},
};

use crate::{encoding::NotCanonical, hash::DocumentHash};

/// Why documents do not make an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The bytes are not in the canonical encoding; holds the offset of the first deviation.
    #[error("not an identity in canonical encoding (at byte {0})")]
    Encoding(usize),
    /// No root keys, or more than [`ROOT_KEYS_MAX`].
    #[error("an identity has 1 to {ROOT_KEYS_MAX} root keys")]
    RootKeys,
    /// More than [`SIGNERS_MAX`] signers.
    #[error("an identity has at most {SIGNERS_MAX} signers")]
    Signers,
    /// Keys that are not sorted, or twice the same one.
    #[error("the keys of an identity are sorted, each of them once")]
    Order,
    /// A threshold of 0, or above the number of root keys.
    #[error("the threshold of an identity is 1 to the number of its root keys")]
    Threshold,
    /// A first document with a root or without a salt, or a later one without a root or with a salt.
    #[error("the first document of an identity has a salt, each later one a root")]
    First,
    /// The chain is empty, or does not begin with a first document.
    #[error("a chain begins with the first document of an identity")]
    NoFirst,
    /// The first document has another hash than the publisher.
    #[error("the chain is that of publisher {0}")]
    OtherPublisher(PublisherId),
    /// A document is not signed by as many root keys as it has to be.
    #[error("document {0} of the identity lacks signatures of root keys")]
    Signatures(u64),
    /// A document is rooted in another one than the change of keys before it.
    #[error(
        "document {0} of the identity is rooted in {1:?}, which is not the last change of keys"
    )]
    Root(u64, DocumentHash),
    /// Numbers that do not rise.
    #[error("document {0} of the identity has no higher number than the one before it")]
    Number(u64),
    /// A document between the first and the last that changes no keys.
    #[error("document {0} of the identity changes no keys and is not the last one")]
    Superfluous(u64),
    /// More than [`KEY_CHANGES_MAX`] changes of keys, or more than [`CHAIN_BYTES_MAX`] bytes.
    #[error(
        "an identity has at most {KEY_CHANGES_MAX} changes of keys and {CHAIN_BYTES_MAX} bytes"
    )]
    TooLong,
}

impl From<NotCanonical> for IdentityError {
    fn from(NotCanonical(at): NotCanonical) -> Self {
        Self::Encoding(at)
    }
}
