//! Decoders of documents that are hashed or signed: whatever bytes they are given, they refuse them or
//! find the one encoding of a value. `scripts/soak decoders` runs each for a minute.

use std::time::{Duration, Instant};

use hubless_content::{
    Head, HeadRecord, Identity, Manifest, Profile, Revision, SignedIdentity, State,
};

use crate::common::{Rng, mutate, sections};

/// Changed documents of one kind, without the variable of the script.
const ROUNDS: u64 = 20_000;

/// Documents that are changed further: what was accepted becomes a beginning of the next changes.
const CORPUS_MAX: usize = 1_000;

/// Gives a decoder changed documents. `decode` returns the encoding of what it accepted.
fn run(name: &str, file: &str, decode: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    let seconds = std::env::var("HUBLESS_FUZZ_SECONDS");
    let seconds = seconds
        .ok()
        .map(|seconds| Duration::from_secs(seconds.parse().unwrap()));
    let seed = std::env::var("HUBLESS_FUZZ_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut corpus: Vec<Vec<u8>> = sections(file).into_values().collect();
    let valid = corpus
        .iter()
        .filter(|bytes| decode(bytes).is_some())
        .count();
    assert!(valid > 0, "no vector is a {name}");
    let mut rng = Rng(seed);
    let (start, mut round, mut accepted) = (Instant::now(), 0, 0_u64);
    while seconds.map_or(round < ROUNDS, |seconds| start.elapsed() < seconds) {
        round += 1;
        let (chosen, other) = (rng.below(corpus.len()), rng.below(corpus.len()));
        let mut bytes = corpus[chosen].clone();
        for _ in 0..1 + rng.below(3) {
            mutate(&mut bytes, &corpus[other], &mut rng);
        }
        let Some(encoded) = decode(&bytes) else {
            continue;
        };
        accepted += 1;
        assert_eq!(
            encoded, bytes,
            "{name}: a second encoding, seed {seed}, round {round}"
        );
        if corpus.len() < CORPUS_MAX {
            corpus.push(bytes);
        } else {
            corpus[chosen] = bytes;
        }
    }
    println!("{name}: {round} rounds, {accepted} accepted, seed {seed}");
    assert!(
        accepted > round / 1_000,
        "{name}: changes do not get past the first check"
    );
}

const IDENTITY: &str = include_str!("../../../../proto/vectors/identity.txt");
const HEAD: &str = include_str!("../../../../proto/vectors/head.txt");

/// The field 1 of each vector, with the vector: what is signed lies inside a message of its own.
fn inner(bytes: &[u8]) -> &[u8] {
    match bytes {
        [0x0a, length, rest @ ..] if *length < 0x80 => {
            rest.get(..usize::from(*length)).unwrap_or(bytes)
        }
        [0x0a, low, high, rest @ ..] => {
            let length = usize::from(low & 0x7f) | usize::from(*high) << 7;
            rest.get(..length).unwrap_or(bytes)
        }
        _ => bytes,
    }
}

#[test]
fn manifests() {
    let whole = format!(
        "x\n= manifest\n{}",
        include_str!("../../../../proto/vectors/manifest.txt")
    );
    run("manifest", &whole, |bytes| {
        Some(Manifest::decode(bytes).ok()?.encode())
    });
}

#[test]
fn revisions() {
    let file = include_str!("../../../../proto/vectors/revision.txt");
    run("revision", file, |bytes| {
        Revision::decode(bytes).ok()?.encode().ok()
    });
}

#[test]
fn identities() {
    let encode = |bytes: &[u8]| {
        let inside = inner(bytes);
        let encoded = Identity::decode(inside).ok()?.encode().ok()?;
        assert_eq!(encoded, inside, "a second encoding of an identity");
        Some(bytes.to_vec())
    };
    run("identity", IDENTITY, encode);
}

#[test]
fn signed_identities() {
    run("signed identity", IDENTITY, |bytes| {
        Some(SignedIdentity::decode(bytes).ok()?.encode())
    });
}

#[test]
fn heads() {
    let encode = |bytes: &[u8]| {
        let inside = inner(bytes);
        let encoded = Head::decode(inside).ok()?.encode().ok()?;
        assert_eq!(encoded, inside, "a second encoding of a head");
        Some(bytes.to_vec())
    };
    run("head", HEAD, encode);
}

/// Signatures are verified too: no change of a proven record is proven.
#[test]
fn records_of_heads() {
    let time = 1_700_000_000_000;
    let original = sections(HEAD).remove("record").unwrap();
    let decode = |bytes: &[u8]| {
        let record = HeadRecord::decode(bytes).ok()?;
        let decoded = record.as_bytes().to_vec();
        if let Ok(proven) = record.verify(time) {
            // What is signed cannot be changed; signatures of root keys beyond the threshold can be absent.
            let original = HeadRecord::decode(&original).unwrap();
            assert_eq!(proven.head(), original.head());
        }
        Some(decoded)
    };
    run("record of a head", HEAD, decode);
}

#[test]
fn states() {
    run("state", HEAD, |bytes| {
        State::decode(bytes).ok()?.encode().ok()
    });
}

#[test]
fn profiles() {
    run("profile", HEAD, |bytes| {
        Profile::decode(bytes).ok()?.encode().ok()
    });
}
