//! Repos: names that lead to models, one revision after the other.
//!
//! A repo has a record, refs, and revisions by their ids. Rows of all three begin with the repo's
//! key: a byte for its kind, its name in lower case, and a NUL, so that one range has all of a repo
//! and no other's. What a revision names stays in the store until the revision or its repo is
//! removed; see `revisions.rs`.

use std::ops::Range;

use hubless_content::{CommitId, PublisherId, RefName, RepoId, RepoKind};
use redb::{ReadableTableMetadata, WriteTransaction};
use serde::{Deserialize, Serialize};

use crate::{
    database::Database,
    error::IndexError,
    tables,
    tx::{TxError, TxResult},
};

/// Repos of a store. A mirror adds one whenever a client asks for it, so clients would make
/// the index grow; the whole of the largest hub has some millions.
pub const REPOS_MAX: u64 = 1_000_000;

/// Refs of a repo: upstream's pull requests are refs too, and busy repos have thousands.
pub const REFS_MAX: usize = 100_000;

/// Where a repo comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RepoOrigin {
    /// It was made here.
    Local,
    /// It is a hub's; holds the hub's URL.
    Upstream(String),
    /// It is a publisher's, whose id is the namespace: what is known of it comes from its signed head.
    Publisher,
}

/// What is known about a repo, beside its refs and revisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repo {
    /// Its name, in the spelling that is shown.
    pub id: RepoId,
    /// When it was made: milliseconds since 1970, UTC.
    pub created: u64,
    /// Where it comes from.
    pub origin: RepoOrigin,
    /// Visible only to its readers.
    #[serde(default)]
    pub private: bool,
    /// Its files only for users that accepted its terms.
    #[serde(default)]
    pub gated: bool,
}

/// The rows of repos and their refs.
#[derive(Clone, Copy)]
pub struct RepoTable<'a> {
    pub(crate) database: &'a Database,
}

impl RepoTable<'_> {
    /// Makes a repo known, or changes what is known about it. Durable when it returns. What a hub
    /// lists does not replace a repo that was made here: [`IndexError::RepoExists`]. A repo of a
    /// publisher comes by its head only: [`IndexError::OfPublisher`].
    pub fn put(self, repo: &Repo) -> Result<(), IndexError> {
        let written = self
            .database
            .write_unless_refused(|write| match repo.origin {
                _ if is_publishers(&repo.id) => Ok(Err(Refusal::OfPublisher)),
                RepoOrigin::Upstream(_) if is_made_here(write, &repo.id)? => {
                    Ok(Err(Refusal::RepoExists))
                }
                _ => write_repo(write, repo),
            })?;
        written.map_err(|refusal| refusal.explain(&repo.id))
    }

    /// What is known about a repo.
    pub fn get(self, id: &RepoId) -> Result<Option<Repo>, IndexError> {
        let key = repo_key(id);
        self.database.read(|read| {
            let table = tables::REPOS.read(read)?;
            let row = table.get(&key[..])?;
            row.map(|row| decode_repo(&row)).transpose()
        })
    }

    /// Up to `max` repos of a kind whose names begin with `prefix` (in any case), ordered by name,
    /// those after `after`. Fewer than `max` are the last ones.
    pub fn list(
        self,
        kind: RepoKind,
        prefix: &str,
        after: Option<&RepoId>,
        max: usize,
    ) -> Result<Vec<Repo>, IndexError> {
        let mut first = vec![kind_byte(kind)];
        first.extend(prefix.to_ascii_lowercase().bytes());
        let after = after.map(repo_key);
        self.database.read(|read| {
            let start = after.as_ref().filter(|after| **after > first);
            let table = tables::REPOS.read(read)?;
            let mut repos = Vec::new();
            for row in table.range(&start.unwrap_or(&first)[..]..)? {
                let (key, value) = row?;
                if !key.value().starts_with(&first) || repos.len() >= max {
                    break;
                }
                if after.as_deref() != Some(key.value()) {
                    repos.push(decode_repo(&value)?);
                }
            }
            Ok(repos)
        })
    }

    /// Forgets a repo with its refs and revisions; true if there was one. The room of what it named
    /// is free after `gc`. A repo of a publisher goes by its head only: [`IndexError::OfPublisher`].
    pub fn remove(self, id: &RepoId) -> Result<bool, IndexError> {
        if is_publishers(id) {
            return Err(Refusal::OfPublisher.explain(id));
        }
        self.database.write(|write| remove_rows(write, id))
    }
}

