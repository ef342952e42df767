//! Names of repos.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of a namespace or a name: the limit of the Hugging Face Hub.
pub const REPO_SEGMENT_BYTES_MAX: usize = 96;

/// The kind of content of a repo.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Kind")]
pub enum RepoKind {
    /// Weights and their configuration.
    Model,
    /// Data to train and test on.
    Dataset,
    /// An app.
    Space,
}

impl RepoKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Model, Self::Dataset, Self::Space];

    /// `model`, `dataset` or `space`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Dataset => "dataset",
            Self::Space => "space",
        }
    }

    /// `models`, `datasets` or `spaces`: the word in URLs.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Dataset => "datasets",
            Self::Space => "spaces",
        }
    }

    /// The number of the kind in signed documents.
    pub(crate) const fn number(self) -> u64 {
        match self {
            Self::Model => 1,
            Self::Dataset => 2,
            Self::Space => 3,
        }
    }

    /// The kind with this number.
    pub(crate) fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The kind whose plural this is.
    pub fn from_plural(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.plural() == text)
    }
}

impl fmt::Display for RepoKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RepoKind {
    type Err = RepoIdError;

    fn from_str(text: &str) -> Result<Self, RepoIdError> {
        let kind = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        kind.ok_or(RepoIdError::Kind)
    }
}

/// Why a text does not name a repo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RepoIdError {
    /// Neither `NAME` nor `NAMESPACE/NAME`.
    #[error("a repo is NAMESPACE/NAME or NAME")]
    Segments,
    /// A segment is empty or has more than [`REPO_SEGMENT_BYTES_MAX`] characters.
    #[error("a part of a repo's name has 1 to {REPO_SEGMENT_BYTES_MAX} characters")]
    Length,
    /// Another character than letters, digits, `.`, `_` and `-`; holds it.
    #[error("a repo's name has letters, digits, '.', '_' and '-' only, this has {0:?}")]
    Character(char),
    /// `-` or `.` at an end, or twice in a row.
    #[error("a part of a repo's name has no '-' or '.' at its ends, and not two in a row")]
    Dots,
    /// Ends in `.git`.
    #[error("a repo's name does not end in \".git\"")]
    Git,
    /// The namespace is a word of URLs.
    #[error("a namespace cannot be \"models\", \"datasets\" or \"spaces\"")]
    Reserved,
    /// Not the name of a kind.
    #[error("the kind of a repo is \"model\", \"dataset\" or \"space\"")]
    Kind,
}

/// The name of a repo: its kind and `NAMESPACE/NAME`, or `NAME` alone.
///
/// Names that differ only in case are the same one; the spelling is kept. As text, models stand
/// alone and other kinds have their plural before them: `org/name`, `datasets/org/name`.
#[derive(Clone)]
pub struct RepoId {
    kind: RepoKind,
    id: Box<str>,
}

impl RepoId {
    /// Checks `id`, which is `NAMESPACE/NAME` or `NAME`, against all rules.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn new(kind: RepoKind, id: &str) -> Result<Self, RepoIdError> {
        if id.split('/').count() > 2 {
            return Err(RepoIdError::Segments);
        }
        id.split('/').try_for_each(check_segment)?;
        let id = Self {
            kind,
            id: id.into(),
        };
        match id.namespace() {
            Some(namespace) if is_reserved(namespace) => Err(RepoIdError::Reserved),
            _ => Ok(id),
        }
    }

    /// The kind.
    pub fn kind(&self) -> RepoKind {
        self.kind
    }

    /// `NAMESPACE/NAME` or `NAME`, as it was spelled.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The part before the slash, if there is one.
    pub fn namespace(&self) -> Option<&str> {
        self.id.split_once('/').map(|(namespace, _)| namespace)
    }

    /// The part after the slash, or all of it.
    pub fn name(&self) -> &str {
        self.id.split_once('/').map_or(&*self.id, |(_, name)| name)
    }

    /// [`RepoId::id`] in the spelling under which all its spellings compare equal.
    pub fn folded(&self) -> String {
        self.id.to_ascii_lowercase()
    }
}

