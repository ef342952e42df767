//! Directories: lists of names for publishers that others keep.
//!
//! A directory is a dataset repo of a publisher with a file `names.txt`. It has history and signatures
//! as every repo has; the configuration names those that a node believes, in their order.
//!
//! ```text
//! # a comment
//! acme     <52 characters>
//! acme-lab <52 characters>
//! ```
//!
//! # Not here
//! What an entry is worth beside other sources (see `namespaces`).

mod read;

use std::collections::HashMap;

use hubless_content::{ParsePublisherIdError, PublisherId, RepoId, RepoIdError, RepoKind};

pub use self::read::{Directories, ReadError};

/// Lines of a directory: an organization has thousands of publishers at most, and a line takes some 200
/// bytes of memory.
pub const DIRECTORY_LINES_MAX: usize = 100_000;

/// Bytes of a directory: [`DIRECTORY_LINES_MAX`] of the longest lines.
pub const DIRECTORY_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Why a file is not a directory. It is then refused as a whole: a line that is left out would let
/// another source decide what its name means.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// More than [`DIRECTORY_BYTES_MAX`] bytes or [`DIRECTORY_LINES_MAX`] lines.
    #[error("a directory has at most {DIRECTORY_LINES_MAX} lines and {DIRECTORY_BYTES_MAX} bytes")]
    TooLarge,
    /// The bytes are not UTF-8.
    #[error("a directory is a text in UTF-8")]
    NotText,
    /// A line without exactly two words.
    #[error("line {0}: a line has a name and the id of a publisher")]
    Words(usize),
    /// A name that cannot be a namespace.
    #[error("line {line}: {reason}")]
    Name {
        /// Its number, from 1.
        line: usize,
        /// The rule that is broken.
        reason: NotNamespace,
    },
    /// The second word is not an id.
    #[error("line {line}: {reason}")]
    Publisher {
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        reason: ParsePublisherIdError,
    },
    /// A name that an earlier line has.
    #[error("line {0}: the name stands in an earlier line too")]
    Twice(usize),
}

/// Why a text cannot be bound to a publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotNamespace {
    /// A rule of namespaces is broken.
    #[error(transparent)]
    Rule(#[from] RepoIdError),
    /// It has the form of an id, which always means the publisher with that id.
    #[error("a name of 52 characters, a to z and 2 to 7, is the id of a publisher")]
    Id,
}

/// A directory that was read.
#[derive(Debug)]
pub struct Directory(HashMap<Box<str>, PublisherId>);

impl Directory {
    /// Reads the bytes of the file.
    ///
    /// # Errors
    /// The first line that is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, DirectoryError> {
        if bytes.len() as u64 > DIRECTORY_BYTES_MAX {
            return Err(DirectoryError::TooLarge);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| DirectoryError::NotText)?;
        let mut entries = HashMap::new();
        for (at, line) in text.lines().enumerate() {
            if at >= DIRECTORY_LINES_MAX {
                return Err(DirectoryError::TooLarge);
            }
            let Some((name, publisher)) = entry(line, at + 1)? else {
                continue;
            };
            if entries.insert(name, publisher).is_some() {
                return Err(DirectoryError::Twice(at + 1));
            }
        }
        Ok(Self(entries))
    }

    /// The publisher that a folded namespace stands for.
    pub fn publisher(&self, folded: &str) -> Option<PublisherId> {
        self.0.get(folded).copied()
    }
}

/// What a line says; nothing if it is empty or a comment.
fn entry(text: &str, line: usize) -> Result<Option<(Box<str>, PublisherId)>, DirectoryError> {
    let mut words = text.split_ascii_whitespace();
    let name = match words.next() {
        None => return Ok(None),
        Some(word) if word.starts_with('#') => return Ok(None),
        Some(name) => name,
    };
    let (Some(id), None) = (words.next(), words.next()) else {
        return Err(DirectoryError::Words(line));
    };
    let folded = fold(name).map_err(|reason| DirectoryError::Name { line, reason })?;
    let publisher = id
        .parse()
        .map_err(|reason| DirectoryError::Publisher { line, reason })?;
    Ok(Some((folded.into(), publisher)))
}

