//! Heads that were taken here, and the states and profiles that they name.
//!
//! Of each subject the newest head and its document are kept, together: a head is taken when its document
//! is here. It is never forgotten, so that no older one is taken again. What a head is to the one before
//! was decided by the caller; here it has to follow the head that the caller saw, and outrank it.

use std::collections::HashSet;

use hubless_content::{
    Chain, DocumentHash, Head, HeadRecord, Profile, PublisherId, State, Subject, SubjectKey,
    VerifiedHead,
};
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata, WriteTransaction};

use crate::{
    chains,
    database::{Database, Stop, at_most},
    error::IndexError,
    sealed::Rows,
    tables::{self, Hash},
    tx::{TxError, TxResult},
};

/// Heads of a store, each with a document of up to 1 MiB. Only names that were used here have one, but
/// clients of a gateway use names; as many as there may be repos.
pub const HEADS_MAX: u64 = 1_000_000;

/// The rows of heads and of what they name.
#[derive(Clone, Copy)]
pub struct HeadTable<'a> {
    pub(crate) database: &'a Database,
}

impl HeadTable<'_> {
    /// The newest head of a subject that was taken here. It was proven then.
    pub fn get(self, key: SubjectKey) -> Result<Option<HeadRecord>, IndexError> {
        self.database
            .read(|read| head_in(&tables::HEADS.read(read)?, key))
    }

    /// Those of all repos of a publisher and of its profile, in no order that means anything.
    pub fn of(self, publisher: PublisherId) -> Result<Vec<HeadRecord>, IndexError> {
        self.database.read(|read| {
            let heads = tables::HEADS.read(read)?;
            let mut found = Vec::new();
            let (first, last) = (mark(publisher, [0; 32]), mark(publisher, [0xff; 32]));
            for row in tables::HEADS_OF.read(read)?.range(&first..=&last)? {
                found.extend(head_in(&heads, subject_of(row?.0.value()))?);
            }
            Ok(found)
        })
    }

    /// Up to `max` keys of subjects with a head, in their order, those after `after`.
    pub fn keys(
        self,
        after: Option<SubjectKey>,
        max: usize,
    ) -> Result<Vec<SubjectKey>, IndexError> {
        let start = after.map_or([0; 32], |after| *after.as_bytes());
        self.database.read(|read| {
            let table = tables::HEADS.read(read)?;
            let keys = table.table.range::<&[u8; 32]>(&start..)?;
            let keys = keys.map(|row| Ok(SubjectKey::new(*row?.0.value())));
            keys.filter(|key| !matches!(key, Ok(key) if Some(*key) == after))
                .take(max)
                .collect()
        })
    }

    /// The state or profile with this hash, if the head of the subject names it.
    pub fn document(
        self,
        key: SubjectKey,
        hash: DocumentHash,
    ) -> Result<Option<Vec<u8>>, IndexError> {
        let found = self.database.read(|read| document_in(read, key))?;
        Ok(found.filter(|bytes| DocumentHash::of(bytes) == hash))
    }

    /// The state of a repo that its head names.
    pub fn state(self, key: SubjectKey) -> Result<Option<State>, IndexError> {
        self.database.read(|read| {
            let document = document_in(read, key)?;
            let state = document.map(|bytes| State::decode(&bytes)).transpose();
            state.map_err(|_| TxError::Malformed("the state of a repo"))
        })
    }

    /// The profile of a publisher that its head names.
    pub fn profile(self, publisher: PublisherId) -> Result<Option<Profile>, IndexError> {
        let key = Subject::profile(publisher).key();
        self.database.read(|read| {
            let document = document_in(read, key)?;
            let profile = document.map(|bytes| Profile::decode(&bytes)).transpose();
            profile.map_err(|_| TxError::Malformed("a profile"))
        })
    }

    /// Takes a confirmation: a head of the same sequence number and state as the one that is here, of a
    /// later time or document of the identity. Whether it was taken. Durable when it returns.
    ///
    /// # Errors
    /// [`IndexError::ChainContradicts`].
    pub fn confirm(self, head: &VerifiedHead) -> Result<bool, IndexError> {
        self.database.write_or_stop(|write| {
            let is_taken = confirms(write, head)?;
            if is_taken {
                write_head(write, head)?;
            }
            Ok(is_taken)
        })
    }

    /// Takes a new chain of a publisher and all its heads, which were signed again under it: all or none.
    /// Durable when it returns.
    ///
    /// # Errors
    /// [`IndexError::HeadMoved`] if one is no confirmation of what is here, or the publisher has another
    /// head; [`IndexError::ChainContradicts`].
    pub fn renew(self, chain: &Chain, heads: &[VerifiedHead]) -> Result<(), IndexError> {
        let (first, last) = (
            mark(chain.publisher(), [0; 32]),
            mark(chain.publisher(), [0xff; 32]),
        );
        let keys = heads.iter().map(|head| head.head().subject.key());
        let keys: HashSet<SubjectKey> = keys.collect();
        self.database.write_or_stop(|write| {
            chains::take(write, chain)?;
            for head in heads {
                if !confirms(write, head)? {
                    return Err(moved(write, head.head())?);
                }
                write_head(write, head)?;
            }
            let marks = tables::HEADS_OF.write(write)?;
            for row in marks.range(&first..=&last)? {
                let key = subject_of(row?.0.value());
                if !keys.contains(&key) {
                    let known = head_in(&tables::HEADS.write(write)?, key)?;
                    let known =
                        known.ok_or(TxError::Malformed("the mark of a publisher's head"))?;
                    return Err(moved(write, known.head())?);
                }
            }
            Ok(())
        })
    }

    /// Takes a head of a profile and the profile, made from the one whose hash is `after`, or as the first.
    /// Durable when it returns.
    ///
    /// # Errors
    /// [`IndexError::HeadMoved`] if the head here names another profile than `after`, or outranks the new
    /// one; [`IndexError::Unpublishable`] if head and profile are not of each other;
    /// [`IndexError::ChainContradicts`]; [`IndexError::TooMany`].
    pub fn put_profile(
        self,
        head: &VerifiedHead,
        profile: &Profile,
        after: Option<DocumentHash>,
    ) -> Result<(), IndexError> {
        let document = encode_profile(head, profile)?;
        self.database
            .write_or_stop(|write| take(write, head, &document, after))
    }
}

