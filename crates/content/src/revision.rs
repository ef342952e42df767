//! Revisions: the states of a repo, one after the other.
//!
//! Encoded as in `proto/revision.proto`, as strictly as manifests: the id of a revision that is made
//! here is a hash of these bytes. A revision of another hub keeps its id from there, and is encoded
//! the same way in a store.

use std::collections::HashSet;

use crate::{
    chunk::FILE_SIZE_MAX,
    encoding::{NotCanonical, Reader, put_bytes, put_number, put_text},
    hash::{CommitId, ContentHash, FileHash, GitBlobId, RevisionHash, Sha256},
    manifest::{MANIFEST_BYTES_MAX, MANIFEST_FILES_MAX, Manifest, ManifestEntry},
    path::{ModelPath, PathError},
};

/// Parents of a revision. Merges have two; git's largest known one has 66.
pub const PARENTS_MAX: usize = 100;

/// Bytes of a title: the first line of the commit message.
pub const TITLE_BYTES_MAX: usize = 4 * 1024;

/// Bytes of the rest of the commit message.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// Bytes of an author's name.
pub const AUTHOR_BYTES_MAX: usize = 1024;

/// The only version of the encoding.
const VERSION: u64 = 1;

const TAG_VERSION: u8 = 1 << 3;
const TAG_CONTENT: u8 = 2 << 3 | 2;
const TAG_PARENT: u8 = 3 << 3 | 2;
const TAG_TIME: u8 = 4 << 3;
const TAG_TITLE: u8 = 5 << 3 | 2;
const TAG_MESSAGE: u8 = 6 << 3 | 2;
const TAG_AUTHOR: u8 = 7 << 3 | 2;
const TAG_LISTED: u8 = 8 << 3 | 2;

const TAG_PATH: u8 = 1 << 3 | 2;
const TAG_SIZE: u8 = 2 << 3;
const TAG_GIT_BLOB: u8 = 3 << 3 | 2;
const TAG_SHA256: u8 = 4 << 3 | 2;
const TAG_POINTER_SIZE: u8 = 5 << 3;
const TAG_FILE: u8 = 6 << 3 | 2;

/// Why a value or bytes are not a revision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevisionError {
    /// More than [`PARENTS_MAX`] parents.
    #[error("a revision has at most {PARENTS_MAX} parents")]
    Parents,
    /// A title, message or author is longer than its limit; holds which.
    #[error("the {0} of the revision is too long")]
    TooLong(&'static str),
    /// More than [`MANIFEST_FILES_MAX`] files, or more than [`MANIFEST_BYTES_MAX`] bytes.
    #[error("the revision has too many files")]
    TooManyFiles,
    /// A path breaks a rule.
    #[error("file {position}: {source}")]
    Path {
        /// Position of the file in the listing, from 0.
        position: usize,
        /// The rule.
        source: PathError,
    },
    /// A size that no file can have.
    #[error("{0:?} is larger than a file can be")]
    FileTooLarge(ModelPath),
    /// All files together have more bytes than 64 bits count.
    #[error("the files are too large together")]
    TotalTooLarge,
    /// Two files have one path, or one is the directory of another.
    #[error("the path {0:?} occurs twice, or is a file and a directory")]
    Twice(ModelPath),
    /// The bytes are not in the canonical encoding; holds the offset of the first deviation.
    #[error("not a revision in canonical encoding (at byte {0})")]
    Encoding(usize),
}

impl From<NotCanonical> for RevisionError {
    fn from(NotCanonical(at): NotCanonical) -> Self {
        Self::Encoding(at)
    }
}

/// One state of a repo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Its files.
    pub tree: Tree,
    /// The revisions it was made from; none for the first one.
    pub parents: Vec<CommitId>,
    /// When it was made: milliseconds since 1970, UTC.
    pub time: u64,
    /// The first line of the commit message.
    pub title: String,
    /// The rest of the commit message.
    pub message: String,
    /// The author's name, not proven.
    pub author: String,
}

/// The files of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    /// Those of a manifest.
    Content(ContentHash),
    /// Files as another hub lists them, before their bytes are known; sorted by path. May be empty.
    Listed(Vec<TreeEntry>),
}

