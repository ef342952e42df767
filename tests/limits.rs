//! `hubless config set` changes the limits of a running node at once.

use std::time::Duration;

use hubless_testkit::{
    model,
    process::{Lab, field},
};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

const SIZE: u64 = 400 * model::CHUNK;

/// Limit of the fetch on a busy machine; at 1 MB/s it would take 105 s.
const WITHOUT_LIMIT: Duration = Duration::from_secs(60);

#[test]
fn limits_that_are_taken_away_hold_at_once_for_a_fetch_under_way() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    model::write_file(&source.join("weights.bin"), SIZE, 6);
    let seeder = lab.machine("seeder").seed(&source, &["--limit-up", "1MB"]);
    let getter = lab.machine("getter").serve(&["--limit-down", "1MB"]);
    let args = [seeder.hash(), "--peer", seeder.address()];
    let mut fetch = getter.machine.start_get(&args);
    fetch.progress(model::CHUNK);

    for (node, key) in [(&seeder, "limit_up"), (&getter, "limit_down")] {
        let set = node.machine.json(["config", "set", key, "2MB"]);
        assert_eq!(
            (field(&set, "value"), field(&set, "holds")),
            ("2MB".into(), "now".into())
        );
        let unset = node.machine.json(["config", "unset", key]);
        assert_eq!(field(&unset, "holds"), "now");
        assert!(unset["value"].is_null(), "{unset}");
    }
    fetch.wait(WITHOUT_LIMIT).ok();

    let later = seeder.machine.json(["config", "set", "mdns", "false"]);
    assert_eq!(field(&later, "holds"), "after_restart");
}
