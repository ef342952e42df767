//! Ids of publishers.

use std::{fmt, str::FromStr};

use data_encoding::BASE32_NOPAD_NOCASE;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Characters of a publisher id as text.
const CHARACTERS: usize = 52;

/// Why a text is not the id of a publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id of a publisher has {CHARACTERS} characters, a to z and 2 to 7")]
pub struct ParsePublisherIdError;

/// A publisher, a person or an organization: BLAKE3 of the first document of its
/// [identity](crate::Identity).
///
/// As text 52 characters of base32 (RFC 4648, lower case, no padding), which the clients of other hubs
/// take as a namespace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublisherId([u8; 32]);

impl PublisherId {
    /// The id with these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The id of the identity whose first document has these exact bytes.
    pub(super) fn of_first_document(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The id from a slice; `None` if it has another length.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first ten characters, for messages that also name the publisher otherwise.
    pub fn short(&self) -> String {
        self.to_string()[..10].to_owned()
    }
}

impl fmt::Display for PublisherId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE32_NOPAD_NOCASE.encode(&self.0).to_ascii_lowercase())
    }
}

impl fmt::Debug for PublisherId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl FromStr for PublisherId {
    type Err = ParsePublisherIdError;

    /// Case does not matter, as in names of repos.
    fn from_str(text: &str) -> Result<Self, ParsePublisherIdError> {
        let bytes = BASE32_NOPAD_NOCASE.decode(text.as_bytes()).ok();
        bytes
            .and_then(|bytes| Self::from_slice(&bytes))
            .ok_or(ParsePublisherIdError)
    }
}

impl Serialize for PublisherId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublisherId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::{RepoId, RepoKind};

    #[test]
    fn text_and_back() {
        let id = PublisherId::new(std::array::from_fn(|at| at as u8));
        let text = "aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq";
        assert_eq!(id.to_string(), text);
        assert_eq!(text.len(), CHARACTERS);
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(text.to_uppercase().parse(), Ok(id));
        // The last character carries four bits that are always zero.
        let other_bits = format!("{}r", &text[..51]);
        for wrong in [
            "",
            "acme",
            &text[1..],
            &format!("{text}a"),
            &other_bits,
            &text.replace('q', "1"),
        ] {
            assert_eq!(
                wrong.parse::<PublisherId>(),
                Err(ParsePublisherIdError),
                "{wrong}"
            );
        }
    }

    #[test]
    fn an_id_is_a_namespace() {
        let id = PublisherId::new([0x5a; 32]);
        let repo = RepoId::new(RepoKind::Model, &format!("{id}/name")).unwrap();
        assert_eq!(repo.namespace().unwrap().parse(), Ok(id));
    }
}
