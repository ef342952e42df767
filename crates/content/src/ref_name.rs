//! Names of refs: branches, tags and other pointers to a revision.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of a full name. Hubs allow some 250; file systems that hold refs as files 255 a segment.
pub const REF_NAME_BYTES_MAX: usize = 512;

const BRANCHES: &str = "refs/heads/";
const TAGS: &str = "refs/tags/";

/// Why a text is not the name of a ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefNameError {
    /// Not `refs/KIND/NAME`.
    #[error("a ref is refs/heads/NAME, refs/tags/NAME or refs/KIND/NAME")]
    Prefix,
    /// More than [`REF_NAME_BYTES_MAX`] bytes; holds their number.
    #[error("a ref has at most {REF_NAME_BYTES_MAX} bytes, this has {0}")]
    TooLong(usize),
    /// A character that git does not allow; holds it.
    #[error("a ref cannot have {0:?} in its name")]
    Character(char),
    /// `..` or `@{`, which git gives another meaning.
    #[error("a ref cannot have \"..\" or \"@{{\" in its name")]
    Sequence,
    /// A segment that is empty, begins with `.`, or ends in `.` or `.lock`.
    #[error("no part of a ref is empty, begins with '.', or ends in '.' or \".lock\"")]
    Segment,
    /// The name begins with `-`, or is `HEAD`.
    #[error("a ref's name cannot begin with '-' or be \"HEAD\"")]
    Reserved,
}

/// The full name of a ref: `refs/heads/main`, `refs/tags/v1`, `refs/pr/1`,
/// `refs/convert/parquet`. Rules as those of `git check-ref-format`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName(Box<str>);

impl RefName {
    /// Checks a full name against all rules.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn new(full: &str) -> Result<Self, RefNameError> {
        check(full)?;
        Ok(Self(full.into()))
    }

    /// The branch `name`.
    ///
    /// # Errors
    /// As [`RefName::new`].
    pub fn branch(name: &str) -> Result<Self, RefNameError> {
        Self::new(&format!("{BRANCHES}{name}"))
    }

    /// The tag `name`.
    ///
    /// # Errors
    /// As [`RefName::new`].
    pub fn tag(name: &str) -> Result<Self, RefNameError> {
        Self::new(&format!("{TAGS}{name}"))
    }

    /// The branch `main`: the default if no revision is named.
    pub fn main() -> Self {
        Self(format!("{BRANCHES}main").into())
    }

    /// The full name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of a branch.
    pub fn as_branch(&self) -> Option<&str> {
        self.0.strip_prefix(BRANCHES)
    }

    /// The name of a tag.
    pub fn as_tag(&self) -> Option<&str> {
        self.0.strip_prefix(TAGS)
    }

    /// The short form: the name alone of a branch or tag, else the full name.
    pub fn short(&self) -> &str {
        self.as_branch().or(self.as_tag()).unwrap_or(&self.0)
    }
}

fn check(full: &str) -> Result<(), RefNameError> {
    if full.len() > REF_NAME_BYTES_MAX {
        return Err(RefNameError::TooLong(full.len()));
    }
    let forbidden = |char: &char| char.is_ascii_control() || " ~^:?*[\\".contains(*char);
    if let Some(char) = full.chars().find(forbidden) {
        return Err(RefNameError::Character(char));
    }
    if full.contains("..") || full.contains("@{") {
        return Err(RefNameError::Sequence);
    }
    let Some((_, name)) = full
        .strip_prefix("refs/")
        .and_then(|rest| rest.split_once('/'))
    else {
        return Err(RefNameError::Prefix);
    };
    let is_bad = |segment: &str| {
        segment.is_empty() || segment.starts_with('.') || segment.ends_with(".lock")
    };
    if full.ends_with('.') || full.split('/').any(is_bad) {
        return Err(RefNameError::Segment);
    }
    // A leading `-` would be taken for a flag by command lines, `HEAD` for git's pointer.
    if name.starts_with('-') || name == "HEAD" {
        return Err(RefNameError::Reserved);
    }
    Ok(())
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for RefName {
    type Err = RefNameError;

    fn from_str(text: &str) -> Result<Self, RefNameError> {
        Self::new(text)
    }
}

impl Serialize for RefName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RefName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_git_takes() {
        for (full, short) in [
            ("refs/heads/main", "main"),
            ("refs/heads/feature/a-b", "feature/a-b"),
            ("refs/tags/v1.0", "v1.0"),
            ("refs/pr/1", "refs/pr/1"),
            ("refs/convert/parquet", "refs/convert/parquet"),
            ("refs/heads/käse@home", "käse@home"),
        ] {
            let name = RefName::new(full).unwrap();
            assert_eq!((name.as_str(), name.short()), (full, short));
        }
        assert_eq!(RefName::branch("main").unwrap(), RefName::main());
        assert_eq!(RefName::tag("v1").unwrap().as_tag(), Some("v1"));
    }

    #[test]
    fn names_that_git_refuses() {
        use RefNameError::*;
        for (full, error) in [
            ("main", Prefix),
            ("refs/heads", Prefix),
            ("refs/heads/", Segment),
            ("refs/heads/a//b", Segment),
            ("refs/heads/.a", Segment),
            ("refs/heads/a.", Segment),
            ("refs/heads/a.lock", Segment),
            ("refs/heads/a.lock/b", Segment),
            ("refs/heads/../x", Sequence),
            ("refs/heads/a@{1}", Sequence),
            ("refs/heads/a b", Character(' ')),
            ("refs/heads/a\u{7f}", Character('\u{7f}')),
            ("refs/heads/a~1", Character('~')),
            ("refs/heads/a:b", Character(':')),
            ("refs/heads/a\\b", Character('\\')),
            ("refs/heads/-a", Reserved),
            ("refs/heads/HEAD", Reserved),
        ] {
            assert_eq!(RefName::new(full), Err(error), "{full:?}");
        }
        assert_eq!(RefName::branch(&"x".repeat(502)), Err(TooLong(513)));
    }
}
