//! A publisher with its keys, which signs states and profiles without a node.

use hubless_content::{
    Chain, ContentHash, Discussions, DocumentHash, Head, HeadRecord, Identity, Profile,
    PublisherId, RefName, RepoKind, Revision, SecretKey, SignedIdentity, State, Status, Subject,
    Tree, VerifiedHead,
};

/// A publisher, and the heads that it has signed.
pub struct Author {
    chain: Chain,
    signer: SecretKey,
    signed: Vec<VerifiedHead>,
}

/// One step of a repo, ready to be published.
pub struct Step {
    /// The head.
    pub head: VerifiedHead,
    /// The state that it names.
    pub state: State,
    /// The revision that `main` leads to.
    pub revision: Revision,
}

impl Author {
    /// The publisher whose keys are made from a number below 100.
    pub fn new(seed: u8) -> Self {
        let [root, signer] = [[seed; 32], [seed + 100; 32]].map(|seed| SecretKey::new(&seed));
        let first = Identity::first(vec![root.public()], 1, vec![signer.public()], [seed; 16]);
        let first = SignedIdentity::unsigned(first).expect("an identity");
        Self {
            chain: Chain::new(vec![first]).expect("a chain"),
            signer,
            signed: Vec::new(),
        }
    }

    /// Its id.
    pub fn id(&self) -> PublisherId {
        self.chain.publisher()
    }

    /// A profile with this handle and these domains, and its head at a time in milliseconds since 1970.
    pub fn profile(
        &mut self,
        handle: &str,
        full_name: &str,
        domains: &[&str],
        time: u64,
    ) -> (VerifiedHead, Profile) {
        let profile = Profile {
            publisher: self.id(),
            handle: handle.into(),
            full_name: full_name.into(),
            domains: domains.iter().map(|&domain| domain.into()).collect(),
            peers: Vec::new(),
            repos: Vec::new(),
        };
        let hash = profile.hash().expect("a profile");
        (self.sign(Subject::profile(self.id()), hash, time), profile)
    }

    /// Has the branch `main` of a repo lead to this content.
    pub fn step(&mut self, kind: RepoKind, name: &str, content: ContentHash, time: u64) -> Step {
        let subject = Subject::repo(self.id(), kind, name).expect("a name");
        let revision = Revision {
            tree: Tree::Content(content),
            parents: Vec::new(),
            time,
            title: "a step".into(),
            message: String::new(),
            author: String::new(),
        };
        let mut state = State {
            subject: subject.clone(),
            created: time,
            refs: Vec::new(),
            discussions: Discussions::Everyone,
            status: Status::Open,
        };
        state.set(RefName::main(), revision.hash().expect("a revision"));
        let head = self.sign(subject, state.hash().expect("a state"), time);
        Step {
            head,
            state,
            revision,
        }
    }

    fn sign(&mut self, subject: Subject, state: DocumentHash, time: u64) -> VerifiedHead {
        let before = self.signed.iter().rev().map(VerifiedHead::head);
        let head = match before.into_iter().find(|head| head.subject == subject) {
            Some(before) => before.next(state, 0, time),
            None => Head {
                subject,
                number: 0,
                seq: 1,
                state,
                previous: None,
                summary: None,
                time,
            },
        };
        let signed = HeadRecord::sign(&head, &self.chain, &self.signer).expect("a head");
        self.signed.push(signed.clone());
        signed
    }
}
