//! Names that several processes set at once.

use std::collections::HashSet;

use hubless_testkit::{
    model,
    process::{LIMIT, Lab},
};

use super::{HUBLESS, http::Gateway};

/// Processes that set a name at once.
const WRITERS: usize = 24;

#[test]
fn names_set_at_once_by_many_processes_all_stay_in_the_history() {
    let lab = Lab::new(HUBLESS);
    let node = lab.machine("node").serve(&["--gateway", "127.0.0.1:0"]);
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| {
            let hash = format!("{number:064x}");
            let set = ["name", "set", "model", "acme/my-model", &hash, "--json"];
            node.machine.start(set)
        })
        .collect();
    let named: HashSet<String> = writers
        .into_iter()
        .map(|writer| {
            let named = writer.wait(LIMIT).ok().last_object();
            named["commit"].as_str().expect("a commit").to_owned()
        })
        .collect();
    assert_eq!(named.len(), WRITERS);

    let gateway = Gateway::of(&node);
    let history = gateway.get("/api/models/acme/my-model/commits/main?limit=100");
    let history: serde_json::Value = history.json();
    let commits = history.as_array().expect("a list of commits");
    let reached: HashSet<String> = commits
        .iter()
        .filter_map(|commit| commit["id"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(reached, named, "some commits are not reachable from main");
}

#[test]
fn a_lab_that_publishes_each_week_frees_what_is_old() {
    let lab = Lab::new(HUBLESS);
    let node = lab.machine("node").serve(&[]);
    let source = lab.path("model");
    let mut commits = Vec::new();
    for week in 0..2 {
        model::write_tree(&source, &[("weights.bin", 1_000_000)], week);
        let hash = node.machine.add(&source, &[]);
        let set = ["name", "set", "model", "acme/weekly", &hash];
        let named = node.machine.json(set);
        assert!(named["warning"].is_null(), "{named}");
        commits.push(named["commit"].as_str().expect("a commit").to_owned());
    }
    let newest = format!("acme/weekly@{}", commits[1]);
    let refused = node.machine.run(["rm", &newest]);
    refused.failed(2, "refs/heads/main");
    let old = format!("acme/weekly@{}", &commits[0][..8]);
    let removed = node.machine.json(["rm", &old]);
    assert_eq!(removed["commit"], commits[0]);
    let collected = node.machine.json(["gc"]);
    assert_eq!(collected["bytes"], 1_000_000, "{collected}");
    let shown = node.machine.run(["name", "show", "acme/weekly"]).ok();
    assert!(
        shown.stdout.contains("(content removed)"),
        "{}",
        shown.stdout
    );

    let ghost = "1".repeat(64);
    let warned = node
        .machine
        .run(["name", "set", "model", "acme/ghost", &ghost])
        .ok();
    assert!(
        warned.stderr.contains("nothing of 1111"),
        "{}",
        warned.stderr
    );
}
