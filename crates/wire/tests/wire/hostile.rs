//! Messages of a hostile peer are refused, each by its rule.

use bytes::{Bytes, BytesMut};
use hubless_content::{ChunkIndex, FileHash, MANIFEST_BYTES_MAX};
use hubless_wire::{
    ADDRESS_BYTES_MAX, ADDRESSES_PER_PEER_MAX, Body, CHUNKS_PER_REQUEST_MAX, Frame, FrameError,
    FrameHead, HAVE_RANGES_MAX, HEADER_BYTES_MAX, PAYLOAD_BYTES_MAX, PEERS_PER_RESPONSE_MAX,
    PeerAddresses, Request, Response, header_len,
};
use proptest::prelude::*;

use crate::common::{Rng, mutate, sections};

/// A header with these protobuf fields behind id 1.
fn header(fields: &[u8]) -> Vec<u8> {
    [&[0x08, 1][..], fields].concat()
}

fn refused(fields: &[u8]) -> FrameError {
    FrameHead::decode(&header(fields)).unwrap_err()
}

#[test]
fn lengths_are_bounded_before_anything_is_read() {
    assert_eq!(header_len(&[]), Ok(None));
    assert_eq!(header_len(&[0x80]), Ok(None));
    assert_eq!(
        header_len(&[0x80, 0x80, 0x04]),
        Ok(Some((HEADER_BYTES_MAX, 3)))
    );
    assert_eq!(
        header_len(&[0x81, 0x80, 0x04]),
        Err(FrameError::HeaderTooLong)
    );
    assert_eq!(
        header_len(&[0xff, 0xff, 0xff, 0xff]),
        Err(FrameError::HeaderTooLong)
    );
    assert_eq!(
        header_len(&[0x80, 0x80, 0x80]),
        Err(FrameError::HeaderTooLong)
    );
    let too_long = vec![0; HEADER_BYTES_MAX + 1];
    assert_eq!(FrameHead::decode(&too_long), Err(FrameError::HeaderTooLong));
    // payload 2^32 - 1 on a chunk
    let huge = [0x10, 0xff, 0xff, 0xff, 0xff, 0x0f, 0xa2, 1, 0];
    assert_eq!(refused(&huge), FrameError::PayloadTooLong(u32::MAX));
    // one byte more than a chunk
    let more = [0x10, 0x81, 0x80, 0x10, 0xa2, 1, 0];
    assert_eq!(
        refused(&more),
        FrameError::PayloadTooLong(PAYLOAD_BYTES_MAX as u32 + 1)
    );
}

#[test]
fn rules_are_held() {
    let rule = |fields: &[u8], text: &str| match refused(fields) {
        FrameError::Rule(found) => assert!(found.contains(text), "{found}"),
        other => panic!("{other}"),
    };
    rule(&[0x1a, 2, 8, 1], "id 0"); // a hello with id 1
    rule(&[0x10, 1, 0xb2, 1, 0], "no payload"); // a payload behind `NotHere`
    rule(&[0x22, 3, 0x0a, 1, 7], "32 bytes"); // a hash of one byte
    rule(&[0x32, 0], "of a model or of a file");
    rule(&[0x92, 1, 2, 8, 3], "whole byte");
    rule(&[0x9a, 1, 4, 0x0a, 2, 8, 5], "at least one"); // a range of no chunks
    let hash = [&[0x0a, 32][..], &[9; 32]].concat();
    let chunks = |rest: &[u8]| {
        let body = [&hash[..], rest].concat();
        [&[0x3a, body.len() as u8][..], &body].concat()
    };
    rule(&chunks(&[0x10, 1]), "1 to 16"); // no count
    rule(&chunks(&[0x10, 1, 0x20, 17]), "1 to 16");
    rule(
        &chunks(&[0x18, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x20, 1]),
        "32 bits",
    );
    let mut size = vec![0x10];
    size.extend([0xff; 9]);
    size.push(1);
    rule(&chunks(&[&size[..], &[0x20, 1]].concat()), "that large");
    rule(&[0x82, 1, 5, 8, 0xff, 0xff, 0xff, 0x7f], "no manifest");
    rule(&[0x52, 0], "one alias"); // neither of the two
    rule(&[0x52, 6, 0x0a, 1, 7, 0x12, 1, 7], "one alias"); // both
    rule(&[0x52, 3, 0x0a, 1, 7], "32 bytes");
    rule(&[0x52, 3, 0x12, 1, 7], "20 bytes");
    rule(&[0xd2, 1, 3, 0x0a, 1, 7], "32 bytes");
    let alias_of = |rest: &[u8]| {
        let body = [&hash[..], rest].concat();
        [&[0xd2, 1, body.len() as u8][..], &body].concat()
    };
    rule(&alias_of(&size), "that large");
    rule(&[0x5a, 0], "1 to 512"); // digests of no file
    rule(&[0x5a, 3, 0x0a, 1, 7], "32 bytes");
    rule(&[0xe2, 1, 5, 0x0a, 3, 0x0a, 1, 7], "32 bytes"); // a SHA-256 of one byte
    let sha256_alone = [&[0xe2, 1, 36, 0x0a, 34, 0x0a, 32][..], &[9; 32]].concat();
    rule(&sha256_alone, "20 bytes");
    assert_eq!(refused(&[0xff]), FrameError::NotProtobuf);
}

