//! Publishers: their chains and heads, what heads name, the local views of them.

use hubless_content::{
    Chain, DocumentHash, HeadRecord, Profile, PublisherId, State, SubjectKey, VerifiedHead,
};

use crate::{Follow, Namespace, NewPublisher, OwnPublisher, Publication, Store, StoreError};

impl Store {
    /// The newest head of a subject that was taken here. It was proven then.
    ///
    /// # Errors
    /// If the index fails.
    pub fn head(&self, key: SubjectKey) -> Result<Option<HeadRecord>, StoreError> {
        Ok(self.index().heads().get(key)?)
    }

    /// The heads of all repos of a publisher and of its profile, in no order that means anything.
    ///
    /// # Errors
    /// If the index fails.
    pub fn heads_of(&self, publisher: PublisherId) -> Result<Vec<HeadRecord>, StoreError> {
        Ok(self.index().heads().of(publisher)?)
    }

    /// Up to `max` keys of subjects with a head, in their order, those after `after`.
    ///
    /// # Errors
    /// If the index fails.
    pub fn head_keys(
        &self,
        after: Option<SubjectKey>,
        max: usize,
    ) -> Result<Vec<SubjectKey>, StoreError> {
        Ok(self.index().heads().keys(after, max)?)
    }

    /// Takes a confirmation: a head of the same sequence number and state as the one that is here, of a
    /// later time or document of the identity. Whether it was taken. Durable when it returns.
    ///
    /// # Errors
    /// `IndexError::ChainContradicts`; others if the disk is full or fails.
    pub fn put_head(&self, head: &VerifiedHead) -> Result<bool, StoreError> {
        Ok(self.index().heads().confirm(head)?)
    }

    /// Takes a new chain of a publisher and all its heads, which were signed again under it: all or none.
    /// Durable when it returns.
    ///
    /// # Errors
    /// `IndexError::HeadMoved` if one is no confirmation of what is here, or the publisher has another
    /// head; `IndexError::ChainContradicts`; others if the disk is full or fails.
    pub fn renew(&self, chain: &Chain, heads: &[VerifiedHead]) -> Result<(), StoreError> {
        Ok(self.index().heads().renew(chain, heads)?)
    }

    /// Takes a head of a repo, its state, revisions and refs: whole or not at all. Of a repo that was
    /// deleted or moved only head and state stay. Durable when it returns.
    ///
    /// # Errors
    /// `IndexError::HeadMoved` if the head here names another state than `after`, or outranks the new one;
    /// `IndexError::Unpublishable` if head, state and revisions do not fit together, or a ref leads to a
    /// revision that is not here; `IndexError::ChainContradicts`; `IndexError::TooMany`; others if the disk
    /// is full or fails. Nothing is changed then.
    pub fn publish(&self, publication: &Publication<'_>) -> Result<(), StoreError> {
        self.work.publish(publication)
    }

    /// Takes a head of a profile and the profile, made from the one whose hash is `after`, or as the first.
    /// Durable when it returns.
    ///
    /// # Errors
    /// As [`Store::publish`].
    pub fn put_profile(
        &self,
        head: &VerifiedHead,
        profile: &Profile,
        after: Option<DocumentHash>,
    ) -> Result<(), StoreError> {
        Ok(self.index().heads().put_profile(head, profile, after)?)
    }

