//! A head with everything that proves it.

use super::{Head, HeadError, VerifiedHead};
use crate::{
    encoding::{Reader, bytes_tag, put_bytes},
    identity::{CHAIN_BYTES_MAX, Chain, IdentityError, KEY_CHANGES_MAX, SignedIdentity},
    signing::{Context, PublicKey, SecretKey, Signature},
};

/// Bytes of a record: with twenty peers and their addresses it fits a message of the DHT (16 KiB).
pub const HEAD_RECORD_BYTES_MAX: usize = 4_096;

/// How far ahead of the own clock a head may be: clocks of machines differ.
pub const CLOCK_AHEAD_MAX_MS: u64 = 60 * 60 * 1_000;

const TAG_HEAD: u8 = bytes_tag(1);
const TAG_SIGNER: u8 = bytes_tag(2);
const TAG_SIGNATURE: u8 = bytes_tag(3);
const TAG_IDENTITY: u8 = bytes_tag(4);

/// A head, its signature, and the chain of the identity; in order, but not proven yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadRecord {
    bytes: Vec<u8>,
    document: Vec<u8>,
    head: Head,
    signer: PublicKey,
    signature: Signature,
    chain: Vec<SignedIdentity>,
}

impl HeadRecord {
    /// Signs a head.
    ///
    /// # Errors
    /// If the head breaks a rule, `key` is no signer of the chain, or the head names another document of
    /// the identity than the current one.
    pub fn sign(head: &Head, chain: &Chain, key: &SecretKey) -> Result<VerifiedHead, HeadError> {
        let document = head.encode()?;
        let signature = key.sign(Context::Head, &document);
        let mut bytes = Vec::new();
        put_bytes(&mut bytes, TAG_HEAD, &document);
        put_bytes(&mut bytes, TAG_SIGNER, key.public().as_bytes());
        put_bytes(&mut bytes, TAG_SIGNATURE, signature.as_bytes());
        for document in chain.documents() {
            put_bytes(&mut bytes, TAG_IDENTITY, &document.encode());
        }
        Self::decode(&bytes)?.verify(head.time)
    }

    /// Decodes a record, and refuses every encoding but the canonical one. Proves nothing.
    ///
    /// # Errors
    /// If a rule or limit is broken; nothing is allocated from declared lengths.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeadError> {
        if bytes.len() > HEAD_RECORD_BYTES_MAX {
            return Err(HeadError::TooLarge(bytes.len()));
        }
        let mut reader = Reader::new(bytes);
        let document = reader.field(TAG_HEAD)?.unwrap_or_default();
        let head = Head::decode(document)?;
        let signer = reader.fixed(TAG_SIGNER, PublicKey::from_slice)?;
        let signature = reader.fixed(TAG_SIGNATURE, Signature::from_slice)?;
        let (Some(signer), Some(signature)) = (signer, signature) else {
            return Err(HeadError::Encoding(reader.at()));
        };
        let mut chain = Vec::new();
        while let Some(bytes) = reader.field(TAG_IDENTITY)? {
            if chain.len() == 2 + KEY_CHANGES_MAX {
                return Err(HeadError::Encoding(reader.at()));
            }
            chain.push(SignedIdentity::decode(bytes)?);
        }
        reader.end()?;
        Ok(Self {
            bytes: bytes.to_vec(),
            document: document.to_vec(),
            head,
            signer,
            signature,
            chain,
        })
    }

    /// The head, not proven.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The documents of the identity, not proven.
    pub fn chain(&self) -> &[SignedIdentity] {
        &self.chain
    }

    /// The canonical bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Proves the record, cheapest checks first; `now` is in milliseconds since 1970.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify(self, now: u64) -> Result<VerifiedHead, HeadError> {
        self.check_cheap(now)?;
        let chain = Chain::new(self.chain.clone())?;
        self.verify_by(chain)
    }

    /// As [`HeadRecord::verify`], with a chain that was proven before: if it has the documents of the
    /// record, only the head's own signature is verified.
    ///
    /// # Errors
    /// As [`HeadRecord::verify`].
    pub fn verify_knowing(self, now: u64, known: &Chain) -> Result<VerifiedHead, HeadError> {
        if known.documents() != self.chain {
            return self.verify(now);
        }
        self.check_cheap(now)?;
        self.verify_by(known.clone())
    }

    fn check_cheap(&self, now: u64) -> Result<(), HeadError> {
        let publisher = self.chain.first().and_then(SignedIdentity::publisher);
        match publisher {
            Some(publisher) if publisher == self.head.subject.publisher() => {}
            Some(other) => return Err(IdentityError::OtherPublisher(other).into()),
            None => return Err(IdentityError::NoFirst.into()),
        }
        let ahead = self.head.time.saturating_sub(now);
        if ahead > CLOCK_AHEAD_MAX_MS {
            return Err(HeadError::Future(ahead));
        }
        Ok(())
    }

    fn verify_by(self, chain: Chain) -> Result<VerifiedHead, HeadError> {
        let (head, current) = (self.head.number, chain.current().number);
        if head != current {
            return Err(HeadError::Number {
                head,
                chain: current,
            });
        }
        if !chain.has_signer(&self.signer) {
            return Err(HeadError::Signer);
        }
        if !(self.signer).verifies(Context::Head, &self.document, &self.signature) {
            return Err(HeadError::Signature);
        }
        Ok(VerifiedHead::new(self.bytes, self.head, self.signer, chain))
    }
}

// A chain of the largest size and a head fit.
const _: () = assert!(CHAIN_BYTES_MAX + 380 <= HEAD_RECORD_BYTES_MAX);