#[test]
fn digests_are_requested_and_sent_for_a_bounded_number_of_files() {
    let repeated = |tag: &[u8], entry: &[u8], times: usize| {
        let body = entry.repeat(times);
        let length = [(body.len() & 0x7f) as u8 | 0x80, (body.len() >> 7) as u8];
        [tag, &length, &body].concat()
    };
    // Empty hashes are cheap to send, but the count is refused before them.
    let asks = refused(&repeated(&[0x5a], &[0x0a, 0], 513));
    assert!(matches!(asks, FrameError::Rule(rule) if rule.contains("1 to 512")));
    let answers = refused(&repeated(&[0xe2, 1], &[0x0a, 0], 513));
    assert!(matches!(answers, FrameError::Rule(rule) if rule.contains("at most 512")));
    let most = FrameHead::decode(&header(&repeated(&[0xe2, 1], &[0x0a, 0], 512))).unwrap();
    assert_eq!(
        most.body,
        Body::Response(Response::Digests(vec![None; 512]))
    );
}

#[test]
fn a_broken_limit_is_reported_with_its_value() {
    let peer = |addresses, bytes| PeerAddresses {
        id: Bytes::from_static(&[7]),
        addresses: vec![Bytes::from(vec![7; bytes]); addresses],
    };
    let chunks = Request::Chunks {
        file: FileHash::new([9; 32]),
        size: 1,
        first: ChunkIndex(0),
        count: CHUNKS_PER_REQUEST_MAX + 1,
    };
    let manifest = Response::Manifest { total: u32::MAX };
    let have = Response::Have((0..=HAVE_RANGES_MAX as u32).map(|at| at..at + 1).collect());
    let peers = Response::Peers(vec![peer(1, 1); PEERS_PER_RESPONSE_MAX + 1]);
    let addresses = Response::Peers(vec![peer(ADDRESSES_PER_PEER_MAX + 1, 1)]);
    let long = Response::Peers(vec![peer(1, ADDRESS_BYTES_MAX + 1)]);
    let cases: [(Body, String); 6] = [
        (chunks.into(), format!("1 to {CHUNKS_PER_REQUEST_MAX} ")),
        (manifest.into(), format!(" {MANIFEST_BYTES_MAX} ")),
        (have.into(), format!(" {HAVE_RANGES_MAX} ")),
        (peers.into(), format!(" {PEERS_PER_RESPONSE_MAX} ")),
        (addresses.into(), format!(" {ADDRESSES_PER_PEER_MAX} ")),
        (long.into(), format!(" {ADDRESS_BYTES_MAX} ")),
    ];
    for (body, value) in cases {
        let mut bytes = BytesMut::new();
        Frame::new(1, body).encode_head(&mut bytes);
        let (_, begin) = header_len(&bytes).unwrap().unwrap();
        let error = FrameHead::decode(&bytes[begin..]).unwrap_err();
        assert!(error.to_string().contains(&value), "{error}: {value}");
    }
}

#[test]
fn numbers_that_would_be_too_large_are_cut() {
    let busy = FrameHead::decode(&header(&[0xba, 1, 6, 8, 0xff, 0xff, 0xff, 0xff, 0x0f])).unwrap();
    assert_eq!(
        busy.body,
        Body::Response(Response::Busy(std::time::Duration::from_secs(60)))
    );
}

#[test]
fn a_request_of_a_later_version_breaks_no_rule() {
    for fields in [&[][..], &[0xa2, 0x06, 0], &[0xf8, 0x3f, 1]] {
        let head = FrameHead::decode(&header(fields)).unwrap();
        assert_eq!((head.id, head.body), (1, Body::UnknownRequest));
    }
    let without_id = FrameHead::decode(&[0xa2, 0x06, 0]).unwrap_err();
    assert!(matches!(without_id, FrameError::Rule(_)), "{without_id}");
    let with_payload = refused(&[0x10, 1, 0xa2, 0x06, 0]);
    assert!(
        matches!(with_payload, FrameError::Rule(_)),
        "{with_payload}"
    );
}

#[test]
fn unknown_fields_of_later_versions_are_passed_over() {
    let cancel = FrameHead::decode(&header(&[0x4a, 0, 0xf8, 0x3f, 1])).unwrap();
    assert_eq!(cancel.body, Body::Request(Request::Cancel));
}

#[test]
fn no_change_of_a_valid_message_makes_the_decoder_panic() {
    const ROUNDS: usize = 100_000;
    let vectors = sections(include_str!("../../../../proto/vectors/frames.txt"));
    let heads = vectors.values().map(|bytes| {
        let (length, start) = header_len(bytes).unwrap().unwrap();
        bytes[start..start + length].to_vec()
    });
    let heads: Vec<Vec<u8>> = heads.collect();
    let mut rng = Rng(1);
    let (mut accepted, mut ruled_out) = (vec![0; heads.len()], vec![0; heads.len()]);
    for _ in 0..ROUNDS {
        let kind = rng.below(heads.len());
        let mut message = heads[kind].clone();
        for _ in 0..1 + rng.below(3) {
            let other = rng.below(heads.len());
            mutate(&mut message, &heads[other], &mut rng);
        }
        let _ = header_len(&message);
        match FrameHead::decode(&message) {
            Ok(head) => {
                assert!(head.payload <= PAYLOAD_BYTES_MAX);
                accepted[kind] += 1;
            }
            Err(FrameError::Rule(_) | FrameError::PayloadTooLong(_)) => ruled_out[kind] += 1,
            Err(_) => {}
        }
    }
    // The bodies of all kinds of messages are reached, not only the check of their protobuf.
    assert!(accepted.iter().all(|count| *count > 10), "{accepted:?}");
    let decoded: usize = accepted.iter().chain(&ruled_out).sum();
    assert!(decoded > ROUNDS / 10, "{decoded} of {ROUNDS}");
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = header_len(&bytes);
        let _ = FrameHead::decode(&bytes);
    }
}