/// The bytes of a profile, which the head has to name.
pub(crate) fn encode_profile(
    head: &VerifiedHead,
    profile: &Profile,
) -> Result<Vec<u8>, IndexError> {
    let subject = &head.head().subject;
    let document = profile.encode().unwrap_or_default();
    let is_its = *subject == Subject::profile(profile.publisher)
        && DocumentHash::of(&document) == head.head().state;
    match is_its {
        true => Ok(document),
        false => Err(IndexError::Unpublishable {
            subject: subject.clone(),
            reason: "its profile is not the one that the head names",
        }),
    }
}

/// Takes a head and what it names in the place of one that names `after`.
pub(crate) fn take(
    write: &WriteTransaction,
    head: &VerifiedHead,
    document: &[u8],
    after: Option<DocumentHash>,
) -> Result<(), Stop> {
    let key = head.head().subject.key();
    let known = head_in(&tables::HEADS.write(write)?, key)?;
    let found = known.as_ref().map(|known| known.head().state);
    if found != after || known.is_some_and(|known| rank(known.head()) >= rank(head.head())) {
        return Err(moved(write, head.head())?);
    }
    write_head(write, head)?;
    tables::DOCUMENTS
        .write(write)?
        .insert(key.as_bytes(), document)?;
    Ok(())
}

/// Whether a head says of the state that is here that it was still the newest one later.
fn confirms(write: &WriteTransaction, head: &VerifiedHead) -> TxResult<bool> {
    let head = head.head();
    let known = head_in(&tables::HEADS.write(write)?, head.subject.key())?;
    Ok(known.is_some_and(|known| {
        let known = known.head();
        (known.seq, known.state) == (head.seq, head.state) && rank(head) > rank(known)
    }))
}

