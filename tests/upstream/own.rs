//! What the operator of a mirror does beside the hub: names of its own, and no gateway.

use std::thread;

use hubless_testkit::{
    http::get,
    model,
    process::{LIMIT, Lab, Signal, until},
};

use super::{
    HUBLESS, gateway, hub,
    hub::{COMMIT, REPO},
    mirror,
};

#[test]
fn a_name_that_is_given_while_the_hub_is_asked_stays_the_nodes_own() {
    let (lab, hub) = (Lab::new(HUBLESS), hub());
    let node = mirror(&lab, "mirror", &hub.url, &[]);
    let own = lab.path("own");
    model::write_tree(&own, &[("own.bin", 1000)], 7);
    let hash = node.machine.add(&own, &[]);
    let info = format!("/api/models/{REPO}");
    hub.is(|manners| manners.holds_back = true);
    thread::scope(|scope| {
        let (url, path) = (gateway(&node), &info);
        let asking = scope.spawn(move || get(url, path));
        until("the hub is asked", LIMIT, || {
            match hub.requests(REPO).is_empty() {
                true => Err("no request".into()),
                false => Ok(()),
            }
        });
        node.machine.json(["name", "set", "model", REPO, &hash]);
        hub.is(|manners| manners.holds_back = false);
        let asked = asking.join().expect("an answer");
        assert_eq!(asked.status, 503, "to be asked again");
        assert_eq!(asked.header("retry-after"), "1");
    });
    let now = get(gateway(&node), &info).json();
    assert_ne!(now["sha"], COMMIT);
    assert_eq!(now["siblings"][0]["rfilename"], "own.bin");
}

#[test]
fn an_upstream_without_a_gateway_is_warned_of() {
    let (lab, hub) = (Lab::new(HUBLESS), hub());
    for (gateway, is_warned) in [("off", true), ("127.0.0.1:0", false)] {
        let machine = lab.machine("machine").with("HUBLESS_GATEWAY", gateway);
        let args = ["serve", "--upstream", &hub.url];
        let node = machine.start(args);
        until("it serves", LIMIT, || {
            let log = node.stderr();
            log.contains("serving from").then_some(()).ok_or(log)
        });
        node.signal(Signal::TERM);
        let log = node.wait(LIMIT).ok().stderr;
        let warned = log.contains("the gateway is off, so no client can use the upstream");
        assert_eq!(warned, is_warned, "{log}");
    }
}
