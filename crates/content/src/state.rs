//! States: all refs of a repo at one moment.
//!
//! A [head](crate::Head) names the hash of a state, so one signature covers all branches and tags: no
//! node can combine a branch of today with a tag of yesterday. The publisher, the kind and the name are in
//! it again, so that a state of one repo is worth nothing for another.
//!
//! Source: `proto/head.proto`.

use std::num::NonZeroU64;

use crate::{
    encoding::{NotCanonical, Reader, bytes_tag, number_tag, put_bytes, put_number},
    hash::{DocumentHash, RevisionHash},
    ref_name::RefName,
    repo::{RepoIdError, RepoKind},
    subject::Subject,
};

/// Bytes of an encoded state: ten thousand refs with names of sixty bytes.
pub const STATE_BYTES_MAX: usize = 1024 * 1024;

/// Refs of a state, deleted ones included.
pub const REFS_MAX: usize = 10_000;

/// How long a deleted ref is kept for merges, in milliseconds: 90 days.
pub const DELETED_REFS_KEPT_MS: u64 = 90 * 24 * 60 * 60 * 1_000;

/// The only version of the encoding.
const VERSION: u64 = 1;

const TAG_VERSION: u8 = number_tag(1);
// Fields 2 to 4 are the subject.
const TAG_CREATED: u8 = number_tag(5);
const TAG_REF: u8 = bytes_tag(6);
const TAG_DISCUSSIONS: u8 = number_tag(7);
const TAG_GONE: u8 = number_tag(8);
const TAG_MOVED: u8 = bytes_tag(9);

const TAG_REF_NAME: u8 = bytes_tag(1);
const TAG_REF_REVISION: u8 = bytes_tag(2);
const TAG_REF_DELETED: u8 = number_tag(3);

const TAG_MOVED_KIND: u8 = number_tag(1);
const TAG_MOVED_NAME: u8 = bytes_tag(2);

/// Why bytes or values are not a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// More than [`STATE_BYTES_MAX`] bytes.
    #[error("a state has at most {STATE_BYTES_MAX} bytes")]
    TooLarge,
    /// More than [`REFS_MAX`] refs.
    #[error("a repo has at most {REFS_MAX} refs")]
    TooManyRefs,
    /// Refs that are not sorted, or twice one name.
    #[error("the refs of a state are sorted by name, each of them once")]
    Order,
    /// A ref that is neither a branch nor a tag.
    #[error("a state has branches and tags only")]
    Kind,
    /// A state of a profile.
    #[error("a profile has no refs")]
    Profile,
    /// Refs of a repo that was deleted or moved.
    #[error("a repo that was deleted or moved has no refs")]
    Closed,
    /// The name that the repo was moved to breaks a rule.
    #[error("{0}")]
    Moved(#[from] RepoIdError),
    /// The bytes are not in the canonical encoding; holds the offset of the first deviation.
    #[error("not a state in canonical encoding (at byte {0})")]
    Encoding(usize),
}

impl From<NotCanonical> for StateError {
    fn from(NotCanonical(at): NotCanonical) -> Self {
        Self::Encoding(at)
    }
}

/// Which discussions the owner of a repo takes from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Discussions {
    /// Of all authors.
    #[default]
    Everyone,
    /// Of authors that the owner knows.
    Known,
    /// None.
    Off,
}

/// A branch or a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRef {
    /// Its full name.
    pub name: RefName,
    /// The revision it leads to; of a deleted one, the last it led to.
    pub revision: RevisionHash,
    /// When it was deleted: milliseconds since 1970, UTC. `None` while it is there.
    pub deleted: Option<NonZeroU64>,
}

/// What became of a repo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It is there.
    Open,
    /// It was deleted. The name can be used again, by a state of a higher sequence number.
    Gone,
    /// It was moved to this kind and name of the same publisher.
    Moved(RepoKind, Box<str>),
}

/// All refs of a repo at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The repo.
    pub subject: Subject,
    /// When it was made: milliseconds since 1970, UTC.
    pub created: u64,
    /// Branches and tags, sorted by name.
    pub refs: Vec<StateRef>,
    /// What is taken from others.
    pub discussions: Discussions,
    /// Whether it is there.
    pub status: Status,
}

impl State {
    /// The ref `name`, if it is there and not deleted.
    pub fn live(&self, name: &RefName) -> Option<&StateRef> {
        self.get(name).filter(|found| found.deleted.is_none())
    }

    /// The ref `name`, deleted or not.
    pub fn get(&self, name: &RefName) -> Option<&StateRef> {
        let found = self.refs.binary_search_by(|held| held.name.cmp(name));
        found.ok().map(|position| &self.refs[position])
    }

    /// Points `name` to `revision`, as a new ref if there is none.
    pub fn set(&mut self, name: RefName, revision: RevisionHash) {
        let set = StateRef {
            name,
            revision,
            deleted: None,
        };
        match self.refs.binary_search_by(|held| held.name.cmp(&set.name)) {
            Ok(position) => self.refs[position] = set,
            Err(position) => self.refs.insert(position, set),
        }
    }

