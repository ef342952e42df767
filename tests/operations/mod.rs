//! Interfaces for operators: metrics, health, control, and messages to a service manager.

mod held;
mod http;
mod names;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use hubless_testkit::{
    model,
    process::{LIMIT, Lab, Machine, Node, Process, text, until},
};
use serde_json::{Value, json};

use self::http::{Answer, Gateway};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

const SIZE: u64 = 160 * model::CHUNK + 5;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A Python with these packages.
fn python_with(packages: &[&str]) -> PathBuf {
    let output = Command::new(root().join("scripts/python-with"))
        .args(packages)
        .stderr(Stdio::inherit())
        .output()
        .expect("the script starts");
    assert!(output.status.success(), "scripts/python-with {packages:?}");
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

/// A machine whose node has a gateway.
fn machine(lab: &Lab, name: &str) -> Machine {
    lab.machine(name).with("HUBLESS_GATEWAY", "127.0.0.1:0")
}

/// A machine whose gateway requires [`TOKEN`].
fn machine_with_token(lab: &Lab, name: &str) -> Machine {
    let file = lab.path("token");
    fs::write(&file, TOKEN).expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("own file");
    machine(lab, name).with("HUBLESS_GATEWAY_TOKEN", text(&file))
}

/// The values of metrics by name and labels.
fn samples(answer: &Answer) -> BTreeMap<String, f64> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let lines = answer.body.lines().filter(|line| !line.starts_with('#'));
    let samples = lines.filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    });
    samples.collect()
}

/// The sum over all labels.
fn sum(samples: &BTreeMap<String, f64>, name: &str) -> f64 {
    let of_name = |key: &&String| key.split('{').next() == Some(name);
    samples
        .iter()
        .filter(|(key, _)| of_name(key))
        .map(|(_, value)| value)
        .sum()
}

#[test]
fn metrics_move_by_what_happens_and_are_read_by_the_reference_parser() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    model::write_file(&source.join("weights.bin"), SIZE, 7);
    let alice = machine(&lab, "alice").seed(&source, &["--name", "acme/m"]);
    let bob = machine(&lab, "bob").serve(&["--peer", alice.address()]);
    let scrape = |node: &Node| samples(&Gateway::of(node).get("/metrics"));

    let before = scrape(&bob);
    assert_eq!(sum(&before, "hubless_received_bytes_total"), 0.0);
    assert_eq!(sum(&before, "hubless_fetches_total"), 0.0);
    bob.machine.get(&[alice.hash()]);
    let after = scrape(&bob);
    let received = sum(&after, "hubless_received_bytes_total");
    let size = SIZE as f64;
    assert!(
        (size..size * 1.1).contains(&received),
        "{received} of {size}"
    );
    assert_eq!(after["hubless_fetches_total{outcome=\"done\"}"], 1.0);
    assert_eq!(after["hubless_fetches_in_progress"], 0.0);
    assert_eq!(after["hubless_chunks_rejected_total"], 0.0);
    assert_eq!(after["hubless_store_models"], 1.0);
    assert_eq!(after["hubless_store_files"], 1.0);
    assert!(after["hubless_store_used_bytes"] >= size);
    assert!(after["hubless_connected_peers"] >= 1.0);
    assert!(after["process_resident_memory_bytes"] > 1e6);
    assert!(after["process_cpu_seconds_total"] > 0.0);
    let sent = sum(&scrape(&alice), "hubless_sent_bytes_total");
    assert!((size..size * 1.1).contains(&sent), "{sent} of {size}");

    // Bytes that a client reads from the gateway, by route.
    let gateway = Gateway::of(&alice);
    assert_eq!(gateway.get("/acme/m/resolve/main/weights.bin").status, 200);
    assert_eq!(gateway.get("/acme/none/resolve/main/x").status, 404);
    let served = scrape(&alice);
    let route = "route=\"/{repo}/resolve/{revision}/{path}\"";
    let requests = |status: u16| {
        let labels = format!("{{method=\"GET\",{route},status=\"{status}\"}}");
        served[&format!("hubless_http_requests_total{labels}")]
    };
    assert_eq!((requests(200), requests(404)), (1.0, 1.0));
    assert_eq!(served["hubless_gateway_sent_bytes_total"], size);
    until("the file is sent", LIMIT, || {
        match scrape(&alice)["hubless_gateway_streams"] {
            0.0 => Ok(()),
            open => Err(format!("{open} open")),
        }
    });

    let parse = "import sys\n\
                 from prometheus_client.openmetrics.parser import text_string_to_metric_families\n\
                 print(len(list(text_string_to_metric_families(open(sys.argv[1]).read()))))";
    let file = lab.path("metrics");
    fs::write(&file, gateway.get("/metrics").body).expect("a file");
    let mut command = Command::new(python_with(&["prometheus-client==0.26.0"]));
    command.args(["-c", parse, text(&file)]);
    let families = Process::start(command).wait(LIMIT).ok().stdout;
    let families: usize = families.trim().parse().expect("a number");
    assert!(families >= 25, "{families} families");
}

