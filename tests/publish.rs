//! Names of the network, from the publish on one machine to the bytes on another.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use hubless_testkit::{
    http, model,
    process::{LIMIT, Lab, Machine, Node, Signal, field, text, until},
};
use serde_json::Value;

use crate::clients::{Client, script};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

/// A network of a bootstrap node, the node of a publisher and the node of a reader; the latter two know
/// nothing but the bootstrap node.
struct Scene {
    lab: Lab,
    bootstrap: Node,
    alice: Node,
    bob: Node,
    /// The id of the publisher.
    id: String,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::new(HUBLESS);
        let bootstrap = lab.machine("bootstrap").serve(&[]);
        let join = |name: &str| {
            let machine = lab.machine(name).with("HUBLESS_GATEWAY", "127.0.0.1:0");
            machine.serve(&["--bootstrap", bootstrap.address()])
        };
        let (alice, bob) = (join("alice"), join("bob"));
        let id = field(&alice.machine.json(["publisher", "new", "acme"]), "id");
        Self {
            lab,
            bootstrap,
            alice,
            bob,
            id,
        }
    }

    /// A directory with one weights file and a card.
    fn model(&self, name: &str, seed: u64) -> PathBuf {
        let path = self.lab.path(name);
        model::write_file(&path.join("weights.safetensors"), 700_000, seed);
        std::fs::write(path.join("README.md"), format!("# Mini {seed}\n")).unwrap();
        path
    }

    fn named(&self, name: &str) -> String {
        format!("{}/{name}", self.id)
    }
}

fn publish(machine: &Machine, path: &Path, name: &str) -> Value {
    let published = machine
        .run(["publish", "--json", text(path), name])
        .ok()
        .last_object();
    assert_eq!(published["event"], "published", "{published}");
    published
}

fn commit_at(node: &Node, name: &str) -> Value {
    let answer = http::get(
        node.gateway.as_deref().unwrap(),
        &format!("/api/models/{name}"),
    );
    assert_eq!(answer.status, 200, "{name}");
    answer.json()["sha"].clone()
}

#[test]
fn two_machines_that_know_only_a_bootstrap_node_share_a_name() {
    let scene = Scene::new();
    let path = scene.model("mini", 1);
    let published = publish(&scene.alice.machine, &path, "acme/mini");
    let begin = Instant::now();
    assert_eq!(
        (&published["id"], &published["name"], &published["seq"]),
        (&scene.id.clone().into(), &"acme/mini".into(), &1.into())
    );
    let fetched = scene.bob.machine.get(&[&scene.named("mini")]);
    let took = begin.elapsed();
    model::assert_same_tree(&path, &fetched.path);
    eprintln!("published, found and fetched in {took:?}");

    // The same commit and the same bytes for a client of the reader's own gateway.
    let trusted = scene.bob.machine.json(["trust", "acme", &scene.id]);
    assert_eq!(trusted["id"], *scene.id);
    for name in ["acme/mini", &scene.named("mini")] {
        assert_eq!(commit_at(&scene.bob, name), published["commit"]);
    }
    let python = script("hf-client", &["hub", "2.4.0"]);
    let to = scene.lab.path("downloaded");
    let args = ["download", "acme/mini", "--local-dir", text(&to)];
    Client::of(&scene.bob).command(&python, "hf", &args);
    for file in ["weights.safetensors", "README.md"] {
        assert_eq!(
            model::file_hash(&to.join(file)),
            model::file_hash(&path.join(file))
        );
    }
}

