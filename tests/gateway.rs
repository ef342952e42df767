//! Hugging Face clients, unchanged: the real `huggingface_hub` against a node's gateway.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use hubless_testkit::process::{Lab, Process};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

/// The oldest and newest lines of the client that people use.
const VERSIONS: [&str; 3] = ["2.4.0", "1.28.0", "0.36.2"];

/// A client imports much, and downloads 92 MB.
const LIMIT: Duration = Duration::from_secs(120);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What a script of the project prints.
fn script(name: &str, args: &[&str]) -> PathBuf {
    let output = Command::new(root().join("scripts").join(name))
        .args(args)
        .output()
        .expect("the script starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "scripts/{name}: {errors}");
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

/// Downloads a repo with a fresh cache, and checks what a user would.
fn download(python: &Path, endpoint: &str, repo: &str, source: &Path) {
    let cache = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(python);
    command
        .arg(root().join("tests/clients/download.py"))
        .arg(repo)
        .arg(source)
        .env("HF_ENDPOINT", endpoint)
        .env("HF_HOME", cache.path())
        .env("HF_HUB_DISABLE_TELEMETRY", "1")
        .env_remove("HF_TOKEN");
    Process::start(command).wait(LIMIT).ok();
}

#[test]
fn clients_download_what_the_node_fetches_from_others_at_that_moment() {
    let source = script("fetch-model", &[]);
    for version in VERSIONS {
        let lab = Lab::new(HUBLESS);
        let python = script("hf-client", &[version]);
        let seeders = ["alice", "bob"].map(|name| lab.machine(name).seed(&source, &[]));
        let carol = lab.machine("carol").with("HUBLESS_GATEWAY", "127.0.0.1:0");
        let [alice, bob] = seeders.each_ref().map(|node| node.address());
        let peers = ["--peer", alice, "--peer", bob];
        let node = carol.serve(&peers);
        let endpoint = node.gateway.clone().expect("a gateway");
        carol.json(["name", "set", "model", "sentence/minilm", seeders[0].hash()]);

        download(&python, &endpoint, "sentence/minilm", &source);
        let fetched = node.count("bytes_received");
        assert!(fetched > 90_000_000, "the bytes came from peers: {fetched}");

        // The others are gone: what was fetched is served on.
        drop(seeders);
        download(&python, &endpoint, "sentence/minilm", &source);
    }
}