#[test]
fn strangers_cannot_make_labels() {
    let lab = Lab::new(HUBLESS);
    let node = machine(&lab, "node").serve(&[]);
    let gateway = Gateway::of(&node);
    let ask = |from: usize| {
        for number in from..from + 40 {
            for path in [
                "{n}",
                "a/{n}/resolve/{n}/{n}",
                "api/models/o/{n}",
                "api/hubless/{n}",
            ] {
                gateway.get(&format!("/{}", path.replace("{n}", &format!("n{number}"))));
            }
            gateway.send(&format!("WORD{number}"), "/", &[], None);
        }
        // A request is counted when its response is complete.
        gateway.get("/metrics");
        samples(&gateway.get("/metrics")).len()
    };
    let first = ask(0);
    assert_eq!(ask(100), first, "the same requests with other words");
}

#[test]
fn readiness_follows_the_network() {
    let lab = Lab::new(HUBLESS);
    let alone = machine(&lab, "alone").serve(&[]);
    let gateway = Gateway::of(&alone);
    for path in ["/healthz", "/readyz"] {
        let health = gateway.get(path);
        assert_eq!(
            (health.status, &health.json()["ok"]),
            (200, &json!(true)),
            "{path}"
        );
    }
    drop(alone);

    // Alice restarts on the same port; no other test uses her address.
    let [.., high, low] = std::process::id().to_be_bytes();
    let listen = format!("/ip4/127.84.{high}.{low}/tcp/0");
    let alice = lab.machine("alice").with("HUBLESS_LISTEN", listen);
    let alice = alice.serve(&[]);
    let address = alice.address().to_owned();
    alice.stop();
    let bob = machine(&lab, "bob").serve(&["--peer", &address]);
    let gateway = Gateway::of(&bob);
    let health = gateway.get("/readyz");
    assert_eq!(health.status, 503, "{health:?}");
    let joined = |health: &Answer| {
        let checks = health.json()["checks"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        checks
            .into_iter()
            .find(|check| check["name"] == "joined")
            .expect("the check")
    };
    let check = joined(&health);
    assert_eq!(check["ok"], false);
    assert!(
        check["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("configured"))
    );
    assert_eq!(
        gateway.get("/healthz").status,
        200,
        "healthy, though not ready"
    );

    let (listen, _) = address
        .rsplit_once("/p2p/")
        .expect("an address with a peer id");
    let _alice = lab
        .machine("alice")
        .with("HUBLESS_LISTEN", listen)
        .serve(&[]);
    until("the node is ready", LIMIT, || {
        let health = gateway.get("/readyz");
        match health.status {
            200 => Ok(()),
            _ => Err(health.body),
        }
    });
}

#[test]
fn a_node_whose_home_is_gone_does_not_live_and_says_why() {
    let lab = Lab::new(HUBLESS);
    let node = machine(&lab, "node").serve(&[]);
    let gateway = Gateway::of(&node);
    let (home, away) = (&node.machine.home, lab.path("away"));
    fs::rename(home, &away).expect("own directory");
    for path in ["/healthz", "/readyz"] {
        let health = gateway.get(path);
        assert_eq!(health.status, 503, "{path}");
        let health = health.json();
        assert_eq!(health["ok"], false, "{path}");
        let checks = health["checks"].as_array().expect("the checks");
        let check = checks.iter().find(|check| check["name"] == "store");
        let check = check.expect("a check of the store");
        assert_eq!(check["ok"], false, "{path}");
        let reason = check["reason"].as_str().expect("a text");
        assert!(reason.contains(text(&home.join("store.redb"))), "{reason}");
    }
    fs::rename(&away, home).expect("own directory");
    assert_eq!(gateway.get("/healthz").status, 200);
}

#[test]
fn control_needs_the_token() {
    let lab = Lab::new(HUBLESS);
    let open = machine(&lab, "open").serve(&[]);
    let gateway = Gateway::of(&open);
    let status = |headers: &[(&str, &str)]| {
        gateway
            .send("GET", "/api/hubless/status", headers, None)
            .status
    };
    assert_eq!(status(&[]), 200);
    assert_eq!(status(&[("Host", "evil.example")]), 403);
    assert_eq!(status(&[("Origin", "http://evil.example")]), 403);
    assert_eq!(status(&[("Sec-Fetch-Site", "cross-site")]), 403);
    let refused = gateway.json("POST", "/api/hubless/gc", &json!({}));
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("--gateway-token"), "{refused:?}");
    assert_eq!(gateway.get("/metrics").status, 200);
    drop(open);

    let node = machine_with_token(&lab, "closed").serve(&[]);
    let anonymous = Gateway::of(&node);
    for path in [
        "/api/hubless/status",
        "/api/hubless/openapi.json",
        "/metrics",
    ] {
        assert_eq!(anonymous.get(path).status, 401, "{path}");
    }
    assert_eq!(
        anonymous.json("POST", "/api/hubless/gc", &json!({})).status,
        401
    );
    assert_eq!(anonymous.with_token("x").get("/metrics").status, 401);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(
            anonymous.get(path).status,
            200,
            "{path}: a supervisor has no token"
        );
    }
    let owner = anonymous.with_token(TOKEN);
    assert_eq!(owner.get("/metrics").status, 200);
    assert_eq!(
        owner.json("POST", "/api/hubless/gc", &json!({})).status,
        200
    );
    let foreign = [("Origin", "http://evil.example")];
    let forged = owner.send("POST", "/api/hubless/gc", &foreign, Some(&json!({})));
    assert_eq!(
        forged.status, 403,
        "a page that has the browser send the token"
    );
    let names = "/api/hubless/names";
    let plain = [("Content-Type", "text/plain")];
    assert_eq!(owner.send("POST", names, &plain, None).status, 415);
}

