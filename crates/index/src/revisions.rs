//! Revisions of repos, and what they keep from being collected.

use hubless_content::{CommitId, ContentHash, FileHash, RepoId, Revision, Tree, TreeEntry};
use redb::{ReadTransaction, ReadableTable, WriteTransaction};

use crate::{
    database::Database,
    error::IndexError,
    file_rows::file_of,
    keeping::Keeping,
    refs::{RefChange, ref_of, write_refs},
    repos::{Refusal, Repo, row_key, rows_of, write_new_repo},
    tables,
    tx::{TxError, TxResult},
};

/// Revisions of a repo. Each may list as many files as a manifest.
pub const REVISIONS_MAX: usize = 100_000;

/// Bytes of a revision's id, at the end of the key of its row.
const COMMIT_BYTES: usize = 20;

/// Digits of an id that are enough to search for a revision: as hubs have it.
pub const COMMIT_PREFIX_MIN: usize = 5;

/// What one revision names.
pub struct Named {
    /// Others are expected to have its content still, and no caller of this node said that it is to
    /// be kept: it may go when room is needed. See `keeping.rs`.
    pub is_cached: bool,
    /// The manifest, unless the revision is a listing.
    pub model: Option<ContentHash>,
    /// The files of a listing, as far as it is known which these are.
    pub files: Vec<FileHash>,
}

/// How a revision keeps its content here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Whatever room it takes.
    Kept,
    /// Until the quota needs its room.
    Cached,
}

/// The rows of revisions.
#[derive(Clone, Copy)]
pub struct RevisionTable<'a> {
    pub(crate) database: &'a Database,
}

impl RevisionTable<'_> {
    /// Keeps a revision, of a new repo if one is given, and changes refs in the same transaction.
    pub fn put(
        self,
        id: &RepoId,
        new_repo: Option<&Repo>,
        commit: CommitId,
        revision: &Revision,
        refs: &[RefChange],
    ) -> Result<(), IndexError> {
        let bytes = revision
            .encode()
            .map_err(|source| IndexError::Revision { commit, source })?;
        let written = self.database.write_unless_refused(|write| {
            if let Some(repo) = new_repo
                && let Err(refusal) = write_new_repo(write, repo)?
            {
                return Ok(Err(refusal));
            }
            if let Err(refusal) = write_refs(write, id, refs)? {
                return Ok(Err(refusal));
            }
            write_rows(write, id, [(commit, &bytes[..])])
        })?;
        written.map_err(|refusal| refusal.explain(id))
    }

    /// A revision of a repo, if it is known.
    pub fn get(self, repo: &RepoId, commit: CommitId) -> Result<Option<Revision>, IndexError> {
        let key = row_key(repo, commit.as_bytes());
        self.database.read(|read| {
            let table = tables::REVISIONS.read(read)?;
            let row = table.get(&key[..])?;
            row.map(|row| decode_revision(&row)).transpose()
        })
    }

    /// The ids of all known revisions of a repo, in their order.
    pub fn ids(self, repo: &RepoId) -> Result<Vec<CommitId>, IndexError> {
        let rows = rows_of(repo);
        self.database.read(|read| {
            let table = tables::REVISIONS.read(read)?;
            let rows = table.table.range(&rows.start[..]..&rows.end[..])?;
            rows.map(|row| commit_of(row?.0.value())).collect()
        })
    }

    /// The one known revision of a repo whose id begins with these hexadecimal digits; `None` if
    /// there is none or more than one, or if they are fewer than [`COMMIT_PREFIX_MIN`].
    pub fn by_prefix(self, repo: &RepoId, digits: &str) -> Result<Option<CommitId>, IndexError> {
        let is_prefix = (COMMIT_PREFIX_MIN..=40).contains(&digits.len())
            && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if !is_prefix {
            return Ok(None);
        }
        let bound = |fill: &str| {
            let padded = format!("{digits}{}", fill.repeat(40 - digits.len()));
            padded.parse::<CommitId>().ok()
        };
        let (Some(low), Some(high)) = (bound("0"), bound("f")) else {
            return Ok(None);
        };
        let (low, high) = (
            row_key(repo, low.as_bytes()),
            row_key(repo, high.as_bytes()),
        );
        self.database.read(|read| {
            let table = tables::REVISIONS.read(read)?;
            let mut found = table.table.range(&low[..]..=&high[..])?;
            let (first, second) = (found.next().transpose()?, found.next());
            match (first, second) {
                (Some((key, _)), None) => commit_of(key.value()).map(Some),
                _ => Ok(None),
            }
        })
    }

    /// The files of a listing that are known by an address or a digest; none of a manifest.
    pub fn listed_files(self, tree: &Tree) -> Result<Vec<FileHash>, IndexError> {
        self.database.read(|read| files_of(read, tree))
    }

    /// Lets the content of a revision be collected. What was said about the revision stays in the
    /// history; `put_revision` names the content again. The room of the content is free
    /// after `gc`.
    pub fn remove_content(self, repo: &RepoId, commit: CommitId) -> Result<(), IndexError> {
        let (key, rows) = (row_key(repo, commit.as_bytes()), rows_of(repo));
        let removed = self.database.write_unless_refused(|write| {
            let refs = tables::REFS.write(write)?;
            for row in refs.range(&rows.start[..]..&rows.end[..])? {
                let (name, leads_to) = row?;
                if leads_to == commit.as_bytes() {
                    let name = ref_of(name.value(), rows.start.len())?;
                    return Ok(Err(Refusal::RefLeadsThere(commit, name)));
                }
            }
            let revisions = tables::REVISIONS.write(write)?;
            if revisions.get(&key[..])?.is_none() {
                return Ok(Err(Refusal::NoRevision(commit)));
            }
            tables::REMOVED.write(write)?.insert(&key[..], &[])?;
            Ok(Ok(()))
        })?;
        removed.map_err(|refusal| refusal.explain(repo))
    }

    /// Whether the content of a revision was removed here.
    pub fn is_content_removed(self, repo: &RepoId, commit: CommitId) -> Result<bool, IndexError> {
        let key = row_key(repo, commit.as_bytes());
        self.database.read(|read| {
            let table = tables::REMOVED.read(read)?;
            Ok(table.get(&key[..])?.is_some())
        })
    }

    /// Forgets a revision; true if it was known. Refs that lead to it stay.
    pub fn remove(self, repo: &RepoId, commit: CommitId) -> Result<bool, IndexError> {
        let key = row_key(repo, commit.as_bytes());
        self.database
            .write(|write| tables::REVISIONS.write(write)?.remove(&key[..]))
    }

    /// What each revision of each repo names.
    pub fn named(self) -> Result<Vec<Named>, IndexError> {
        self.database.read(|read| {
            let mut all = Vec::new();
            let removed = tables::REMOVED.read(read)?;
            let (mut repo, mut keeping) = (Vec::new(), Keeping::All);
            for row in tables::REVISIONS.read(read)?.iter()? {
                let (key, value) = row?;
                let key = key.value();
                if removed.get(key)?.is_some() {
                    continue;
                }
                let of = &key[..key.len().saturating_sub(COMMIT_BYTES)];
                if repo != of {
                    repo = of.to_vec();
                    keeping = Keeping::of(read, of)?;
                }
                let is_cached = !keeping.keeps(&commit_of(key)?);
                let named = match Revision::content_of(&value) {
                    Some(model) => Named {
                        is_cached,
                        model: Some(model),
                        files: Vec::new(),
                    },
                    None => {
                        let tree = decode_revision(&value)?.tree;
                        Named {
                            is_cached,
                            model: tree.content_hash(),
                            files: files_of(read, &tree)?,
                        }
                    }
                };
                all.push(named);
            }
            Ok(all)
        })
    }

    /// How revisions keep a model, if one names it.
    pub fn hold(self, model: ContentHash) -> Result<Option<Hold>, IndexError> {
        self.database.read(|read| {
            let removed = tables::REMOVED.read(read)?;
            let mut hold = None;
            for row in tables::REVISIONS.read(read)?.iter()? {
                let (key, value) = row?;
                let key = key.value();
                if removed.get(key)?.is_some() {
                    continue;
                }
                let content = match Revision::content_of(&value) {
                    None => decode_revision(&value)?.tree.content_hash(),
                    known => known,
                };
                if content != Some(model) {
                    continue;
                }
                let of = &key[..key.len().saturating_sub(COMMIT_BYTES)];
                if Keeping::of(read, of)?.keeps(&commit_of(key)?) {
                    return Ok(Some(Hold::Kept));
                }
                hold = Some(Hold::Cached);
            }
            Ok(hold)
        })
    }
}

