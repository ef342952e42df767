//! Aliases: the ids that other hubs use for a file.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hash::{GitBlobId, ParseHashError, Sha256};

/// BLAKE3 key-derivation context for SHA-256 values. Frozen: nodes of all versions must agree.
const SHA256_CONTEXT: &str = "hubless 2026-11-25 DHT key of a file by its SHA-256";

/// The same for git's ids.
const GIT_BLOB_CONTEXT: &str = "hubless 2026-11-25 DHT key of a file by its git blob id";

/// The id that another hub uses for a file. It identifies a file, but proves no bytes: only the whole
/// file proves which [`FileHash`](crate::FileHash) belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Alias {
    /// SHA-256 of its bytes.
    Sha256(Sha256),
    /// Its id as a git blob.
    GitBlob(GitBlobId),
}

impl Alias {
    /// The DHT key under which holders of the file are found: BLAKE3 in a domain of its own, so that
    /// no alias collides with another kind of hash or alias.
    pub fn derived_key(&self) -> [u8; 32] {
        match self {
            Self::Sha256(sha256) => blake3::derive_key(SHA256_CONTEXT, sha256.as_bytes()),
            Self::GitBlob(id) => blake3::derive_key(GIT_BLOB_CONTEXT, id.as_bytes()),
        }
    }
}

impl From<Sha256> for Alias {
    fn from(sha256: Sha256) -> Self {
        Self::Sha256(sha256)
    }
}

impl From<GitBlobId> for Alias {
    fn from(id: GitBlobId) -> Self {
        Self::GitBlob(id)
    }
}

/// `sha256:` or `git:`, and the digits.
impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(sha256) => write!(f, "sha256:{sha256}"),
            Self::GitBlob(id) => write!(f, "git:{id}"),
        }
    }
}

/// Why a text is not an alias.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseAliasError {
    /// It begins with neither `sha256:` nor `git:`.
    #[error("an alias begins with \"sha256:\" or \"git:\"")]
    Kind,
    /// The rest is not a hash of that kind.
    #[error(transparent)]
    Hash(#[from] ParseHashError),
}

impl FromStr for Alias {
    type Err = ParseAliasError;

    fn from_str(text: &str) -> Result<Self, ParseAliasError> {
        match text.split_once(':') {
            Some(("sha256", digits)) => Ok(Self::Sha256(digits.parse()?)),
            Some(("git", digits)) => Ok(Self::GitBlob(digits.parse()?)),
            _ => Err(ParseAliasError::Kind),
        }
    }
}

impl Serialize for Alias {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Alias {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA256: Alias = Alias::Sha256(Sha256::new([0xaa; 32]));
    const GIT_BLOB: Alias = Alias::GitBlob(GitBlobId::new([0xbb; 20]));

    #[test]
    fn text_and_back() {
        for (alias, text) in [
            (SHA256, format!("sha256:{}", "aa".repeat(32))),
            (GIT_BLOB, format!("git:{}", "bb".repeat(20))),
        ] {
            assert_eq!(alias.to_string(), text);
            assert_eq!(text.parse(), Ok(alias));
            let json = serde_json::to_string(&alias).unwrap();
            assert_eq!(serde_json::from_str::<Alias>(&json).unwrap(), alias);
        }
    }

    #[test]
    fn malformed_text_says_what_is_wrong() {
        for text in ["", "sha256", "sha1:00", &"aa".repeat(32)] {
            assert_eq!(text.parse::<Alias>(), Err(ParseAliasError::Kind), "{text}");
        }
        for text in ["sha256:", "git:aa", "sha256:é"] {
            let error = text.parse::<Alias>().unwrap_err();
            assert!(matches!(error, ParseAliasError::Hash(_)), "{text}: {error}");
        }
    }

    /// From `b3sum --derive-key`; see `proto/dht-keys.md`.
    #[test]
    fn derived_keys_are_frozen() {
        let hex = |key: [u8; 32]| crate::FileHash::new(key).to_string();
        assert_eq!(
            hex(SHA256.derived_key()),
            "e7aaa3b14708a4ef7ad9dd49cffbb38aaaeec3de1dcf3eae18ec6b76a70af461"
        );
        assert_eq!(
            hex(GIT_BLOB.derived_key()),
            "1151756922bc7321ab9a5e6bcccdaf09b9c3fd758737cb325ea01a91f45adc78"
        );
    }
}