#[test]
fn a_new_revision_is_the_newest_everywhere_and_the_old_one_stays_readable() {
    let scene = Scene::new();
    let (old, new) = (scene.model("old", 1), scene.model("new", 2));
    let first = publish(&scene.alice.machine, &old, "acme/mini");
    let (alice, bob) = (&scene.alice.machine, &scene.bob.machine);
    model::assert_same_tree(&old, &bob.get(&[&scene.named("mini")]).path);
    let args = [
        "publish",
        "--json",
        text(&new),
        "acme/mini",
        "--tag",
        "v2",
        "--message",
        "More",
    ];
    let second = alice.run(args).ok().last_object();
    assert_eq!(second["seq"], 2);
    model::assert_same_tree(&new, &bob.get(&[&scene.named("mini")]).path);
    model::assert_same_tree(
        &new,
        &bob.get(&[&format!("{}@v2", scene.named("mini"))]).path,
    );
    let before = format!(
        "{}@{}",
        scene.named("mini"),
        first["commit"].as_str().unwrap()
    );
    model::assert_same_tree(&old, &bob.get(&[&before]).path);
    // The same content is no new revision.
    let again = publish(alice, &new, "acme/mini");
    assert_eq!(
        (&again["commit"], &again["seq"]),
        (&second["commit"], &2.into())
    );
    let shown = bob.json(["name", "show", &scene.named("mini")]);
    assert_eq!(
        (&shown["publisher"], &shown["seq"]),
        (&scene.id.clone().into(), &2.into())
    );
    let titles: Vec<_> = shown["revisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["title"])
        .collect();
    assert_eq!(titles, ["More", "initial commit"]);
}

#[test]
fn a_name_outlives_the_node_of_its_publisher_and_all_bootstrap_nodes() {
    let scene = Scene::new();
    let path = scene.model("mini", 1);
    publish(&scene.alice.machine, &path, "acme/mini");
    scene.bob.machine.get(&[&scene.named("mini")]);
    let known = ["--bootstrap", scene.bob.address()];
    let carol = scene.lab.machine("carol").serve(&known);
    // What Bob's node holds is in the DHT before the others are gone.
    until("another node finds the name at Bob's", LIMIT, || {
        let shown = carol
            .machine
            .run(["name", "show", "--json", &scene.named("mini")]);
        shown
            .is_code(0)
            .then_some(())
            .ok_or_else(|| shown.stderr.clone())
    });
    let Scene {
        alice, bootstrap, ..
    } = scene;
    for node in [alice, bootstrap] {
        node.process.signal(Signal::KILL);
    }
    let dave = scene.lab.machine("dave").serve(&known);
    let begin = Instant::now();
    let fetched = dave.machine.get(&[&format!("{}/mini", scene.id)]);
    model::assert_same_tree(&path, &fetched.path);
    eprintln!(
        "found and fetched from holders alone in {:?}",
        begin.elapsed()
    );
}

/// Lets Bob's node sign for the publisher as well.
fn add_signer(scene: &Scene) {
    let key = field(&scene.bob.machine.json(["publisher", "join"]), "signer");
    let root = scene.alice.machine.home.join("root.key");
    let args = ["publisher", "sign", "--root", text(&root), "--add", &key];
    let signed = scene.alice.machine.json(args);
    assert_eq!(signed["state"], "published", "{signed}");
    until("Bob's node knows that it signs", LIMIT, || {
        let joined = scene
            .bob
            .machine
            .run(["publisher", "join", "--json", &scene.id]);
        joined
            .is_code(0)
            .then_some(())
            .ok_or_else(|| joined.stderr.clone())
    });
}

/// What a node has of a name: its sequence, its refs and the titles of its history.
fn history(machine: &Machine, name: &str) -> (u64, Value, Vec<String>) {
    let shown = machine.json(["name", "show", name]);
    let revisions = shown["revisions"].as_array().unwrap().iter();
    let mut titles: Vec<_> = revisions.map(|one| field(one, "title")).collect();
    titles.sort_unstable();
    (
        shown["seq"].as_u64().unwrap(),
        shown["refs"].clone(),
        titles,
    )
}

#[test]
fn two_signers_that_publish_at_the_same_time_lose_no_commit() {
    let scene = Scene::new();
    publish(&scene.alice.machine, &scene.model("first", 0), "acme/mini");
    add_signer(&scene);
    let name = scene.named("mini");
    let publish_of = |machine: &Machine, title: &str, seed: u64| {
        let path = scene.lab.path(title);
        model::write_file(&path.join(format!("{title}.bin")), 1_000, seed);
        machine.start(["publish", "--json", text(&path), &name, "--message", title])
    };
    let mut expected = vec!["initial commit".to_owned()];
    for round in 0..5 {
        let (a, b) = (format!("alice-{round}"), format!("bob-{round}"));
        let both = [
            publish_of(&scene.alice.machine, &a, 2 * round + 10),
            publish_of(&scene.bob.machine, &b, 2 * round + 11),
        ];
        for publishing in both {
            publishing.wait(LIMIT).ok();
        }
        expected.extend([a, b]);
    }
    expected.sort_unstable();
    until(
        "both nodes have one history with all commits",
        LIMIT,
        || {
            let [ours, theirs] =
                [&scene.alice, &scene.bob].map(|node| history(&node.machine, &name));
            let has_all = expected.iter().all(|title| ours.2.contains(title));
            (ours == theirs && has_all)
                .then_some(())
                .ok_or_else(|| format!("{ours:?}\n{theirs:?}"))
        },
    );
}

#[test]
fn a_name_that_is_deleted_is_gone_for_readers_and_can_be_used_again() {
    let scene = Scene::new();
    let (old, new) = (scene.model("old", 1), scene.model("new", 2));
    let (alice, bob, name) = (
        &scene.alice.machine,
        &scene.bob.machine,
        scene.named("mini"),
    );
    publish(alice, &old, "acme/mini");
    bob.get(&[&name]);
    alice.run(["name", "rm", "acme/mini"]).ok();
    bob.run(["get", "--json", &name])
        .failed(3, "was deleted by its publisher");
    let answer = http::get(
        scene.bob.gateway.as_deref().unwrap(),
        &format!("/api/models/{name}"),
    );
    assert_eq!(answer.status, 404);
    let again = publish(alice, &new, "acme/mini");
    assert_eq!(again["seq"], 3, "the head goes on counting");
    model::assert_same_tree(&new, &bob.get(&[&name]).path);
}

#[test]
fn what_a_command_publishes_without_a_node_is_served_by_the_next_one() {
    let lab = Lab::new(HUBLESS);
    let path = lab.path("mini");
    model::write_file(&path.join("weights.bin"), 300_000, 1);
    let alice = lab.machine("alice");
    let id = field(&alice.json(["publisher", "new", "acme"]), "id");
    let published = publish(&alice, &path, "acme/mini");
    let node = alice.serve(&[]);
    let bob = lab.machine("bob");
    let name = format!("{id}/mini");
    let fetched = bob.get(&[&name, "--peer", node.address()]);
    model::assert_same_tree(&path, &fetched.path);
    assert_eq!(
        bob.json(["name", "show", &name])["revisions"][0]["commit"],
        published["commit"]
    );
}

#[test]
fn a_name_that_cannot_be_published_is_refused_with_the_next_step() {
    let scene = Scene::new();
    let path = scene.model("mini", 1);
    let alice = &scene.alice.machine;
    let publish = |name: &str| alice.run(["publish", "--json", text(&path), name]);
    publish("other/mini").failed(4, "publisher");
    publish(&format!("{}/mini", "a".repeat(52))).failed(4, "does not sign");
    publish("mini").failed(4, "publisher");
    let missing = scene.lab.path("missing");
    alice
        .run(["publish", "--json", text(&missing), "acme/mini"])
        .failed(2, "not a directory");
    let unknown = scene
        .bob
        .machine
        .run(["get", "--json", &scene.named("nothing")]);
    unknown.failed(3, "no node that answered knows");
    assert_eq!(
        alice.json(["name", "ls"])["names"],
        Value::Array(Vec::new())
    );
}

#[test]
fn a_reader_can_refuse_what_was_not_confirmed_lately() {
    let scene = Scene::new();
    let path = scene.model("mini", 1);
    publish(&scene.alice.machine, &path, "acme/mini");
    let (bob, name) = (&scene.bob.machine, scene.named("mini"));
    bob.get(&[&name, "--max-age", "1h"]);
    let refused = || bob.run(["get", "--json", &name, "--max-age", "1s"]);
    until(
        "the head is older than a second",
        Duration::from_secs(30),
        || {
            let finished = refused();
            finished
                .is_code(5)
                .then_some(())
                .ok_or_else(|| finished.stderr.clone())
        },
    );
    refused().failed(5, "was confirmed");
}
