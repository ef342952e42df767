//! What a node calls publishers: by hand, by a directory, by the DNS, with a DNS server on loopback.

use std::{
    fs,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use hubless_content::RepoKind;
use hubless_store::{ImportOptions, Publication, Store, StoreOptions};
use hubless_testkit::{
    author::Author,
    dns::DnsServer,
    http, model,
    process::{LIMIT, Lab, Machine, Process, text},
};
use serde_json::{Value, json};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a clock").as_millis() as u64
}

/// The store of a machine on which no process runs.
pub(crate) fn store(machine: &Machine) -> Store {
    Store::open(&machine.home, StoreOptions::default()).expect("the store")
}

/// Puts a repo into a store, as if its head had come from the network; its name on every node.
pub(crate) fn publish(
    store: &Store,
    author: &mut Author,
    kind: RepoKind,
    name: &str,
    files: &Path,
) -> String {
    let added = store.import(files, &ImportOptions::default(), &());
    let content = added.expect("an import").hash;
    let step = author.step(kind, name, content, now());
    let publication = Publication {
        head: &step.head,
        state: &step.state,
        revisions: &[step.revision],
        after: step.head.head().previous,
    };
    store.publish(&publication).expect("a publication");
    step.state.subject.to_string()
}

/// Puts the profile of a publisher into a store.
pub(crate) fn claim(store: &Store, author: &mut Author, full_name: &str, domains: &[&str]) {
    let (head, profile) = author.profile("acme", full_name, domains, now());
    store.put_profile(&head, &profile, None).expect("a profile");
}

fn list(lab: &Lab, store: &Store, keeper: &mut Author, lines: &str) -> String {
    let folder = lab.path("directory");
    fs::create_dir_all(&folder).expect("a directory");
    fs::write(folder.join("names.txt"), lines).expect("a file");
    let name = publish(store, keeper, RepoKind::Dataset, "names", &folder);
    name.strip_prefix("datasets/")
        .expect("a dataset")
        .to_owned()
}

/// The error that a command prints, which must have this exit code.
fn refused(machine: &Machine, code: i32, args: &[&str]) -> (String, String) {
    let mut command = machine.command(args);
    command.arg("--json");
    let finished = Process::start(command).wait(LIMIT).code(code);
    let line = finished.stderr.lines().last().unwrap_or_default();
    let error: Value = serde_json::from_str(line).expect("a line of JSON");
    let part = |name: &str| error["error"][name].as_str().unwrap_or_default().to_owned();
    (part("message"), part("hint"))
}

