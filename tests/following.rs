//! Following a publisher, with commands and nodes: what it publishes is known elsewhere, and mirrored.

use std::{fs, path::Path, time::Instant};

use hubless_testkit::process::{LIMIT, Lab, Machine, field, text, until};
use serde_json::{Value, json};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

/// Publishes a file with this text as `alice/m`; returns the content hash.
fn publish(alice: &Machine, model: &Path, weights: &str) -> String {
    fs::create_dir_all(model).expect("own directory");
    fs::write(model.join("weights"), weights).expect("own directory");
    field(&alice.json(["publish", text(model), "alice/m"]), "hash")
}

/// Whether a machine has a model completely.
fn has(machine: &Machine, hash: &str) -> Result<(), String> {
    let listed = machine.json(["ls"]);
    let models = listed["models"].as_array().expect("models");
    let is_whole = |model: &&Value| model["hash"] == hash && model["complete"] == true;
    match models.iter().find(is_whole) {
        Some(_) => Ok(()),
        None => Err(listed.to_string()),
    }
}

#[test]
fn what_a_followed_publisher_publishes_is_mirrored_until_it_is_not_followed() {
    let lab = Lab::new(HUBLESS);
    let model = lab.path("model");
    let alice = lab.machine("alice");
    let id = field(&alice.json(["publisher", "new", "alice"]), "id");
    let publisher = alice.serve(&[]);
    let first = publish(&alice, &model, "first");
    let bob = lab.machine("bob");
    let follower = bob.serve(&["--peer", publisher.address()]);
    let followed = bob.json(["follow", &id, "--mirror", "latest"]);
    assert_eq!(followed["id"], id.as_str());
    assert_eq!(followed["handle"], "alice", "{followed}");
    until("the first revision is mirrored", LIMIT, || {
        has(&bob, &first)
    });
    let published = Instant::now();
    let second = publish(&alice, &model, "second");
    until("the second revision is mirrored", LIMIT, || {
        has(&bob, &second)
    });
    println!("published, known and mirrored in {:?}", published.elapsed());
    let listed = bob.json(["follow", "ls"]);
    let follow = &listed["follows"][0];
    assert_eq!(follow["mirror"], "latest");
    assert_eq!(follow["repos"][0], format!("{id}/m"));
    assert!(follow["confirmed_s"].as_u64().expect("an age") < 3600);
    // The publisher leaves for good; a follower of the follower gets all of it.
    publisher.stop();
    let carol = lab.machine("carol");
    let late = carol.serve(&["--peer", follower.address()]);
    carol.json(["follow", &id, "--mirror", "tags"]);
    until("it is mirrored from the follower", LIMIT, || {
        has(&carol, &second)
    });
    bob.json(["unfollow", &id]);
    bob.run(["unfollow", &id]).failed(3, "is not followed");
    late.stop();
    follower.stop();
}

#[test]
fn a_publisher_is_followed_by_its_id_and_its_handle_is_known_from_its_profile() {
    let lab = Lab::new(HUBLESS);
    let alice = lab.machine("alice");
    let id = field(&alice.json(["publisher", "new", "alice"]), "id");
    let publisher = alice.serve(&[]);
    let bob = lab.machine("bob");
    let follower = bob.serve(&["--peer", publisher.address()]);
    let followed = bob.json(["follow", &id, "--mirror", "latest"]);
    assert_eq!(
        (&followed["id"], &followed["handle"]),
        (&json!(id), &json!("alice"))
    );
    let listed = bob.json(["follow", "ls"]);
    let follow = &listed["follows"][0];
    assert_eq!(
        (&follow["id"], &follow["mirror"]),
        (&json!(id), &json!("latest"))
    );
    assert!(follow["confirmed_s"].as_u64().expect("an age") < 3600);
    // The publisher leaves for good: a follower of the follower knows it all the same.
    publisher.stop();
    let carol = lab.machine("carol");
    let late = carol.serve(&["--peer", follower.address()]);
    let followed = carol.json(["follow", &id]);
    assert_eq!(followed["handle"], "alice");
    bob.json(["unfollow", &id]);
    bob.run(["unfollow", &id]).failed(3, "is not followed");
    late.stop();
    follower.stop();
}

#[test]
fn what_is_no_publisher_is_not_followed() {
    let lab = Lab::new(HUBLESS);
    let machine = lab.machine("alone");
    let refused = machine.run(["follow", "unknown"]);
    refused.failed(3, "stands for no publisher");
    let id = "a".repeat(52);
    let followed = machine.json(["follow", &id]);
    assert_eq!(
        (&followed["handle"], &followed["repos"]),
        (&json!(null), &json!([]))
    );
    let listed = machine.json(["follow", "ls"]);
    assert_eq!(listed["follows"][0]["id"], id.as_str());
}