impl Tree {
    /// A listing of entries in any order.
    pub fn listed(mut entries: Vec<TreeEntry>) -> Self {
        entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Self::Listed(entries)
    }

    /// The manifest of a listing, if the addresses of all its files are known.
    pub fn listed_manifest(&self) -> Option<Manifest> {
        let Self::Listed(entries) = self else {
            return None;
        };
        let known = entries.iter().map(|entry| {
            Some(ManifestEntry {
                path: entry.path.clone(),
                size: entry.size,
                hash: entry.file?,
            })
        });
        Manifest::new(known.collect::<Option<_>>()?).ok()
    }

    /// The address of the files, if it is known.
    pub fn content_hash(&self) -> Option<ContentHash> {
        match self {
            Self::Content(content) => Some(*content),
            Self::Listed(_) => Some(self.listed_manifest()?.content_hash()),
        }
    }
}

/// A file as another hub lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Its path in the revision.
    pub path: ModelPath,
    /// Its bytes.
    pub size: u64,
    /// Git's id of the file itself or, for a large file, of its pointer.
    pub git_blob: Option<GitBlobId>,
    /// Present if git holds a pointer to the file.
    pub lfs: Option<Lfs>,
    /// Its BLAKE3, if the other hub lists it.
    pub file: Option<FileHash>,
}

/// A large file, for which git holds a pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lfs {
    /// SHA-256 of its bytes.
    pub sha256: Sha256,
    /// Bytes of the pointer.
    pub pointer_size: u32,
}

impl Revision {
    /// The id of a revision that is made here: the first 20 bytes of BLAKE3 of
    /// [`Revision::encode`].
    ///
    /// # Errors
    /// As [`Revision::encode`].
    pub fn commit_id(&self) -> Result<CommitId, RevisionError> {
        Ok(self.hash()?.commit_id())
    }

    /// The whole hash of [`Revision::encode`], which states sign.
    ///
    /// # Errors
    /// As [`Revision::encode`].
    pub fn hash(&self) -> Result<RevisionHash, RevisionError> {
        Ok(blake3::hash(&self.encode()?).into())
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// If a rule or limit is broken.
    pub fn encode(&self) -> Result<Vec<u8>, RevisionError> {
        self.check()?;
        let mut out = vec![TAG_VERSION, VERSION as u8];
        if let Tree::Content(content) = &self.tree {
            put_bytes(&mut out, TAG_CONTENT, content.as_bytes());
        }
        for parent in &self.parents {
            put_bytes(&mut out, TAG_PARENT, parent.as_bytes());
        }
        put_number(&mut out, TAG_TIME, self.time);
        put_text(&mut out, TAG_TITLE, &self.title);
        put_text(&mut out, TAG_MESSAGE, &self.message);
        put_text(&mut out, TAG_AUTHOR, &self.author);
        if let Tree::Listed(entries) = &self.tree {
            let mut buffer = Vec::new();
            for entry in entries {
                buffer.clear();
                put_entry(&mut buffer, entry);
                put_bytes(&mut out, TAG_LISTED, &buffer);
            }
        }
        if out.len() > MANIFEST_BYTES_MAX {
            return Err(RevisionError::TooManyFiles);
        }
        Ok(out)
    }

    /// Decodes the output of [`Revision::encode`], and refuses every other encoding.
    ///
    /// # Errors
    /// If a rule or limit is broken; nothing is allocated from declared lengths.
    pub fn decode(bytes: &[u8]) -> Result<Self, RevisionError> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(RevisionError::TooManyFiles);
        }
        let mut reader = Reader::new(bytes);
        reader.tag(TAG_VERSION)?;
        if reader.varint()? != VERSION {
            return Err(RevisionError::Encoding(0));
        }
        let content = reader.fixed(TAG_CONTENT, ContentHash::from_slice)?;
        let mut parents = Vec::new();
        while let Some(parent) = reader.fixed(TAG_PARENT, CommitId::from_slice)? {
            parents.push(parent);
        }
        let time = reader.number(TAG_TIME)?;
        let title = reader.text(TAG_TITLE)?.to_owned();
        let message = reader.text(TAG_MESSAGE)?.to_owned();
        let author = reader.text(TAG_AUTHOR)?.to_owned();
        let tree = match content {
            Some(content) => Tree::Content(content),
            None => Tree::Listed(entries(&mut reader)?),
        };
        reader.end()?;
        let revision = Self {
            tree,
            parents,
            time,
            title,
            message,
            author,
        };
        revision.check()?;
        Ok(revision)
    }

    /// The content hash in an encoded revision, without decoding the rest.
    pub fn content_of(bytes: &[u8]) -> Option<ContentHash> {
        let content = bytes.strip_prefix(&[TAG_VERSION, VERSION as u8, TAG_CONTENT, 32])?;
        content.get(..32).and_then(ContentHash::from_slice)
    }

    fn check(&self) -> Result<(), RevisionError> {
        if self.parents.len() > PARENTS_MAX {
            return Err(RevisionError::Parents);
        }
        for (text, max, what) in [
            (&self.title, TITLE_BYTES_MAX, "title"),
            (&self.message, MESSAGE_BYTES_MAX, "message"),
            (&self.author, AUTHOR_BYTES_MAX, "author"),
        ] {
            if text.len() > max {
                return Err(RevisionError::TooLong(what));
            }
        }
        match &self.tree {
            Tree::Content(_) => Ok(()),
            Tree::Listed(entries) => check_entries(entries),
        }
    }
}

