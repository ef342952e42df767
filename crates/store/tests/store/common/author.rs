//! A publisher with its keys, which signs states and profiles.

use hubless_content::{
    Chain, ContentHash, Discussions, DocumentHash, Head, HeadRecord, Identity, Profile,
    PublisherId, RefName, RepoKind, Revision, SecretKey, SignedIdentity, State, Status, Subject,
    Tree, VerifiedHead,
};
use hubless_store::{Publication, Store, StoreError};

/// When all of it happens: milliseconds since 1970.
pub(crate) const NOW: u64 = 1_800_000_000_000;

pub(crate) struct Author {
    pub(crate) chain: Chain,
    root: SecretKey,
    signer: SecretKey,
}

impl Author {
    pub(crate) fn new(seed: u8) -> Self {
        let [root, signer] = [[seed; 32], [seed + 100; 32]].map(|seed| SecretKey::new(&seed));
        let first = Identity::first(vec![root.public()], 1, vec![signer.public()], [seed; 16]);
        let first = SignedIdentity::unsigned(first).unwrap();
        Self {
            chain: Chain::new(vec![first]).unwrap(),
            root,
            signer,
        }
    }

    pub(crate) fn id(&self) -> PublisherId {
        self.chain.publisher()
    }

    /// The same publisher with a new document, of which root keys may make two: `signer` is the second one.
    pub(crate) fn with_document(&self, signer: u8) -> Self {
        let (root, hash) = self.chain.root();
        let mut signers = vec![self.signer.public(), SecretKey::new(&[signer; 32]).public()];
        signers.sort_unstable();
        self.signed(Identity {
            number: self.chain.current().number + 1,
            root: Some(hash),
            signers,
            salt: None,
            ..root.clone()
        })
    }

    /// The same publisher with another root key.
    pub(crate) fn with_root(&self, seed: u8) -> Self {
        let (root, hash) = self.chain.root();
        let new = SecretKey::new(&[seed; 32]);
        let mut next = self.signed_by(
            Identity {
                number: self.chain.current().number + 1,
                root: Some(hash),
                keys: vec![new.public()],
                salt: None,
                ..root.clone()
            },
            &[&self.root, &new],
        );
        next.root = new;
        next
    }

    fn signed(&self, document: Identity) -> Self {
        self.signed_by(document, &[&self.root])
    }

    fn signed_by(&self, document: Identity, keys: &[&SecretKey]) -> Self {
        let (root, _) = self.chain.root();
        let mut document = SignedIdentity::unsigned(document).unwrap();
        for key in keys {
            assert!(document.sign(root, key), "a root key of the document");
        }
        Self {
            chain: self.chain.with(document).unwrap(),
            root: self.root.clone(),
            signer: self.signer.clone(),
        }
    }

    pub(crate) fn subject(&self, name: &str) -> Subject {
        Subject::repo(self.id(), RepoKind::Model, name).unwrap()
    }

    pub(crate) fn state(&self, name: &str) -> State {
        State {
            subject: self.subject(name),
            created: NOW,
            refs: Vec::new(),
            discussions: Discussions::Everyone,
            status: Status::Open,
        }
    }

    /// The first head of a state, or the one after `before`.
    pub(crate) fn head(&self, state: &State, before: Option<&VerifiedHead>) -> VerifiedHead {
        self.sign(&self.unsigned(state.subject.clone(), state.hash().unwrap(), before))
    }

    pub(crate) fn profile_head(
        &self,
        profile: &Profile,
        before: Option<&VerifiedHead>,
    ) -> VerifiedHead {
        let subject = Subject::profile(self.id());
        self.sign(&self.unsigned(subject, profile.hash().unwrap(), before))
    }

    fn unsigned(
        &self,
        subject: Subject,
        state: DocumentHash,
        before: Option<&VerifiedHead>,
    ) -> Head {
        let number = self.chain.current().number;
        match before {
            Some(before) => before.head().next(state, number, NOW),
            None => Head {
                subject,
                number,
                seq: 1,
                state,
                previous: None,
                summary: None,
                time: NOW,
            },
        }
    }

    pub(crate) fn sign(&self, head: &Head) -> VerifiedHead {
        HeadRecord::sign(head, &self.chain, &self.signer).unwrap()
    }

    /// The same head, signed so many milliseconds later or by a new document.
    pub(crate) fn confirm(&self, head: &VerifiedHead, later: u64) -> VerifiedHead {
        self.sign(&Head {
            number: self.chain.current().number,
            time: head.head().time + later,
            ..head.head().clone()
        })
    }

    pub(crate) fn profile(&self, handle: &str) -> Profile {
        Profile {
            publisher: self.id(),
            handle: handle.into(),
            full_name: String::new(),
            domains: Vec::new(),
            peers: Vec::new(),
            repos: Vec::new(),
        }
    }

    /// Publishes a repo whose branch `main` leads to this content, after `before`.
    pub(crate) fn publish(
        &self,
        store: &Store,
        name: &str,
        content: ContentHash,
        before: Option<&VerifiedHead>,
    ) -> Result<VerifiedHead, StoreError> {
        let revision = revision_of(content);
        let mut state = self.state(name);
        state.set(RefName::main(), revision.hash().unwrap());
        let head = self.head(&state, before);
        store.publish(&Publication {
            head: &head,
            state: &state,
            revisions: &[revision],
            after: before.map(|before| before.head().state),
        })?;
        Ok(head)
    }
}

pub(crate) fn revision_of(content: ContentHash) -> Revision {
    Revision {
        tree: Tree::Content(content),
        parents: Vec::new(),
        time: NOW,
        title: "a title".into(),
        message: String::new(),
        author: String::new(),
    }
}
