//! Publishers of a node: their keys, and who signs.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use hubless_testkit::{
    model,
    process::{LIMIT, Lab, Machine, field, number, text, until},
};
use serde_json::Value;

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

/// A publisher of a machine, whose root key was moved to the lab's own place.
fn publisher(lab: &Lab, machine: &Machine, handle: &str) -> (Value, PathBuf) {
    let made = machine.json(["publisher", "new", handle]);
    let safe = lab.path(&format!("{handle}-root.key"));
    fs::rename(field(&made, "root_key"), &safe).unwrap();
    (made, safe)
}

fn shown(machine: &Machine) -> Vec<Value> {
    let shown = machine.json(["publisher", "show"]);
    shown["publishers"].as_array().unwrap().clone()
}

fn sign(machine: &Machine, args: &[&str]) -> Value {
    machine.json(["publisher", "sign"].iter().chain(args))
}

fn make_root(machine: &Machine, path: &Path) -> String {
    field(
        &machine.json(["publisher", "join", "--root-key", text(path)]),
        "root",
    )
}

#[test]
fn a_publisher_takes_over_the_names_of_its_handle() {
    let lab = Lab::new(HUBLESS);
    let machine = lab.machine("alice");
    let source = lab.path("model");
    model::write_tree(&source, &[("config.json", 500)], 1);
    let hash = machine.add(&source, &[]);
    machine.json(["name", "set", "model", "Alice/mini", &hash]);
    let commit = field(
        &machine.json(["name", "show", "alice/mini"])["refs"],
        "refs/heads/main",
    );
    let made = machine.json(["publisher", "new", "alice"]);
    let id = field(&made, "id");
    assert_eq!((id.len(), field(&made, "handle")), (52, "alice".into()));
    assert!(field(&made, "signer").starts_with("did:key:z6Mk"));
    let name = format!("{id}/mini");
    let show = machine.json(["name", "show", &name]);
    assert_eq!(field(&show["refs"], "refs/heads/main"), commit);
    machine.json(["unpin", &hash]);
    machine.json(["gc"]);
    machine.run(["verify", &hash]).code(0);

    let publishers = shown(&machine);
    assert_eq!(publishers.len(), 1);
    assert_eq!(field(&publishers[0], "id"), id);
    assert_eq!(publishers[0]["org"], false);
    assert_eq!(publishers[0]["signers"][0], made["signer"]);
    assert_eq!(number(&publishers[0], "number"), 0);
    assert!(
        publishers[0]["keys"][0]
            .as_str()
            .unwrap()
            .starts_with("did:key:")
    );

    // A handle is taken once, in any case of its letters.
    machine
        .run(["publisher", "new", "ALICE"])
        .failed(4, "alice");
    machine.run(["publisher", "new", "a/b"]).failed(2, "handle");
    let org = ["publisher", "new", "acme", "--org", "--owner", "alice"];
    machine.json(org);
    assert_eq!(shown(&machine).len(), 2);
}

#[test]
fn a_root_key_on_a_node_with_a_network_is_warned_of() {
    let lab = Lab::new(HUBLESS);
    let machine = lab.machine("alice");
    let node = machine.serve(&[]);
    let made = machine.json(["publisher", "new", "alice"]);
    let root = field(&made, "root_key");
    assert_eq!(node.status()["root_keys"][0], root.as_str());
    let said = machine.run(["status"]);
    assert!(said.stdout.contains("move it away"), "{}", said.stdout);
    fs::rename(&root, lab.path("safe.key")).unwrap();
    assert_eq!(node.status()["root_keys"], Value::Array(Vec::new()));
    node.stop();
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let lab = Lab::new(HUBLESS);
    let machine = lab.machine("alice");
    let (made, root) = publisher(&lab, &machine, "alice");
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    };
    let signing = machine.home.join("signing.key");
    assert_eq!(
        fs::metadata(&signing).unwrap().permissions().mode() & 0o777,
        0o600
    );
    mode(&signing, 0o640);
    let help = format!("chmod 600 {}", signing.display());
    machine.run(["publisher", "join"]).failed(4, &help);
    mode(&signing, 0o600);

    mode(&root, 0o644);
    let signer = field(&made, "signer");
    let args = [
        "publisher",
        "sign",
        "--root",
        text(&root),
        "--remove",
        &signer,
    ];
    machine.run(args).failed(4, "chmod 600");
    assert_eq!(
        number(&shown(&machine)[0], "number"),
        0,
        "nothing was changed"
    );
    // The wrong kind of key, and a file of something else.
    let args = [
        "publisher",
        "sign",
        "--root",
        text(&signing),
        "--remove",
        &signer,
    ];
    machine.run(args).failed(2, "root key");
}

#[test]
fn a_lost_signing_key_is_replaced_with_the_root_key() {
    let lab = Lab::new(HUBLESS);
    let machine = lab.machine("alice");
    let (made, root) = publisher(&lab, &machine, "alice");
    fs::remove_file(machine.home.join("signing.key")).unwrap();
    let id = field(&made, "id");
    // A new key is made, which is no signer yet.
    machine
        .run(["publisher", "join", &id])
        .failed(4, "no signer");
    let new = field(&machine.json(["publisher", "join"]), "signer");
    assert_eq!(shown(&machine)[0]["signs"], false);
    let old = field(&made, "signer");
    let args = ["--root", text(&root), "--add", &new, "--remove", &old];
    let signed = sign(&machine, &args);
    assert_eq!(field(&signed, "state"), "published");
    let publisher = &shown(&machine)[0];
    assert_eq!(publisher["signs"], true);
    assert_eq!(publisher["signers"], serde_json::json!([new]));
    assert_eq!(
        (field(publisher, "id"), number(publisher, "number")),
        (id, 1)
    );
}

