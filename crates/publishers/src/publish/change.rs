//! What a signer changes in a repo, as a function from one state to the next.
//!
//! Pure: the state, the revisions that it names and the time are arguments, and what is written and
//! signed is the result.

use hubless_content::{
    CommitId, REFS_MAX, RefName, RepoId, Revision, RevisionError, RevisionHash, State, Status,
    Subject, Tree,
};

/// Title of the first revision of a branch, if the caller gives none.
const FIRST_TITLE: &str = "initial commit";

/// Title of a later one.
const NEXT_TITLE: &str = "Update";

/// Title of the one revision that a squash leaves.
const SQUASH_TITLE: &str = "Squash the history";

/// A change of one repo.
#[derive(Debug, Clone)]
pub enum Change {
    /// Gives a branch new content, and tags that lead there.
    Commit(Commit),
    /// Deletes a branch or a tag.
    DeleteRef(RefName),
    /// Replaces the history of a branch by one revision of the same content.
    Squash {
        /// The branch.
        branch: RefName,
        /// Title of the revision.
        title: Option<String>,
    },
    /// Deletes the repo. Its name can be used again.
    DeleteRepo,
    /// Says where the repo is now; the repo there is made first.
    Move {
        /// Its kind and name there, without the publisher.
        to: RepoId,
    },
}

/// New content of a branch.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The branch; made if there is none.
    pub branch: RefName,
    /// Tags that lead to the revision from then on.
    pub tags: Vec<RefName>,
    /// Its files.
    pub tree: Tree,
    /// The first line of its message.
    pub title: Option<String>,
    /// The rest of its message.
    pub message: String,
    /// Its author's name, which the signer attests.
    pub author: String,
    /// The tip that the caller saw. If the branch leads elsewhere, nothing is changed.
    pub parent: Option<CommitId>,
}

impl Commit {
    /// A commit to main; the first line of `message` is its title.
    pub fn of(tree: Tree, message: Option<String>) -> Self {
        let (title, message) = match message {
            None => (None, String::new()),
            Some(message) => match message.split_once('\n') {
                None => (Some(message), String::new()),
                Some((title, rest)) => (
                    Some(title.to_owned()),
                    rest.trim_start_matches('\n').to_owned(),
                ),
            },
        };
        Self {
            branch: RefName::main(),
            tags: Vec::new(),
            tree,
            title,
            message,
            author: String::new(),
            parent: None,
        }
    }
}

/// Why a state cannot be changed so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// There is no such repo.
    #[error("there is no such repo")]
    NoRepo,
    /// There is no such branch or tag.
    #[error("the repo has no {0}")]
    NoRef(RefName),
    /// The branch leads elsewhere than the caller saw.
    #[error("the branch {branch} has moved: it leads to {}", tip.map_or("nothing".to_owned(), |tip| tip.to_string()))]
    Moved {
        /// The branch.
        branch: RefName,
        /// Where it leads.
        tip: Option<CommitId>,
    },
    /// A revision that a ref leads to is not here.
    #[error("revision {0} is not here")]
    NoRevision(CommitId),
    /// More branches and tags than a state may have.
    #[error("a repo has at most {REFS_MAX} branches and tags, with those that were deleted lately")]
    TooManyRefs,
    /// A text of the revision breaks a rule.
    #[error(transparent)]
    Revision(#[from] RevisionError),
}

/// What a change makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// The next state.
    pub(super) state: State,
    /// Revisions that it names and the last one did not.
    pub(super) revisions: Vec<Revision>,
    /// Where the changed branch leads; `None` if none was.
    pub(super) tip: Option<RevisionHash>,
}

impl Change {
    /// The state after `state`, or the first one of `subject`; `now` in milliseconds since 1970.
    pub(super) fn apply(
        &self,
        subject: &Subject,
        state: Option<&State>,
        revision: impl FnMut(&CommitId) -> Option<Revision>,
        now: u64,
    ) -> Result<Step, ChangeError> {
        let open = state.filter(|state| state.status == Status::Open);
        let mut step = Step {
            state: match open {
                Some(open) => open.clone(),
                None => first_state(subject, now),
            },
            revisions: Vec::new(),
            tip: None,
        };
        if open.is_none() && !matches!(self, Self::Commit(_)) {
            return Err(ChangeError::NoRepo);
        }
        step.state.forget_deleted(now);
        match self {
            Self::Commit(commit) => step.commit(commit, revision, now)?,
            Self::DeleteRef(name) => {
                if !step.state.delete(name, now) {
                    return Err(ChangeError::NoRef(name.clone()));
                }
            }
            Self::Squash { branch, title } => step.squash(branch, title.as_deref(), revision)?,
            Self::DeleteRepo => step.end(Status::Gone),
            Self::Move { to } => step.end(Status::Moved(to.kind(), to.name().into())),
        }
        if step.state.refs.len() > REFS_MAX {
            return Err(ChangeError::TooManyRefs);
        }
        Ok(step)
    }
}