#[test]
fn control_does_what_the_command_line_does() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    model::write_file(&source.join("weights.bin"), SIZE, 8);
    let alice = lab.machine("alice").seed(&source, &[]);
    let bob = machine_with_token(&lab, "bob").serve(&["--peer", alice.address()]);
    let control = Gateway::of(&bob).with_token(TOKEN);
    let get = |path: &str| {
        let answer = control.get(&format!("/api/hubless{path}"));
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    };
    let hash = alice.hash();

    let fetch = control.json("POST", "/api/hubless/fetches", &json!({ "model": hash }));
    assert_eq!(fetch.status, 200);
    assert!(fetch.head.contains("text/event-stream"), "{}", fetch.head);
    let (event, data) = last_event(&fetch.body);
    assert_eq!(event, "done", "{}", fetch.body);
    assert_eq!(data["bytes_total"], SIZE);
    assert!(fetch.body.contains("event: progress"), "{}", fetch.body);
    let no_provider = control.json(
        "POST",
        "/api/hubless/fetches",
        &json!({ "model": "0".repeat(64), "timeout_s": 1 }),
    );
    let (event, data) = last_event(&no_provider.body);
    assert_eq!(event, "failed");
    assert!(
        data["error"].is_string() && data["kind"].is_string(),
        "{data}"
    );

    assert_eq!(get("/models"), bob.machine.json(["ls"]));
    assert_eq!(
        get(&format!("/models/{hash}")),
        bob.machine.json(["info", hash])
    );
    assert_eq!(get("/status")["peer_id"], bob.peer_id);
    assert_eq!(get("/transfers")["transfers"], json!([]));
    assert_eq!(get("/peers")["peers"][0]["peer_id"], alice.peer_id);
    let ticket = get(&format!("/models/{hash}/ticket"));
    assert!(
        ticket["ticket"]
            .as_str()
            .is_some_and(|ticket| ticket.contains(hash))
    );

    let path = format!("/api/hubless/models/{hash}/pin");
    let pinned = || bob.machine.json(["info", hash])["pinned"].clone();
    assert_eq!(control.send("DELETE", &path, &[], None).status, 204);
    assert_eq!(pinned(), false);
    assert_eq!(control.send("PUT", &path, &[], None).status, 204);
    assert_eq!(pinned(), true);

    let name = json!({ "kind": "model", "name": "acme/m", "hash": hash, "tags": ["v1"] });
    let named = control.json("POST", "/api/hubless/names", &name);
    assert_eq!((named.status, &named.json()["new"]), (200, &json!(true)));
    assert_eq!(get("/names"), bob.machine.json(["name", "ls"]));
    let shown = get("/names/model/acme%2Fm");
    assert_eq!(shown, bob.machine.json(["name", "show", "acme/m"]));
    assert!(shown["refs"]["refs/tags/v1"].is_string(), "{shown}");
    let tag = "/api/hubless/names/model/acme%2Fm?ref=refs%2Ftags%2Fv1";
    assert_eq!(control.send("DELETE", tag, &[], None).status, 204);
    assert_eq!(control.send("DELETE", tag, &[], None).status, 404);
    let whole = "/api/hubless/names/model/acme%2Fm";
    assert_eq!(control.send("DELETE", whole, &[], None).status, 204);
    assert_eq!(get("/names")["names"], json!([]));

    let change = json!({ "limit_up": "2MB", "mdns": true });
    let changed = control.json("PATCH", "/api/hubless/config", &change).json();
    assert_eq!(
        changed[0],
        json!({ "key": "limit_up", "value": "2MB", "holds": "now" })
    );
    assert_eq!(changed[1]["holds"], "after_restart");
    assert_eq!(get("/config")["limit_up"], "2MB");
    let wrong = json!({ "limit_up": null, "limit_down": "fast" });
    assert_eq!(
        control.json("PATCH", "/api/hubless/config", &wrong).status,
        400
    );
    assert_eq!(get("/config")["limit_up"], "2MB", "nothing of it was done");
    let file = fs::read_to_string(bob.machine.home.join("config.toml")).expect("a file");
    assert!(file.contains("limit_up = \"2MB\""), "{file}");

    let model = format!("/api/hubless/models/{hash}");
    assert_eq!(control.send("DELETE", &model, &[], None).status, 204);
    assert!(control.json("POST", "/api/hubless/gc", &json!({})).json()["bytes"].is_u64());
    assert_eq!(control.get(&model).status, 404);
}

