//! Which revisions of a repo keep their content here, whatever room it takes.
//!
//! | repo | revisions that keep it |
//! |---|---|
//! | made here | all |
//! | of an upstream | none: it has them still |
//! | of an own publisher | all |
//! | of a followed publisher | those that its [`Mirror`] covers |
//! | of another publisher | none: its holders have them |

use std::collections::HashSet;

use hubless_content::{CommitId, PublisherId, RefName};
use redb::ReadTransaction;

use crate::{
    follows::{Follow, Mirror},
    refs::refs_in,
    repos::{Repo, RepoOrigin, decode_repo, rows_of},
    tables,
    tx::TxResult,
};

/// Which revisions of one repo keep their content.
pub(crate) enum Keeping {
    All,
    Only(HashSet<CommitId>),
    Nothing,
}

impl Keeping {
    /// For the repo with this key; one without a record counts as made here.
    pub(crate) fn of(read: &ReadTransaction, key: &[u8]) -> TxResult<Self> {
        let row = tables::REPOS.read(read)?.get(key)?;
        let repo = row.map(|row| decode_repo(&row)).transpose()?;
        match repo {
            None => Ok(Self::All),
            Some(repo) => match repo.origin {
                RepoOrigin::Local => Ok(Self::All),
                RepoOrigin::Upstream(_) => Ok(Self::Nothing),
                RepoOrigin::Publisher => Self::of_published(read, &repo),
            },
        }
    }

    fn of_published(read: &ReadTransaction, repo: &Repo) -> TxResult<Self> {
        let publisher = repo.id.namespace().map(str::parse::<PublisherId>);
        let Some(Ok(publisher)) = publisher else {
            return Ok(Self::All);
        };
        if tables::PUBLISHERS
            .read(read)?
            .get(publisher.as_bytes())?
            .is_some()
        {
            return Ok(Self::All);
        }
        let follow: Option<Follow> = tables::FOLLOWS.read(read)?.get_json(publisher.as_bytes())?;
        let is_kept: fn(&RefName) -> bool = match follow.map(|follow| follow.mirror) {
            None | Some(Mirror::Nothing) => return Ok(Self::Nothing),
            Some(Mirror::All) => return Ok(Self::All),
            Some(Mirror::Latest) => |name| name.as_branch().is_some(),
            Some(Mirror::Tags) => |name| name.as_branch().is_some() || name.as_tag().is_some(),
        };
        let refs = refs_in(&tables::REFS.read(read)?, &rows_of(&repo.id))?;
        let kept = refs.into_iter().filter(|(name, _)| is_kept(name));
        Ok(Self::Only(kept.map(|(_, commit)| commit).collect()))
    }

    /// Whether this revision keeps its content.
    pub(crate) fn keeps(&self, commit: &CommitId) -> bool {
        match self {
            Self::All => true,
            Self::Only(kept) => kept.contains(commit),
            Self::Nothing => false,
        }
    }
}