fn check_entries(entries: &[TreeEntry]) -> Result<(), RevisionError> {
    if entries.len() > MANIFEST_FILES_MAX {
        return Err(RevisionError::TooManyFiles);
    }
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].path >= pair[1].path) {
        // Not sorted, or twice: an encoder sorts, so both are an error of the list.
        return Err(RevisionError::Twice(pair[1].path.clone()));
    }
    let paths: HashSet<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
    let mut total = 0u64;
    for entry in entries {
        if entry.size > FILE_SIZE_MAX {
            return Err(RevisionError::FileTooLarge(entry.path.clone()));
        }
        total = total
            .checked_add(entry.size)
            .ok_or(RevisionError::TotalTooLarge)?;
        if entry.path.ancestors().any(|path| paths.contains(path)) {
            return Err(RevisionError::Twice(entry.path.clone()));
        }
    }
    Ok(())
}

fn put_entry(out: &mut Vec<u8>, entry: &TreeEntry) {
    put_bytes(out, TAG_PATH, entry.path.as_str().as_bytes());
    put_number(out, TAG_SIZE, entry.size);
    if let Some(blob) = &entry.git_blob {
        put_bytes(out, TAG_GIT_BLOB, blob.as_bytes());
    }
    if let Some(lfs) = &entry.lfs {
        put_bytes(out, TAG_SHA256, lfs.sha256.as_bytes());
        put_number(out, TAG_POINTER_SIZE, lfs.pointer_size.into());
    }
    if let Some(file) = &entry.file {
        put_bytes(out, TAG_FILE, file.as_bytes());
    }
}

