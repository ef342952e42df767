//! Hashes, each kind with its own type so that they cannot be swapped.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is not a hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseHashError {
    /// The text has another length.
    #[error("a hash has {digits} hexadecimal digits, this has {found} characters")]
    Length {
        /// Digits that the hash needs.
        digits: usize,
        /// Characters found.
        found: usize,
    },
    /// A character is not one of `0-9a-fA-F`; holds it and its position, counted from 1.
    #[error("a hash has only hexadecimal digits, but character {1} is {0:?}")]
    Digit(char, usize),
}

fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], ParseHashError> {
    let (digits, found) = (2 * N, text.chars().count());
    if found != digits {
        return Err(ParseHashError::Length { digits, found });
    }
    let mut bytes = [0; N];
    for (position, char) in text.chars().enumerate() {
        let digit = char
            .to_digit(16)
            .ok_or(ParseHashError::Digit(char, position + 1))?;
        bytes[position / 2] = bytes[position / 2] << 4 | digit as u8;
    }
    Ok(bytes)
}

macro_rules! hash_type {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// The value with these bytes.
            pub const fn new(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The value from a slice; `None` if it has another length.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// The first ten digits: enough to distinguish values in logs and messages.
            pub fn short(&self) -> String {
                self.to_string()[..10].to_owned()
            }
        }

        /// Lower-case hexadecimal digits, two a byte.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        /// Ten digits, so that logs stay legible.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.short())
            }
        }

        impl FromStr for $name {
            type Err = ParseHashError;

            fn from_str(text: &str) -> Result<Self, ParseHashError> {
                parse_hex(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// For the hashes that are BLAKE3's.
macro_rules! from_blake3 {
    ($($name:ident),*) => {
        $(impl From<blake3::Hash> for $name {
            fn from(hash: blake3::Hash) -> Self {
                Self(hash.into())
            }
        })*
    };
}

hash_type! {
    /// BLAKE3 of a file's bytes: what `b3sum` prints.
    FileHash, 32
}

hash_type! {
    /// BLAKE3 of a manifest's bytes: the address of a model.
    ContentHash, 32
}

hash_type! {
    /// The BLAKE3 chaining value of one chunk: the non-root output of its subtree, bound to the
    /// chunk's position in the file.
    ChunkCv, 32
}

hash_type! {
    /// SHA-256 of a file's bytes: what other hubs call a large file. Never an address here.
    Sha256, 32
}

hash_type! {
    /// Git's id of a file: SHA-1 of `blob `, the size in decimal, a NUL, and the bytes. SHA-1 has
    /// known collisions, so it identifies a file only if its origin is trusted.
    GitBlobId, 20
}

hash_type! {
    /// One [revision](crate::Revision) of a repo: 40 digits, as the clients of other hubs require.
    CommitId, 20
}

hash_type! {
    /// BLAKE3 of the encoding of a [revision](crate::Revision). Its first 20 bytes are the commit id.
    RevisionHash, 32
}

hash_type! {
    /// BLAKE3 of an encoded document of a publisher, such as an [identity](crate::Identity) or a
    /// [state](crate::State), without signatures.
    DocumentHash, 32
}

hash_type! {
    /// The key of a [subject](crate::Subject), a repo or a profile, in the DHT and between peers. It is
    /// derived, so that none is a key of another kind.
    SubjectKey, 32
}

from_blake3!(
    FileHash,
    ContentHash,
    RevisionHash,
    DocumentHash,
    SubjectKey
);

impl DocumentHash {
    /// The hash of a document's exact bytes.
    pub fn of(bytes: &[u8]) -> Self {
        blake3::hash(bytes).into()
    }
}

impl RevisionHash {
    /// The id of the revision in the form that the clients of other hubs require.
    pub fn commit_id(&self) -> CommitId {
        let mut id = [0; 20];
        id.copy_from_slice(&self.0[..20]);
        CommitId(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let hash = FileHash::from(blake3::hash(b""));
        let text = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(hash.to_string(), text);
        assert_eq!(text.parse(), Ok(hash));
        assert_eq!(text.to_uppercase().parse(), Ok(hash));
        assert_eq!(format!("{hash:?}"), "af1349b9f5");
        assert_eq!(serde_json::to_string(&hash).unwrap(), format!("\"{text}\""));
        assert_eq!(
            serde_json::from_str::<FileHash>(&format!("\"{text}\"")).unwrap(),
            hash
        );
    }

    #[test]
    fn malformed_text_says_what_is_wrong() {
        assert_eq!(
            "ab".repeat(20).parse::<CommitId>(),
            Ok(CommitId::new([0xab; 20]))
        );
        assert_eq!(
            "abc".parse::<FileHash>(),
            Err(ParseHashError::Length {
                digits: 64,
                found: 3
            })
        );
        let with_dots = format!("{}../etc/passwd", "a".repeat(51));
        assert_eq!(with_dots.len(), 64);
        assert_eq!(
            with_dots.parse::<FileHash>(),
            Err(ParseHashError::Digit('.', 52))
        );
        assert_eq!(
            "é".repeat(32).parse::<FileHash>(),
            Err(ParseHashError::Length {
                digits: 64,
                found: 32
            })
        );
        assert_eq!(
            "é".repeat(64).parse::<FileHash>(),
            Err(ParseHashError::Digit('é', 1))
        );
    }
}