    /// Deletes the ref `name`; whether it was there. Its last revision is kept for merges.
    pub fn delete(&mut self, name: &RefName, now: u64) -> bool {
        let found = self.refs.binary_search_by(|held| held.name.cmp(name));
        match found.map(|position| &mut self.refs[position]) {
            Ok(held) if held.deleted.is_none() => {
                held.deleted = Some(NonZeroU64::new(now).unwrap_or(NonZeroU64::MIN));
                true
            }
            _ => false,
        }
    }

    /// Forgets refs that were deleted longer than [`DELETED_REFS_KEPT_MS`] ago.
    pub fn forget_deleted(&mut self, now: u64) {
        let is_kept = |at: NonZeroU64| now.saturating_sub(at.get()) <= DELETED_REFS_KEPT_MS;
        self.refs.retain(|held| held.deleted.is_none_or(is_kept));
    }

    /// The hash that a head names.
    ///
    /// # Errors
    /// As [`State::encode`].
    pub fn hash(&self) -> Result<DocumentHash, StateError> {
        Ok(DocumentHash::of(&self.encode()?))
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// If a rule or limit is broken.
    pub fn encode(&self) -> Result<Vec<u8>, StateError> {
        self.check()?;
        let mut out = Vec::new();
        put_number(&mut out, TAG_VERSION, VERSION);
        self.subject.put(&mut out);
        put_number(&mut out, TAG_CREATED, self.created);
        let mut buffer = Vec::new();
        for held in &self.refs {
            buffer.clear();
            put_bytes(&mut buffer, TAG_REF_NAME, held.name.as_str().as_bytes());
            put_bytes(&mut buffer, TAG_REF_REVISION, held.revision.as_bytes());
            let deleted = held.deleted.map_or(0, NonZeroU64::get);
            put_number(&mut buffer, TAG_REF_DELETED, deleted);
            put_bytes(&mut out, TAG_REF, &buffer);
        }
        let discussions = match self.discussions {
            Discussions::Everyone => 0,
            Discussions::Known => 1,
            Discussions::Off => 2,
        };
        put_number(&mut out, TAG_DISCUSSIONS, discussions);
        match &self.status {
            Status::Open => {}
            Status::Gone => put_number(&mut out, TAG_GONE, 1),
            Status::Moved(kind, name) => {
                buffer.clear();
                put_number(&mut buffer, TAG_MOVED_KIND, kind.number());
                put_bytes(&mut buffer, TAG_MOVED_NAME, name.as_bytes());
                put_bytes(&mut out, TAG_MOVED, &buffer);
            }
        }
        if out.len() > STATE_BYTES_MAX {
            return Err(StateError::TooLarge);
        }
        Ok(out)
    }

    /// Decodes the output of [`State::encode`], and refuses every other encoding.
    ///
    /// # Errors
    /// If a rule or limit is broken; nothing is allocated from declared lengths.
    pub fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        if bytes.len() > STATE_BYTES_MAX {
            return Err(StateError::TooLarge);
        }
        let mut reader = Reader::new(bytes);
        if reader.number(TAG_VERSION)? != VERSION {
            return Err(StateError::Encoding(0));
        }
        let subject = Subject::read(&mut reader)?;
        let created = reader.number(TAG_CREATED)?;
        let mut refs = Vec::new();
        while let Some(bytes) = reader.field(TAG_REF)? {
            if refs.len() == REFS_MAX {
                return Err(StateError::TooManyRefs);
            }
            refs.push(decode_ref(bytes).ok_or(StateError::Encoding(reader.at()))?);
        }
        let discussions = match reader.number(TAG_DISCUSSIONS)? {
            0 => Discussions::Everyone,
            1 => Discussions::Known,
            2 => Discussions::Off,
            _ => return Err(StateError::Encoding(reader.at())),
        };
        let gone = reader.number(TAG_GONE)?;
        let moved = reader.field(TAG_MOVED)?;
        let status = match (gone, moved) {
            (0, None) => Status::Open,
            (1, None) => Status::Gone,
            (0, Some(bytes)) => decode_moved(bytes).ok_or(StateError::Encoding(reader.at()))?,
            _ => return Err(StateError::Encoding(reader.at())),
        };
        reader.end()?;
        let state = Self {
            subject,
            created,
            refs,
            discussions,
            status,
        };
        state.check()?;
        Ok(state)
    }

    fn check(&self) -> Result<(), StateError> {
        if self.subject.kind_and_name().is_none() {
            return Err(StateError::Profile);
        }
        if self.refs.len() > REFS_MAX {
            return Err(StateError::TooManyRefs);
        }
        if !self.refs.is_sorted_by(|a, b| a.name < b.name) {
            return Err(StateError::Order);
        }
        let is_known =
            |held: &StateRef| held.name.as_branch().is_some() || held.name.as_tag().is_some();
        if !self.refs.iter().all(is_known) {
            return Err(StateError::Kind);
        }
        if self.status != Status::Open && !self.refs.is_empty() {
            return Err(StateError::Closed);
        }
        if let Status::Moved(kind, name) = &self.status {
            Subject::repo(self.subject.publisher(), *kind, name)?;
        }
        Ok(())
    }
}

