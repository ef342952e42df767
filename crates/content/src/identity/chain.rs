//! Chains: the proof that a current document descends from the first one.

use std::cmp::Ordering;

use super::{Identity, IdentityError, PublisherId, SignedIdentity};
use crate::{hash::DocumentHash, signing::PublicKey};

/// Changes of keys in a chain. Devices change often, which is no change of keys; root keys seldom.
pub const KEY_CHANGES_MAX: usize = 8;

/// Bytes of the documents of a chain: with a head, they fit a record of the DHT.
pub const CHAIN_BYTES_MAX: usize = 3_700;

/// The first document of an identity, all that changed keys, in order, and the current one; proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    publisher: PublisherId,
    /// Never empty. All but the last one are the first document or change keys.
    documents: Vec<SignedIdentity>,
    /// Hashes of the first document and of those that changed keys.
    roots: Vec<DocumentHash>,
}

/// What a chain is to another one of the same publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continues {
    /// The same current document.
    Same,
    /// The chain goes on from the other one.
    Newer,
    /// The other one goes on from this chain.
    Older,
    /// Neither: two histories of keys, of which one was not made by the publisher.
    Contradicts,
}

impl Chain {
    /// Proves a chain.
    ///
    /// # Errors
    /// The first rule that is broken. At most 16 signatures a document are verified, those of the first
    /// wrong document included.
    pub fn new(documents: Vec<SignedIdentity>) -> Result<Self, IdentityError> {
        let publisher = documents.first().and_then(SignedIdentity::publisher);
        let publisher = publisher.ok_or(IdentityError::NoFirst)?;
        let bytes: usize = documents
            .iter()
            .map(|document| document.encode().len())
            .sum();
        if documents.len() > 2 + KEY_CHANGES_MAX || bytes > CHAIN_BYTES_MAX {
            return Err(IdentityError::TooLong);
        }
        let roots = prove(&documents)?;
        if roots.len() > 1 + KEY_CHANGES_MAX {
            return Err(IdentityError::TooLong);
        }
        Ok(Self {
            publisher,
            documents,
            roots,
        })
    }

    /// The chain with one more document, which may take the place of the current one.
    ///
    /// # Errors
    /// As [`Chain::new`].
    pub fn with(&self, document: SignedIdentity) -> Result<Self, IdentityError> {
        let kept = self.documents.iter().take(self.roots.len()).cloned();
        Self::new(kept.chain([document]).collect())
    }

    /// The publisher.
    pub fn publisher(&self) -> PublisherId {
        self.publisher
    }

    /// The documents.
    pub fn documents(&self) -> &[SignedIdentity] {
        &self.documents
    }

    /// The current document.
    pub fn current(&self) -> &Identity {
        self.documents[self.documents.len() - 1].identity()
    }

    /// The document whose root keys may sign the next one, and its hash.
    pub fn root(&self) -> (&Identity, DocumentHash) {
        let last = self.roots.len() - 1;
        (self.documents[last].identity(), self.roots[last])
    }

    /// Whether `key` may sign heads now.
    pub fn has_signer(&self, key: &PublicKey) -> bool {
        self.current().signers.binary_search(key).is_ok()
    }

    /// What this chain is to `other`, which has the same publisher.
    ///
    /// With the same changes of keys, the higher number counts, and of one number the greater hash: root
    /// keys that made two documents at once left both, and all nodes take the same one.
    pub fn compare(&self, other: &Self) -> Continues {
        let common = self.roots.len().min(other.roots.len());
        if self.roots[..common] != other.roots[..common] {
            return Continues::Contradicts;
        }
        match (self.roots.len().cmp(&other.roots.len()))
            .then_with(|| self.rank().cmp(&other.rank()))
        {
            Ordering::Equal => Continues::Same,
            Ordering::Greater => Continues::Newer,
            Ordering::Less => Continues::Older,
        }
    }

    fn rank(&self) -> (u64, DocumentHash) {
        let current = &self.documents[self.documents.len() - 1];
        (current.identity().number, current.hash())
    }
}

/// The hashes of the first document and of those that changed keys, of documents that prove each other.
fn prove(documents: &[SignedIdentity]) -> Result<Vec<DocumentHash>, IdentityError> {
    let (first, later) = documents.split_first().ok_or(IdentityError::NoFirst)?;
    let mut roots = vec![first.hash()];
    let mut root = first.identity();
    for (position, document) in later.iter().enumerate() {
        let identity = document.identity();
        let number = identity.number;
        match identity.root {
            Some(hash) if hash == roots[roots.len() - 1] => {}
            Some(hash) => return Err(IdentityError::Root(number, hash)),
            None => return Err(IdentityError::First),
        }
        // Only root documents precede another one, so the one before has the number of the root.
        if number <= root.number {
            return Err(IdentityError::Number(number));
        }
        let changes_keys = identity.changes_keys_of(root);
        if !changes_keys && position + 1 < later.len() {
            return Err(IdentityError::Superfluous(number));
        }
        if !document.is_signed(root) {
            return Err(IdentityError::Signatures(number));
        }
        if changes_keys {
            roots.push(document.hash());
            root = identity;
        }
    }
    Ok(roots)
}
