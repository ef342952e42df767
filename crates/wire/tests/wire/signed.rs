//! Signed documents agree with the bytes of `proto/vectors/`, which another implementation of the
//! encoding, of BLAKE3 and of Ed25519 wrote.

use std::num::NonZeroU64;

use hubless_content::{
    Chain, Discussions, DocumentHash, Head, HeadRecord, Identity, Profile, PublicKey, RefName,
    RepoId, RepoKind, RevisionHash, SecretKey, SignedIdentity, State, StateRef, Status, Subject,
};

use crate::common::sections;

const TIME: u64 = 1_700_000_000_000;

fn key(seed: u8) -> SecretKey {
    SecretKey::new(&[seed; 32])
}

fn keys(seeds: &[u8]) -> Vec<PublicKey> {
    let mut keys: Vec<_> = seeds.iter().map(|seed| key(*seed).public()).collect();
    keys.sort_unstable();
    keys
}

fn first() -> Chain {
    let identity = Identity::first(keys(&[1, 2]), 1, keys(&[3]), [9; 16]);
    Chain::new(vec![SignedIdentity::unsigned(identity).unwrap()]).unwrap()
}

fn changed() -> Chain {
    let first = first();
    let (root, hash) = first.root();
    let identity = Identity {
        number: 1,
        root: Some(hash),
        keys: keys(&[5]),
        threshold: 1,
        signers: keys(&[3, 4]),
        salt: None,
    };
    let mut document = SignedIdentity::unsigned(identity).unwrap();
    document.sign(root, &key(1));
    document.sign(root, &key(5));
    first.with(document).unwrap()
}

fn subject() -> Subject {
    Subject::repo(first().publisher(), RepoKind::Dataset, "Mini").unwrap()
}

fn state() -> State {
    let held = |name: &str, revision, deleted| StateRef {
        name: RefName::new(name).unwrap(),
        revision: RevisionHash::new([revision; 32]),
        deleted: NonZeroU64::new(deleted),
    };
    State {
        subject: subject(),
        created: TIME,
        refs: vec![
            held("refs/heads/main", 0x22, 0),
            held("refs/heads/old", 0x44, 5_000),
            held("refs/tags/v1", 0x33, 0),
        ],
        discussions: Discussions::Known,
        status: Status::Open,
    }
}

#[test]
fn identities_have_the_documented_bytes() {
    let vectors = sections(include_str!("../../../../proto/vectors/identity.txt"));
    let chain = changed();
    assert_eq!(vectors.len(), chain.documents().len());
    for (name, document) in ["first", "change of keys"].iter().zip(chain.documents()) {
        assert_eq!(document.encode(), vectors[*name], "{name}");
        assert_eq!(
            SignedIdentity::decode(&vectors[*name]).as_ref(),
            Ok(document)
        );
    }
    let publisher = "hdgzwxkim7wvwnxy7alqd6imk2dh37dwo62dn44ugr5sh35atgeq";
    assert_eq!(chain.publisher().to_string(), publisher);
}

#[test]
fn heads_and_their_documents_have_the_documented_bytes() {
    let vectors = sections(include_str!("../../../../proto/vectors/head.txt"));
    assert_eq!(vectors.len(), 4);
    let moved = State {
        created: 0,
        refs: Vec::new(),
        discussions: Discussions::Everyone,
        status: Status::Moved(RepoKind::Model, "Other".into()),
        ..state()
    };
    for (name, state) in [("state", state()), ("moved", moved)] {
        assert_eq!(state.encode().unwrap(), vectors[name], "{name}");
        assert_eq!(State::decode(&vectors[name]), Ok(state));
    }
    let repo = |kind| RepoId::new(kind, "Mini").unwrap();
    let profile = Profile {
        publisher: first().publisher(),
        handle: "acme".into(),
        full_name: "Acme Inc.".into(),
        domains: vec!["acme.com".into()],
        peers: vec![vec![0x66; 38]],
        repos: vec![repo(RepoKind::Model), repo(RepoKind::Dataset)],
    };
    assert_eq!(profile.encode().unwrap(), vectors["profile"]);
    assert_eq!(Profile::decode(&vectors["profile"]), Ok(profile));

    let head = Head {
        subject: subject(),
        number: 1,
        seq: 2,
        state: state().hash().unwrap(),
        previous: Some(DocumentHash::new([0x55; 32])),
        summary: None,
        time: TIME,
    };
    let made = HeadRecord::sign(&head, &changed(), &key(4)).unwrap();
    assert_eq!(made.record(), vectors["record"]);
    let read = HeadRecord::decode(&vectors["record"]).unwrap().verify(TIME);
    assert_eq!(read, Ok(made));
    let dht_key = "78ab6c28622be560dd609c8b3abdfc28323df54dc931e44bb44d94a391cedcba";
    assert_eq!(subject().key().to_string(), dht_key);
}