/// Removes all rows of a repo; true if it had a record.
pub(crate) fn remove_rows(write: &WriteTransaction, id: &RepoId) -> TxResult<bool> {
    let rows = rows_of(id);
    let rows = &rows.start[..]..&rows.end[..];
    let mut refs = tables::REFS.write(write)?;
    refs.table.retain_in(rows.clone(), |_, _| false)?;
    let mut revisions = tables::REVISIONS.write(write)?;
    revisions.table.retain_in(rows.clone(), |_, _| false)?;
    let mut removed = tables::REMOVED.write(write)?;
    removed.table.retain_in(rows.clone(), |_, _| false)?;
    let mut histories = tables::HISTORIES.write(write)?;
    histories.table.retain_in(rows, |_, _| false)?;
    tables::REPOS.write(write)?.remove(&repo_key(id)[..])
}

/// Why a transaction wrote nothing.
pub(crate) enum Refusal {
    NoRepo,
    RepoExists,
    OfPublisher,
    RefMoved(RefName, Option<CommitId>),
    NoRevision(CommitId),
    RefLeadsThere(CommitId, RefName),
    TooMany(&'static str, u64),
}

impl Refusal {
    pub(crate) fn explain(self, repo: &RepoId) -> IndexError {
        match self {
            Self::NoRepo => IndexError::UnknownRepo { repo: repo.clone() },
            Self::RepoExists => IndexError::RepoExists { repo: repo.clone() },
            Self::OfPublisher => IndexError::OfPublisher { repo: repo.clone() },
            Self::RefMoved(name, found) => IndexError::RefMoved {
                repo: repo.clone(),
                name,
                found,
            },
            Self::NoRevision(commit) => IndexError::UnknownRevision {
                repo: repo.clone(),
                commit,
            },
            Self::RefLeadsThere(commit, name) => IndexError::RefLeadsThere {
                repo: repo.clone(),
                commit,
                name,
            },
            Self::TooMany(what, max) => IndexError::TooMany { what, max },
        }
    }
}

/// Whether a repo of this name was made here.
fn is_made_here(write: &WriteTransaction, repo: &RepoId) -> TxResult<bool> {
    let repos = tables::REPOS.write(write)?;
    let known = repos.get(&repo_key(repo)[..])?;
    let known = known.map(|row| decode_repo(&row)).transpose()?;
    Ok(known.is_some_and(|known| known.origin == RepoOrigin::Local))
}

/// Whether the namespace is the id of a publisher: then only a signed head changes the repo.
pub(crate) fn is_publishers(repo: &RepoId) -> bool {
    let namespace = repo.namespace().map(str::parse::<PublisherId>);
    namespace.is_some_and(|publisher| publisher.is_ok())
}

pub(crate) fn write_repo(write: &WriteTransaction, repo: &Repo) -> TxResult<Result<(), Refusal>> {
    let key = repo_key(&repo.id);
    let mut table = tables::REPOS.write(write)?;
    let value = serde_json::to_vec(repo).map_err(|_| MALFORMED)?;
    table.insert(&key[..], &value[..])?;
    Ok(match table.table.len()? {
        0..=REPOS_MAX => Ok(()),
        _ => Err(Refusal::TooMany("repos", REPOS_MAX)),
    })
}

/// As [`write_repo`], but only if the repo is not known yet.
pub(crate) fn write_new_repo(
    write: &WriteTransaction,
    repo: &Repo,
) -> TxResult<Result<(), Refusal>> {
    if is_publishers(&repo.id) {
        return Ok(Err(Refusal::OfPublisher));
    }
    let key = repo_key(&repo.id);
    if tables::REPOS.write(write)?.get(&key[..])?.is_some() {
        return Ok(Err(Refusal::RepoExists));
    }
    write_repo(write, repo)
}

fn kind_byte(kind: RepoKind) -> u8 {
    match kind {
        RepoKind::Model => 1,
        RepoKind::Dataset => 2,
        RepoKind::Space => 3,
    }
}

pub(crate) fn repo_key(repo: &RepoId) -> Vec<u8> {
    let mut key = vec![kind_byte(repo.kind())];
    key.extend(repo.folded().bytes());
    key.push(0);
    key
}

pub(crate) fn row_key(repo: &RepoId, rest: &[u8]) -> Vec<u8> {
    let mut key = repo_key(repo);
    key.extend(rest);
    key
}

/// The keys of all rows of a repo.
pub(crate) fn rows_of(repo: &RepoId) -> Range<Vec<u8>> {
    let start = repo_key(repo);
    let mut end = start.clone();
    // The NUL that ends the repo's key becomes what comes after it.
    end.pop();
    end.push(1);
    start..end
}

const MALFORMED: TxError = TxError::Malformed("the record of a repo");

pub(crate) fn decode_repo(bytes: &[u8]) -> TxResult<Repo> {
    serde_json::from_slice(bytes).map_err(|_| MALFORMED)
}

#[cfg(test)]
mod tests {
    use hubless_content::{CommitId, ContentHash, RefName, Revision, Tree};

