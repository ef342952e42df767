//! `get` writes only right bytes into a directory of the user, and keeps files that the user edited.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use hubless_testkit::{
    model,
    process::{LIMIT, Lab, Machine, number, text},
};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

const FILES: [(&str, u64); 2] = [("weights.bin", 3 << 20), ("config.json", 900)];

/// The only large file of a home directory.
fn stored_file(machine: &Machine) -> PathBuf {
    let directories = fs::read_dir(machine.home.join("files")).unwrap();
    let mut files = directories
        .flat_map(|directory| fs::read_dir(directory.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path());
    files.next().unwrap()
}

fn change_a_byte(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    let mut bytes = fs::read(path).unwrap();
    bytes[1_000_000] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_is_damaged_is_fetched_again_by_the_same_get() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    model::write_tree(&source, &FILES, 1);
    let seeder = lab.machine("seeder").seed(&source, &[]);
    let getter = lab.machine("getter");
    let args = [seeder.hash(), "--peer", seeder.address(), "--timeout", "10"];
    let first = getter.get(&args);
    model::assert_same_tree(&source, &first.path);
    let harms: [fn(&Path); 3] = [
        change_a_byte,
        |path| fs::remove_file(path).unwrap(),
        |path| {
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(1_500_000).unwrap();
        },
    ];
    for (number, harm) in harms.into_iter().enumerate() {
        harm(&stored_file(&getter));
        let output = lab.path(&format!("out-{number}"));
        let again = getter.get(&[&args[..], &["-o", text(&output)]].concat());
        model::assert_same_tree(&source, &output);
        assert!(again.bytes_fetched > 0, "{again:?}");
        assert!(again.bytes_fetched <= 3 << 20, "{again:?}");
    }
}

#[test]
fn what_is_damaged_and_cannot_be_fetched_is_an_error() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    model::write_tree(&source, &FILES, 2);
    let machine = lab.machine("alone");
    let hash = machine.add(&source, &[]);
    change_a_byte(&stored_file(&machine));
    let output = lab.path("out");
    let args = ["get", &hash, "-o", text(&output), "--timeout", "1"];
    let failed = machine.run(args);
    assert!(failed.is_code(5) || failed.is_code(7), "{failed:?}");
    assert!(failed.stderr.contains("damaged"), "{}", failed.stderr);
    assert!(!output.join("weights.bin").exists());
}

#[test]
fn edited_files_are_replaced_only_by_force() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    model::write_tree(&source, &FILES, 3);
    let machine = lab.machine("alone");
    let hash = machine.add(&source, &[]);
    let output = lab.path("out");
    let get = ["get", &hash, "-o", text(&output)];
    machine.run(get).ok();
    let edited = output.join("config.json");
    fs::write(&edited, "mine").unwrap();
    let refused = machine.run(get).code(2);
    assert!(refused.stderr.contains(text(&edited)), "{}", refused.stderr);
    assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
    assert_eq!(fs::read(&edited).unwrap(), b"mine");
    let forced = machine.run([&get[..], &["--force"]].concat()).ok();
    assert!(
        forced.stderr.contains("1 file replaced"),
        "{}",
        forced.stderr
    );
    model::assert_same_tree(&source, &output);

    fs::write(&edited, "mine again").unwrap();
    let forced = machine.start_get(&[&hash, "-o", text(&output), "--force", "--verify"]);
    let done = forced.wait(LIMIT).ok().last_object();
    assert_eq!(number(&done, "files_replaced"), 1);
}
