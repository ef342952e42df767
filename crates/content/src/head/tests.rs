use proptest::prelude::*;

use super::*;
use crate::{
    identity::{Chain, Identity, PublisherId, SignedIdentity},
    repo::RepoKind,
    signing::{PublicKey, SecretKey},
};

const NOW: u64 = 1_800_000_000_000;

fn key(seed: u8) -> SecretKey {
    SecretKey::new(&[seed; 32])
}

fn signers(seeds: &[u8]) -> Vec<PublicKey> {
    let mut keys: Vec<_> = seeds.iter().map(|seed| key(*seed).public()).collect();
    keys.sort_unstable();
    keys
}

/// Root key 1, signers 2 and 3.
fn first() -> Chain {
    let identity = Identity::first(signers(&[1]), 1, signers(&[2, 3]), [7; 16]);
    Chain::new(vec![SignedIdentity::unsigned(identity).unwrap()]).unwrap()
}

/// The chain with these signers instead, as root key 1 signs them.
fn with_signers(chain: &Chain, seeds: &[u8]) -> Chain {
    let (root, hash) = chain.root();
    let identity = Identity {
        number: chain.current().number + 1,
        root: Some(hash),
        signers: signers(seeds),
        salt: None,
        ..chain.current().clone()
    };
    let mut signed = SignedIdentity::unsigned(identity).unwrap();
    signed.sign(root, &key(1));
    chain.with(signed).unwrap()
}

fn subject(publisher: PublisherId) -> Subject {
    Subject::repo(publisher, RepoKind::Model, "Mini").unwrap()
}

fn head(chain: &Chain, seq: u64, state: u8) -> Head {
    Head {
        subject: subject(chain.publisher()),
        number: chain.current().number,
        seq,
        state: DocumentHash::new([state; 32]),
        previous: (seq > 1).then(|| DocumentHash::new([200; 32])),
        summary: None,
        time: NOW,
    }
}

fn signed(chain: &Chain, seq: u64, state: u8) -> VerifiedHead {
    HeadRecord::sign(&head(chain, seq, state), chain, &key(2)).unwrap()
}

fn verify(bytes: &[u8]) -> Result<VerifiedHead, HeadError> {
    HeadRecord::decode(bytes)?.verify(NOW)
}

#[test]
fn a_record_proves_itself() {
    let chain = first();
    let made = signed(&chain, 1, 5);
    let read = verify(made.record()).unwrap();
    assert_eq!(read, made);
    assert_eq!(read.signer(), key(2).public());
    let known = HeadRecord::decode(made.record())
        .unwrap()
        .verify_knowing(NOW, &chain);
    assert_eq!(known, Ok(made));
}

#[test]
fn no_bit_of_a_record_can_be_changed() {
    let made = signed(&with_signers(&first(), &[2, 4]), 2, 5);
    for bit in 0..made.record().len() * 8 {
        let mut bytes = made.record().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(verify(&bytes).is_err(), "bit {bit}");
    }
}

#[test]
fn who_is_no_signer_signs_nothing() {
    let chain = first();
    let refused = |key: &SecretKey| HeadRecord::sign(&head(&chain, 1, 5), &chain, key);
    assert_eq!(refused(&key(9)), Err(HeadError::Signer));
    assert_eq!(
        refused(&key(1)),
        Err(HeadError::Signer),
        "root keys sign no heads"
    );
    let later = with_signers(&chain, &[3]);
    let old = HeadRecord::sign(&head(&later, 1, 5), &later, &key(2));
    assert_eq!(old, Err(HeadError::Signer), "the signer was removed");
    let number = HeadRecord::sign(&head(&chain, 1, 5), &later, &key(3));
    assert_eq!(number, Err(HeadError::Number { head: 0, chain: 1 }));
}

#[test]
fn a_chain_of_another_publisher_proves_nothing() {
    let other = Identity::first(signers(&[1]), 1, signers(&[2]), [8; 16]);
    let other = Chain::new(vec![SignedIdentity::unsigned(other).unwrap()]).unwrap();
    let grafted = HeadRecord::sign(&head(&first(), 1, 5), &other, &key(2));
    let expected = IdentityError::OtherPublisher(other.publisher());
    assert_eq!(grafted, Err(HeadError::Identity(expected)));
}

#[test]
fn heads_of_the_future_wait_for_their_time() {
    let chain = first();
    let made = signed(&chain, 1, 5);
    let at = |now| {
        HeadRecord::decode(made.record())
            .unwrap()
            .verify(now)
            .map(|_| ())
    };
    assert_eq!(at(NOW - CLOCK_AHEAD_MAX_MS), Ok(()));
    assert_eq!(
        at(NOW - CLOCK_AHEAD_MAX_MS - 1),
        Err(HeadError::Future(CLOCK_AHEAD_MAX_MS + 1))
    );
}