/// A namespace in the spelling under which all its spellings are equal.
///
/// # Errors
/// If it cannot be bound to a publisher.
pub(crate) fn fold(namespace: &str) -> Result<String, NotNamespace> {
    let repo = RepoId::new(RepoKind::Model, &format!("{namespace}/x"))?;
    if repo.namespace() != Some(namespace) {
        return Err(RepoIdError::Segments.into());
    }
    let folded = namespace.to_ascii_lowercase();
    if has_form_of_id(&folded) {
        return Err(NotNamespace::Id);
    }
    Ok(folded)
}

/// Whether a folded namespace looks like the id of a publisher: also a text that is none, because its
/// last character is not canonical, must not be bound to another publisher.
pub(crate) fn has_form_of_id(folded: &str) -> bool {
    folded.len() == 52
        && folded
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(seed: u8) -> PublisherId {
        PublisherId::new([seed; 32])
    }

    #[test]
    fn names_and_ids() {
        let text = format!(
            "# our publishers\n\nAcme {}\r\n  acme.lab\t{} \n#x y z\n",
            id(1),
            id(2).to_string().to_uppercase()
        );
        let directory = Directory::parse(text.as_bytes()).unwrap();
        assert_eq!(directory.publisher("acme"), Some(id(1)));
        assert_eq!(directory.publisher("acme.lab"), Some(id(2)));
        assert_eq!(directory.publisher("x"), None);
        assert!(Directory::parse(b"").is_ok());
    }

    #[test]
    fn one_wrong_line_refuses_all() {
        let good = format!("acme {}\n", id(1));
        let error = |line: String| {
            let text = format!("{good}{line}\n");
            Directory::parse(text.as_bytes()).unwrap_err().to_string()
        };
        assert_eq!(
            error(format!("ACME {}", id(1))),
            DirectoryError::Twice(2).to_string()
        );
        assert_eq!(error("x".into()), DirectoryError::Words(2).to_string());
        assert_eq!(
            error(format!("x {} y", id(1))),
            DirectoryError::Words(2).to_string()
        );
        assert!(error("x y".into()).starts_with("line 2: the id of a publisher has 52"));
        assert!(error(format!("a/b {}", id(1))).contains("line 2: "));
        assert!(error(format!("datasets {}", id(1))).contains("cannot be"));
        // An id means itself, whatever a directory says.
        assert!(error(format!("{} {}", id(2), id(1))).contains("is the id of a publisher"));
        let not_canonical = format!("{}r", &id(2).to_string()[..51]);
        assert!(error(format!("{not_canonical} {}", id(1))).contains("is the id of a publisher"));
        assert_eq!(
            Directory::parse(b"\xff").unwrap_err(),
            DirectoryError::NotText
        );
    }

    #[test]
    fn a_directory_is_bounded() {
        let lines = |count: usize| {
            let mut text = String::new();
            for at in 0..count {
                text.push_str(&format!("a{at} {}\n", id(1)));
            }
            Directory::parse(text.as_bytes()).map(|_| ())
        };
        assert_eq!(lines(DIRECTORY_LINES_MAX), Ok(()));
        assert_eq!(
            lines(DIRECTORY_LINES_MAX + 1),
            Err(DirectoryError::TooLarge)
        );
        let large = vec![b'\n'; DIRECTORY_BYTES_MAX as usize + 1];
        assert_eq!(
            Directory::parse(&large).unwrap_err(),
            DirectoryError::TooLarge
        );
        let longest = 96 + 1 + 52 + 2;
        assert!((longest * DIRECTORY_LINES_MAX) as u64 <= DIRECTORY_BYTES_MAX);
    }
}