impl Step {
    fn commit(
        &mut self,
        commit: &Commit,
        mut revision: impl FnMut(&CommitId) -> Option<Revision>,
        now: u64,
    ) -> Result<(), ChangeError> {
        let tip = self.state.live(&commit.branch).map(|held| held.revision);
        let seen = tip.map(|tip| tip.commit_id());
        if commit.parent.is_some() && commit.parent != seen {
            return Err(ChangeError::Moved {
                branch: commit.branch.clone(),
                tip: seen,
            });
        }
        let last = match seen {
            Some(id) => Some(revision(&id).ok_or(ChangeError::NoRevision(id))?),
            None => None,
        };
        let to = match (tip, &last) {
            // The branch holds this content already.
            (Some(tip), Some(last)) if last.tree == commit.tree => tip,
            _ => {
                let title = match &last {
                    None => FIRST_TITLE,
                    Some(_) => NEXT_TITLE,
                };
                self.add(Revision {
                    tree: commit.tree.clone(),
                    parents: seen.into_iter().collect(),
                    // Clocks of several signers differ; a revision is not older than its parent.
                    time: now.max(last.map_or(0, |last| last.time + 1)),
                    title: commit.title.clone().unwrap_or_else(|| title.to_owned()),
                    message: commit.message.clone(),
                    author: commit.author.clone(),
                })?
            }
        };
        for name in [&commit.branch].into_iter().chain(&commit.tags) {
            self.state.set(name.clone(), to);
        }
        self.tip = Some(to);
        Ok(())
    }

    fn squash(
        &mut self,
        branch: &RefName,
        title: Option<&str>,
        mut revision: impl FnMut(&CommitId) -> Option<Revision>,
    ) -> Result<(), ChangeError> {
        let held = self.state.live(branch);
        let id = held.ok_or_else(|| ChangeError::NoRef(branch.clone()))?;
        let id = id.revision.commit_id();
        let last = revision(&id).ok_or(ChangeError::NoRevision(id))?;
        let alone = self.add(Revision {
            parents: Vec::new(),
            title: title.unwrap_or(SQUASH_TITLE).to_owned(),
            message: String::new(),
            ..last
        })?;
        self.state.set(branch.clone(), alone);
        self.tip = Some(alone);
        Ok(())
    }

    /// A repo that is not there has no refs. It loses against one to which a signer committed meanwhile.
    fn end(&mut self, status: Status) {
        self.state.refs.clear();
        self.state.status = status;
    }

    fn add(&mut self, revision: Revision) -> Result<RevisionHash, ChangeError> {
        let hash = revision.hash()?;
        self.revisions.push(revision);
        Ok(hash)
    }
}