#[test]
fn sequence_numbers_and_previous_states() {
    let chain = first();
    let with = |seq, previous: Option<u8>| {
        Head {
            seq,
            previous: previous.map(|state| DocumentHash::new([state; 32])),
            ..head(&chain, 1, 5)
        }
        .encode()
        .map(|_| ())
    };
    assert_eq!(with(0, None), Err(HeadError::Sequence));
    assert_eq!(with(1, Some(1)), Err(HeadError::Sequence));
    assert_eq!(with(2, None), Err(HeadError::Sequence));
    assert_eq!(with(1, None), Ok(()));
    assert_eq!(with(u64::MAX, Some(1)), Ok(()));
    let last = Head {
        seq: u64::MAX,
        ..head(&chain, 2, 5)
    };
    assert_eq!(last.next(DocumentHash::new([6; 32]), 0, NOW).seq, u64::MAX);
}

#[test]
fn what_a_reader_has_seen_decides() {
    use AgainstSeen::*;
    let chain = first();
    let seen = signed(&chain, 5, 50);
    assert_eq!(signed(&chain, 5, 50).against(&seen), Same);
    assert_eq!(signed(&chain, 4, 90).against(&seen), Older, "a rollback");
    assert_eq!(signed(&chain, 6, 10).against(&seen), Newer);
    assert_eq!(signed(&chain, 5, 51).against(&seen), Fork { newer: true });
    assert_eq!(signed(&chain, 5, 49).against(&seen), Fork { newer: false });
    let later = Head {
        time: NOW + 1,
        ..head(&chain, 5, 50)
    };
    let later = HeadRecord::sign(&later, &chain, &key(2)).unwrap();
    assert_eq!(later.against(&seen), Confirmed);
    assert_eq!(
        seen.against(&later),
        Same,
        "an older confirmation is no rollback"
    );
}

/// Fast-forward: a thief signs the highest sequence number there is.
#[test]
fn a_new_identity_document_outranks_every_sequence_number() {
    let chain = first();
    let thief = signed(&chain, u64::MAX, 255);
    let rotated = with_signers(&chain, &[3]);
    let owner = HeadRecord::sign(&head(&rotated, 6, 1), &rotated, &key(3)).unwrap();
    assert!(owner.replaces(&thief));
    assert!(!thief.replaces(&owner));
    assert!(!thief.counts_under(&rotated), "its signer was removed");
    assert!(owner.counts_under(&rotated) && owner.counts_under(&chain));
}

#[test]
fn a_contradicting_chain_replaces_nothing() {
    let chain = first();
    let to = |seed: u8| {
        let (root, hash) = chain.root();
        let identity = Identity {
            number: 1,
            root: Some(hash),
            keys: signers(&[seed]),
            salt: None,
            ..chain.current().clone()
        };
        let mut document = SignedIdentity::unsigned(identity).unwrap();
        document.sign(root, &key(1));
        document.sign(root, &key(seed));
        chain.with(document).unwrap()
    };
    let (owner, thief) = (signed(&to(5), 2, 1), signed(&to(6), 9, 9));
    assert_eq!(thief.against(&owner), AgainstSeen::Contradicts);
    assert!(!thief.replaces(&owner) && !owner.replaces(&thief));
    assert!(!thief.counts_under(owner.chain()));
}

#[test]
fn a_record_is_small_and_case_makes_no_other_key() {
    assert_eq!(
        signed(&first(), 1, 5).record().len(),
        317,
        "one root key, two signers"
    );
    let second = with_signers(&first(), &[2]);
    assert_eq!(signed(&second, 2, 5).record().len(), 533);
    let publisher = first().publisher();
    let key = |kind, name: &str| Subject::repo(publisher, kind, name).unwrap().key();
    assert_eq!(key(RepoKind::Model, "a"), key(RepoKind::Model, "A"));
    assert_ne!(key(RepoKind::Model, "a"), key(RepoKind::Dataset, "a"));
    assert_ne!(key(RepoKind::Model, "a"), Subject::profile(publisher).key());
}

proptest! {
    #[test]
    fn every_accepted_encoding_is_the_canonical_one(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let chain = first();
        let mut bytes = head(&chain, 2, 5).encode().unwrap();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(head) = Head::decode(&bytes) {
            prop_assert_eq!(head.encode(), Ok(bytes));
        }
    }

    #[test]
    fn heads_have_a_total_order(
        heads in prop::collection::vec((1..4u64, 0..3u8, 0..3u64), 3),
    ) {
        let chain = first();
        let made: Vec<_> = heads
            .into_iter()
            .map(|(seq, state, time)| {
                let head = Head { time: NOW + time, ..head(&chain, seq, state) };
                HeadRecord::sign(&head, &chain, &key(2)).unwrap()
            })
            .collect();
        // In whichever order a node sees them, it keeps the same one.
        let keep = |order: [usize; 3]| {
            let mut kept = &made[order[0]];
            for next in &order[1..] {
                if made[*next].replaces(kept) {
                    kept = &made[*next];
                }
            }
            kept.rank()
        };
        for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            prop_assert_eq!(keep(order), keep([0, 1, 2]));
        }
    }
}
