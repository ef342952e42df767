//! Keys and signatures of publishers.
//!
//! A signature covers `context`, a zero byte and the exact bytes of a document. The context differs by
//! [kind of document](Context), so a signature over one kind is worth nothing over another.
//!
//! Keys of nodes, which prove an address, are not here: they belong to `network`.
//!
//! Source: RFC 8032 (Ed25519). Verification is the strict one of `ed25519-dalek`: small-order keys and
//! encodings that are not canonical are refused, so all nodes agree about every signature.

use std::{fmt, str::FromStr};

use ed25519_dalek::Signer as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of a public key and of a secret one.
pub const KEY_BYTES: usize = 32;

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;

/// The multicodec of an Ed25519 public key, as a varint (did:key, multicodec table).
const ED25519_PUBLIC: [u8; 2] = [0xed, 0x01];

/// What a public key looks like as text: base58btc of the multicodec and the key.
const DID_KEY: &str = "did:key:z";

/// The kind of document that a signature covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// An [identity document](crate::Identity).
    Identity,
    /// A [head](crate::Head).
    Head,
}

impl Context {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "hubless 2026-12 identity",
            Self::Head => "hubless 2026-12 head",
        }
    }

    fn message(self, document: &[u8]) -> Vec<u8> {
        [self.as_str().as_bytes(), &[0], document].concat()
    }
}

/// Why a text is not a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a public key is \"did:key:z\" and 47 characters of base58, of an Ed25519 key")]
pub struct ParseKeyError;

/// The public half of a key of a publisher. As text, `did:key:z6Mk...`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; KEY_BYTES]);

impl PublicKey {
    /// The key with these bytes. That they are a point of the curve is checked where a signature is.
    pub const fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The key from a slice; `None` if it has another length.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// Whether `signature` is this key's over `document` in `context`.
    #[must_use]
    pub fn verifies(&self, context: Context, document: &[u8], signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        ed25519_dalek::VerifyingKey::from_bytes(&self.0).is_ok_and(|key| {
            key.verify_strict(&context.message(document), &signature)
                .is_ok()
        })
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&ED25519_PUBLIC[..], &self.0].concat();
        write!(f, "{DID_KEY}{}", bs58::encode(bytes).into_string())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        let mut bytes = [0; ED25519_PUBLIC.len() + KEY_BYTES];
        let written = text
            .strip_prefix(DID_KEY)
            .and_then(|digits| bs58::decode(digits).onto(&mut bytes[..]).ok());
        let key = bytes.strip_prefix(&ED25519_PUBLIC);
        match (written, key.and_then(Self::from_slice)) {
            (Some(written), Some(key)) if written == bytes.len() => Ok(key),
            _ => Err(ParseKeyError),
        }
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// The secret half of a key of a publisher. Its bytes are cleared from memory when it is dropped.
#[derive(Clone)]
pub struct SecretKey(ed25519_dalek::SigningKey);

impl SecretKey {
    /// The key of these 32 secret random bytes.
    pub fn new(seed: &[u8; KEY_BYTES]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The bytes that [`SecretKey::new`] takes: for the file that keeps the key.
    pub fn to_bytes(&self) -> [u8; KEY_BYTES] {
        self.0.to_bytes()
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// The signature over `document` in `context`.
    pub fn sign(&self, context: Context, document: &[u8]) -> Signature {
        Signature(self.0.sign(&context.message(document)).to_bytes())
    }
}

/// Only the public half: a secret key is in no log.
impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey of {}", self.public())
    }
}

/// A signature.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signature([u8; SIGNATURE_BYTES]);

impl Signature {
    /// The signature with these bytes.
    pub const fn new(bytes: [u8; SIGNATURE_BYTES]) -> Self {
        Self(bytes)
    }

    /// The signature from a slice; `None` if it has another length.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; SIGNATURE_BYTES] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x?}..", &self.0[..4])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_counts_for_its_key_context_and_document_only() {
        let (key, other) = (SecretKey::new(&[1; 32]), SecretKey::new(&[2; 32]));
        let signature = key.sign(Context::Head, b"document");
        let verifies = |key: &SecretKey, context, document: &[u8]| {
            key.public().verifies(context, document, &signature)
        };
        assert!(verifies(&key, Context::Head, b"document"));
        assert!(!verifies(&key, Context::Identity, b"document"));
        assert!(!verifies(&key, Context::Head, b"documenT"));
        assert!(!verifies(&other, Context::Head, b"document"));
        let mut changed = *signature.as_bytes();
        changed[40] ^= 1;
        let changed = Signature::new(changed);
        assert!(!key.public().verifies(Context::Head, b"document", &changed));
    }

    /// The neutral element as a key verifies signatures over any document, if it is let.
    #[test]
    fn keys_of_small_order_verify_nothing() {
        let mut neutral = [0; KEY_BYTES];
        neutral[0] = 1;
        let mut signature = [0; SIGNATURE_BYTES];
        signature[0] = 1;
        let signature = Signature::new(signature);
        assert!(!PublicKey::new(neutral).verifies(Context::Head, b"any", &signature));
    }

    /// The first test vector of the did:key method for Ed25519, and RFC 8032's first key.
    #[test]
    fn keys_as_text() {
        let text = "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp";
        let key: PublicKey = text.parse().unwrap();
        assert_eq!(key.to_string(), text);
        for wrong in [
            "",
            "did:key:z",
            "did:key:z6Mk",
            &text[..50],
            "did:key:zLLL",
            &format!("{text}1"),
        ] {
            assert_eq!(wrong.parse::<PublicKey>(), Err(ParseKeyError), "{wrong}");
        }
        let x25519 = "did:key:z6LSeu9HkTHSfLLeUs2nnzUSNedgDUevfNQgQjQC23ZCit6F";
        assert_eq!(
            x25519.parse::<PublicKey>(),
            Err(ParseKeyError),
            "another kind of key"
        );
    }
}
