use proptest::prelude::*;

use super::*;
use crate::signing::{PublicKey, SecretKey};

fn key(seed: u8) -> SecretKey {
    SecretKey::new(&[seed; 32])
}

fn public(seeds: &[u8]) -> Vec<PublicKey> {
    let mut keys: Vec<_> = seeds.iter().map(|seed| key(*seed).public()).collect();
    keys.sort_unstable();
    keys
}

/// Root keys 1 and 2, of which `threshold` sign; signer 3.
fn first(threshold: usize) -> Chain {
    let identity = Identity::first(public(&[1, 2]), threshold, public(&[3]), [9; 16]);
    Chain::new(vec![SignedIdentity::unsigned(identity).unwrap()]).unwrap()
}

/// The next document of `chain`, changed by `change` and signed by the keys of these seeds.
fn next(chain: &Chain, change: impl FnOnce(&mut Identity), by: &[u8]) -> SignedIdentity {
    let (root, hash) = chain.root();
    let mut identity = Identity {
        number: chain.current().number + 1,
        root: Some(hash),
        salt: None,
        ..chain.current().clone()
    };
    change(&mut identity);
    let mut signed = SignedIdentity::unsigned(identity).unwrap();
    for seed in by {
        signed.sign(root, &key(*seed));
    }
    signed
}

#[test]
fn sizes_are_those_that_fit_the_dht() {
    let one = Identity::first(public(&[1]), 1, public(&[3]), [9; 16]);
    let chain = Chain::new(vec![SignedIdentity::unsigned(one).unwrap()]).unwrap();
    let second_device = next(&chain, |identity| identity.signers = public(&[3]), &[1]);
    let other_root = next(&chain, |identity| identity.keys = public(&[2]), &[1, 2]);
    let sizes = [&chain.documents()[0], &second_device, &other_root];
    assert_eq!(
        sizes.map(|document| document.encode().len()),
        [92, 177, 244]
    );
    let most = |keys: std::ops::Range<u8>| public(&keys.collect::<Vec<_>>());
    let largest = Identity::first(most(0..8), 8, most(8..24), [9; 16]);
    let largest = SignedIdentity::unsigned(largest).unwrap().encode().len();
    assert!(largest < CHAIN_BYTES_MAX, "{largest}");
}

#[test]
fn signers_change_with_the_threshold_of_root_keys() {
    let chain = first(2);
    let add = |identity: &mut Identity| identity.signers = public(&[3, 4]);
    let changed = chain.with(next(&chain, add, &[1, 2])).unwrap();
    assert!(changed.has_signer(&key(4).public()));
    assert_eq!(changed.publisher(), chain.publisher());
    assert_eq!(changed.compare(&chain), Continues::Newer);
    assert_eq!(chain.compare(&changed), Continues::Older);
    for too_few in [&[][..], &[1], &[3], &[1, 3]] {
        let refused = chain.with(next(&chain, add, too_few));
        assert_eq!(refused, Err(IdentityError::Signatures(1)), "{too_few:?}");
    }
    // The next change of signers takes the place of this one: devices do not make chains longer.
    let again = next(
        &changed,
        |identity| identity.signers = public(&[4]),
        &[1, 2],
    );
    let again = changed.with(again).unwrap();
    assert_eq!(again.documents().len(), 2);
    assert!(!again.has_signer(&key(3).public()));
}

#[test]
fn keys_change_with_the_old_and_the_new_threshold() {
    let chain = first(1);
    let change = |identity: &mut Identity| {
        identity.keys = public(&[5, 6]);
        identity.threshold = 2;
    };
    for (by, enough) in [
        (&[1][..], false),
        (&[5, 6], false),
        (&[1, 5], false),
        (&[1, 5, 6], true),
    ] {
        let changed = chain.with(next(&chain, change, by));
        assert_eq!(changed.is_ok(), enough, "{by:?}");
    }
    let changed = chain.with(next(&chain, change, &[1, 5, 6])).unwrap();
    let add = |identity: &mut Identity| identity.signers = public(&[7]);
    assert!(
        changed.with(next(&changed, add, &[1, 2])).is_err(),
        "old root keys are over"
    );
    let added = changed.with(next(&changed, add, &[5, 6])).unwrap();
    assert_eq!(added.documents().len(), 3);
    // A lower threshold alone is a change of keys too.
    let lower = next(&added, |identity| identity.threshold = 1, &[5, 6]);
    assert_eq!(added.with(lower).unwrap().documents().len(), 3);
}

