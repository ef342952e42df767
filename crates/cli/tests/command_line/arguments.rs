//! Mistakes in arguments: exit code 2, what is wrong, and what to do.

use crate::Hubless;

const HASH: &str = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

#[test]
fn a_malformed_hash() {
    let hubless = Hubless::new();
    let digits = HASH.replace('b', "g");
    for command in [
        "get",
        "info",
        "rm",
        "pin",
        "unpin",
        "verify",
        "ticket",
        "why",
        "providers",
    ] {
        hubless.run([command, "abc"]).failed(
            2,
            &[
                "error: invalid value 'abc'",
                "is no name, and too short for a hash",
                "\nhint: ",
            ],
        );
        hubless
            .run([command, &digits])
            .failed(2, &["but character 7 is 'g'", "\nhint: "]);
    }
}

#[test]
fn a_name_that_the_node_does_not_know() {
    // It starts a node of its own, which is to meet no peer.
    let hubless = Hubless::new()
        .with("HUBLESS_LISTEN", "/ip4/127.0.0.1/tcp/0")
        .with("HUBLESS_MDNS", "false")
        .with("HUBLESS_UPNP", "false");
    for (name, repo) in [
        ("meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-8B"),
        ("hf:datasets/acme/corpus@v1", "datasets/acme/corpus"),
    ] {
        let message = format!("this node does not know the name {repo}");
        hubless
            .run(["get", name])
            .failed(3, &[&message, "begins with the id of its publisher"]);
    }
    hubless
        .run(["get", "acme/../model"])
        .failed(2, &["ORG/NAME", "\nhint: "]);
}

#[test]
fn a_malformed_ticket() {
    let hubless = Hubless::new();
    let bad_address = format!("hubless:{HASH}?peer=nonsense");
    let bad_parameter = format!("hubless:{HASH}?pear=/ip4/127.0.0.1/tcp/1");
    for (ticket, about) in [
        (bad_address.as_str(), "nonsense"),
        (&bad_parameter, "pear"),
        ("hubless:abc", "this has 3 characters"),
    ] {
        hubless.run(["get", ticket]).failed(2, &[about, "\nhint: "]);
        hubless
            .run(["cat", ticket, "config.json"])
            .failed(2, &[about, "\nhint: "]);
    }
}

#[test]
fn a_ticket_where_a_hash_is_needed() {
    let ticket = format!("hubless:{HASH}");
    Hubless::new()
        .run(["rm", &ticket])
        .failed(2, &[&format!("its hash is {HASH}")]);
}

#[test]
fn a_path_that_no_model_can_have() {
    let hubless = Hubless::new();
    for path in ["../x", "/etc/passwd", "a//b", ""] {
        hubless
            .run(["cat", HASH, path])
            .failed(2, &["for '<PATH>'", "\nhint: "]);
    }
}

#[test]
fn a_malformed_range_rate_or_size() {
    let hubless = Hubless::new();
    for range in ["5", "9-8", "-5", "a-b"] {
        let range = format!("--range={range}");
        hubless
            .run(["cat", HASH, "x", &range])
            .failed(2, &["--range", "\nhint: --range 0-99"]);
    }
    hubless
        .run(["serve", "--limit-up", "10XB"])
        .failed(2, &["10XB", "--limit-up"]);
    hubless
        .run(["serve", "--quota", "lots"])
        .failed(2, &["lots", "--quota"]);
    hubless
        .run(["serve", "--announce", "all"])
        .failed(2, &["roots, files, chunks"]);
}

#[test]
fn unknown_commands_and_options() {
    let hubless = Hubless::new();
    hubless.run(["gett", HASH]).failed(2, &["gett", "'get'"]);
    for (typed, meant) in [
        ("pull", "get"),
        ("push", "seed"),
        ("list", "ls"),
        ("remove", "rm"),
    ] {
        hubless
            .run([typed, HASH])
            .failed(2, &[typed, &format!("'{meant}'")]);
    }
    hubless
        .run(["ls", "--jsno"])
        .failed(2, &["--jsno", "'--json'"]);
    hubless.run(["add"]).failed(2, &["<PATH>"]);
    hubless.run::<&str>([]).failed(2, &["Usage: hubless"]);
}

#[test]
fn with_json_a_mistake_is_one_object_on_stderr() {
    let hubless = Hubless::new();
    let error = hubless.run(["get", "--json", "abc"]).failed_json(2);
    assert_eq!(error["kind"], "usage");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("too short for a hash"),
        "{error}"
    );
    assert!(
        error["hint"].as_str().unwrap().contains("hubless ticket"),
        "{error}"
    );
    for args in [
        &["--json", "frob"][..],
        &["add", "--json"],
        &["ls", "--json", "--frob"],
    ] {
        assert_eq!(
            hubless.run(args).failed_json(2)["kind"],
            "usage",
            "{args:?}"
        );
    }
}

#[test]
fn the_version() {
    let version = Hubless::new().run(["--version"]).ok();
    assert_eq!(version, format!("hubless {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_beginning_of_a_hash_stands_for_a_model_that_is_here() {
    let hubless = Hubless::new();
    hubless
        .run(["info", "9f2c"])
        .failed(2, &["begins with 9f2c", "64 digits"]);
    let model = hubless.home().join("model");
    std::fs::create_dir(&model).unwrap();
    std::fs::write(model.join("config.json"), "{}").unwrap();
    let hash = hubless.run(["add".as_ref(), model.as_os_str()]).ok();
    let beginning = &hash[..4];
    for command in ["info", "pin", "unpin", "verify", "ls", "rm"] {
        hubless.run([command, beginning]).ok();
    }
    hubless
        .run(["info", beginning])
        .failed(2, &["no model that is here"]);
}

#[test]
fn what_is_written_as_elsewhere_is_told_as_it_is_here() {
    let hubless = Hubless::new();
    let set = ["name", "set", "acme/my-model", HASH];
    let help = "hint: hubless name set model acme/my-model HASH";
    hubless.run(set).failed(2, &["comes first", help]);
    let listen = ["serve", "--gateway", "off", "--listen", "127.0.0.1:9000"];
    hubless
        .run(listen)
        .failed(2, &["hint: did you mean /ip4/127.0.0.1/tcp/9000?"]);
    let bootstrap = [
        "serve",
        "--gateway",
        "off",
        "--bootstrap",
        "node.example:8420",
    ];
    hubless
        .run(bootstrap)
        .failed(2, &["/dns/node.example/tcp/8420"]);
    let rate = ["config", "set", "limit_up", "10MBB"];
    hubless
        .run(rate)
        .failed(2, &["10MBB", "hint: `hubless config show`"]);
    hubless
        .run(["get", "./"])
        .failed(2, &["./ is a directory", "hubless add ./"]);
}
