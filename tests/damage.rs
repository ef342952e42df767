//! Bytes that changed on disk: no reader receives them as if they were right; where a peer has the
//! right ones, the same request gets these; and a peer that sent wrong bytes receives a report.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use hubless_testkit::{
    http::{get, get_with},
    model::{self, CHUNK},
    process::{LIMIT, Lab, Machine, Node, Signal, field, until},
    rot::Rot,
};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

const SIZE: u64 = 9 * CHUNK + 1000;

/// How long other nodes are searched for what a node holds itself.
const SEARCHED_FOR: Duration = Duration::from_secs(5);

/// The chunk that is damaged in most tests.
const WRONG: u64 = 5;

const NAME: &str = "acme/m";

const FILE: &str = "/acme/m/resolve/main/weights.bin";

/// The file in which a home directory keeps the bytes of a file.
fn stored(machine: &Machine, hash: &str) -> PathBuf {
    let complete = machine.home.join("files").join(&hash[..2]).join(hash);
    match complete.exists() {
        true => complete,
        false => machine.home.join("partial").join(hash),
    }
}

/// Flips one bit in the middle of a chunk.
fn flip(path: &Path, chunk: u64) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("own file");
    let file = OpenOptions::new().read(true).write(true).open(path);
    let file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (mut byte, at) = ([0], chunk * CHUNK + CHUNK / 2);
    file.read_exact_at(&mut byte, at).expect("read");
    file.write_all_at(&[byte[0] ^ 1], at).expect("write");
}

/// Flips one bit in the middle of a chunk, and the file has the size and times with which it was last
/// found to be right.
fn rot(machine: &Machine, model: &str, path: &Path, chunk: u64) {
    until("a bit flips and no time shows it", LIMIT, || {
        let rot = Rot::prepare(path, chunk * CHUNK + CHUNK / 2);
        // What the preparation changed is right, and known from here on.
        machine.run(["verify", model]).ok();
        rot.flip().then_some(()).ok_or("the times changed".into())
    });
}

struct Scene {
    lab: Lab,
    source: PathBuf,
    bytes: Vec<u8>,
    file: String,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::new(HUBLESS);
        let source = lab.path("model");
        let file = model::write_file(&source.join("weights.bin"), SIZE, 7);
        let bytes = fs::read(source.join("weights.bin")).expect("read");
        Self {
            lab,
            source,
            bytes,
            file,
        }
    }

    /// A node that holds the model under a name, with a gateway, and with these peers.
    fn gateway(&self, peers: &str) -> Node {
        let machine = self.lab.machine("gateway").with("HUBLESS_PEERS", peers);
        machine.seed(&self.source, &["--gateway", "127.0.0.1:0", "--name", NAME])
    }

    /// A node that only holds the model.
    fn holder(&self) -> Node {
        let machine = self.lab.machine("holder");
        machine.seed(&self.source, &["--in-place"])
    }

    fn damage(&self, node: &Node) {
        flip(&stored(&node.machine, &self.file), WRONG);
    }
}

fn url(node: &Node) -> &str {
    node.gateway.as_deref().expect("a gateway")
}

/// One number of the metrics.
fn metric(node: &Node, name: &str) -> u64 {
    let text = String::from_utf8(get(url(node), "/metrics").body).expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.unwrap_or_else(|| panic!("no {name} in\n{text}"));
    value.trim().parse().expect("a number")
}

#[test]
fn an_answer_ends_before_its_first_wrong_chunk() {
    let scene = Scene::new();
    let node = scene.gateway("");
    // All is known of the file then, so that nothing but the answer reads it again.
    assert!(get(url(&node), FILE).whole);
    let path = stored(&node.machine, &scene.file);
    rot(&node.machine, node.hash(), &path, WRONG);
    let answer = get(url(&node), FILE);
    assert!(!answer.whole, "a wrong chunk was passed on");
    assert!(
        answer.body.len() as u64 <= WRONG * CHUNK,
        "{}",
        answer.body.len()
    );
    assert!(scene.bytes.starts_with(&answer.body));
    assert_eq!(metric(&node, "hubless_store_chunks_rejected_total"), 1);
    assert_eq!(node.count("store/chunks_rejected"), 1);
    // The damage is known now: the response is an error from the beginning.
    let first = WRONG * CHUNK;
    let range = format!("bytes={first}-{}", first + 10);
    let part = get_with(url(&node), FILE, &[("Range", &range)]);
    assert_eq!(part.status, 502, "{part:?}");
}