    /// The state or profile with this hash, if the head of the subject names it.
    ///
    /// # Errors
    /// If the index fails.
    pub fn document(
        &self,
        key: SubjectKey,
        hash: DocumentHash,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.index().heads().document(key, hash)?)
    }

    /// The state of a repo that its head names.
    ///
    /// # Errors
    /// If the index fails.
    pub fn state(&self, key: SubjectKey) -> Result<Option<State>, StoreError> {
        Ok(self.index().heads().state(key)?)
    }

    /// The profile of a publisher that its head names.
    ///
    /// # Errors
    /// If the index fails.
    pub fn profile(&self, publisher: PublisherId) -> Result<Option<Profile>, StoreError> {
        Ok(self.index().heads().profile(publisher)?)
    }

    /// The newest chain of a publisher that was seen.
    ///
    /// # Errors
    /// If the index fails.
    pub fn chain(&self, publisher: PublisherId) -> Result<Option<Chain>, StoreError> {
        Ok(self.index().chains().get(publisher)?)
    }

    /// Keeps a chain if none or an older one is known; whether it is kept. Durable when it returns.
    ///
    /// # Errors
    /// `IndexError::ChainContradicts`; others if the disk is full or fails.
    pub fn put_chain(&self, chain: &Chain) -> Result<bool, StoreError> {
        Ok(self.index().chains().put(chain)?)
    }

    /// The publishers that this node signs for, ordered by id.
    ///
    /// # Errors
    /// If the index fails.
    pub fn own_publishers(&self) -> Result<Vec<OwnPublisher>, StoreError> {
        Ok(self.index().publishers().all()?)
    }

    /// A publisher that this node signs for.
    ///
    /// # Errors
    /// If the index fails.
    pub fn own_publisher(&self, id: PublisherId) -> Result<Option<OwnPublisher>, StoreError> {
        Ok(self.index().publishers().get(id)?)
    }

    /// Keeps a publisher that this node signs for, or changes what is known about it. Durable when it
    /// returns.
    ///
    /// # Errors
    /// `IndexError::TooMany`; others if the disk is full or fails.
    pub fn put_own_publisher(&self, publisher: &OwnPublisher) -> Result<(), StoreError> {
        Ok(self.index().publishers().put(publisher)?)
    }

    /// Keeps a new publisher of this node, its profile, and the names that it takes over, whose rows become
    /// those of repos of the publisher with first heads: all or nothing. Durable when it returns.
    ///
    /// # Errors
    /// `IndexError::NamespaceTaken`; `IndexError::RefMoved` if a name changed since its state was made;
    /// others as [`Store::publish`]. Nothing is changed then.
    pub fn begin_publisher(&self, new: &NewPublisher<'_>) -> Result<(), StoreError> {
        Ok(self.index().publishers().begin(new)?)
    }

    /// What a namespace stands for, in any case of its letters.
    ///
    /// # Errors
    /// If the index fails.
    pub fn namespace(&self, namespace: &str) -> Result<Option<Namespace>, StoreError> {
        Ok(self.index().namespaces().get(namespace)?)
    }

    /// All namespaces that stand for a publisher, ordered.
    ///
    /// # Errors
    /// If the index fails.
    pub fn namespaces(&self) -> Result<Vec<Namespace>, StoreError> {
        Ok(self.index().namespaces().all()?)
    }

    /// Has a namespace stand for a publisher, whatever it stood for before. Durable when it returns.
    ///
    /// # Errors
    /// `IndexError::TooMany`; others if the disk is full or fails.
    pub fn put_namespace(&self, namespace: &Namespace) -> Result<(), StoreError> {
        Ok(self.index().namespaces().put(namespace)?)
    }

    /// Forgets a namespace; true if it was known.
    ///
    /// # Errors
    /// If the disk or the index fails.
    pub fn remove_namespace(&self, namespace: &str) -> Result<bool, StoreError> {
        Ok(self.index().namespaces().remove(namespace)?)
    }

    /// The publishers that are followed, ordered by id.
    ///
    /// # Errors
    /// If the index fails.
    pub fn follows(&self) -> Result<Vec<Follow>, StoreError> {
        Ok(self.index().follows().all()?)
    }

    /// How a publisher is followed, if it is.
    ///
    /// # Errors
    /// If the index fails.
    pub fn follow(&self, publisher: PublisherId) -> Result<Option<Follow>, StoreError> {
        Ok(self.index().follows().get(publisher)?)
    }

    /// Follows a publisher, or changes how. Durable when it returns.
    ///
    /// # Errors
    /// `IndexError::TooMany`; others if the disk is full or fails.
    pub fn put_follow(&self, follow: &Follow) -> Result<(), StoreError> {
        Ok(self.index().follows().put(follow)?)
    }

    /// Follows a publisher no longer; true if it was followed. Its heads stay.
    ///
    /// # Errors
    /// If the disk or the index fails.
    pub fn remove_follow(&self, publisher: PublisherId) -> Result<bool, StoreError> {
        Ok(self.index().follows().remove(publisher)?)
    }
}
