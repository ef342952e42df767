//! Results of commands that need the store but no network.

use std::{fs, path::Path, process::Stdio};

use serde_json::Value;

use crate::Hubless;

const UNKNOWN: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn model(hubless: &Hubless) -> String {
    let directory = hubless.home().join("my model");
    fs::create_dir_all(directory.join("sub")).unwrap();
    fs::write(directory.join("config.json"), "{}").unwrap();
    fs::write(directory.join("sub/weights.bin"), vec![7; 300_000]).unwrap();
    directory.to_str().unwrap().to_owned()
}

/// Hubless with its store apart from the test's other files.
fn hubless() -> Hubless {
    let hubless = Hubless::new();
    let home = hubless.home().join("home");
    hubless.with("HUBLESS_HOME", home.to_str().unwrap())
}

fn json(hubless: &Hubless, args: &[&str]) -> Value {
    let printed = hubless.run([args, &["--json"]].concat()).ok();
    assert_eq!(printed.lines().count(), 1, "{printed}");
    serde_json::from_str(&printed).unwrap()
}

#[test]
fn add_prints_the_hash_alone_and_as_json() {
    let hubless = hubless();
    let model = model(&hubless);
    let run = hubless.run(["add", &model]);
    assert!(run.stderr.contains("added 2 files, 300.0 kB"), "{run:?}");
    let printed = run.ok();
    let hash = printed.trim_end();
    assert_eq!((hash.len(), printed.lines().count()), (64, 1), "{printed}");

    let added = json(&hubless, &["add", &model, "--in-place"]);
    assert_eq!(
        added,
        serde_json::json!({ "hash": hash, "files": 2, "bytes": 300_002 })
    );
    assert_eq!(hubless.run(["add", "-q", &model]).stderr, "");
}

#[test]
fn add_of_what_is_no_directory() {
    let hubless = hubless();
    hubless
        .run(["add", "/dev/null"])
        .failed(2, &["error: ", "/dev/null", "hint: "]);
    hubless
        .run(["add", "not/there"])
        .failed(2, &["error: ", "not/there", "hint: "]);
}

#[test]
fn seed_of_what_is_no_directory_starts_no_node() {
    let hubless = hubless();
    let args = ["seed", "--gateway", "off", "./my-modle"];
    hubless
        .run(args)
        .failed(2, &["error: ", "./my-modle", "hint: "]);
    let key = hubless.home().join("identity.key");
    assert!(!key.exists(), "a node was started");
}

#[test]
fn a_model_is_listed_shown_verified_and_removed() {
    let hubless = hubless();
    let added = json(&hubless, &["add", &model(&hubless)]);
    let hash = added["hash"].as_str().unwrap();

    assert!(hubless.run(["ls"]).ok().contains(hash));
    assert_eq!(hubless.run(["ls", "-q"]).ok(), format!("{hash}\n"));
    assert_eq!(json(&hubless, &["ls"])["models"][0]["complete"], true);

    let info = json(&hubless, &["info", hash]);
    assert_eq!(info["held_bytes"], 300_002);
    assert_eq!(info["files"][1]["path"], "sub/weights.bin");
    let weights = info["files"][1]["hash"].as_str().unwrap();
    let shown = hubless.run(["info", hash]).ok();
    assert!(
        shown.contains(&format!("{weights}  300.0 kB  sub/weights.bin")),
        "{shown}"
    );

    assert_eq!(
        json(&hubless, &["verify", hash])["damaged"],
        serde_json::json!([])
    );
    assert_eq!(json(&hubless, &["unpin", hash])["pinned"], false);
    assert_eq!(json(&hubless, &["pin", hash])["pinned"], true);
    assert_eq!(json(&hubless, &["rm", hash])["removed"], true);
    assert_eq!(json(&hubless, &["ls"])["models"], serde_json::json!([]));
    assert_eq!(
        json(&hubless, &["gc"])["bytes"]
            .as_u64()
            .map(|bytes| bytes > 0),
        Some(true)
    );
}

#[test]
fn a_model_that_is_not_here() {
    let hubless = hubless();
    for command in ["info", "rm", "pin", "unpin", "verify"] {
        hubless
            .run([command, UNKNOWN])
            .failed(3, &["error: ", &UNKNOWN[..8], "hint: "]);
    }
    assert_eq!(
        hubless.run(["info", UNKNOWN, "--json"]).failed_json(3)["kind"],
        "not_found"
    );
}

#[test]
fn a_list_without_a_reader_is_no_failure() {
    let hubless = hubless();
    hubless.run(["add", &model(&hubless)]).ok();
    let mut child = hubless
        .command(["ls"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn the_identity_stays() {
    let hubless = hubless();
    let id = hubless.run(["id"]).ok();
    assert!(id.starts_with("12D3KooW"), "{id}");
    assert_eq!(hubless.run(["id"]).ok(), id);
    let identified = json(&hubless, &["id"]);
    assert_eq!(identified["peer_id"], id.trim_end());
    assert_eq!(
        Path::new(identified["home"].as_str().unwrap()),
        hubless.home().join("home")
    );
}
