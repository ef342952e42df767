//! Errors caused from outside: each has its exit code, a sentence, and the next step.

use std::{
    fs,
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt, symlink},
        net::UnixListener,
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use hubless_testkit::{
    model,
    process::{LIMIT, Lab, Machine, Node, Process, Signal, number, text},
};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

/// User and group `nobody`.
const NOBODY: u32 = 65534;

const UNKNOWN: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A model of some MB in the lab.
fn model_in(lab: &Lab) -> PathBuf {
    let source = lab.path("model");
    let files = [("config.json", 500), ("weights.bin", 40 * model::CHUNK + 9)];
    model::write_tree(&source, &files, 1);
    source
}

fn seeder_of(lab: &Lab, source: &Path) -> Node {
    lab.machine("seeder").seed(source, &["--in-place"])
}

#[test]
fn an_unknown_hash() {
    let lab = Lab::new(HUBLESS);
    let node = lab.machine("node").serve(&[]);
    let getter = lab.machine("getter");
    let args = ["get", UNKNOWN, "--bootstrap", node.address()];
    getter.run(args).failed(3, &UNKNOWN[..8]);
    // No node to ask at all: the hash may be right.
    let alone = getter.run(["get", UNKNOWN, "--timeout", "2"]);
    assert!(
        alone.stderr.contains("not connected to any other node") && !alone.stderr.contains("hash;"),
        "{}",
        alone.stderr
    );
    alone.failed(6, &UNKNOWN[..8]);
    // No node listens at the named address.
    let gone = format!("/ip4/127.0.0.1/tcp/1/p2p/{}", node.peer_id);
    for flag in ["--bootstrap", "--peer"] {
        let args = ["get", UNKNOWN, "--timeout", "2", flag, gone.as_str()];
        getter.run(args).failed(6, &UNKNOWN[..8]);
    }
    // The named node does not have it.
    let args = ["get", UNKNOWN, "--timeout", "6", "--peer", node.address()];
    getter.run(args).failed(3, &UNKNOWN[..8]);
    for command in ["info", "pin", "rm", "verify", "ticket"] {
        getter.run([command, UNKNOWN]).failed(3, &UNKNOWN[..8]);
    }
}

#[test]
fn a_malformed_hash_or_ticket() {
    let lab = Lab::new(HUBLESS);
    let machine = lab.machine("home");
    let (short, other) = (&UNKNOWN[1..], UNKNOWN.replace('0', "g"));
    let no_peer = format!("hubless:{UNKNOWN}?peer=nonsense");
    let no_hash = "hubless:?peer=/ip4/127.0.0.1/tcp/1".to_owned();
    for text in [short, &other, "", "acme/../model", &no_peer, &no_hash] {
        machine.run(["get", text]).code(2);
    }
    machine.run(["get", short]).failed(2, short);
    machine.run(["info", short]).failed(2, short);
    machine.run(["get", &no_peer]).failed(2, "nonsense");
}

#[test]
fn add_of_what_is_no_directory_or_has_no_files() {
    let lab = Lab::new(HUBLESS);
    let machine = lab.machine("home");
    let file = lab.path("file.bin");
    model::write_file(&file, 10, 1);
    machine.run(["add", text(&file)]).failed(2, "file.bin");
    machine
        .run(["add", text(&lab.path("nothing"))])
        .failed(2, "nothing");
    let empty = lab.path("empty/with/directories");
    fs::create_dir_all(&empty).unwrap();
    machine
        .run(["add", text(&lab.path("empty"))])
        .failed(2, "empty");
}