#[test]
fn a_domain_that_changes_after_its_first_use_is_refused_until_a_person_decides() {
    let lab = Lab::new(HUBLESS);
    let dns = DnsServer::start();
    let machine = lab
        .machine("reader")
        .with("HUBLESS_DNS", dns.address().to_string())
        .with("HUBLESS_GATEWAY", "127.0.0.1:0");
    let files = lab.path("model");
    model::write_tree(&files, &[("config.json", 300), ("weights.bin", 600_000)], 1);
    let (mut first, mut second) = (Author::new(1), Author::new(2));
    let names = {
        let store = store(&machine);
        let names = [&mut first, &mut second].map(|author| {
            claim(&store, author, "Acme", &["acme.com"]);
            publish(&store, author, RepoKind::Model, "mini", &files)
        });
        store.close().expect("a closed store");
        names
    };
    let [is, then] = [first.id(), second.id()].map(|id| id.to_string());

    // The first answer is used, and kept.
    dns.set(
        "_hubless.acme.com",
        &["v=spf1 -all", &format!("publisher={is}")],
    );
    let node = machine.serve(&[]);
    let shown = machine.json(["name", "show", "acme.com/mini"]);
    assert_eq!(
        [
            &shown["name"],
            &shown["publisher"],
            &shown["source"],
            &shown["seq"]
        ],
        [
            &json!("acme.com/mini"),
            &json!(is),
            &json!("dns"),
            &json!(1)
        ],
        "{shown}"
    );
    assert!(shown["confirmed_s"].as_u64() < Some(600), "{shown}");
    for name in [
        "acme.com/mini",
        "@acme.com/mini",
        "hf:ACME.COM/mini@main",
        &names[0],
    ] {
        let fetched = machine.get(&[name]);
        model::assert_same_tree(&files, &fetched.path);
    }
    let ticket = machine.json(["ticket", "acme.com/mini"]);
    let ticket = ticket["ticket"].as_str().expect("a ticket");
    assert!(
        ticket.starts_with(&format!("hubless:{}?peer=/ip4/", names[0])),
        "{ticket}"
    );
    let by_ticket = machine.json(["info", ticket]);
    assert_eq!(by_ticket, machine.json(["info", "acme.com/mini"]));
    let gateway = node.gateway.clone().expect("a gateway");
    let info = http::get(&gateway, "/api/models/acme.com/mini").json();
    assert_eq!(info["id"], "acme.com/mini");
    node.stop();

    // Another answer is refused, whatever asks.
    dns.set("_hubless.acme.com", &[&format!("publisher={then}")]);
    let node = machine.serve(&[]);
    let (message, hint) = refused(&machine, 5, &["get", "acme.com/mini"]);
    for part in [&is, &then] {
        assert!(message.contains(part.as_str()), "{message}");
        assert!(
            hint.contains(&format!("hubless trust acme.com {part}")),
            "{hint}"
        );
    }
    let gateway = node.gateway.clone().expect("a gateway");
    let answer = http::get(&gateway, "/acme.com/mini/resolve/main/config.json");
    assert_eq!(answer.status, 502);
    let answer = answer.json().to_string();
    assert!(answer.contains(&is) && answer.contains(&then), "{answer}");
    // The id still means the same.
    machine.get(&[&names[0]]);

    // A person decides.
    let bound = machine.json(["trust", "acme.com", &then]);
    assert_eq!(bound, json!({ "name": "acme.com", "id": then }));
    let shown = machine.json(["name", "show", "acme.com/mini"]);
    assert_eq!(
        [&shown["publisher"], &shown["source"]],
        [&json!(then), &json!("petname")]
    );
    assert_eq!(
        http::get(&gateway, "/acme.com/mini/resolve/main/config.json").status,
        200
    );
    let listed = machine.json(["trust", "ls"]);
    assert_eq!(listed["names"][0]["id"], json!(then), "{listed}");
    let removed = machine.json(["trust", "rm", "acme.com"]);
    assert_eq!(removed, json!({ "name": "acme.com", "removed": true }));
    let shown = machine.json(["name", "show", "acme.com/mini"]);
    assert_eq!(shown["source"], "dns", "{shown}");
    node.stop();
}

#[test]
fn names_of_a_directory_stay_with_the_publisher_that_they_were_first_used_for() {
    let lab = Lab::new(HUBLESS);
    let files = lab.path("model");
    model::write_tree(&files, &[("config.json", 300)], 1);
    let (mut keeper, mut author) = (Author::new(9), Author::new(1));
    let (is, then) = (author.id().to_string(), Author::new(2).id().to_string());
    let machine = lab.machine("reader");
    let (directory, name) = {
        let store = store(&machine);
        let directory = list(&lab, &store, &mut keeper, &format!("# ours\nacme {is}\n"));
        let name = publish(&store, &mut author, RepoKind::Model, "mini", &files);
        store.close().expect("a closed store");
        (directory, name)
    };
    let machine = machine.with("HUBLESS_DIRECTORIES", &*directory);
    model::assert_same_tree(&files, &machine.get(&["Acme/mini"]).path);
    let listed = machine.json(["trust", "ls"]);
    let bound = &listed["names"][0];
    assert_eq!(
        [&bound["id"], &bound["source"], &bound["directory"]],
        [&json!(is), &json!("directory"), &json!(directory)]
    );
    {
        let store = store(&machine);
        list(&lab, &store, &mut keeper, &format!("acme {then}\n"));
        store.close().expect("a closed store");
    }
    let (message, _) = refused(&machine, 5, &["info", "acme/mini"]);
    assert!(
        message.contains(&is) && message.contains(&then),
        "{message}"
    );
    assert!(message.contains(&directory), "{message}");
    machine.json(["trust", "acme", &is]);
    model::assert_same_tree(&files, &machine.get(&["acme/mini"]).path);
    // A directory that is not here decides nothing, and no other source does in its place.
    let other = Author::new(8).id().to_string();
    let blind = machine
        .clone()
        .with("HUBLESS_DIRECTORIES", format!("{other}/names"));
    model::assert_same_tree(&files, &blind.get(&["acme/mini"]).path);
    let (message, hint) = refused(&blind, 3, &["info", "unknown/mini"]);
    assert!(message.contains("is not here"), "{message}");
    assert!(hint.contains(&format!("hubless follow {other}")), "{hint}");
    machine.get(&[&name]);
}

