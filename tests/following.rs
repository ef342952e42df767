//! Following a publisher, with commands and nodes.

use hubless_testkit::process::{Lab, field};
use serde_json::json;

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

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
