//! Repos that a hub deletes.

use hubless_testkit::{http::get, process::Lab};

use super::{
    HUBLESS, file, gateway, hub,
    hub::{COMMIT, REPO},
    weights,
};

#[test]
fn what_a_hub_deletes_is_gone_unless_the_operator_keeps_it() {
    let lab = Lab::new(HUBLESS);
    for (keeps, by_commit) in [("false", 404), ("true", 200)] {
        let hub = hub();
        let machine = lab.machine(keeps).with("HUBLESS_GATEWAY", "127.0.0.1:0");
        let machine = machine.with("NO_PROXY", "*");
        let node = machine
            .with("HUBLESS_UPSTREAM_KEEP_DELETED", keeps)
            .serve(&["--upstream", &hub.url]);
        assert!(get(gateway(&node), &file("weights.bin")).whole);
        hub.is(|manners| manners.deleted = true);
        // A name that was never asked for is resolved at once.
        let gone = get(gateway(&node), &format!("/{REPO}/resolve/v1/weights.bin"));
        assert_eq!(gone.status, 404, "by name it is gone");
        let path = format!("/{REPO}/resolve/{COMMIT}/weights.bin");
        let kept = get(gateway(&node), &path);
        assert_eq!(kept.status, by_commit, "{keeps}");
        assert_eq!(kept.body == weights(), by_commit == 200);
    }
}