/// The last of the events, and its data.
fn last_event(stream: &str) -> (&str, Value) {
    let last = stream.trim_end().rsplit("\n\n").next().unwrap_or_default();
    let line = |name: &str| {
        let found = last.lines().find_map(|line| line.strip_prefix(name));
        found
            .unwrap_or_else(|| panic!("no {name} in {last:?}"))
            .trim()
    };
    let data = serde_json::from_str(line("data:")).expect("JSON");
    (line("event:"), data)
}

#[test]
fn every_call_is_as_its_description_says() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    model::write_file(&source.join("a"), 5, 9);
    let node = machine_with_token(&lab, "node").seed(&source, &["--name", "acme/m"]);
    let control = Gateway::of(&node).with_token(TOKEN);
    let described = control.get("/api/hubless/openapi.json").json();
    let methods = ["GET", "PUT", "POST", "PATCH", "DELETE"];
    let paths = described["paths"].as_object().expect("paths");
    for (template, calls) in paths {
        let path = template
            .replace("{hash}", node.hash())
            .replace("{kind}", "model")
            .replace("{name}", "acme%2Fm");
        for method in methods {
            let call = &calls[method.to_ascii_lowercase()];
            let body = match (
                call["requestBody"].is_object(),
                template.ends_with("/config"),
            ) {
                (false, _) => None,
                (true, true) => Some(json!({ "limit_up": "1GB" })),
                (true, false) => Some(json!({ "model": node.hash() })),
            };
            let answer = control.send(method, &path, &[], body.as_ref());
            if call.is_null() {
                assert_eq!(answer.status, 405, "{method} {path} is not described");
                continue;
            }
            let status = answer.status.to_string();
            assert!(
                call["responses"][&status].is_object(),
                "{method} {path}: {answer:?}"
            );
        }
    }
}