fn is_reserved(namespace: &str) -> bool {
    let folded = namespace.to_ascii_lowercase();
    RepoKind::from_plural(&folded).is_some()
}

fn check_segment(segment: &str) -> Result<(), RepoIdError> {
    let is_allowed = |char: &char| char.is_ascii_alphanumeric() || "._-".contains(*char);
    if let Some(char) = segment.chars().find(|char| !is_allowed(char)) {
        return Err(RepoIdError::Character(char));
    }
    if segment.is_empty() || segment.len() > REPO_SEGMENT_BYTES_MAX {
        return Err(RepoIdError::Length);
    }
    let at_end = |char| segment.starts_with(char) || segment.ends_with(char);
    if at_end('-') || at_end('.') || segment.contains("--") || segment.contains("..") {
        return Err(RepoIdError::Dots);
    }
    if segment.to_ascii_lowercase().ends_with(".git") {
        return Err(RepoIdError::Git);
    }
    Ok(())
}

impl PartialEq for RepoId {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.id.eq_ignore_ascii_case(&other.id)
    }
}

impl Eq for RepoId {}

impl Hash for RepoId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind.hash(state);
        self.folded().hash(state);
    }
}

impl PartialOrd for RepoId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RepoId {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.kind, self.folded()).cmp(&(other.kind, other.folded()))
    }
}

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            RepoKind::Model => f.write_str(&self.id),
            kind => write!(f, "{}/{}", kind.plural(), self.id),
        }
    }
}

impl fmt::Debug for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for RepoId {
    type Err = RepoIdError;

    fn from_str(text: &str) -> Result<Self, RepoIdError> {
        let kind_and_id = text
            .split_once('/')
            .and_then(|(first, id)| Some((RepoKind::from_plural(first)?, id)));
        let (kind, id) = kind_and_id.unwrap_or((RepoKind::Model, text));
        Self::new(kind, id)
    }
}

impl Serialize for RepoId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RepoId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_that_hubs_have() {
        for text in [
            "gpt2",
            "org/name",
            "datasets/org/a_b.c-d",
            "spaces/o/1",
            "_/_",
        ] {
            let id: RepoId = text.parse().unwrap();
            assert_eq!(id.to_string(), text);
            assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{text}\""));
        }
        let id: RepoId = "datasets/Org/Name".parse().unwrap();
        assert_eq!(
            (id.kind(), id.namespace(), id.name(), id.id()),
            (RepoKind::Dataset, Some("Org"), "Name", "Org/Name")
        );
    }

    #[test]
    fn names_that_break_a_rule() {
        use RepoIdError::*;
        for (text, error) in [
            ("", Length),
            ("a/", Length),
            ("/b", Length),
            ("a/b/c", Segments),
            ("a/b c", Character(' ')),
            ("a/ü", Character('ü')),
            ("a\\b", Character('\\')),
            ("..", Dots),
            ("../x", Dots),
            ("a/-b", Dots),
            ("a/b.", Dots),
            ("a/b--c", Dots),
            ("a/b.git", Git),
            ("a/b.GIT", Git),
            ("datasets/spaces/x", Reserved),
        ] {
            assert_eq!(text.parse::<RepoId>(), Err(error), "{text:?}");
        }
        assert_eq!("a".repeat(97).parse::<RepoId>(), Err(Length));
        assert_eq!(RepoId::new(RepoKind::Model, "Datasets/x"), Err(Reserved));
    }

    #[test]
    fn case_does_not_make_another_name() {
        let id = |text: &str| text.parse::<RepoId>().unwrap();
        let set: HashSet<_> = [id("Org/Name"), id("org/NAME"), id("spaces/org/name")].into();
        assert_eq!(set.len(), 2);
        assert_eq!(id("Org/Name").cmp(&id("oRG/nAME")), Ordering::Equal);
        assert_eq!(id("Org/Name").id(), "Org/Name", "the spelling is kept");
    }
}
