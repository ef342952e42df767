//! The JSON that scripts rely on: names never change and are never removed.

use hubless_testkit::{
    model,
    process::{LIMIT, Lab, number, text},
};
use serde_json::Value;

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

/// Panics unless the object has all these names, `/` leading into objects and first elements.
fn has(object: &Value, names: &[&str]) {
    for name in names {
        assert!(
            object.pointer(&format!("/{name}")).is_some(),
            "no {name} in {object}"
        );
    }
}

#[test]
fn each_documented_name_is_there() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    model::write_tree(&source, &[("a.json", 70), ("b.bin", 3_000_000)], 1);
    let bootstrap = lab.machine("bootstrap").serve(&[]);
    let machine = lab.machine("seeder");
    let added = machine.json(["add", text(&source)]);
    has(&added, &["hash", "files", "bytes"]);
    let seeder = machine.serve(&["--bootstrap", bootstrap.address(), "--limit-up", "2MB"]);
    seeder.wait_until_announced(3);
    let hash = added["hash"].as_str().expect("a hash");

    let getter = lab
        .machine("getter")
        .serve(&["--bootstrap", bootstrap.address()]);
    let mut get = getter.machine.start_get(&[hash]);
    let progress = get.progress(1);
    has(
        &progress,
        &["event", "bytes_verified", "bytes_total", "sources"],
    );
    assert_eq!(
        (&progress["bytes_total"], &progress["sources"]),
        (&3_000_070.into(), &1.into())
    );
    let ended = get.wait(LIMIT).ok();
    let events = ended.stdout.lines().map(serde_json::from_str::<Value>);
    let verified: Vec<u64> = events
        .filter_map(|event| event.expect("a line is an object")["bytes_verified"].as_u64())
        .collect();
    assert!(verified.len() > 1 && verified.is_sorted(), "{verified:?}");
    let done = ended.last_object();
    has(
        &done,
        &[
            "event",
            "hash",
            "path",
            "bytes_total",
            "bytes_fetched",
            "bytes_present",
            "files_replaced",
        ],
    );

    let info = getter.machine.json(["info", hash]);
    has(&info, &["hash", "bytes", "held_bytes", "complete"]);
    has(&info, &["files/0/path", "files/0/size", "files/0/hash"]);
    assert_eq!(info["files"].as_array().map(Vec::len), Some(2));

    let status = getter.status();
    has(
        &status,
        &[
            "peer_id",
            "addresses/0",
            "reachability",
            "peers",
            "chunks_rejected",
        ],
    );
    has(
        &status,
        &[
            "dht/routing_peers",
            "dht/records",
            "dht/announced",
            "dht/backlog",
        ],
    );
    has(&status, &["store/bytes", "store/quota", "bytes_sent"]);
    // Payload is chunks, and a little for the manifest and chunk lists.
    let payload = 3_000_070..3_010_000;
    assert!(
        payload.contains(&number(&status, "bytes_received")),
        "{status}"
    );
    assert!(payload.contains(&seeder.count("bytes_sent")));

    let providers = getter.machine.json(["providers", hash]);
    has(
        &providers,
        &["providers/0/peer_id", "providers/0/addresses/0"],
    );
    has(
        &getter.machine.json(["verify"]),
        &["files", "bytes", "damaged"],
    );
}

#[test]
fn a_name_stands_for_its_hash() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    model::write_tree(&source, &[("a.json", 70)], 1);
    let node = lab.machine("node").seed(&source, &["--name", "acme/m"]);
    let asked = |what: &str| {
        let json = |args: &[&str]| node.machine.json(args);
        [
            json(&["info", what]),
            json(&["ticket", what]),
            json(&["why", what])["hash"].clone(),
        ]
    };
    assert_eq!(asked("acme/m"), asked(node.hash()));
}