#[test]
fn add_of_what_cannot_be_read() {
    let lab = Lab::new(HUBLESS);
    let machine = lab.machine("home");
    let source = model_in(&lab);

    // A file that is gone when it is opened.
    symlink(source.join("gone"), source.join("link.bin")).unwrap();
    let failed = machine.run(["add", text(&source)]).failed(1, "link.bin");
    assert!(failed.stdout.is_empty(), "{}", failed.stdout);
    fs::remove_file(source.join("link.bin")).unwrap();

    // A link out of the directory is followed only with the flag.
    let elsewhere = lab.path("elsewhere.bin");
    model::write_file(&elsewhere, 77, 7);
    symlink(&elsewhere, source.join("link.bin")).unwrap();
    machine.run(["add", text(&source)]).failed(2, "link.bin");
    let hash = machine.add(&source, &["--follow-links"]);
    assert_eq!(
        number(&machine.json(["info", &hash]), "bytes"),
        500 + 40 * model::CHUNK + 9 + 77
    );
    fs::remove_file(source.join("link.bin")).unwrap();

    // Neither file nor directory.
    let socket = UnixListener::bind(source.join("socket")).unwrap();
    machine.run(["add", text(&source)]).failed(2, "socket");
    drop(socket);
    fs::remove_file(source.join("socket")).unwrap();

    // No right to read. Root may read everything, so the user `nobody` runs the command.
    let weights = source.join("weights.bin");
    fs::set_permissions(&weights, fs::Permissions::from_mode(0o000)).unwrap();
    let nobody = lab.path("nobody");
    fs::create_dir(&nobody).unwrap();
    let mut command = if rustix::process::geteuid().is_root() {
        // Other users may have no access to the directory of the binary.
        let binary = lab.path("hubless");
        fs::copy(HUBLESS, &binary).unwrap();
        std::os::unix::fs::chown(&nobody, Some(NOBODY), Some(NOBODY)).unwrap();
        let mut command = Command::new(binary);
        command.uid(NOBODY).gid(NOBODY);
        command
    } else {
        Command::new(HUBLESS)
    };
    command
        .env("HUBLESS_HOME", &nobody)
        .args(["add", text(&source)]);
    let failed = Process::start(command).wait(LIMIT).failed(1, "weights.bin");
    assert!(failed.stdout.is_empty(), "{}", failed.stdout);
    fs::set_permissions(&weights, fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn a_configuration_with_an_unknown_key() {
    let lab = Lab::new(HUBLESS);
    let machine = lab.machine("home");
    fs::create_dir_all(&machine.home).unwrap();
    fs::write(
        machine.home.join("config.toml"),
        "mdns = false\nlisten_on = 8420\n",
    )
    .unwrap();
    machine.run(["serve"]).failed(2, "listen_on");
    machine.run(["config", "show"]).failed(2, "listen_on");
}

#[test]
fn a_port_that_is_in_use() {
    let lab = Lab::new(HUBLESS);
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let listen = format!("/ip4/127.0.0.1/tcp/{port}");
    lab.machine("home")
        .run(["serve", "--listen", &listen])
        .failed(6, &port);
}

#[test]
fn a_second_node_on_the_same_home() {
    let lab = Lab::new(HUBLESS);
    let node = lab.machine("home").serve(&[]);
    node.machine
        .run(["serve"])
        .failed(8, text(&node.machine.home));
    // The first one is unaffected, and another can start after it.
    assert_eq!(node.status()["peer_id"], *node.peer_id);
    let (machine, peer_id) = (node.machine.clone(), node.peer_id.clone());
    node.stop();
    assert_eq!(machine.serve(&[]).peer_id, peer_id);
}

#[test]
fn ctrl_c_during_a_fetch() {
    let lab = Lab::new(HUBLESS);
    let source = model_in(&lab);
    let seeder = lab.machine("seeder").seed(&source, &["--limit-up", "2MB"]);
    let getter = lab.machine("getter");
    let args = [seeder.hash(), "--peer", seeder.address()];
    let mut run = getter.start_get(&args);
    run.progress(4 * model::CHUNK);
    run.signal(Signal::INT);
    run.wait(LIMIT).failed(130, "interrupted");
    let fetched = getter.get(&args);
    assert!(fetched.bytes_present >= 4 * model::CHUNK, "{fetched:?}");
    model::assert_same_tree(&source, &fetched.path);
}

#[test]
fn a_quota_that_is_reached() {
    let lab = Lab::new(HUBLESS);
    let source = model_in(&lab);
    let seeder = seeder_of(&lab, &source);
    let limited = |name: &str| {
        let machine = lab.machine(name);
        fs::create_dir_all(&machine.home).unwrap();
        fs::write(machine.home.join("config.toml"), "quota = \"8MB\"\n").unwrap();
        machine
    };
    let getter = limited("getter");
    let args = ["get", seeder.hash(), "--peer", seeder.address()];
    getter.run(args).failed(9, "quota");
    assert!(bytes_below(&getter.home) < 9_000_000, "the quota holds");
    getter.run(["ls"]).ok();

    let adder = limited("adder");
    adder.run(["add", text(&source)]).failed(9, "quota");
    assert!(bytes_below(&adder.home) < 9_000_000, "the quota holds");
    // Added in place it takes no room.
    adder.add(&source, &["--in-place"]);

    fs::write(getter.home.join("config.toml"), "quota = \"80MB\"\n").unwrap();
    model::assert_same_tree(&source, &getter.get(&args[1..]).path);
}

fn bytes_below(root: &Path) -> u64 {
    // Control sockets have no bytes to hash: files only.
    model::tree(&root.join("files"))
        .values()
        .map(|(size, _)| size)
        .sum::<u64>()
        + model::tree(&root.join("partial"))
            .values()
            .map(|(size, _)| size)
            .sum::<u64>()
}

#[test]
fn a_corrupt_index() {
    let lab = Lab::new(HUBLESS);
    let machine = lab.machine("home");
    machine.add(&model_in(&lab), &[]);
    let index = machine.home.join("store.redb");
    let whole = fs::read(&index).unwrap();
    let mut damaged = whole.clone();
    damaged[..4096].fill(0x55);
    for bytes in [&damaged[..], b"not a database", &whole[..whole.len() / 2]] {
        fs::write(&index, bytes).unwrap();
        for command in ["ls", "serve"] {
            machine.run([command]).failed(5, text(&index));
        }
    }
    fs::write(&index, &whole).unwrap();
    machine.run(["ls"]).ok();
}

#[test]
fn a_damaged_file_is_found_by_verify_and_mended_by_get() {
    let lab = Lab::new(HUBLESS);
    let source = model_in(&lab);
    let seeder = seeder_of(&lab, &source);
    let getter = lab.machine("getter");
    let args = [seeder.hash(), "--peer", seeder.address()];
    let fetched = getter.get(&args);
    let verified = getter.json(["verify"]);
    assert_eq!(number(&verified, "bytes"), fetched.bytes_total);
    assert_eq!(verified["damaged"], serde_json::json!([]));

    // Two chunks of the large file.
    let hash = model::file_hash(&source.join("weights.bin"));
    let stored = getter.home.join("files").join(&hash[..2]).join(&hash);
    fs::set_permissions(&stored, fs::Permissions::from_mode(0o644)).unwrap();
    let mut bytes = fs::read(&stored).unwrap();
    for chunk in [3, 17] {
        bytes[chunk * model::CHUNK as usize + 100] ^= 1;
    }
    fs::write(&stored, bytes).unwrap();

    let found = getter
        .run(["verify", "--json"])
        .failed(5, "first: weights.bin of ")
        .last_object();
    assert_eq!(found["damaged"][0]["hash"], *hash);
    assert_eq!(found["damaged"][0]["chunks"], 2);
    let mended = getter.get(&args);
    assert_eq!(mended.bytes_fetched, 2 * model::CHUNK, "only wrong chunks");
    model::assert_same_tree(&source, &mended.path);
    getter.run(["verify"]).ok();
}

#[test]
fn verify_names_what_is_missing_or_changed_in_place_and_is_not_content() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    model::write_tree(&source, &[("config.json", 70), ("weights.bin", 900_000)], 1);
    let machine = lab.machine("machine");
    let hash = machine.add(&source, &["--in-place"]);
    machine.run(["name", "set", "model", "acme/m", &hash]).ok();
    machine.run(["verify"]).ok();

    let (weights, away) = (source.join("weights.bin"), lab.path("away"));
    fs::rename(&weights, &away).unwrap();
    assert!(!machine.run(["verify"]).is_code(0), "the run that finds it");
    for args in [&["verify"][..], &["verify", &hash], &["verify", "acme/m"]] {
        machine
            .run(args)
            .failed(7, "1 file changed in place; first: weights.bin of acme/m");
    }
    let verified = machine.run(["verify", "--json"]).code(7).last_object();
    assert_eq!(
        (number(&verified, "stale"), number(&verified, "missing")),
        (1, 0)
    );
    assert_eq!(verified["absent"][0]["in_model"]["file"], "weights.bin");
    fs::rename(&away, &weights).unwrap();
    machine.run(["verify"]).ok();

    let seeder = machine.serve(&[]);
    let getter = lab.machine("getter");
    getter.get(&[&hash, "--include", "*.json", "--peer", seeder.address()]);
    let verified = getter
        .run(["verify"])
        .failed(7, "1 file missing; first: weights.bin of ");
    assert!(
        verified.stdout.contains("missing  weights.bin"),
        "{}",
        verified.stdout
    );
}

/// Names this test for [`in_own_mounts`].
const FULL_DISK: &str = "a_full_disk";

#[test]
fn a_full_disk() {
    if !in_own_mounts(FULL_DISK) {
        return;
    }
    let lab = Lab::new(HUBLESS);
    // 90 MB, of which 40 MB find room.
    let source = lab.path("model");
    let names: Vec<String> = (0..30).map(|number| format!("{number}.bin")).collect();
    let files: Vec<(&str, u64)> = names.iter().map(|name| (&**name, 3_000_000)).collect();
    model::write_tree(&source, &files, 30);
    // Slow enough that files reach the index before the disk is full.
    let args = ["--in-place", "--limit-up", "20MB"];
    let seeder = lab.machine("seeder").seed(&source, &args);
    let disk = Disk::at(lab.path("disk"));
    disk.mount("size=40m");
    let getter = lab.machine_in(disk.0.join("home"));
    let args = ["get", seeder.hash(), "--peer", seeder.address()];
    getter.run(args).failed(9, "space");
    // Stored content can still be read.
    getter.run(["ls"]).ok();
    let adder = lab.machine_in(disk.0.join("other"));
    adder.run(["add", text(&source)]).failed(9, "space");

    disk.mount("remount,size=240m");
    let fetched = getter.get(&args[1..]);
    assert!(
        fetched.bytes_present > 10_000_000,
        "it goes on: {fetched:?}"
    );
    model::assert_same_tree(&source, &fetched.path);
    assert_mended(&getter, &source);
}

/// A small file system in memory; unmounted when dropped, so that the lab can be removed.
struct Disk(PathBuf);

impl Disk {
    fn at(path: PathBuf) -> Self {
        fs::create_dir(&path).expect("a place to mount");
        Self(path)
    }

    fn mount(&self, options: &str) {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", options, "tmpfs", text(&self.0)]);
        assert!(
            command.status().expect("mount").success(),
            "mount -o {options}"
        );
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // If it fails, the mount ends with the namespace all the same.
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn assert_mended(machine: &Machine, source: &Path) {
    let hash = machine.add(source, &["--in-place"]);
    assert_eq!(machine.json(["info", &hash])["complete"], true);
    machine.run(["verify"]).ok();
}

/// Runs the test again in a mount namespace of its own and returns false; in there, returns true.
/// Mounts there leave no trace on the machine.
fn in_own_mounts(test: &str) -> bool {
    const INSIDE: &str = "TEST_IN_OWN_MOUNTS";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let this = std::env::current_exe().expect("own path");
    let (_, module) = module_path!().split_once("::").expect("a module");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user"]).arg(this);
    command
        .args(["--exact", &format!("{module}::{test}"), "--nocapture"])
        .env(INSIDE, "1");
    let finished = Process::start(command).wait(LIMIT);
    assert!(
        finished.is_code(0) && finished.stdout.contains("1 passed"),
        "this test needs a mount namespace (`unshare --mount --map-root-user`):\n{finished:#?}"
    );
    false
}