#[test]
fn two_histories_of_keys_contradict_each_other() {
    let chain = first(1);
    let to = |seed| {
        let change = move |identity: &mut Identity| identity.keys = public(&[seed]);
        chain.with(next(&chain, change, &[1, seed])).unwrap()
    };
    let (owner, thief) = (to(5), to(6));
    assert_eq!(owner.compare(&thief), Continues::Contradicts);
    let later = next(&thief, |identity| identity.keys = public(&[7]), &[6, 7]);
    assert_eq!(
        thief.with(later).unwrap().compare(&owner),
        Continues::Contradicts
    );
    assert_eq!(owner.compare(&chain), Continues::Newer);
    assert_eq!(owner.compare(&owner.clone()), Continues::Same);
}

#[test]
fn of_two_documents_with_one_number_all_take_the_same() {
    let chain = first(1);
    let with = |seed| {
        let add = move |identity: &mut Identity| identity.signers = public(&[seed]);
        chain.with(next(&chain, add, &[1])).unwrap()
    };
    let (a, b) = (with(4), with(5));
    let verdicts = [a.compare(&b), b.compare(&a)];
    assert!(
        matches!(
            verdicts,
            [Continues::Newer, Continues::Older] | [Continues::Older, Continues::Newer]
        ),
        "{verdicts:?}"
    );
}

#[test]
fn chains_that_break_a_rule() {
    use IdentityError::*;
    let chain = first(1);
    let documents = chain.documents().to_vec();
    let add = |number| {
        move |identity: &mut Identity| {
            identity.number = number;
            identity.signers = public(&[number as u8 + 10]);
        }
    };
    let (one, two) = (next(&chain, add(1), &[1]), next(&chain, add(2), &[1]));
    let made = |more: &[&SignedIdentity]| {
        let more = more.iter().map(|document| (*document).clone());
        Chain::new(documents.iter().cloned().chain(more).collect()).map(|_| ())
    };
    assert_eq!(made(&[&one]), Ok(()));
    assert_eq!(made(&[&one, &two]), Err(Superfluous(1)));
    assert_eq!(Chain::new(Vec::new()), Err(NoFirst));
    assert_eq!(Chain::new(vec![one.clone()]), Err(NoFirst));
    assert_eq!(made(&[&documents[0]]), Err(First));
    let keys = next(&chain, |identity| identity.keys = public(&[5]), &[1, 5]);
    assert_eq!(made(&[&keys, &two]), Err(Root(2, documents[0].hash())));
    let changed = chain.with(keys.clone()).unwrap();
    let same_number = next(&changed, |identity| identity.number = 1, &[5]);
    assert_eq!(made(&[&keys, &same_number]), Err(Number(1)));

    let mut long = chain;
    for seed in 0..40 {
        let change = move |identity: &mut Identity| identity.keys = public(&[seed + 100]);
        let by = if seed == 0 {
            vec![1, 100]
        } else {
            vec![seed + 99, seed + 100]
        };
        match long.with(next(&long, change, &by)) {
            Ok(longer) => long = longer,
            Err(error) => {
                assert_eq!((error, seed), (TooLong, KEY_CHANGES_MAX as u8));
                return;
            }
        }
    }
    panic!("a chain grows without a bound");
}

#[test]
fn documents_that_break_a_rule() {
    use IdentityError::*;
    let refused = |change: fn(&mut Identity)| {
        let mut identity = Identity::first(public(&[1, 2]), 1, public(&[3]), [9; 16]);
        change(&mut identity);
        identity.encode().unwrap_err()
    };
    assert_eq!(refused(|identity| identity.keys.clear()), RootKeys);
    assert_eq!(
        refused(|identity| identity.keys = vec![PublicKey::new([0; 32]); 9]),
        RootKeys
    );
    assert_eq!(
        refused(|identity| identity.signers = vec![PublicKey::new([0; 32]); 17]),
        Signers
    );
    assert_eq!(refused(|identity| identity.keys.reverse()), Order);
    assert_eq!(
        refused(|identity| identity.keys = vec![identity.keys[0]; 2]),
        Order
    );
    assert_eq!(refused(|identity| identity.threshold = 0), Threshold);
    assert_eq!(refused(|identity| identity.threshold = 3), Threshold);
    assert_eq!(refused(|identity| identity.salt = None), First);
    assert_eq!(refused(|identity| identity.number = 1), First);
}

proptest! {
    #[test]
    fn every_accepted_encoding_is_the_canonical_one(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let chain = first(1);
        let change = |identity: &mut Identity| identity.keys = public(&[5]);
        let mut bytes = next(&chain, change, &[1, 5]).encode();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(signed) = SignedIdentity::decode(&bytes) {
            prop_assert_eq!(signed.encode(), bytes);
        }
    }
}