fn entries(reader: &mut Reader<'_>) -> Result<Vec<TreeEntry>, RevisionError> {
    let mut entries = Vec::new();
    while let Some(bytes) = reader.field(TAG_LISTED)? {
        if entries.len() == MANIFEST_FILES_MAX {
            return Err(RevisionError::TooManyFiles);
        }
        let position = entries.len();
        let mut inner = Reader::new(bytes);
        let entry = entry(&mut inner, position)?;
        if inner.peek().is_some() {
            return Err(RevisionError::Encoding(reader.at()));
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn entry(reader: &mut Reader<'_>, position: usize) -> Result<TreeEntry, RevisionError> {
    reader.tag(TAG_PATH)?;
    let path = ModelPath::from_bytes(reader.slice()?)
        .map_err(|source| RevisionError::Path { position, source })?;
    let size = reader.number(TAG_SIZE)?;
    let git_blob = reader.fixed(TAG_GIT_BLOB, GitBlobId::from_slice)?;
    let lfs = match reader.fixed(TAG_SHA256, Sha256::from_slice)? {
        None => None,
        Some(sha256) => Some(Lfs {
            sha256,
            pointer_size: u32::try_from(reader.number(TAG_POINTER_SIZE)?)
                .map_err(|_| RevisionError::Encoding(reader.at()))?,
        }),
    };
    let file = reader.fixed(TAG_FILE, FileHash::from_slice)?;
    Ok(TreeEntry {
        path,
        size,
        git_blob,
        lfs,
        file,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(path: &str) -> TreeEntry {
        TreeEntry {
            path: path.parse().unwrap(),
            size: 300,
            git_blob: Some(GitBlobId::new([1; 20])),
            lfs: Some(Lfs {
                sha256: Sha256::new([2; 32]),
                pointer_size: 134,
            }),
            file: Some(FileHash::new([3; 32])),
        }
    }

    fn sample(tree: Tree) -> Revision {
        Revision {
            tree,
            parents: vec![CommitId::new([5; 20]), CommitId::new([6; 20])],
            time: 1_700_000_000_000,
            title: "Wörds".into(),
            message: "more\nof it".into(),
            author: "an author".into(),
        }
    }

    fn listed() -> Revision {
        let bare = TreeEntry {
            size: 0,
            git_blob: None,
            lfs: None,
            file: None,
            ..entry("a")
        };
        sample(Tree::listed(vec![entry("b/c"), bare]))
    }

    #[test]
    fn bytes_and_back() {
        let content = ContentHash::new([7; 32]);
        let empty = Revision {
            tree: Tree::Listed(Vec::new()),
            parents: Vec::new(),
            time: 0,
            title: String::new(),
            message: String::new(),
            author: String::new(),
        };
        for revision in [sample(Tree::Content(content)), listed(), empty] {
            let bytes = revision.encode().unwrap();
            assert_eq!(Revision::decode(&bytes), Ok(revision.clone()));
            let expected = match revision.tree {
                Tree::Content(content) => Some(content),
                Tree::Listed(_) => None,
            };
            assert_eq!(Revision::content_of(&bytes), expected);
        }
    }

    #[test]
    fn a_listing_has_an_address_when_all_its_files_have() {
        let whole = Tree::listed(vec![entry("b"), entry("a")]);
        let manifest = whole.listed_manifest().unwrap();
        assert_eq!(manifest.entries()[0].path.as_str(), "a");
        assert_eq!(whole.content_hash(), Some(manifest.content_hash()));
        let lacking = TreeEntry {
            file: None,
            ..entry("c")
        };
        let lacking = Tree::listed(vec![entry("a"), lacking]);
        assert_eq!(lacking.content_hash(), None);
        assert_eq!(Tree::listed(Vec::new()).content_hash(), None);
    }

    #[test]
    fn limits_and_rules() {
        let refused = |change: fn(&mut Revision)| {
            let mut revision = listed();
            change(&mut revision);
            revision.encode().unwrap_err()
        };
        let path = |text: &str| text.parse().unwrap();
        let many = |revision: &mut Revision| revision.parents = vec![CommitId::new([0; 20]); 101];
        assert_eq!(refused(many), RevisionError::Parents);
        assert_eq!(
            refused(|revision| revision.title = "x".repeat(TITLE_BYTES_MAX + 1)),
            RevisionError::TooLong("title")
        );
        assert_eq!(
            refused(|revision| revision.tree = Tree::listed(vec![entry("a"), entry("a")])),
            RevisionError::Twice(path("a"))
        );
        assert_eq!(
            refused(|revision| revision.tree =
                Tree::listed(vec![entry("a"), entry("a-"), entry("a/b")])),
            RevisionError::Twice(path("a/b"))
        );
        let huge = |number: u32| TreeEntry {
            size: FILE_SIZE_MAX,
            ..entry(&format!("{number:06}"))
        };
        let total = sample(Tree::listed((0..20_000).map(huge).collect()));
        assert_eq!(total.encode(), Err(RevisionError::TotalTooLarge));
        let content = sample(Tree::Content(ContentHash::new([7; 32])));
        let mut bytes = content.encode().unwrap();
        bytes.extend([TAG_LISTED, 3, TAG_PATH, 1, b'a']);
        assert!(
            Revision::decode(&bytes).is_err(),
            "a content hash and a listing"
        );
    }

    proptest! {
        #[test]
        fn every_accepted_encoding_is_the_canonical_one(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let mut bytes = listed().encode().unwrap();
            for (at, value) in edits {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if let Ok(revision) = Revision::decode(&bytes) {
                prop_assert_eq!(revision.encode(), Ok(bytes));
            }
        }
    }
}