fn first_state(subject: &Subject, now: u64) -> State {
    State {
        subject: subject.clone(),
        created: now,
        refs: Vec::new(),
        discussions: Default::default(),
        status: Status::Open,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hubless_content::{ContentHash, PublisherId, RepoKind};

    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    /// A repo of which all revisions are kept.
    struct Repo {
        subject: Subject,
        state: Option<State>,
        revisions: BTreeMap<CommitId, Revision>,
    }

    impl Repo {
        fn new() -> Self {
            let publisher = PublisherId::new([9; 32]);
            Self {
                subject: Subject::repo(publisher, RepoKind::Model, "m").unwrap(),
                state: None,
                revisions: BTreeMap::new(),
            }
        }

        fn apply(&mut self, change: &Change, now: u64) -> Result<Step, ChangeError> {
            let known = |id: &CommitId| self.revisions.get(id).cloned();
            let step = change.apply(&self.subject, self.state.as_ref(), known, now)?;
            for revision in &step.revisions {
                let id = revision.commit_id().unwrap();
                self.revisions.insert(id, revision.clone());
            }
            self.state = Some(step.state.clone());
            Ok(step)
        }

        fn state(&self) -> &State {
            self.state.as_ref().unwrap()
        }
    }

    fn content(byte: u8) -> Tree {
        Tree::Content(ContentHash::new([byte; 32]))
    }

    fn commit(byte: u8) -> Commit {
        Commit {
            branch: RefName::main(),
            tags: Vec::new(),
            tree: content(byte),
            title: None,
            message: String::new(),
            author: String::new(),
            parent: None,
        }
    }

    #[test]
    fn commits_follow_each_other_and_the_same_content_makes_none() {
        let mut repo = Repo::new();
        let first = repo.apply(&Change::Commit(commit(1)), NOW).unwrap();
        assert_eq!(first.revisions[0].title, "initial commit");
        let again = repo.apply(&Change::Commit(commit(1)), NOW + 1).unwrap();
        assert!(again.revisions.is_empty());
        assert_eq!(again.tip, first.tip);
        let second = repo.apply(&Change::Commit(commit(2)), NOW + 2).unwrap();
        let parent = first.tip.unwrap().commit_id();
        assert_eq!(second.revisions[0].parents, [parent]);
        assert_eq!(second.revisions[0].title, "Update");
        assert_eq!(repo.state().created, NOW);
    }

    #[test]
    fn a_revision_is_later_than_its_parent_though_the_clock_is_not() {
        let mut repo = Repo::new();
        repo.apply(&Change::Commit(commit(1)), NOW).unwrap();
        let second = repo
            .apply(&Change::Commit(commit(2)), NOW - 50_000)
            .unwrap();
        assert_eq!(second.revisions[0].time, NOW + 1);
    }

    #[test]
    fn a_branch_that_moved_since_the_caller_saw_it_stays() {
        let mut repo = Repo::new();
        let first = repo.apply(&Change::Commit(commit(1)), NOW).unwrap();
        repo.apply(&Change::Commit(commit(2)), NOW).unwrap();
        let late = Commit {
            parent: first.tip.map(|tip| tip.commit_id()),
            ..commit(3)
        };
        let refused = repo.apply(&Change::Commit(late), NOW);
        assert!(
            matches!(refused, Err(ChangeError::Moved { .. })),
            "{refused:?}"
        );
        let wrong = Commit {
            branch: RefName::branch("new").unwrap(),
            parent: first.tip.map(|tip| tip.commit_id()),
            ..commit(3)
        };
        let refused = repo.apply(&Change::Commit(wrong), NOW).unwrap_err();
        assert!(
            refused.to_string().ends_with("it leads to nothing"),
            "{refused}"
        );
    }

    #[test]
    fn tags_lead_to_the_revision_of_their_commit() {
        let mut repo = Repo::new();
        let tag = RefName::tag("v1").unwrap();
        let tagged = Commit {
            tags: vec![tag.clone()],
            ..commit(1)
        };
        let step = repo.apply(&Change::Commit(tagged), NOW).unwrap();
        repo.apply(&Change::Commit(commit(2)), NOW).unwrap();
        assert_eq!(Some(repo.state().live(&tag).unwrap().revision), step.tip);
    }

    #[test]
    fn a_squash_leaves_one_revision_without_parents() {
        let mut repo = Repo::new();
        (1..=3).for_each(|byte| drop(repo.apply(&Change::Commit(commit(byte)), NOW)));
        let squash = Change::Squash {
            branch: RefName::main(),
            title: None,
        };
        let step = repo.apply(&squash, NOW).unwrap();
        let [alone] = &step.revisions[..] else {
            panic!("one revision")
        };
        assert_eq!((&alone.parents[..], &alone.tree), (&[][..], &content(3)));
        assert_eq!(
            repo.state().live(&RefName::main()).unwrap().revision,
            alone.hash().unwrap()
        );
    }

    #[test]
    fn what_is_deleted_is_kept_as_deleted_for_merges() {
        let mut repo = Repo::new();
        repo.apply(&Change::Commit(commit(1)), NOW).unwrap();
        let other = RefName::branch("other").unwrap();
        let branch = Commit {
            branch: other.clone(),
            ..commit(1)
        };
        repo.apply(&Change::Commit(branch), NOW).unwrap();
        let delete = Change::DeleteRef(other.clone());
        repo.apply(&delete, NOW).unwrap();
        assert!(repo.state().live(&other).is_none() && repo.state().get(&other).is_some());
        assert_eq!(repo.apply(&delete, NOW), Err(ChangeError::NoRef(other)));
    }

    #[test]
    fn a_deleted_repo_begins_anew_and_has_none_of_its_refs() {
        let mut repo = Repo::new();
        repo.apply(&Change::Commit(commit(1)), NOW).unwrap();
        repo.apply(&Change::DeleteRepo, NOW).unwrap();
        assert_eq!(repo.state().status, Status::Gone);
        assert!(repo.state().live(&RefName::main()).is_none());
        let deleted = repo.apply(&Change::DeleteRepo, NOW);
        assert_eq!(deleted, Err(ChangeError::NoRepo));
        let anew = repo.apply(&Change::Commit(commit(2)), NOW + 9).unwrap();
        assert_eq!(anew.revisions[0].parents, []);
        assert_eq!(
            (&repo.state().status, repo.state().created),
            (&Status::Open, NOW + 9)
        );
    }

    #[test]
    fn a_moved_repo_says_where_it_is() {
        let mut repo = Repo::new();
        repo.apply(&Change::Commit(commit(1)), NOW).unwrap();
        let to = RepoId::new(RepoKind::Dataset, "n").unwrap();
        repo.apply(&Change::Move { to }, NOW).unwrap();
        assert_eq!(
            repo.state().status,
            Status::Moved(RepoKind::Dataset, "n".into())
        );
        repo.state().encode().unwrap();
    }
}
