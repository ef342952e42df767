//! Names, as several processes set them at once.

use std::collections::HashSet;

use hubless_testkit::process::{LIMIT, Lab};

use crate::{HUBLESS, http::Gateway};

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