#[test]
fn cat_ends_with_an_error_before_a_wrong_chunk() {
    let scene = Scene::new();
    let machine = scene.lab.machine("alone");
    let hash = machine.add(&scene.source, &[]);
    rot(&machine, &hash, &stored(&machine, &scene.file), WRONG);
    let range = format!("{}-{}", WRONG * CHUNK, WRONG * CHUNK + 9);
    let args = [
        "cat",
        &hash,
        "weights.bin",
        "--timeout",
        "3",
        "--range",
        &range,
    ];
    let finished = machine.run(args).failed(5, "weights.bin");
    assert_eq!(finished.stdout, "");
}

/// A partial file has no recorded modification time that could reveal a change.
#[test]
fn a_part_of_a_file_is_proven_as_it_leaves() {
    let scene = Scene::new();
    let holder = scene.holder();
    let mirror = scene.lab.machine("mirror");
    let mirror = mirror.with("HUBLESS_PEERS", holder.address());
    let mirror = mirror.serve(&["--gateway", "127.0.0.1:0"]);
    let all = format!("0-{}", 8 * CHUNK - 1);
    let cat = |range: &str| {
        let args = ["cat", holder.hash(), "weights.bin", "--timeout", "20"];
        let args = [&args[..], &["--range", range]].concat();
        mirror.machine.command(args).output().expect("it runs")
    };
    assert!(cat(&all).stdout == scene.bytes[..8 * CHUNK as usize]);
    let name = ["name", "set", "model", NAME, holder.hash()];
    mirror.machine.run(name).ok();
    holder.process.signal(Signal::STOP);

    scene.damage(&mirror);
    let range = format!("bytes={all}");
    let answer = get_with(url(&mirror), FILE, &[("Range", &range)]);
    assert!(!answer.whole, "a wrong chunk was passed on");
    assert!(scene.bytes.starts_with(&answer.body));
    assert_eq!(mirror.count("store/chunks_rejected"), 1);

    flip(&stored(&mirror.machine, &scene.file), 2);
    let output = cat(&all);
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert!(output.stdout.len() as u64 <= 2 * CHUNK);
    assert!(scene.bytes.starts_with(&output.stdout));
}

#[test]
fn what_a_peer_has_comes_in_the_same_answer() {
    let scene = Scene::new();
    let holder = scene
        .lab
        .machine("holder")
        .seed(&scene.source, &["--in-place"]);
    let node = scene.gateway(holder.address());
    scene.damage(&node);
    let answer = get(url(&node), FILE);
    assert_eq!((answer.status, answer.whole), (200, true));
    assert!(answer.body == scene.bytes, "wrong bytes left");

    scene.damage(&node);
    let first = WRONG * CHUNK;
    let range = format!("bytes={first}-{}", first + CHUNK - 1);
    let part = get_with(url(&node), FILE, &[("Range", &range)]);
    assert_eq!((part.status, part.whole), (206, true));
    assert!(part.body == scene.bytes[first as usize..][..CHUNK as usize]);

    scene.damage(&node);
    let first = first as usize;
    let range = format!("{first}-{}", first + 9);
    let mut command = node
        .machine
        .command(["cat", node.hash(), "weights.bin", "--range", &range]);
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, scene.bytes[first..first + 10]);
    assert_eq!(node.count("store/chunks_rejected"), 3);
}