fn write_head(write: &WriteTransaction, head: &VerifiedHead) -> Result<(), Stop> {
    chains::take(write, head.chain())?;
    let subject = &head.head().subject;
    let key = subject.key();
    let mut heads = tables::HEADS.write(write)?;
    heads.insert(key.as_bytes(), head.record())?;
    at_most(heads.table.len()?, "heads", HEADS_MAX)?;
    let mark = mark(subject.publisher(), *key.as_bytes());
    tables::HEADS_OF.write(write)?.insert(&mark, &[])?;
    Ok(())
}

/// The refusal of a head that does not follow the one that is here.
fn moved(write: &WriteTransaction, head: &Head) -> TxResult<Stop> {
    let known = head_in(&tables::HEADS.write(write)?, head.subject.key())?;
    Ok(Stop::Refused(IndexError::HeadMoved {
        subject: head.subject.clone(),
        found: known.map(|known| known.head().state),
    }))
}

/// The order of heads of one subject.
fn rank(head: &Head) -> (u64, u64, DocumentHash, u64) {
    (head.number, head.seq, head.state, head.time)
}

fn head_in(
    table: &Rows<impl ReadableTable<Hash, &'static [u8]>>,
    key: SubjectKey,
) -> TxResult<Option<HeadRecord>> {
    let row = table.get(key.as_bytes())?;
    let head = row.map(|row| HeadRecord::decode(&row)).transpose();
    head.map_err(|_| TxError::Malformed("a head"))
}

fn document_in(read: &ReadTransaction, key: SubjectKey) -> TxResult<Option<Vec<u8>>> {
    tables::DOCUMENTS.read(read)?.get(key.as_bytes())
}

/// The key of the mark that a subject is a publisher's.
fn mark(publisher: PublisherId, subject: [u8; 32]) -> [u8; 64] {
    let mut key = [0; 64];
    key[..32].copy_from_slice(publisher.as_bytes());
    key[32..].copy_from_slice(&subject);
    key
}

/// The subject of such a mark.
fn subject_of(key: &[u8; 64]) -> SubjectKey {
    let mut subject = [0; 32];
    subject.copy_from_slice(&key[32..]);
    SubjectKey::new(subject)
}

#[cfg(test)]
mod tests {
    use hubless_content::{Discussions, Identity, RepoKind, SecretKey, SignedIdentity, Status};

    use super::*;
    use crate::{
        FOLLOWS_MAX, Follow, Mirror, NAMESPACES_MAX, Namespace, NamespaceSource,
        OWN_PUBLISHERS_MAX, OwnPublisher, Publication, sealed::Sealed, testing::new_index,
    };

    fn state(name: &str, chain: &Chain) -> State {
        State {
            subject: Subject::repo(chain.publisher(), RepoKind::Model, name).unwrap(),
            created: 1,
            refs: Vec::new(),
            discussions: Discussions::Everyone,
            status: Status::Open,
        }
    }

