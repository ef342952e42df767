//! Files that peers have are fetched from peers: as a claim, then proven. The hub here lists SHA-256
//! and git's ids only.

use std::{
    fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use hubless_content::{Alias, ChunkIndex, hash_reader};
use hubless_store::Digests;
use hubless_testkit::process::{LIMIT, Lab, Machine, Node, text, until};
use hubless_wire::{Request, Response, Scope};

use super::{
    MIB, file, gateway, get_as,
    http::{self, get, get_with},
    hub,
    hub::Hub,
    keys, mirror, noise,
    stranger::Stranger,
    wait_for_keys, weights,
};

/// Large enough that a range of it does not pull the whole file.
const LARGE: usize = 12 * MIB + 5;

fn large() -> Vec<u8> {
    noise(7, LARGE)
}

/// A hub with one large file and a small one.
fn large_hub() -> Hub {
    Hub::start(&[
        ("config.json", b"{\"b\": 2}\n".to_vec()),
        ("large.bin", large()),
    ])
}

/// A node that has the large file from the hub, and has announced it.
fn first(lab: &Lab, hub: &Hub) -> Node {
    let first = mirror(lab, "first", &hub.url, &[]);
    assert!(get(gateway(&first), &file("large.bin")).body == large());
    first
}

fn is_banned(node: &Node, peer: &str) -> bool {
    let status = node.status();
    let banned = status["banned"].as_array().expect("a list");
    banned.iter().any(|banned| banned.as_str() == Some(peer))
}

fn assert_nothing_is_kept(node: &Node) {
    assert_eq!(node.count("store/bytes"), 0, "nothing is kept");
    assert_eq!(keys(node), 0, "nothing is announced");
}

/// Requests the repo's listing, so that it is known when the hub is gone.
fn know(node: &Node) {
    let tree = get(
        gateway(node),
        &format!("/api/models/{}/tree/main", hub::REPO),
    );
    assert_eq!(tree.status, 200);
}

#[test]
fn what_a_peer_has_is_not_asked_of_the_hub_again() {
    let (lab, hub) = (Lab::new(super::HUBLESS), large_hub());
    let first = first(&lab, &hub);
    hub.is(|manners| manners.bytes_per_second = Some(MIB / 2));
    let before = hub.sent();
    let second = mirror(&lab, "second", &hub.url, &["--peer", first.address()]);
    let answer = get(gateway(&second), &file("large.bin"));
    assert!(answer.whole && answer.body == large());
    let by_second = hub.sent() - before;
    assert!(by_second < LARGE / 4, "{by_second} bytes of the hub");
    let by_peers = second.count("bytes_received") as usize;
    assert!(by_peers >= LARGE * 3 / 4, "{by_peers} bytes of the peer");

    // It is proven: the second node serves it when the first and the hub are gone.
    drop(first);
    hub.is(|manners| manners.gone = true);
    let third = mirror(&lab, "third", gateway(&second), &[]);
    assert!(get(gateway(&third), &file("large.bin")).body == large());
}

#[test]
fn a_holder_is_found_through_the_dht() {
    let (lab, hub) = (Lab::new(super::HUBLESS), large_hub());
    let middle = lab.machine("middle").serve(&[]);
    let bootstrap = ["--bootstrap", middle.address()];
    let first = mirror(&lab, "first", &hub.url, &bootstrap);
    assert!(get(gateway(&first), &file("large.bin")).whole);
    first.wait_until_announced(2);
    hub.is(|manners| manners.bytes_per_second = Some(MIB / 2));
    let before = hub.sent();
    let second = mirror(&lab, "second", &hub.url, &bootstrap);
    until("the second is in the DHT", LIMIT, || {
        match second.count("dht/routing_peers") {
            0 => Err("not yet".to_owned()),
            _ => Ok(()),
        }
    });
    let answer = get(gateway(&second), &file("large.bin"));
    assert!(answer.whole && answer.body == large());
    let by_second = hub.sent() - before;
    assert!(by_second < LARGE / 2, "{by_second} bytes of the hub");
}

#[test]
fn without_the_hub_a_claim_is_given_when_it_is_proven() {
    let (lab, hub) = (Lab::new(super::HUBLESS), large_hub());
    let first = first(&lab, &hub);
    assert!(get(gateway(&first), &file("config.json")).whole);
    let second = mirror(&lab, "second", &hub.url, &["--peer", first.address()]);
    know(&second);
    hub.is(|manners| manners.gone = true);
    // A range of it needs the whole file too.
    let part = get_with(
        gateway(&second),
        &file("large.bin"),
        &[("Range", "bytes=5000000-5000999")],
    );
    assert_eq!(part.status, 206);
    assert!(part.body == large()[5_000_000..5_001_000]);
    for path in ["large.bin", "config.json"] {
        let right = get(gateway(&first), &file(path)).body;
        let answer = get(gateway(&second), &file(path));
        assert!(answer.whole && answer.body == right, "{path}");
    }
    assert_eq!(second.count("bytes_from_upstream"), 0);
    wait_for_keys(&second, 3);
}

#[test]
fn a_peer_that_claims_another_file_is_banned_and_no_byte_of_it_stays() {
    let (lab, hub) = (Lab::new(super::HUBLESS), large_hub());
    let liar = Stranger::start(noise(8, LARGE));
    let peer = ["--peer", liar.address.as_str()];

    // Without the hub: an error, rather than wrong bytes.
    let node = mirror(&lab, "alone", &hub.url, &peer);
    know(&node);
    hub.is(|manners| manners.gone = true);
    let answer = get(gateway(&node), &file("large.bin"));
    assert!(answer.status != 200 || answer.body.is_empty(), "not a byte");
    assert!(is_banned(&node, &liar.peer_id()));
    assert_nothing_is_kept(&node);
    // Another peer that has it helps.
    hub.is(|manners| manners.gone = false);
    let honest = first(&lab, &hub);
    // It sends its file for some seconds: meanwhile the liar's claim arrives.
    limit_up(&honest, "2MiB");
    let both = [&peer[..], &["--peer", honest.address()]].concat();
    let node = mirror(&lab, "both", &hub.url, &both);
    know(&node);
    hub.is(|manners| manners.gone = true);
    let answer = get(gateway(&node), &file("large.bin"));
    assert!(answer.whole && answer.body == large());
    the_lie_is_punished(&node, &liar);
}

/// The liar is banned, and nothing but the right file is kept.
fn the_lie_is_punished(node: &Node, liar: &Stranger) {
    until("the liar is banned", LIMIT, || {
        let banned = is_banned(node, &liar.peer_id());
        banned.then_some(()).ok_or_else(|| "not yet".to_owned())
    });
    let kept = node.count("store/bytes");
    assert_eq!(kept, LARGE as u64, "only the right one");
}

#[test]
fn a_lie_does_not_change_the_hubs_listing() {
    let (lab, hub) = (Lab::new(super::HUBLESS), large_hub());
    let liar = Stranger::start(noise(8, LARGE));
    let node = mirror(&lab, "node", &hub.url, &["--peer", &liar.address]);
    hub.is(|manners| manners.bytes_per_second = Some(8 * MIB));
    let answer = get(gateway(&node), &file("large.bin"));
    assert!(answer.whole && answer.body == large());
    the_lie_is_punished(&node, &liar);
    wait_for_keys(&node, 2);
    assert_eq!(keys(&node), 2, "the file and its alias");
}

#[test]
fn wrong_bytes_of_the_hub_are_not_completed_by_peers() {
    let (lab, hub) = (Lab::new(super::HUBLESS), large_hub());
    let first = first(&lab, &hub);
    // Slow enough that the client receives bytes of the hub.
    limit_up(&first, "2MiB");
    hub.is(|manners| {
        manners.wrong_byte = Some(1000);
        manners.bytes_per_second = Some(MIB);
    });
    let second = mirror(&lab, "second", &hub.url, &["--peer", first.address()]);
    let answer = get(gateway(&second), &file("large.bin"));
    assert!(!answer.whole, "wrong at the beginning, right at the end");
    assert!(answer.body[1000] != large()[1000], "it was given that byte");
    // The bytes of peers are right, and stay.
    let answer = get(gateway(&second), &file("large.bin"));
    assert!(answer.whole && answer.body == large());
}

#[test]
fn what_the_hub_sends_need_not_come_from_peers_too() {
    let (lab, hub) = (Lab::new(super::HUBLESS), large_hub());
    let first = first(&lab, &hub);
    limit_up(&first, "1MiB");
    hub.is(|manners| manners.bytes_per_second = Some(MIB));
    let before = hub.sent();
    let second = mirror(&lab, "second", &hub.url, &["--peer", first.address()]);
    let answer = get(gateway(&second), &file("large.bin"));
    assert!(answer.whole && answer.body == large());
    let (by_hub, by_peers) = (hub.sent() - before, second.count("bytes_received") as usize);
    let most = LARGE * 4 / 5;
    assert!(by_hub < most && by_peers < most, "{by_hub}, {by_peers}");
}

#[test]
fn a_slow_member_does_not_hold_up_the_hub() {
    let (lab, hub) = (Lab::new(super::HUBLESS), large_hub());
    let first = member(&lab, "first").serve(&["--upstream", &hub.url]);
    assert!(get(gateway(&first), &file("large.bin")).whole);
    limit_up(&first, "256KiB");
    let before = hub.sent();
    let peer = ["--peer", first.address()];
    let second = member(&lab, "second").serve(&[&["--upstream", &hub.url], &peer[..]].concat());
    let answer = get(gateway(&second), &file("large.bin"));
    assert!(answer.whole && answer.body == large());
    let by_hub = hub.sent() - before;
    assert!(by_hub > LARGE / 2, "{by_hub} bytes of the hub");
}

/// Limits the upload of a running node to so many bytes per second.
fn limit_up(node: &Node, rate: &str) {
    node.machine.run(["config", "set", "limit_up", rate]).ok();
}

/// A network for members only, whose key all machines have.
fn member(lab: &Lab, name: &str) -> Machine {
    let key = lab.path("swarm.key");
    let text_of_key = format!("/key/swarm/psk/1.0.0/\n/base16/\n{}\n", "5a".repeat(32));
    fs::write(&key, text_of_key).expect("the lab's directory");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("own file");
    let machine = lab.machine(name).with("HUBLESS_GATEWAY", "127.0.0.1:0");
    machine
        .with("HUBLESS_NETWORK_KEY", text(&key))
        .with("NO_PROXY", "*")
}

#[test]
fn claims_of_members_of_the_network_are_trusted() {
    let (lab, hub) = (Lab::new(super::HUBLESS), large_hub());
    let first = member(&lab, "first").serve(&["--upstream", &hub.url]);
    assert!(get(gateway(&first), &file("large.bin")).whole);
    limit_up(&first, "2MiB");
    let peer = ["--peer", first.address()];
    let second = member(&lab, "second").serve(&[&["--upstream", &hub.url], &peer[..]].concat());
    know(&second);
    hub.is(|manners| manners.gone = true);

    let begun = Instant::now();
    let mut stream = http::begin(gateway(&second), &file("large.bin"), &[]);
    let mut beginning = vec![0; MIB];
    stream.read_exact(&mut beginning).expect("a beginning");
    let beginning_after = begun.elapsed();
    let shown = second.status()["transfers"][0].clone();
    assert_eq!(shown["path"], "large.bin");
    assert!(shown["upstream"].is_null(), "{shown}");
    assert_eq!(shown["sources"][0]["peer_id"], first.peer_id);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the rest");
    let got = [beginning, rest].concat();
    assert!(got.ends_with(&large()), "{} bytes", got.len());
    assert!(
        beginning_after < begun.elapsed() / 2,
        "chunks are given as they come: {beginning_after:?} of {:?}",
        begun.elapsed()
    );
}

#[test]
fn strangers_are_neither_asked_for_nor_given_what_is_withheld() {
    let (lab, hub) = (Lab::new(super::HUBLESS), hub());
    let stranger = Stranger::start(noise(9, 1000));
    hub.is(|manners| manners.gated = Some("hf_accepted"));
    let node = mirror(&lab, "mirror", &hub.url, &["--peer", &stranger.address]);
    let accepted = get_as(&node, &file("weights.bin"), "hf_accepted");
    assert!(accepted.whole && accepted.body == weights());
    assert_eq!(stranger.asked_for_aliases(), 0, "the want stays private");

    let list = hash_reader(&weights()[..]).expect("bytes in memory");
    let (hash, size, digests) = (list.file(), list.size(), Digests::of(&weights()));
    let asks = [
        Request::Availability(Scope::File(hash)),
        Request::ChunkList {
            file: hash,
            size,
            first: 0,
        },
        Request::Chunks {
            file: hash,
            size,
            first: ChunkIndex(0),
            count: 1,
        },
        Request::Alias(Alias::Sha256(digests.sha256)),
        Request::Alias(Alias::GitBlob(digests.git_blob)),
        Request::Digests(vec![hash]),
    ];
    for request in asks.clone() {
        let answer = stranger.ask(node.address(), request.clone());
        assert_eq!(answer, Response::NotHere, "{request:?}");
    }
    // The same for a public repo.
    hub.is(|manners| manners.gated = None);
    let open = mirror(&lab, "open", &hub.url, &[]);
    assert!(get(gateway(&open), &file("weights.bin")).whole);
    for request in asks {
        let answer = stranger.ask(open.address(), request.clone());
        assert_ne!(answer, Response::NotHere, "{request:?}");
    }
}

#[test]
fn peers_that_have_nothing_cost_no_time() {
    let (lab, hub) = (Lab::new(super::HUBLESS), large_hub());
    let empty = lab.machine("empty").serve(&[]);
    // The shortest of three runs: a disk may be slow once.
    let took = |name: &str, args: &[&str]| {
        let once = |turn: i32| {
            let node = mirror(&lab, &format!("{name}{turn}"), &hub.url, args);
            know(&node);
            let begun = Instant::now();
            assert!(get(gateway(&node), &file("large.bin")).whole);
            begun.elapsed()
        };
        (0..3).map(once).min().expect("three")
    };
    let alone = took("alone", &[]);
    let among = took("among", &["--peer", empty.address()]);
    let most = alone + Duration::from_millis(1500);
    assert!(among < most, "{among:?} with a peer, {alone:?} without");
}