fn decode_ref(bytes: &[u8]) -> Option<StateRef> {
    let mut reader = Reader::new(bytes);
    let name = reader.text(TAG_REF_NAME).ok()?;
    let revision = reader
        .fixed(TAG_REF_REVISION, RevisionHash::from_slice)
        .ok()?;
    let deleted = reader.number(TAG_REF_DELETED).ok()?;
    reader.end().ok()?;
    Some(StateRef {
        name: RefName::new(name).ok()?,
        revision: revision?,
        deleted: NonZeroU64::new(deleted),
    })
}

fn decode_moved(bytes: &[u8]) -> Option<Status> {
    let mut reader = Reader::new(bytes);
    let kind = reader.number(TAG_MOVED_KIND).ok()?;
    let name = reader.text(TAG_MOVED_NAME).ok()?;
    reader.end().ok()?;
    Some(Status::Moved(RepoKind::from_number(kind)?, name.into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::PublisherId;

    fn sample() -> State {
        let subject = Subject::repo(PublisherId::new([1; 32]), RepoKind::Dataset, "Mini");
        let mut state = State {
            subject: subject.unwrap(),
            created: 1_700_000_000_000,
            refs: Vec::new(),
            discussions: Discussions::Known,
            status: Status::Open,
        };
        state.set(RefName::tag("v1").unwrap(), RevisionHash::new([3; 32]));
        state.set(RefName::main(), RevisionHash::new([2; 32]));
        state.set(RefName::branch("old").unwrap(), RevisionHash::new([4; 32]));
        assert!(state.delete(&RefName::branch("old").unwrap(), 5_000));
        state
    }

    #[test]
    fn bytes_and_back() {
        let closed = |status| State {
            refs: Vec::new(),
            status,
            ..sample()
        };
        let moved = Status::Moved(RepoKind::Model, "Other".into());
        for state in [sample(), closed(Status::Gone), closed(moved)] {
            let bytes = state.encode().unwrap();
            assert_eq!(State::decode(&bytes), Ok(state));
        }
    }

    #[test]
    fn refs_are_set_deleted_and_forgotten() {
        let mut state = sample();
        let (main, old) = (RefName::main(), RefName::branch("old").unwrap());
        assert_eq!(
            state.live(&main).unwrap().revision,
            RevisionHash::new([2; 32])
        );
        assert_eq!(state.live(&old), None);
        assert!(!state.delete(&old, 6_000), "it is deleted already");
        state.forget_deleted(5_000 + DELETED_REFS_KEPT_MS);
        assert_eq!(state.get(&old).unwrap().deleted, NonZeroU64::new(5_000));
        state.forget_deleted(5_001 + DELETED_REFS_KEPT_MS);
        assert_eq!(state.get(&old), None);
        assert_eq!(state.refs.len(), 2);
        assert!(state.delete(&main, 0), "a clock at zero deletes too");
        assert_eq!(state.live(&main), None);
    }

    #[test]
    fn limits_and_rules() {
        let refused = |change: fn(&mut State)| {
            let mut state = sample();
            change(&mut state);
            state.encode().unwrap_err()
        };
        assert_eq!(refused(|state| state.refs.reverse()), StateError::Order);
        assert_eq!(
            refused(|state| state.status = Status::Gone),
            StateError::Closed
        );
        assert_eq!(
            refused(|state| state.refs[0].name = RefName::new("refs/pr/1").unwrap()),
            StateError::Order
        );
        let pull_request = |state: &mut State| {
            state.set(
                RefName::new("refs/pr/1").unwrap(),
                RevisionHash::new([1; 32]),
            );
        };
        assert_eq!(refused(pull_request), StateError::Kind);
        let many = |state: &mut State| {
            for number in 0..=REFS_MAX {
                let name = RefName::tag(&format!("{number:05}")).unwrap();
                state.refs.push(StateRef {
                    name,
                    revision: RevisionHash::new([1; 32]),
                    deleted: None,
                });
            }
        };
        assert_eq!(refused(many), StateError::TooManyRefs);
        let profile =
            |state: &mut State| state.subject = Subject::profile(state.subject.publisher());
        assert_eq!(refused(profile), StateError::Profile);
        let moved = |state: &mut State| {
            state.refs.clear();
            state.status = Status::Moved(RepoKind::Model, "a/b".into());
        };
        assert_eq!(refused(moved), StateError::Moved(RepoIdError::Segments));
    }

    proptest! {
        #[test]
        fn every_accepted_encoding_is_the_canonical_one(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let mut bytes = sample().encode().unwrap();
            for (at, value) in edits {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if let Ok(state) = State::decode(&bytes) {
                prop_assert_eq!(state.encode(), Ok(bytes));
            }
        }
    }
}