    fn number(number: u64) -> [u8; 32] {
        let mut bytes = [0xee; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        bytes
    }

    fn fill(write: &WriteTransaction, table: &Sealed<Hash>, rows: u64) -> TxResult<()> {
        let mut table = table.write(write)?;
        (0..rows).try_for_each(|row| table.insert(&number(row), &[]))
    }

    fn is_too_many(outcome: Result<(), IndexError>) -> bool {
        matches!(outcome, Err(IndexError::TooMany { .. }))
    }

    #[test]
    fn a_head_too_many_is_refused_and_those_that_are_known_go_on() {
        let (_home, index) = new_index();
        let key = SecretKey::new(&[1; 32]);
        let first = Identity::first(vec![key.public()], 1, vec![key.public()], [1; 16]);
        let chain = Chain::new(vec![SignedIdentity::unsigned(first).unwrap()]).unwrap();
        let publish = |state: &State, before: Option<&VerifiedHead>| {
            let hash = state.hash().unwrap();
            let head = match before {
                Some(before) => before.head().next(hash, 0, 2),
                None => Head {
                    subject: state.subject.clone(),
                    number: 0,
                    seq: 1,
                    state: hash,
                    previous: None,
                    summary: None,
                    time: 1,
                },
            };
            let head = HeadRecord::sign(&head, &chain, &key).unwrap();
            let published = index.heads().publish(&Publication {
                head: &head,
                state,
                revisions: &[],
                after: before.map(|before| before.head().state),
            });
            published.map(|()| head)
        };
        let mut known = state("known", &chain);
        let head = publish(&known, None).unwrap();
        let filled = |write: &WriteTransaction| fill(write, &tables::HEADS, HEADS_MAX - 1);
        index.database.write(filled).unwrap();
        let late = state("late", &chain);
        assert!(is_too_many(publish(&late, None).map(drop)));
        assert_eq!(index.heads().state(late.subject.key()).unwrap(), None);
        known.created = 2;
        publish(&known, Some(&head)).unwrap();
    }

    #[test]
    fn a_follow_a_namespace_or_an_own_publisher_too_many_is_refused() {
        let (_home, index) = new_index();
        let filled = |write: &WriteTransaction| {
            fill(write, &tables::FOLLOWS, FOLLOWS_MAX)?;
            fill(write, &tables::PUBLISHERS, OWN_PUBLISHERS_MAX)?;
            let mut namespaces = tables::NAMESPACES.write(write)?;
            (0..NAMESPACES_MAX).try_for_each(|row| namespaces.insert(&number(row)[..], &[]))
        };
        index.database.write(filled).unwrap();
        let follow = |row| {
            index.follows().put(&Follow {
                publisher: PublisherId::new(row),
                mirror: Mirror::All,
                since: 1,
            })
        };
        assert!(is_too_many(follow([1; 32])));
        follow(number(7)).unwrap();
        let own = |row| {
            index.publishers().put(&OwnPublisher {
                id: PublisherId::new(row),
                handle: "alice".into(),
                is_org: false,
                owner: None,
                private_by_default: false,
                created: 1,
            })
        };
        assert!(is_too_many(own([1; 32])));
        own(number(7)).unwrap();
        let namespace = Namespace {
            spelled: "acme".into(),
            publisher: PublisherId::new([1; 32]),
            source: NamespaceSource::Dns,
            since: 1,
        };
        assert!(is_too_many(index.namespaces().put(&namespace)));
        assert!(index.namespaces().get("acme").unwrap().is_none());
    }

    /// What is written is frozen.
    #[test]
    fn the_records_of_publishers_follows_and_namespaces() {
        let id = PublisherId::new([0; 32]);
        let own = OwnPublisher {
            id,
            handle: "Acme".into(),
            is_org: true,
            owner: Some(id),
            private_by_default: false,
            created: 5,
        };
        let follow = Follow {
            publisher: id,
            mirror: Mirror::Latest,
            since: 5,
        };
        let namespace = |source| Namespace {
            spelled: "Acme".into(),
            publisher: id,
            source,
            since: 5,
        };
        let text = |value: serde_json::Value| value.to_string().replace(&id.to_string(), "ID");
        assert_eq!(
            text(serde_json::to_value(&own).unwrap()),
            r#"{"created":5,"handle":"Acme","id":"ID","is_org":true,"owner":"ID","private_by_default":false}"#
        );
        assert_eq!(
            text(serde_json::to_value(&follow).unwrap()),
            r#"{"mirror":"latest","publisher":"ID","since":5}"#
        );
        for (source, expected) in [
            (NamespaceSource::Own, r#""own""#),
            (NamespaceSource::Petname, r#""petname""#),
            (
                NamespaceSource::Directory("D".into()),
                r#"{"directory":"D"}"#,
            ),
            (NamespaceSource::Dns, r#""dns""#),
        ] {
            let value = serde_json::to_value(namespace(source)).unwrap();
            assert_eq!(
                text(value),
                format!(r#"{{"publisher":"ID","since":5,"source":{expected},"spelled":"Acme"}}"#)
            );
        }
    }
}
