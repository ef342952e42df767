//! The one type for paths inside a model.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of a path. Hub repositories stay far below; file systems take at most 4,096.
pub const PATH_BYTES_MAX: usize = 1024;

/// Segments of a path: bounds the directories that one file can make.
pub const PATH_DEPTH_MAX: usize = 64;

/// Why a text is not a path inside a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing.
    #[error("a path cannot be empty")]
    Empty,
    /// More than [`PATH_BYTES_MAX`] bytes; holds their number.
    #[error("a path has at most {PATH_BYTES_MAX} bytes, this has {0}")]
    TooLong(usize),
    /// More than [`PATH_DEPTH_MAX`] segments.
    #[error("a path has at most {PATH_DEPTH_MAX} segments")]
    TooDeep,
    /// Not UTF-8.
    #[error("a path must be valid UTF-8")]
    NotUtf8,
    /// Begins with `/`.
    #[error("a path must be relative")]
    Absolute,
    /// Begins with a drive such as `C:`.
    #[error("a path cannot begin with a drive such as \"C:\"")]
    Drive,
    /// An empty, `.` or `..` segment.
    #[error("a path cannot have an empty, \".\" or \"..\" segment")]
    Segment,
    /// A backslash, which is a separator on some systems.
    #[error("a path cannot have a backslash")]
    Backslash,
    /// A NUL or another control character.
    #[error("a path cannot have control characters")]
    Control,
}

/// A path inside a model: relative, `/`-separated, the same on every system, and safe to join to
/// a directory on POSIX and Windows alike.
///
/// Names that are legal but not portable (`?`, trailing dots, reserved device names) are accepted:
/// Hugging Face repositories have them. Whether a target file system accepts them is decided at
/// export.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelPath(Box<str>);

impl ModelPath {
    /// Checks `text` against all rules.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn new(text: &str) -> Result<Self, PathError> {
        check(text)?;
        Ok(Self(text.into()))
    }

    /// As [`ModelPath::new`], from bytes that may not be UTF-8.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PathError> {
        Self::new(std::str::from_utf8(bytes).map_err(|_| PathError::NotUtf8)?)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments, from the top; at least one.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The proper ancestors as texts, from the top: `a`, `a/b` for `a/b/c`.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(at, _)| &self.0[..at])
    }
}

fn check(text: &str) -> Result<(), PathError> {
    let bytes = text.as_bytes();
    if bytes.is_empty() {
        return Err(PathError::Empty);
    }
    if bytes.len() > PATH_BYTES_MAX {
        return Err(PathError::TooLong(bytes.len()));
    }
    if bytes[0] == b'/' {
        return Err(PathError::Absolute);
    }
    // The rules of all systems hold on every system: a path that is accepted by one node must be
    // exportable by all.
    if bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':' {
        return Err(PathError::Drive);
    }
    if bytes.contains(&b'\\') {
        return Err(PathError::Backslash);
    }
    // They could steer a terminal that shows the path.
    if text.chars().any(char::is_control) {
        return Err(PathError::Control);
    }
    if text
        .split('/')
        .any(|segment| matches!(segment, "" | "." | ".."))
    {
        return Err(PathError::Segment);
    }
    if text.split('/').count() > PATH_DEPTH_MAX {
        return Err(PathError::TooDeep);
    }
    Ok(())
}

impl fmt::Display for ModelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ModelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for ModelPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::new(text)
    }
}

impl Serialize for ModelPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ModelPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_paths_are_refused() {
        use PathError::*;
        for (text, error) in [
            ("", Empty),
            ("/etc/passwd", Absolute),
            ("//server/share", Absolute),
            ("\\\\server\\share", Backslash),
            ("..\\up", Backslash),
            ("C:", Drive),
            ("c:/windows", Drive),
            ("..", Segment),
            (".", Segment),
            ("a/../b", Segment),
            ("a//b", Segment),
            ("a/", Segment),
            ("a/./b", Segment),
            ("a\0b", Control),
            ("a\nb", Control),
            ("a\u{1b}[31m", Control),
            ("a\u{9b}b", Control),
        ] {
            assert_eq!(ModelPath::new(text), Err(error), "{text:?}");
        }
        assert_eq!(ModelPath::new(&"x".repeat(1025)), Err(TooLong(1025)));
        assert_eq!(ModelPath::new(&["x"; 65].join("/")), Err(TooDeep));
        assert_eq!(ModelPath::from_bytes(b"a\xff"), Err(NotUtf8));
    }

    #[test]
    fn unusual_but_legal_names_are_kept() {
        for text in [
            "a b",
            "to?/awful?name%25:x",
            "käse/🤗.bin",
            "...",
            "CON",
            "a.",
            "1:2",
            "-rf",
        ] {
            assert_eq!(ModelPath::new(text).unwrap().as_str(), text);
        }
        let path = ModelPath::new("a/b/c").unwrap();
        assert_eq!(path.ancestors().collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(path.segments().collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    proptest! {
        /// Path traversal: no input escapes the root.
        #[test]
        fn no_accepted_path_leaves_its_root(text in "[a-cA-C./\\\\: \\PC]{0,24}") {
            if let Ok(path) = ModelPath::new(&text) {
                let parts: Vec<_> = Path::new(path.as_str()).components().collect();
                prop_assert!(parts.iter().all(|part| matches!(part, Component::Normal(_))));
                prop_assert_eq!(parts.len(), path.segments().count());
            }
        }
    }
}
