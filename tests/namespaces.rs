//! Nodes on networks of their own: a swarm on a switch, a source that is unplugged, a lossy long
//! line, and a local network without configured addresses.
//!
//! These tests check that the bytes are right and come from the expected peers; `cargo run --example
//! lab` measures rates. They need root and iproute2, and fail with a message where these are missing.

use std::{thread, time::Duration};

use hubless_testkit::{
    model,
    net::{Host, INTERNET, LOCAL, LineSpec, LongLine, Switch},
    process::{Lab, Node, Signal},
};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

const SIZE: u64 = 64 * model::CHUNK + 1000;

/// Bits per second: slow enough that all of a swarm fetch at the same time.
const UPLOAD: u64 = 80_000_000;

#[test]
fn two_nodes_find_each_other_by_mdns_alone() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    model::write_file(&source.join("weights.bin"), SIZE, 1);
    let mut switch = Switch::new(LOCAL);
    let (near, far) = (switch.host("near"), switch.host("far"));
    let seeder = lab.machine("seeder").on(&near).with("HUBLESS_MDNS", "true");
    let seeder = seeder.seed(&source, &[]);
    let getter = lab.machine("getter").on(&far).with("HUBLESS_MDNS", "true");
    let fetched = getter.get(&[seeder.hash()]);
    model::assert_same_tree(&source, &fetched.path);
}

#[test]
fn a_swarm_finishes_and_the_getters_take_from_each_other() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    model::write_file(&source.join("weights.bin"), SIZE, 2);
    let mut switch = Switch::new(LOCAL);
    let seed_host = host(&mut switch, "seed");
    let seed = lab.machine("seed").on(&seed_host).seed(&source, &[]);
    let hosts = [0; 6].map(|_| host(&mut switch, "getter"));
    let getters: Vec<Node> = hosts
        .iter()
        .enumerate()
        .map(|(index, host)| {
            let machine = lab.machine(&format!("getter{index}")).on(host);
            machine.serve(&["--bootstrap", seed.address()])
        })
        .collect();
    thread::scope(|scope| {
        for getter in &getters {
            let machine = getter.machine.clone();
            let args = [seed.hash(), "--peer", seed.address()];
            let source = &source;
            scope.spawn(move || model::assert_same_tree(source, &machine.get(&args).path));
        }
    });
    let given: u64 = getters
        .iter()
        .map(|getter| getter.count("bytes_sent"))
        .sum();
    assert!(given > SIZE, "the getters gave each other {given} bytes");
}

#[test]
fn a_fetch_goes_on_when_a_source_is_unplugged_or_frozen() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    model::write_file(&source.join("weights.bin"), SIZE, 3);
    let mut switch = Switch::new(LOCAL);
    let hosts = [0; 3].map(|_| host(&mut switch, "source"));
    let sources: Vec<Node> = hosts
        .iter()
        .enumerate()
        .map(|(index, host)| {
            let machine = lab.machine(&format!("source{index}")).on(host);
            machine.seed(&source, &["--limit-up", "1MB"])
        })
        .collect();
    let getter_host = switch.host("getter");
    let mut args = vec![sources[0].hash()];
    for node in &sources {
        args.extend(["--peer", node.address()]);
    }
    let getter = lab.machine("getter").on(&getter_host);
    let mut fetch = getter.start_get(&args);
    fetch.progress(SIZE / 3);
    hosts[0].unplug();
    sources[1].process.signal(Signal::STOP);
    let done = fetch.event(|event| event["event"] == "done");
    sources[1].process.signal(Signal::CONT);
    fetch.wait(Duration::from_secs(60)).ok();
    let path = done["path"].as_str().expect("a path");
    model::assert_same_tree(&source, path.as_ref());
}

#[test]
fn a_long_line_that_loses_packets_loses_no_bytes() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    // A small model, because loss slows QUIC's congestion control down.
    model::write_file(&source.join("weights.bin"), 6 * model::CHUNK + 1000, 4);
    let spec = LineSpec::new(200_000_000, Duration::from_millis(80));
    let line = LongLine::new(INTERNET, spec.loses(0.01, 1), spec.loses(0.01, 2));
    let [near, far] = line.hosts();
    let seeder = lab.machine("seeder").on(near).seed(&source, &[]);
    assert!(
        seeder.addresses.len() >= 2,
        "TCP and QUIC: {:?}",
        seeder.addresses
    );
    for (index, address) in seeder.addresses.iter().enumerate() {
        let getter = lab.machine(&format!("getter{index}")).on(far);
        let fetched = getter.get(&[seeder.hash(), "--peer", address]);
        model::assert_same_tree(&source, &fetched.path);
    }
    let [there, back] = line.counts();
    assert!(there.lost > 0 && back.lost > 0, "{there:?} {back:?}");
}

fn host(switch: &mut Switch, label: &str) -> Host {
    let host = switch.host(label);
    host.limit_upload(UPLOAD);
    host
}