/// Keeps encoded revisions, whose content is named from then on.
pub(crate) fn write_rows<'r>(
    write: &WriteTransaction,
    repo: &RepoId,
    revisions: impl IntoIterator<Item = (CommitId, &'r [u8])>,
) -> TxResult<Result<(), Refusal>> {
    let mut removed = tables::REMOVED.write(write)?;
    let mut table = tables::REVISIONS.write(write)?;
    for (commit, revision) in revisions {
        let key = row_key(repo, commit.as_bytes());
        removed.remove(&key[..])?;
        table.insert(&key[..], revision)?;
    }
    let rows = rows_of(repo);
    let count = table.table.range(&rows.start[..]..&rows.end[..])?.count();
    Ok(match count {
        0..=REVISIONS_MAX => Ok(()),
        _ => Err(Refusal::TooMany(
            "revisions of a repo",
            REVISIONS_MAX as u64,
        )),
    })
}

/// The files of a listing that are known by an address or a digest.
fn files_of(read: &ReadTransaction, tree: &Tree) -> TxResult<Vec<FileHash>> {
    let Tree::Listed(entries) = tree else {
        return Ok(Vec::new());
    };
    let sha256s = tables::SHA256S.read(read)?;
    let git_blobs = tables::GIT_BLOBS.read(read)?;
    let mut files = Vec::new();
    for TreeEntry {
        git_blob,
        lfs,
        file,
        ..
    } in entries
    {
        files.extend(file);
        match (lfs, git_blob) {
            (Some(lfs), _) => {
                let row = sha256s.get(lfs.sha256.as_bytes())?;
                files.extend(row.map(|row| file_of(&row)).transpose()?);
            }
            (None, Some(git_blob)) => {
                let row = git_blobs.get(git_blob.as_bytes())?;
                files.extend(row.map(|row| file_of(&row)).transpose()?);
            }
            (None, None) => {}
        }
    }
    Ok(files)
}

/// The id at the end of a row's key.
pub(crate) fn commit_of(key: &[u8]) -> TxResult<CommitId> {
    let id = key.last_chunk::<COMMIT_BYTES>();
    id.map(|id| CommitId::new(*id))
        .ok_or(TxError::Malformed("the id of a revision"))
}

fn decode_revision(bytes: &[u8]) -> TxResult<Revision> {
    Revision::decode(bytes).map_err(|_| TxError::Malformed("a revision"))
}
