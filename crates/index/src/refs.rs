//! Refs of repos: names that lead to revisions.

use std::ops::Range;

use hubless_content::{CommitId, RefName, RepoId};
use redb::{ReadableTable, WriteTransaction};

use crate::{
    error::IndexError,
    repos::{REFS_MAX, Refusal, RepoTable, is_publishers, repo_key, row_key, rows_of},
    sealed::Rows,
    tables,
    tx::{TxError, TxResult},
};

/// One change of a ref, made only if the ref still leads where its writer last saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefChange {
    name: RefName,
    to: Option<CommitId>,
    from: Seen,
}

/// Where a ref must lead for a change of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Anywhere,
    Exactly(Option<CommitId>),
}

impl RefChange {
    /// Has a ref lead to a commit, which need not be known, wherever it led before.
    pub fn set(name: RefName, to: CommitId) -> Self {
        Self {
            name,
            to: Some(to),
            from: Seen::Anywhere,
        }
    }

    /// Removes a ref.
    pub fn remove(name: RefName) -> Self {
        Self {
            name,
            to: None,
            from: Seen::Anywhere,
        }
    }

    /// Makes the change only if the ref leads to `from` when it is written; `None`: if there is no
    /// such ref. Else nothing of the transaction is written: [`IndexError::RefMoved`].
    pub fn if_at(self, from: Option<CommitId>) -> Self {
        Self {
            from: Seen::Exactly(from),
            ..self
        }
    }
}

impl RepoTable<'_> {
    /// Where a ref leads.
    pub fn get_ref(self, repo: &RepoId, name: &RefName) -> Result<Option<CommitId>, IndexError> {
        let key = row_key(repo, name.as_str().as_bytes());
        self.database.read(|read| {
            let table = tables::REFS.read(read)?;
            let row = table.get(&key[..])?;
            row.map(|row| commit_at(&row)).transpose()
        })
    }

    /// All refs of a repo, ordered by name.
    pub fn refs(self, repo: &RepoId) -> Result<Vec<(RefName, CommitId)>, IndexError> {
        let rows = rows_of(repo);
        self.database
            .read(|read| refs_in(&tables::REFS.read(read)?, &rows))
    }

    /// Changes refs; all or none, durable when it returns. Those of a publisher's repo change by its
    /// head only: [`IndexError::OfPublisher`].
    pub fn set_refs(self, repo: &RepoId, changes: &[RefChange]) -> Result<(), IndexError> {
        let written = self
            .database
            .write_unless_refused(|write| write_refs(write, repo, changes))?;
        written.map_err(|refusal| refusal.explain(repo))
    }
}

pub(crate) fn write_refs(
    write: &WriteTransaction,
    repo: &RepoId,
    changes: &[RefChange],
) -> TxResult<Result<(), Refusal>> {
    if is_publishers(repo) {
        return Ok(Err(Refusal::OfPublisher));
    }
    let key = repo_key(repo);
    if tables::REPOS.write(write)?.get(&key[..])?.is_none() {
        return Ok(Err(Refusal::NoRepo));
    }
    let mut table = tables::REFS.write(write)?;
    for change in changes {
        let key = row_key(repo, change.name.as_str().as_bytes());
        let found = table.get(&key[..])?;
        let found = found.map(|row| commit_at(&row)).transpose()?;
        if matches!(change.from, Seen::Exactly(from) if from != found) {
            return Ok(Err(Refusal::RefMoved(change.name.clone(), found)));
        }
        match change.to {
            Some(commit) => table.insert(&key[..], commit.as_bytes())?,
            None => drop(table.remove(&key[..])?),
        }
    }
    let rows = rows_of(repo);
    let count = table.table.range(&rows.start[..]..&rows.end[..])?.count();
    Ok(match count {
        0..=REFS_MAX => Ok(()),
        _ => Err(Refusal::TooMany("refs of a repo", REFS_MAX as u64)),
    })
}

/// The name of a ref in the key of its row, behind so many bytes.
pub(crate) fn ref_of(key: &[u8], behind: usize) -> TxResult<RefName> {
    let name = key.get(behind..).unwrap_or_default();
    let name = std::str::from_utf8(name).ok();
    let name = name.and_then(|name| name.parse().ok());
    name.ok_or(TxError::Malformed("the name of a ref"))
}

/// The refs of a repo: the names and where they lead.
pub(crate) fn refs_in(
    table: &Rows<impl ReadableTable<&'static [u8], &'static [u8]>>,
    rows: &Range<Vec<u8>>,
) -> TxResult<Vec<(RefName, CommitId)>> {
    let mut refs = Vec::new();
    for row in table.range(&rows.start[..]..&rows.end[..])? {
        let (key, value) = row?;
        let name = ref_of(key.value(), rows.start.len())?;
        refs.push((name, commit_at(&value)?));
    }
    Ok(refs)
}

/// Where a ref leads.
fn commit_at(value: &[u8]) -> TxResult<CommitId> {
    CommitId::from_slice(value).ok_or(TxError::Malformed("where a ref leads"))
}
