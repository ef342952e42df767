//! A large model is not stored twice on a disk without need.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
};

use hubless_testkit::{
    model,
    process::{LIMIT, Lab, text, until},
};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

const SIZE: u64 = 1 << 30;
const HOME_MAX: u64 = 8 << 20;

#[test]
fn what_is_added_in_place_is_served_from_there_as_long_as_it_is_right() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    let weights = source.join("weights.bin");
    model::write_file(&weights, SIZE, 1);
    // A node that accepts announcements.
    let other = lab.machine("other").serve(&[]);
    let join = ["--in-place", "--bootstrap", other.address()];
    let seeder = lab.machine("seeder").seed(&source, &join);
    let args = [seeder.hash(), "--peer", seeder.address(), "--timeout", "5"];
    let home = on_disk([&*seeder.machine.home]);
    assert!(home < HOME_MAX, "the home directory takes {home} bytes");
    seeder.wait_until_announced(2);

    // One byte of the file changes: no peer gets the file, and the node reports it.
    flip_a_byte(&weights);
    let refused = lab.machine("too-late").start_get(&args).wait(LIMIT);
    let refused = if refused.is_code(3) {
        refused
    } else {
        refused.code(7)
    };
    assert_eq!(refused.stdout.matches("\"done\"").count(), 0);
    let stale = seeder.status()["stale"].clone();
    assert_eq!(stale, serde_json::json!([text(&weights)]));
    until("nothing is announced", LIMIT, || {
        match seeder.count("dht/announced") {
            0 => Ok(()),
            keys => Err(format!("{keys} keys")),
        }
    });
    let why = seeder.machine.run(["why", seeder.hash()]).ok().stdout;
    assert!(why.contains("changed"), "{why}");

    // The byte is restored: the node serves and announces the file again.
    flip_a_byte(&weights);
    let fetched = until("it is served again", LIMIT, || {
        let got = lab.machine("in-time").start_get(&args).wait(LIMIT);
        if got.is_code(0) {
            Ok(got.last_object())
        } else {
            Err(got.stderr)
        }
    });
    model::assert_same_tree(
        &source,
        Path::new(fetched["path"].as_str().expect("a path")),
    );
    assert_eq!(seeder.status()["stale"], serde_json::json!([]));
    seeder.wait_until_announced(2);
}

#[test]
fn an_export_on_the_same_file_system_takes_the_bytes_once() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    model::write_file(&source.join("weights.bin"), SIZE, 2);
    let seeder = lab.machine("seeder").seed(&source, &["--in-place"]);
    let (getter, output) = (lab.machine("getter"), lab.path("output"));
    let free = free_bytes(&source);
    getter.get(&[
        seeder.hash(),
        "--peer",
        seeder.address(),
        "-o",
        text(&output),
    ]);
    model::assert_same_tree(&source, &output);
    // Hard links share their inode. Reflinks do not: for them the file system's own usage counts.
    let taken = on_disk([&*getter.home, &*output]).min(free.saturating_sub(free_bytes(&source)));
    assert!(
        taken < SIZE + SIZE / 10,
        "{taken} bytes for a model of {SIZE}"
    );
}

/// Changes the middle byte, or restores it.
fn flip_a_byte(path: &Path) {
    let file = File::options()
        .read(true)
        .write(true)
        .open(path)
        .expect("an own file");
    let mut byte = [0];
    file.read_exact_at(&mut byte, SIZE / 2)
        .expect("an own file");
    file.write_all_at(&[byte[0] ^ 1], SIZE / 2)
        .expect("an own file");
}

/// Bytes of all files on disk, each inode once, as `du` counts.
fn on_disk<const N: usize>(roots: [&Path; N]) -> u64 {
    let mut inodes = BTreeMap::new();
    let mut paths = roots.map(Path::to_owned).to_vec();
    while let Some(path) = paths.pop() {
        let found = fs::symlink_metadata(&path).expect("an own file");
        inodes.insert((found.dev(), found.ino()), found.blocks() * 512);
        if found.is_dir() {
            paths.extend(
                fs::read_dir(&path)
                    .expect("an own file")
                    .map(|entry| entry.expect("an own file").path()),
            );
        }
    }
    inodes.values().sum()
}

fn free_bytes(path: &Path) -> u64 {
    let found = rustix::fs::statvfs(path).expect("an own file");
    found.f_bfree * found.f_frsize
}