#[test]
fn damage_that_no_reader_meets_is_found_and_mended_in_the_background() {
    let scene = Scene::new();
    let holder = scene.holder();
    let machine = scene.lab.machine("gateway");
    let hash = machine.add(&scene.source, &[]);
    let file = stored(&machine, &scene.file);
    flip(&file, WRONG);
    let machine = machine.with("HUBLESS_PEERS", holder.address());
    // Without digests, whose computation would find the damage too.
    let machine = machine.with("HUBLESS_DIGESTS", "false");
    let node = machine.with("HUBLESS_SCRUB", "1s").serve(&[]);
    until("it is found", LIMIT, || {
        match node.count("store/chunks_rejected") {
            1 => Ok(()),
            other => Err(other.to_string()),
        }
    });
    assert!(node.count("store/scrubbed_bytes") > 0);
    until("it is whole again", LIMIT, || {
        match node.machine.json(["info", &hash])["complete"].as_bool() {
            Some(true) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    node.stop();
    assert!(
        fs::read(file).expect("read") == scene.bytes,
        "wrong bytes are kept"
    );
}

/// A seeder of a partial file, of which one chunk rots unnoticed: a partial file has no recorded
/// modification time that could reveal it.
#[test]
fn a_seeder_learns_that_a_chunk_is_wrong_and_gets_it_back() {
    let scene = Scene::new();
    let holder = scene
        .lab
        .machine("holder")
        .seed(&scene.source, &["--in-place"]);
    let rotten = scene.lab.machine("rotten");
    let rotten = rotten.with("HUBLESS_PEERS", holder.address()).serve(&[]);
    let part = format!("0-{}", 4 * CHUNK - 1);
    let args = ["cat", holder.hash(), "weights.bin", "--range", &part];
    let cat = rotten.machine.command(args).output().expect("it runs");
    assert!(cat.status.success(), "{cat:?}");
    rotten.machine.run(["pin", holder.hash()]).ok();
    flip(&stored(&rotten.machine, &scene.file), 1);

    let getter = scene.lab.machine("getter").serve(&[]);
    let args = [holder.hash(), "--peer", rotten.address()];
    let fetched = getter.machine.get(&args);
    model::assert_same_tree(&scene.source, &fetched.path);
    assert_eq!(getter.count("chunks_rejected"), 1);
    assert_eq!(getter.status()["banned"], serde_json::json!([]));
    until("the seeder knows it", LIMIT, || {
        match rotten.count("store/chunks_rejected") {
            1 => Ok(()),
            other => Err(other.to_string()),
        }
    });

    let bytes = until("the chunk is back", LIMIT, || {
        let args = ["cat", holder.hash(), "weights.bin", "--range", &part];
        let held = rotten.machine.json(["info", holder.hash()])["held_bytes"].as_u64();
        match held {
            Some(held) if held >= 4 * CHUNK => Ok(rotten.machine.command(args).output()),
            held => Err(format!("{held:?} bytes are held")),
        }
    });
    let bytes = bytes.expect("it runs").stdout;
    assert!(bytes == scene.bytes[..bytes.len()], "wrong bytes came back");
}

#[test]
fn a_stopped_peer_is_named_within_seconds() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    model::write_file(&source.join("weights.bin"), 40_000_000, 3);
    let seeder = lab
        .machine("seeder")
        .seed(&source, &["--in-place", "--limit-up", "4MB"]);
    let args = [seeder.hash(), "--peer", seeder.address(), "--timeout", "30"];
    let mut getter = lab.machine("getter").start_get(&args);
    getter.progress(2 * CHUNK);
    seeder.process.signal(Signal::STOP);
    let stopped = Instant::now();
    let stalled = getter.event(|event| event["stall"].is_object());
    assert!(stopped.elapsed() < Duration::from_secs(5), "{stalled}");
    assert_eq!(field(&stalled["stall"], "waiting_for"), seeder.peer_id);
    assert_eq!(field(&stalled, "state"), "finding_providers");
    seeder.process.signal(Signal::CONT);
    getter.wait(LIMIT).ok();
}

#[test]
fn a_model_that_only_this_node_provides_is_reported_in_seconds() {
    let scene = Scene::new();
    // A search waits for this one.
    let silent = scene.lab.machine("silent").serve(&[]);
    let machine = scene.lab.machine("holder");
    let holder = machine.seed(&scene.source, &["--bootstrap", silent.address()]);
    until(
        "the other is in the routing table",
        LIMIT,
        || match holder.count("dht/routing_peers") {
            0 => Err("no peer".into()),
            _ => Ok(()),
        },
    );
    silent.process.signal(Signal::STOP);
    let asked = Instant::now();
    let args = ["providers", holder.hash(), "--timeout", "60"];
    let finished = holder.machine.run(args).ok();
    let took = asked.elapsed();
    assert!(finished.stderr.contains("this node holds"), "{finished:?}");
    assert!(
        took > SEARCHED_FOR,
        "the other was not waited for: {took:?}"
    );
    assert!(took < SEARCHED_FOR + Duration::from_secs(2), "{took:?}");
    let found = holder.machine.json(["providers", holder.hash()]);
    assert_eq!(found["own"], true, "{found}");
}

#[test]
fn a_file_whose_last_holder_left_is_an_error_in_time() {
    let scene = Scene::new();
    let holder = scene
        .lab
        .machine("holder")
        .seed(&scene.source, &["--in-place"]);
    let mirror = scene.lab.machine("mirror");
    let mirror = mirror.with("HUBLESS_PEERS", holder.address());
    let mirror = mirror.serve(&["--gateway", "127.0.0.1:0"]);
    // This node has the list of files, and no byte of the file.
    let args = ["get", holder.hash(), "--include", "none", "--timeout", "60"];
    mirror.machine.run(args).failed(3, "matches");
    let name = ["name", "set", "model", NAME, holder.hash()];
    mirror.machine.run(name).ok();
    drop(holder);
    let asked = Instant::now();
    let answer = get(url(&mirror), FILE);
    assert_eq!(answer.status, 502, "{answer:?}");
    assert!(
        asked.elapsed() < Duration::from_secs(9),
        "{:?}",
        asked.elapsed()
    );
}