#[test]
fn two_of_three_root_keys_change_an_organization_by_a_proposal_in_a_file() {
    let lab = Lab::new(HUBLESS);
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| lab.machine(name));
    let (_, first) = publisher(&lab, &alice, "acme");
    let keys = [(&alice, "a.key"), (&bob, "b.key"), (&carol, "c.key")].map(|(machine, name)| {
        let path = lab.path(name);
        (make_root(machine, &path), path)
    });
    let proposal = lab.path("acme.proposal");
    let file = text(&proposal);
    let mut args = vec!["--root", text(&first), "--threshold", "2", "-o", file];
    for (key, _) in &keys {
        args.extend(["--keys", key]);
    }
    let signed = sign(&alice, &args);
    assert_eq!(field(&signed, "state"), "proposed");
    assert_eq!(
        (number(&signed, "missing"), number(&signed, "missing_new")),
        (0, 2)
    );
    // Bob and Carol have no publisher: the proposal says all that they need.
    let signed = sign(&bob, &[file, "--root", text(&keys[1].1)]);
    assert_eq!(number(&signed, "missing_new"), 1);
    bob.run(["publisher", "sign", file, "--root", text(&keys[1].1)])
        .failed(4, "signed already");
    let signed = sign(&carol, &[file, "--root", text(&keys[2].1)]);
    assert_eq!(field(&signed, "state"), "signed");
    assert_eq!(number(&shown(&alice)[0], "threshold"), 1);
    let signed = sign(&alice, &[file]);
    assert_eq!(field(&signed, "state"), "published");
    assert_eq!(number(&shown(&alice)[0], "threshold"), 2);

    // The old root key counts no longer, one of three is not enough, two are.
    let new = field(&bob.json(["publisher", "join"]), "signer");
    let add = |root: &Path| {
        let root = root.to_owned();
        let args = [
            "publisher",
            "sign",
            "--root",
            text(&root),
            "--add",
            &new,
            "-o",
            file,
        ];
        alice.run(args)
    };
    add(&first).failed(4, "no root key");
    add(&keys[0].1).code(0);
    alice.run(["publisher", "sign", file]).code(0);
    assert_eq!(number(&shown(&alice)[0], "number"), 1);
    sign(&carol, &[file, "--root", text(&keys[2].1)]);
    let signed = sign(&alice, &[file]);
    assert_eq!(field(&signed, "state"), "published");
    let signers = shown(&alice)[0]["signers"].clone();
    assert!(
        signers.as_array().unwrap().contains(&new.into()),
        "{signers}"
    );
}

#[test]
fn a_second_node_signs_from_when_its_key_was_added_until_it_is_removed() {
    let lab = Lab::new(HUBLESS);
    let alice = lab.machine("alice");
    let first = alice.serve(&[]);
    let bob = lab.machine("bob").with("HUBLESS_PEERS", first.address());
    let second = bob.serve(&[]);
    let (made, root) = publisher(&lab, &alice, "acme");
    let id = field(&made, "id");
    let key = field(&bob.json(["publisher", "join"]), "signer");
    // The publisher is read from the network.
    bob.run(["publisher", "join", &id]).failed(4, "no signer");
    bob.run(["follow", &id]).code(0);
    let join = || {
        let joined = bob.run(["publisher", "join", &id]);
        match joined.is_code(0) {
            true => Ok(()),
            false => Err(joined.stderr),
        }
    };
    until("the profile comes", LIMIT, || match join() {
        Err(error) if error.contains("no signer") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    sign(&alice, &["--root", text(&root), "--add", &key]);
    until("the new document comes", LIMIT, join);
    let publisher = &shown(&bob)[0];
    assert_eq!(
        (publisher["signs"].clone(), number(publisher, "number")),
        (true.into(), 1)
    );

    sign(&alice, &["--root", text(&root), "--remove", &key]);
    until(
        "the removal comes",
        LIMIT,
        || match shown(&bob)[0]["signs"].as_bool() {
            Some(false) => Ok(()),
            other => Err(format!("{other:?}")),
        },
    );
    bob.run(["publisher", "join", &id]).failed(4, "no signer");
    second.stop();
    first.stop();
}

#[test]
fn a_removed_signer_signs_no_longer() {
    let lab = Lab::new(HUBLESS);
    let machine = lab.machine("alice");
    let (made, root) = publisher(&lab, &machine, "alice");
    let signer = field(&made, "signer");
    let id = field(&made, "id");
    // Without another signer, no node could put it into effect; with one, that node can.
    let file = lab.path("proposal");
    let args = [
        "--root",
        text(&root),
        "--remove",
        &signer,
        "-o",
        text(&file),
    ];
    let signed = sign(&machine, &args);
    assert_eq!(field(&signed, "state"), "signed");
    assert_eq!(number(&shown(&machine)[0], "number"), 0);
    machine
        .run(["publisher", "sign", "--root", text(&root), "--add", &signer])
        .failed(2, "signer already");
    machine
        .run([
            "publisher",
            "sign",
            "--root",
            text(&root),
            "--add",
            "did:key:z6Mk",
        ])
        .failed(2, "did:key");
    machine
        .run(["publisher", "sign", text(&root)])
        .failed(2, "no proposal");
    machine
        .run(["publisher", "sign", text(&lab.path("nothing"))])
        .code(1);
    machine
        .run([
            "publisher",
            "sign",
            "--root",
            text(&root),
            "--publisher",
            "bob",
            "--remove",
            &signer,
        ])
        .failed(3, "bob");
    machine.run(["publisher", "join", &id]).code(0);
}
