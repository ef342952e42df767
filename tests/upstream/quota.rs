//! A mirror whose quota is full: the least recently used content makes room.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use hubless_testkit::{
    http::get,
    model,
    process::{Lab, Node},
};

use super::{HUBLESS, MIB, file, gateway, hub::Hub, noise};

const QUOTA: u64 = 15 * MIB as u64;

/// A hub with a repo of 10 MiB and another of 8 MiB, and a mirror that may keep 15 MiB.
fn small_mirror(lab: &Lab) -> (Hub, Node) {
    let hub = Hub::start(&[("old.bin", noise(1, 10 * MIB))]);
    hub.add("Org/Second", &[("new.bin", noise(2, 8 * MIB))]);
    let machine = lab.machine("mirror").with("HUBLESS_GATEWAY", "127.0.0.1:0");
    let machine = machine
        .with("NO_PROXY", "*")
        .with("HUBLESS_QUOTA", QUOTA.to_string());
    let node = machine.serve(&["--upstream", &hub.url]);
    (hub, node)
}

const NEW: &str = "/Org/Second/resolve/main/new.bin";

fn metrics(node: &Node) -> String {
    String::from_utf8(get(gateway(node), "/metrics").body).expect("text")
}

#[test]
fn a_full_mirror_makes_room_and_keeps_what_is_new() {
    let lab = Lab::new(HUBLESS);
    let (hub, node) = small_mirror(&lab);
    assert!(get(gateway(&node), &file("old.bin")).whole);
    assert_eq!(node.count("store/bytes"), 10 * MIB as u64);

    let (url, done) = (gateway(&node), AtomicBool::new(false));
    let answer = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let status = get(url, "/api/hubless/status").json();
                let held = status["store"]["bytes"].as_u64();
                assert!(held.is_some_and(|held| held <= QUOTA), "{status}");
            }
        });
        let answer = get(url, NEW);
        done.store(true, Ordering::Relaxed);
        watch.join().expect("the quota holds at each poll");
        answer
    });
    assert!(answer.whole && answer.body == noise(2, 8 * MIB));
    assert_eq!(node.count("store/bytes"), 8 * MIB as u64, "it is kept");
    assert_eq!(node.count("store/evicted_models"), 1);
    assert_eq!(node.count("store/evicted_bytes"), 10 * MIB as u64);
    assert!(metrics(&node).contains("hubless_store_evicted_models_total 1\n"));
    let status = node.machine.run(["status"]).ok();
    assert!(status.stdout.contains("1 model, 10"), "{}", status.stdout);

    // Without the hub, the new file is served; of the old one, only its metadata.
    hub.is(|manners| manners.gone = true);
    assert!(get(gateway(&node), NEW).whole);
    let tree = get(gateway(&node), "/api/models/Org/Model/tree/main").json();
    assert_eq!(tree[0]["path"], "old.bin");
    assert_eq!(get(gateway(&node), &file("old.bin")).status, 502);
    hub.is(|manners| manners.gone = false);
    let again = get(gateway(&node), &file("old.bin"));
    assert!(again.whole && again.body == noise(1, 10 * MIB));
}

#[test]
fn what_is_pinned_stays_and_the_client_is_served_nevertheless() {
    let lab = Lab::new(HUBLESS);
    let (_hub, node) = small_mirror(&lab);
    let own = lab.path("own");
    model::write_tree(&own, &[("weights.bin", 10 * MIB as u64)], 7);
    let hash = node.machine.add(&own, &[]);
    let answer = get(gateway(&node), NEW);
    assert!(answer.whole && answer.body == noise(2, 8 * MIB));
    assert_eq!(node.count("store/bytes"), 10 * MIB as u64, "as before");
    assert_eq!(node.count("store/evicted_models"), 0);
    assert!(node.count("store/refused") > 0);
    let status = node.machine.run(["status"]).ok();
    let says_so = status.stdout.contains("no room within the quota");
    assert!(says_so, "{}", status.stdout);
    let collected = node.machine.json(["gc"]);
    assert_eq!(
        (&collected["files"], &collected["pinned"]),
        (&0.into(), &1.into())
    );
    node.machine.run(["verify", &hash]).ok();

    node.machine.run(["unpin", &hash]).ok();
    assert!(get(gateway(&node), NEW).whole);
    assert_eq!(
        node.count("store/bytes"),
        8 * MIB as u64,
        "now there is room"
    );
}
