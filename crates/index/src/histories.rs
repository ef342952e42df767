//! Histories of an upstream's repos, as it listed them: for when it cannot be asked any more.

use hubless_content::{CommitId, RepoId};
use redb::ReadableTable;
use serde::{Deserialize, Serialize};

use crate::{
    database::Database,
    error::IndexError,
    repos::{row_key, rows_of},
    tables,
    tx::TxError,
};

/// Commits of one history: enough for a person to look back, and some 200 KB.
pub const HISTORY_MAX: usize = 1000;

/// Histories of one repo, each as one of its commits saw it. Branches move, so there would be ever
/// more of them.
const HISTORIES_MAX: usize = 8;

/// A commit of a history, of which only this need be known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastCommit {
    /// Its id.
    pub id: CommitId,
    /// What was said about it, in a line.
    pub title: String,
    /// What was said beside that.
    pub message: String,
    /// The name of its author, if it is known.
    pub author: String,
    /// When it was made: milliseconds since 1970, UTC.
    pub time: u64,
}

/// The rows of histories.
#[derive(Clone, Copy)]
pub struct HistoryTable<'a> {
    pub(crate) database: &'a Database,
}

impl HistoryTable<'_> {
    /// Keeps the history of a commit: the commit itself and those before it, newest first; at most
    /// [`HISTORY_MAX`] of them. Durable when it returns.
    pub fn put(
        self,
        repo: &RepoId,
        of: CommitId,
        commits: &[PastCommit],
    ) -> Result<(), IndexError> {
        let commits = &commits[..commits.len().min(HISTORY_MAX)];
        let value = serde_json::to_vec(commits).unwrap_or_default();
        let (key, rows) = (row_key(repo, of.as_bytes()), rows_of(repo));
        self.database.write(|write| {
            let mut histories = tables::HISTORIES.write(write)?;
            let table = &mut histories.table;
            let known = table.range(&rows.start[..]..&rows.end[..])?.count();
            if known >= HISTORIES_MAX && table.get(&key[..])?.is_none() {
                table.retain_in(&rows.start[..]..&rows.end[..], |_, _| false)?;
            }
            histories.insert(&key[..], &value[..])?;
            Ok(())
        })
    }

    /// The history of a commit as far as one that is kept has it; empty if none does.
    pub fn get(self, repo: &RepoId, of: CommitId) -> Result<Vec<PastCommit>, IndexError> {
        let rows = rows_of(repo);
        self.database.read(|read| {
            let histories = tables::HISTORIES.read(read)?;
            for row in histories.range(&rows.start[..]..&rows.end[..])? {
                let value = match row {
                    Ok((_, value)) => value,
                    // Nothing depends on a history, so one that is damaged is none.
                    Err(TxError::Malformed(_)) => continue,
                    Err(error) => return Err(error),
                };
                let kept: Vec<PastCommit> = serde_json::from_slice(&value).unwrap_or_default();
                if let Some(at) = kept.iter().position(|commit| commit.id == of) {
                    return Ok(kept[at..].to_vec());
                }
            }
            Ok(Vec::new())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::new_index;

    fn commit(number: u8) -> PastCommit {
        PastCommit {
            id: CommitId::new([number; 20]),
            title: format!("commit {number}"),
            message: String::new(),
            author: "lab".into(),
            time: u64::from(number),
        }
    }

    #[test]
    fn a_history_is_found_from_each_of_its_commits_and_there_are_not_ever_more() {
        let (_home, index) = new_index();
        let repo: RepoId = "org/a".parse().unwrap();
        let history: Vec<PastCommit> = (0..50).rev().map(commit).collect();
        index
            .histories()
            .put(&repo, history[0].id, &history)
            .unwrap();
        let of = |number| index.histories().get(&repo, commit(number).id).unwrap();
        assert_eq!(of(49), history);
        assert_eq!(of(1), history[48..]);
        assert_eq!(of(50), []);
        for number in 100..200 {
            let one = commit(number);
            let only = std::slice::from_ref(&one);
            index.histories().put(&repo, one.id, only).unwrap();
            assert_eq!(of(number), [one]);
        }
        let rows = index
            .database
            .read(|read| Ok(tables::HISTORIES.read(read)?.iter()?.count()));
        assert!(rows.unwrap() <= HISTORIES_MAX);
    }
}
