//! A gateway that has no byte of a repo yet, and one peer that has all of it.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use hubless_testkit::{
    model,
    process::{LIMIT, Lab, Machine, Node, until},
    proxy::CountedLine,
};

use super::{Client, HUBLESS, script, text};

const MODEL: &str = "acme/cold";

const WEIGHTS: &str = "model.safetensors";

const WEIGHTS_SIZE: u64 = 45_000_000;

/// Bound of the bytes transferred beside the weights: small files, lists, ids.
const METADATA_BYTES_MAX: u64 = 1_000_000;

/// A seeder of a model, and a node whose gateway knows the model's name and has no byte of it.
struct Scene {
    lab: Lab,
    source: PathBuf,
    seeder: Node,
    cold: Node,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::new(HUBLESS);
        let source = lab.path("first");
        write(&source, "first");
        let seeder = lab.machine("seeder").seed(&source, &[]);
        // To announce: the content, two files, and their aliases. No peer accepts the records yet.
        until("the seeder knows the aliases of its files", LIMIT, || {
            let keys = seeder.count("dht/backlog") + seeder.count("dht/announced");
            (keys == 5).then_some(()).ok_or(format!("{keys} keys"))
        });
        let machine = lab.machine("cold").with("HUBLESS_GATEWAY", "127.0.0.1:0");
        let cold = machine.serve(&["--peer", seeder.address()]);
        name(&cold.machine, seeder.hash());
        Self {
            lab,
            source,
            seeder,
            cold,
        }
    }

    /// A proxy to the gateway that counts the bytes from it.
    fn line(&self) -> CountedLine {
        CountedLine::to(self.cold.gateway.as_deref().expect("a gateway"))
    }

    fn sent(&self) -> u64 {
        self.seeder.count("bytes_sent")
    }
}

/// The same weights each time, and another configuration.
fn write(directory: &Path, revision: &str) {
    model::write_tree(directory, &[(WEIGHTS, WEIGHTS_SIZE)], 7);
    let config = format!("{{\"revision\": \"{revision}\"}}\n");
    fs::write(directory.join("config.json"), config).expect("own directory");
}

fn name(machine: &Machine, hash: &str) {
    machine.json(["name", "set", "model", MODEL, hash]);
}

#[test]
fn ids_are_true_and_a_dry_run_moves_no_payload() {
    for version in ["2.4.0", "1.28.0"] {
        let python = script("hf-client", &["hub", version]);
        let scene = Scene::new();
        let client = Client::of(&scene.cold);
        client.python(&python, "cold.py", &[MODEL, text(&scene.source)]);
        client.command(&python, "hf", &["download", MODEL, "--dry-run"]);
        let sent = scene.sent();
        assert!(sent < METADATA_BYTES_MAX, "{sent} bytes moved for ids");

        let place = client.home.path().join("place");
        let into_place = ["download", MODEL, "--local-dir", text(&place)];
        client.command(&python, "hf", &into_place);
        let verify = ["cache", "verify", MODEL, "--local-dir", text(&place)];
        client.command(&python, "hf", &verify);
    }
}

#[test]
fn what_was_downloaded_from_a_cold_gateway_is_not_downloaded_again() {
    let python = script("hf-client", &["hub", "2.4.0"]);
    let scene = Scene::new();
    let line = scene.line();
    let client = Client::new(line.endpoint());
    let place = client.home.path().join("place");
    let into_place = [MODEL, WEIGHTS, text(&place)];
    client.python(&python, "one.py", &into_place);
    assert!(line.take_count() > WEIGHTS_SIZE);
    client.python(&python, "one.py", &into_place);
    let again = line.take_count();
    assert!(
        again < METADATA_BYTES_MAX,
        "{again} bytes for the same file"
    );
}

#[test]
fn the_next_revision_with_the_same_weights_is_one_blob() {
    let python = script("hf-client", &["hub", "2.4.0"]);
    let scene = Scene::new();
    let line = scene.line();
    let client = Client::new(line.endpoint());
    let first = client.python(&python, "one.py", &[MODEL, WEIGHTS]);
    assert!(line.take_count() > WEIGHTS_SIZE);

    let next = scene.lab.path("next");
    write(&next, "next");
    let hash = scene.seeder.machine.add(&next, &[]);
    name(&scene.cold.machine, &hash);
    let second = client.python(&python, "one.py", &[MODEL, WEIGHTS]);
    assert_eq!(first, second, "one name for the same bytes");
    let again = line.take_count();
    assert!(
        again < METADATA_BYTES_MAX,
        "{again} bytes for the same weights"
    );
}

#[test]
fn a_head_of_what_no_peer_has_any_more_is_refused_soon() {
    let Scene {
        lab: _lab,
        seeder,
        cold,
        ..
    } = Scene::new();
    let endpoint = cold.gateway.clone().expect("a gateway");
    let path = format!("/{MODEL}/resolve/main/{WEIGHTS}");
    let (status, _) = head(&endpoint, &path);
    assert_eq!(status, 200, "while the holder is online");
    seeder.stop();
    // The gateway notices the end of a connection with a delay that the system decides.
    let (message, took) = until("the holder is missed", Duration::from_secs(30), || {
        let start = Instant::now();
        match head(&endpoint, &path) {
            (502, answer) => Ok((answer, start.elapsed())),
            (status, answer) => Err(format!("{status}: {answer}")),
        }
    });
    assert!(message.contains("no provider"), "{message}");
    assert!(
        took < Duration::from_secs(8),
        "{took:?}; 3 s on a machine that is not busy"
    );
}

/// Status and head of the response to a `HEAD`.
fn head(endpoint: &str, path: &str) -> (u16, String) {
    let host = endpoint.strip_prefix("http://").expect("plain HTTP");
    let mut stream = TcpStream::connect(host).expect("the gateway listens");
    let request = format!("HEAD {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (status.expect("a status"), answer)
}