#[test]
fn a_private_network_asks_no_dns() {
    let lab = Lab::new(HUBLESS);
    let dns = DnsServer::start();
    let key = lab.path("swarm.key");
    let secret = "7".repeat(64);
    fs::write(&key, format!("/key/swarm/psk/1.0.0/\n/base16/\n{secret}\n")).expect("a file");
    let owner = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&key, owner).expect("own file");
    let mut author = Author::new(1);
    let machine = lab
        .machine("member")
        .with("HUBLESS_DNS", dns.address().to_string());
    dns.set(
        "_hubless.acme.com",
        &[&format!("publisher={}", author.id())],
    );
    let files = lab.path("model");
    model::write_tree(&files, &[("config.json", 300)], 1);
    {
        let store = store(&machine);
        claim(&store, &mut author, "Acme", &["acme.com"]);
        publish(&store, &mut author, RepoKind::Model, "mini", &files);
        store.close().expect("a closed store");
    }
    let member = machine.clone().with("HUBLESS_NETWORK_KEY", text(&key));
    let node = member.serve(&[]);
    for name in ["acme.com/mini", "@acme.com/mini"] {
        let (_, hint) = refused(&member, 3, &["get", name]);
        assert!(!hint.is_empty());
    }
    assert_eq!(dns.asked(), Vec::<String>::new());
    node.stop();
    // What was bound elsewhere is used, and still no question is asked.
    machine.get(&["acme.com/mini"]);
    let asked = dns.asked().len();
    assert!(asked > 0);
    member.get(&["acme.com/mini"]);
    assert_eq!(dns.asked().len(), asked);
}

#[test]
fn a_name_that_is_taken_is_bound_to_no_publisher() {
    let lab = Lab::new(HUBLESS);
    let machine = lab.machine("owner");
    let files = lab.path("model");
    model::write_tree(&files, &[("config.json", 300)], 1);
    let hash = machine.add(&files, &[]);
    machine.json(["name", "set", "model", "acme/mini", &hash]);
    let id = Author::new(1).id().to_string();
    let (message, hint) = refused(&machine, 4, &["trust", "Acme", &id]);
    assert!(message.contains("were given on this node"), "{message}");
    assert!(hint.contains("hubless trust OTHER ID"), "{hint}");
    let (message, _) = refused(&machine, 2, &["trust", &id, &id]);
    assert!(message.contains("is the id of a publisher"), "{message}");
    refused(&machine, 2, &["trust", "acme", "no-id"]);
    refused(&machine, 3, &["trust", "rm", "other"]);
    machine.json(["trust", "other", &id]);
    assert_eq!(machine.json(["trust", "ls"])["names"][0]["name"], "other");
    let (message, _) = refused(&machine, 4, &["name", "set", "model", "other/mini", &hash]);
    assert!(message.contains(&id), "{message}");
}