#[test]
fn no_request_that_the_description_leads_to_has_an_answer_that_it_does_not() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    model::write_file(&source.join("a"), 5, 9);
    let node = machine_with_token(&lab, "node").seed(&source, &["--name", "acme/m"]);
    let url = node.gateway.as_deref().expect("a gateway");
    let mut command = Command::new(python_with(&["schemathesis==4.32.5"]));
    command
        .args(["-m", "schemathesis.cli", "--config-file"])
        .arg(root().join("tests/operations/schemathesis.toml"))
        .args(["run", &format!("{url}/api/hubless/openapi.json")])
        .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
        // The number of drafts that the generator discards depends on its version.
        .arg("--suppress-health-check=filter_too_much")
        // Its database is removed with the lab.
        .current_dir(lab.path(""))
        .env("NO_PROXY", "127.0.0.1");
    Process::start(command).wait(LIMIT).ok();
}

/// The other end of a service manager's socket.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(lab: &Lab) -> Self {
        let path = lab.path("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(LIMIT)).expect("a limit");
        Self { socket, path }
    }

    fn next(&self) -> String {
        let mut bytes = [0; 512];
        let length = self.socket.recv(&mut bytes).expect("a message in time");
        String::from_utf8_lossy(&bytes[..length]).trim().to_owned()
    }
}

#[test]
fn a_service_manager_is_notified_of_start_life_and_stop() {
    const WATCHDOG: Duration = Duration::from_secs(3);
    let lab = Lab::new(HUBLESS);
    let manager = Manager::new(&lab);
    let node = machine(&lab, "node")
        .with("NOTIFY_SOCKET", text(&manager.path))
        .with("WATCHDOG_USEC", WATCHDOG.as_micros().to_string())
        .serve(&[]);
    assert_eq!(manager.next(), "READY=1");
    assert_eq!(
        Gateway::of(&node).get("/readyz").status,
        200,
        "ready is ready"
    );
    let since = Instant::now();
    for _ in 0..4 {
        assert_eq!(manager.next(), "WATCHDOG=1");
    }
    let took = since.elapsed();
    assert!(took < WATCHDOG * 4, "fed well within its time: {took:?}");
    node.stop();
    let mut last = manager.next();
    while last == "WATCHDOG=1" {
        last = manager.next();
    }
    assert_eq!(last, "STOPPING=1");
}

#[test]
fn the_unit_is_what_systemd_accepts() {
    let unit = root().join("scripts/hubless.service");
    let unit = fs::read_to_string(unit).expect("the unit");
    let start = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart=/usr/bin/hubless "));
    let lab = Lab::new(HUBLESS);
    let args = start.expect("a command").split(' ').chain(["--help"]);
    lab.machine("x").run(args).ok();

    let systemd_analyze = |args: &[&str]| {
        let mut command = Command::new("systemd-analyze");
        command.args(args);
        Process::start(command).wait(LIMIT).ok()
    };
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        println!("systemd is not here: the unit was read, not verified");
        return;
    }
    let here = lab.path("hubless.service");
    fs::write(&here, unit.replace("/usr/bin/hubless", HUBLESS)).expect("a file");
    systemd_analyze(&["verify", text(&here)]);
    systemd_analyze(&["security", "--offline=yes", "--threshold=20", text(&here)]);
}