    use super::*;
    use crate::{REVISIONS_MAX, RefChange, testing::new_index};

    fn repo(name: &str) -> Repo {
        Repo {
            id: name.parse().unwrap(),
            created: 1,
            origin: RepoOrigin::Local,
            private: false,
            gated: false,
        }
    }

    fn assert_too_many(outcome: Result<(), IndexError>, text: &str) {
        let error = outcome.unwrap_err();
        assert!(matches!(error, IndexError::TooMany { .. }), "{error:?}");
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn a_repo_too_many_is_refused_and_the_others_stay() {
        let (_home, index) = new_index();
        let known = repo("org/known");
        index.repos().put(&known).unwrap();
        let others = (1..REPOS_MAX).map(|number| repo(&format!("others/{number:07}")));
        let others: Vec<Repo> = others.collect();
        let fill = |write: &WriteTransaction| {
            let mut table = tables::REPOS.write(write)?;
            for repo in &others {
                let value = serde_json::to_vec(repo).unwrap();
                table.insert(&repo_key(&repo.id)[..], &value[..])?;
            }
            Ok(())
        };
        index.database.write(fill).unwrap();
        let late = repo("org/late");
        let most = "there can be at most 1000000 repos";
        assert_too_many(index.repos().put(&late), most);
        assert_eq!(index.repos().get(&late.id).unwrap(), None);
        assert_eq!(index.counts().unwrap().repos, REPOS_MAX);
        // What is known may change, and what goes makes room.
        let changed = Repo {
            private: true,
            ..known
        };
        index.repos().put(&changed).unwrap();
        assert_eq!(
            index.repos().get(&changed.id).unwrap().as_ref(),
            Some(&changed)
        );
        assert!(index.repos().remove(&others[7].id).unwrap());
        index.repos().put(&late).unwrap();
        assert_eq!(index.repos().get(&late.id).unwrap(), Some(late));
    }

    #[test]
    fn a_ref_too_many_is_refused_with_all_that_came_with_it() {
        let (_home, index) = new_index();
        let repo = repo("org/busy");
        index.repos().put(&repo).unwrap();
        let tag = |number: usize| RefName::tag(&format!("v{number:06}")).unwrap();
        let to = |number, fill| RefChange::set(tag(number), CommitId::new([fill; 20]));
        let set = |changes: &[RefChange]| index.repos().set_refs(&repo.id, changes);
        let all: Vec<_> = (0..REFS_MAX).map(|number| to(number, 1)).collect();
        set(&all).unwrap();
        let most = "there can be at most 100000 refs of a repo";
        let late = to(REFS_MAX, 2);
        assert_too_many(set(&[to(0, 2), late.clone()]), most);
        let known = index.repos().refs(&repo.id).unwrap();
        assert_eq!(known.len(), REFS_MAX);
        assert_eq!(known[0], (tag(0), CommitId::new([1; 20])), "all or none");
        // A revision that came with it is not kept either.
        let revision = revision(0);
        let commit = revision.commit_id().unwrap();
        let put = |name| {
            let change = RefChange::set(name, commit);
            index
                .revisions()
                .put(&repo.id, None, commit, &revision, &[change])
        };
        assert_too_many(put(tag(REFS_MAX)), most);
        assert_eq!(index.revisions().get(&repo.id, commit).unwrap(), None);
        // What is there may move, and what goes makes room.
        put(tag(0)).unwrap();
        assert_eq!(
            index.repos().get_ref(&repo.id, &tag(0)).unwrap(),
            Some(commit)
        );
        set(&[RefChange::remove(tag(1))]).unwrap();
        set(&[late]).unwrap();
    }

    fn revision(time: u64) -> Revision {
        Revision {
            tree: Tree::Content(ContentHash::new([1; 32])),
            parents: Vec::new(),
            time,
            title: "a title".into(),
            message: String::new(),
            author: String::new(),
        }
    }

    #[test]
    fn a_revision_too_many_is_refused_and_its_ref_stays_where_it_was() {
        let (_home, index) = new_index();
        let repo = repo("org/old");
        index.repos().put(&repo).unwrap();
        let (first, late) = (revision(0), revision(1));
        let [first_id, late_id] = [&first, &late].map(|one| one.commit_id().unwrap());
        let put = |commit, revision| {
            let main = [RefChange::set(RefName::main(), commit)];
            index
                .revisions()
                .put(&repo.id, None, commit, revision, &main)
        };
        put(first_id, &first).unwrap();
        let bytes = first.encode().unwrap();
        let other = |number: usize| {
            let mut id = [0; 20];
            id[..8].copy_from_slice(&(number as u64).to_be_bytes());
            CommitId::new(id)
        };
        let fill = |write: &WriteTransaction| {
            let mut table = tables::REVISIONS.write(write)?;
            for number in 1..REVISIONS_MAX {
                let key = row_key(&repo.id, other(number).as_bytes());
                table.insert(&key[..], &bytes[..])?;
            }
            Ok(())
        };
        index.database.write(fill).unwrap();
        let most = "there can be at most 100000 revisions of a repo";
        assert_too_many(put(late_id, &late), most);
        let main = || index.repos().get_ref(&repo.id, &RefName::main()).unwrap();
        assert_eq!(main(), Some(first_id));
        assert_eq!(
            index.revisions().ids(&repo.id).unwrap().len(),
            REVISIONS_MAX
        );
        // One that is there may be put again, and one that goes makes room.
        put(first_id, &first).unwrap();
        assert!(index.revisions().remove(&repo.id, other(1)).unwrap());
        put(late_id, &late).unwrap();
        assert_eq!(main(), Some(late_id));
    }

    /// What is written is frozen.
    #[test]
    fn the_record_of_a_repo() {
        let upstream = Repo {
            id: "datasets/Org/Name".parse().unwrap(),
            created: 1_700_000_000_000,
            origin: RepoOrigin::Upstream("https://hub.example".into()),
            private: true,
            gated: false,
        };
        let text = concat!(
            r#"{"id":"datasets/Org/Name","created":1700000000000,"#,
            r#""origin":{"upstream":"https://hub.example"},"private":true,"gated":false}"#
        );
        assert_eq!(serde_json::to_string(&upstream).unwrap(), text);
        assert_eq!(decode_repo(text.as_bytes()).unwrap(), upstream);
        for (text, origin) in [
            ("local", RepoOrigin::Local),
            ("publisher", RepoOrigin::Publisher),
        ] {
            let record = format!(r#"{{"id":"gpt2","created":1,"origin":"{text}"}}"#);
            assert_eq!(decode_repo(record.as_bytes()).unwrap().origin, origin);
        }
        assert_eq!(repo_key(&upstream.id), b"\x02org/name\0");
    }
}
