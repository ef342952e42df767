//! Pulling through: a node requests files that it lacks from a hub. The hub is one whose behaviour the
//! tests control, or another node's gateway of which only HTTP is used.

mod deleted;
mod history;
mod hub;
mod manners;
mod own;
mod peers;
mod quota;
mod stranger;
mod ways;

use std::{
    fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use hubless_testkit::{
    http,
    model::{self, Noise},
    process::{LIMIT, Lab, Node, Process, text, until},
};

use self::{
    http::{Counter, get, get_with},
    hub::{COMMIT, Hub, REPO},
};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

const MIB: usize = 1024 * 1024;

fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    Noise::new(seed)
        .read_exact(&mut bytes)
        .expect("noise never ends");
    bytes
}

/// A hub with a small and a large file.
fn hub() -> Hub {
    Hub::start(&[
        ("config.json", b"{\"a\": 1}\n".to_vec()),
        ("weights.bin", weights()),
    ])
}

fn weights() -> Vec<u8> {
    noise(1, 3 * MIB + 17)
}

/// A node with a hub as its upstream.
fn mirror(lab: &Lab, name: &str, upstream: &str, args: &[&str]) -> Node {
    let machine = lab.machine(name).with("HUBLESS_GATEWAY", "127.0.0.1:0");
    let machine = machine.with("NO_PROXY", "*");
    machine.serve(&[&["--upstream", upstream], args].concat())
}

fn gateway(node: &Node) -> &str {
    node.gateway.as_deref().expect("a gateway")
}

fn file(path: &str) -> String {
    format!("/{REPO}/resolve/main/{path}")
}

fn bearer(token: &str) -> [(&'static str, String); 1] {
    [("Authorization", format!("Bearer {token}"))]
}

fn get_as(node: &Node, path: &str, token: &str) -> http::Answer {
    let header = bearer(token);
    let header = header
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    get_with(gateway(node), path, &header)
}

#[test]
fn a_repo_of_the_upstream_is_read_like_one_of_our_own() {
    let (lab, hub) = (Lab::new(HUBLESS), hub());
    let node = mirror(&lab, "mirror", &hub.url, &[]);
    let url = gateway(&node);
    let info = get(url, "/api/models/org/model").json();
    assert_eq!((&info["id"], &info["sha"]), (&REPO.into(), &COMMIT.into()));
    let tree = get(url, &format!("/api/models/{REPO}/tree/main")).json();
    let paths: Vec<_> = tree
        .as_array()
        .expect("a list")
        .iter()
        .map(|e| &e["path"])
        .collect();
    assert_eq!(paths, ["config.json", "weights.bin"]);
    assert_eq!(node.count("bytes_from_upstream"), 0, "no request for bytes");
    for _ in 0..2 {
        let weights_now = get(url, &file("weights.bin"));
        assert_eq!((weights_now.status, weights_now.whole), (200, true));
        assert!(weights_now.body == weights(), "the bytes are right");
        assert_eq!(weights_now.header("x-repo-commit"), COMMIT);
        let etag = hubless_store::Digests::of(&weights()).sha256;
        assert_eq!(weights_now.header("etag"), format!("\"{etag}\""));
        assert_eq!(get(url, &file("config.json")).body, b"{\"a\": 1}\n");
    }
    let tag = get(url, &format!("/{REPO}/resolve/v1/config.json"));
    assert_eq!(tag.header("x-repo-commit"), COMMIT);
    let refs = get(url, &format!("/api/models/{REPO}/refs")).json();
    assert_eq!(refs["tags"][0]["name"], "v1");
    assert_eq!(hub.requests("/resolve/").len(), 2, "each file once");

    // All files are served without the hub, also after a restart.
    hub.is(|manners| manners.gone = true);
    node.stop();
    let node = mirror(&lab, "mirror", &hub.url, &[]);
    let url = gateway(&node);
    for revision in ["main", "v1", COMMIT] {
        let answer = get(url, &format!("/{REPO}/resolve/{revision}/weights.bin"));
        assert!(
            answer.body == weights(),
            "{revision} is served without the hub"
        );
    }
    assert_eq!(get(url, "/org/other/resolve/main/x").status, 502);
}

#[test]
fn what_the_upstream_refuses_is_refused_in_its_words() {
    let (lab, hub) = (Lab::new(HUBLESS), hub());
    let node = mirror(&lab, "mirror", &hub.url, &[]);
    for (path, status, code) in [
        ("/api/models/nobody/nothing", 404, "RepoNotFound"),
        ("/nobody/nothing/resolve/main/x", 404, "RepoNotFound"),
        ("/Org/Model/resolve/other/x", 404, "RevisionNotFound"),
        ("/Org/Model/resolve/main/no/such", 404, "EntryNotFound"),
    ] {
        let answer = get(gateway(&node), path);
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("x-error-code"), code, "{path}");
    }
    let missing = get(gateway(&node), &file("no/such"));
    assert_eq!(missing.header("x-repo-commit"), COMMIT);
    let before = hub.requests("").len();
    get(gateway(&node), &file("no/other"));
    assert_eq!(
        hub.requests("").len(),
        before,
        "a listing says what is not there"
    );
}

#[test]
fn a_wrong_byte_is_never_taken_for_the_file() {
    let (lab, hub) = (Lab::new(HUBLESS), hub());
    let node = mirror(&lab, "mirror", &hub.url, &[]);
    hub.is(|manners| manners.wrong_byte = Some(MIB));
    for path in ["weights.bin", "config.json"] {
        let answer = get(gateway(&node), &file(path));
        assert!(
            answer.status != 200 || !answer.whole,
            "{path}: {} {}",
            answer.status,
            answer.whole
        );
        assert!(answer.body.len() < 3 * MIB, "the end is not sent");
    }
    assert_eq!(node.count("store/bytes"), 0, "nothing is kept");
    assert_eq!(keys(&node), 0, "nothing is announced");
    hub.is(|manners| manners.wrong_byte = None);
    let answer = get(gateway(&node), &file("weights.bin"));
    assert!(answer.whole && answer.body == weights());
    wait_for_keys(&node, 1);
}

#[test]
fn many_clients_at_once_cost_the_upstream_one() {
    let (lab, hub) = (Lab::new(HUBLESS), hub());
    hub.is(|manners| manners.slowness = Duration::from_millis(500));
    let node = mirror(&lab, "mirror", &hub.url, &[]);
    // A client that leaves does not stop the others.
    drop(http::begin(gateway(&node), &file("weights.bin"), &[]));
    let url = gateway(&node);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..64)
            .map(|_| scope.spawn(|| get(url, &file("weights.bin"))))
            .collect();
        for client in clients {
            let answer = client.join().expect("no panic");
            assert!(answer.whole && answer.body == weights());
        }
    });
    assert_eq!(hub.requests("/resolve/").len(), 1);
    assert_eq!(hub.requests("/revision/").len(), 1);
    assert_eq!(hub.requests("/tree/").len(), 1);
}

#[test]
fn a_broken_connection_goes_on_where_it_was() {
    let (lab, hub) = (Lab::new(HUBLESS), hub());
    let node = mirror(&lab, "mirror", &hub.url, &[]);
    hub.is(|manners| manners.cut_after = Some(2 * MIB));
    let answer = get(gateway(&node), &file("weights.bin"));
    assert!(answer.whole && answer.body == weights());
    let requests = hub.requests("/resolve/");
    let ranges: Vec<_> = requests
        .iter()
        .map(|request| request.header("range"))
        .collect();
    assert_eq!(ranges.len(), 2);
    let rest = ranges[1].expect("only the rest is requested");
    assert!(
        rest.starts_with("bytes=2") && rest.ends_with(&format!("-{}", 3 * MIB + 16)),
        "{rest}"
    );
}

#[test]
fn a_part_of_a_large_file_does_not_pull_all_of_it() {
    let lab = Lab::new(HUBLESS);
    let large = noise(2, 9 * MIB);
    let hub = Hub::start(&[("large.bin", large.clone())]);
    let node = mirror(&lab, "mirror", &hub.url, &[]);
    let range = |range: &str| get_with(gateway(&node), &file("large.bin"), &[("Range", range)]);
    let header = range("bytes=0-999");
    assert_eq!((header.status, &header.body[..]), (206, &large[..1000]));
    let end = range(&format!("bytes={}-", 9 * MIB - 500));
    assert_eq!((end.status, &end.body[..]), (206, &large[9 * MIB - 500..]));
    assert_eq!(node.count("store/bytes"), 0);
    assert_eq!(node.count("bytes_from_upstream"), 1500);
}

#[test]
fn the_limit_holds_for_the_upstream_too() {
    let lab = Lab::new(HUBLESS);
    let large = noise(2, 9 * MIB);
    let hub = Hub::start(&[("large.bin", large.clone())]);
    let rate = 3 * MIB;
    let ideal = large.len() as f64 / rate as f64;
    let pull = |turn: i32| {
        let node = mirror(
            &lab,
            &format!("{turn}"),
            &hub.url,
            &["--limit-down", "3MiB"],
        );
        let begun = Instant::now();
        let answer = get(gateway(&node), &file("large.bin"));
        let took = begun.elapsed().as_secs_f64();
        assert!(answer.whole && answer.body == large);
        // A tenth of a second of the rate may pass at once.
        assert!(took >= ideal * 0.95, "{took} s, not {ideal} s");
        (took < ideal * 1.1).then_some(node)
    };
    // A stalled machine may spoil one measurement, but hardly three in a row.
    let node = (0..3).find_map(pull).expect("a pull that uses its limit");

    let metrics = get(gateway(&node), "/metrics").body;
    let metrics = String::from_utf8(metrics).expect("text");
    let line = format!(
        "hubless_received_bytes_total{{source=\"upstream\",carrier=\"http\"}} {}",
        large.len()
    );
    assert!(metrics.contains(&line), "{metrics}");
}

/// A hub whose one file takes some seconds.
fn slow_hub() -> Hub {
    let hub = Hub::start(&[("large.bin", noise(2, 9 * MIB))]);
    hub.is(|manners| manners.bytes_per_second = Some(2 * MIB));
    hub
}

#[test]
fn a_pull_is_among_the_transfers() {
    let (lab, hub) = (Lab::new(HUBLESS), slow_hub());
    let node = mirror(&lab, "mirror", &hub.url, &[]);
    let client = http::begin(gateway(&node), &file("large.bin"), &[]);
    let shown = until("it moves", LIMIT, || {
        let transfers = node.status()["transfers"].clone();
        let moves = transfers[0]["bytes_per_second"].as_u64() > Some(0);
        moves
            .then(|| transfers[0].clone())
            .ok_or_else(|| transfers.to_string())
    });
    assert_eq!(
        (&shown["repo"], &shown["path"]),
        (&REPO.into(), &"large.bin".into())
    );
    assert_eq!(shown["upstream"], hub.url);
    assert_eq!(shown["bytes_total"], 9 * MIB);
    assert!(
        shown["bytes_verified"].as_u64() < Some(9 * MIB as u64),
        "{shown}"
    );
    let page = get(gateway(&node), "/").body;
    let page = String::from_utf8(page).expect("text");
    assert!(page.contains("Org/Model/large.bin"), "{page}");
    drop(client);
    assert!(get(gateway(&node), &file("large.bin")).whole);
    until("it is over", LIMIT, || {
        let transfers = node.status()["transfers"].clone();
        let is_over = transfers == serde_json::json!([]);
        is_over.then_some(()).ok_or_else(|| transfers.to_string())
    });
}

#[test]
fn a_pull_of_a_private_file_is_not_listed() {
    let (lab, hub) = (Lab::new(HUBLESS), slow_hub());
    hub.is(|manners| manners.private = Some("hf_owner"));
    let node = mirror(&lab, "mirror", &hub.url, &[]);
    let [(name, value)] = bearer("hf_owner");
    let _client = http::begin(gateway(&node), &file("large.bin"), &[(name, &value)]);
    until("it moves", LIMIT, || {
        match node.count("bytes_from_upstream") {
            0 => Err("not yet".to_owned()),
            _ => Ok(()),
        }
    });
    let status = node.status();
    assert_eq!(status["transfers"], serde_json::json!([]));
    assert!(
        status["bytes_from_upstream"].as_u64() < Some(9 * MIB as u64),
        "still"
    );
}

#[test]
fn what_came_of_a_file_is_not_asked_for_again() {
    let lab = Lab::new(HUBLESS);
    let large = noise(2, 9 * MIB);
    let hub = Hub::start(&[("large.bin", large.clone())]);
    let node = mirror(&lab, "mirror", &hub.url, &[]);
    hub.is(|manners| {
        manners.cut_after = Some(5 * MIB);
        manners.refuse_files = (1, 40);
    });
    let answer = get(gateway(&node), &file("large.bin"));
    assert!(
        !answer.whole,
        "it broke off, and the hub is not to be asked"
    );
    hub.is(|manners| manners.refuse_files = (0, 0));
    let answer = get(gateway(&node), &file("large.bin"));
    assert!(answer.whole && answer.body == large);
    let requests = hub.requests("/resolve/");
    let last = requests.last().and_then(|last| last.header("range"));
    let start = last.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let start: usize = start.map_or(0, |(start, _)| start.parse().expect("a number"));
    assert!(start > 4 * MIB, "only the rest is requested: {last:?}");
    assert!(node.count("bytes_from_upstream") <= large.len() as u64);
}

#[test]
fn a_token_goes_to_the_upstream_alone() {
    let (lab, hub) = (Lab::new(HUBLESS), hub());
    let listed = Hub::start_at("127.0.0.2:0", &[("weights.bin", weights())]);
    let other = Hub::start_at("127.0.0.3:0", &[("weights.bin", weights())]);
    let host = listed
        .url
        .strip_prefix("http://")
        .expect("a URL")
        .to_owned();
    let node = mirror(&lab, "mirror", &hub.url, &["--upstream-host", &host]);
    let token = "hf_a_secret_of_the_caller";

    // No connection is made to a machine of the network that the operator did not name.
    hub.is(|manners| manners.redirect = Some(other.url.clone()));
    let answer = get_as(&node, &file("weights.bin"), token);
    assert!(answer.status >= 400, "{}", answer.status);
    assert_eq!(other.requests("").len(), 0);

    hub.is(|manners| manners.redirect = Some(listed.url.clone()));
    let answer = get_as(&node, &file("weights.bin"), token);
    assert!(answer.whole && answer.body == weights());
    let sent = format!("Bearer {token}");
    assert!(
        hub.requests("")
            .iter()
            .all(|r| r.header("authorization") == Some(&sent))
    );
    assert_eq!(listed.requests("/resolve/").len(), 1);
    assert_eq!(listed.requests("")[0].header("authorization"), None);

    // Nor does the node print or store it.
    let home = node.machine.home.clone();
    node.stop();
    let store = fs::read(home.join("store.redb")).expect("the index");
    assert!(
        !store
            .windows(token.len())
            .any(|bytes| bytes == token.as_bytes())
    );
}

#[test]
fn an_upstream_that_is_busy_is_left_alone_for_a_while() {
    let (lab, hub) = (Lab::new(HUBLESS), hub());
    let node = mirror(&lab, "mirror", &hub.url, &[]);
    hub.is(|manners| manners.refuse = (1, 1));
    let begin = Instant::now();
    assert_eq!(get(gateway(&node), &file("config.json")).status, 200);
    assert!(begin.elapsed() >= Duration::from_secs(1));

    let node = mirror(&lab, "other", &hub.url, &[]);
    hub.is(|manners| manners.refuse = (1000, 40));
    let before = hub.requests("").len();
    let answer = get(gateway(&node), &file("config.json"));
    assert_eq!((answer.status, answer.header("retry-after")), (429, "40"));
    assert_eq!(hub.requests("").len(), before + 1, "no further requests");
}

#[test]
fn what_fails_at_the_upstream_is_its_failure() {
    let (lab, hub) = (Lab::new(HUBLESS), hub());
    let node = mirror(&lab, "mirror", &hub.url, &[]);
    hub.is(|manners| manners.refuse_files = (1000, 40));
    let answer = get(gateway(&node), &file("weights.bin"));
    assert_eq!((answer.status, answer.header("retry-after")), (429, "40"));
    hub.is(|manners| manners.refuse_files = (0, 0));
    hub.is(|manners| manners.wrong_byte = Some(3));
    assert_eq!(get(gateway(&node), &file("config.json")).status, 502);
}

#[test]
fn callers_with_the_gateways_token_use_the_nodes_token_at_the_upstream() {
    const OWN: &str = "0123456789abcdef";
    let (lab, hub) = (Lab::new(HUBLESS), hub());
    hub.is(|manners| manners.gated = Some("hf_accepted_by_the_hub"));
    let [own, accepted] =
        [("own", OWN), ("accepted", "hf_accepted_by_the_hub")].map(|(name, token)| {
            let path = lab.path(name);
            fs::write(&path, token).expect("write");
            let owner_alone = fs::Permissions::from_mode(0o600);
            fs::set_permissions(&path, owner_alone).expect("own file");
            path.to_str().expect("UTF-8").to_owned()
        });
    let node = mirror(&lab, "without", &hub.url, &["--gateway-token", &own]);
    assert_eq!(get_as(&node, &file("weights.bin"), OWN).status, 403);
    let args = ["--gateway-token", &own, "--upstream-token-file", &accepted];
    let node = mirror(&lab, "with", &hub.url, &args);
    let answer = get_as(&node, &file("weights.bin"), OWN);
    assert!(
        answer.whole && answer.body == weights(),
        "{}",
        answer.status
    );
    let without = get(gateway(&node), &file("weights.bin"));
    assert_eq!(without.status, 401);
    let sent = hub.requests("");
    let sent = sent
        .iter()
        .filter_map(|request| request.header("authorization"));
    assert!(sent.into_iter().all(|sent| !sent.contains(OWN)));

    // A token file that other users can read, and a gateway without a token, are refused.
    let refused = lab
        .machine("refused")
        .with("HUBLESS_GATEWAY", "127.0.0.1:0");
    let args = [
        "serve",
        "--upstream",
        &hub.url,
        "--upstream-token-file",
        &accepted,
    ];
    refused.run(args).failed(2, "upstream_token_file");
    fs::set_permissions(&accepted, fs::Permissions::from_mode(0o644)).expect("own file");
    let args = [&args[..], &["--gateway-token", &own]].concat();
    refused.run(args).failed(2, "others can read the token");
}

#[test]
fn gated_files_are_given_to_callers_that_the_upstream_accepts() {
    let (lab, hub) = (Lab::new(HUBLESS), hub());
    hub.is(|manners| manners.gated = Some("hf_accepted"));
    let node = mirror(&lab, "mirror", &hub.url, &[]);
    let accepted = get_as(&node, &file("weights.bin"), "hf_accepted");
    assert!(accepted.whole && accepted.body == weights());
    for refused in [
        get(gateway(&node), &file("weights.bin")),
        get_as(&node, &file("weights.bin"), "hf_another"),
        get(
            gateway(&node),
            &format!("/{REPO}/resolve/{COMMIT}/weights.bin"),
        ),
    ] {
        assert_eq!(
            (refused.status, refused.header("x-error-code")),
            (403, "GatedRepo")
        );
        let message = refused.header("x-error-message");
        assert!(message.contains("is restricted and you are not in the authorized list"));
    }
    let page = get(gateway(&node), &format!("/{REPO}/blob/main/weights.bin"));
    assert_eq!(page.status, 403, "its content neither");
    let info = get(gateway(&node), &format!("/api/models/{REPO}")).json();
    assert_eq!(info["sha"], COMMIT, "its metadata is public");
    assert_never_announced(&node);
}

#[test]
fn private_repos_do_not_exist_for_other_callers() {
    let (lab, hub) = (Lab::new(HUBLESS), hub());
    hub.is(|manners| manners.private = Some("hf_owner"));
    let node = mirror(&lab, "mirror", &hub.url, &[]);
    assert!(get_as(&node, &file("weights.bin"), "hf_owner").whole);
    for path in [
        file("weights.bin"),
        format!("/{REPO}/resolve/{COMMIT}/weights.bin"),
        format!("/api/models/{REPO}"),
        format!("/api/models/{REPO}/tree/{COMMIT}"),
        format!("/api/models/{REPO}/refs"),
    ] {
        let answer = get(gateway(&node), &path);
        assert_eq!(
            (answer.status, answer.header("x-error-code")),
            (404, "RepoNotFound"),
            "{path}"
        );
    }
    for page in ["", "/blob/main/weights.bin", "/tree/main"] {
        let answer = get(gateway(&node), &format!("/{REPO}{page}"));
        assert_eq!(answer.status, 404, "{page:?}");
    }
    assert_eq!(
        get(gateway(&node), "/api/models").json(),
        serde_json::json!([])
    );
    assert_never_announced(&node);
}

/// Content that peers must not have: another file, announced later, shows that there was time.
fn assert_never_announced(node: &Node) {
    let public = node.machine.home.join("../public");
    model::write_file(&public.join("a"), 100, 9);
    node.machine.add(&public, &[]);
    wait_for_keys(node, 3);
    let what = "a model of one file, the file, and what other hubs call it; nothing else";
    assert_eq!(keys(node), 3, "{what}");
}

/// Keys to announce: no node exists that would accept them.
fn keys(node: &Node) -> u64 {
    node.count("dht/announced") + node.count("dht/backlog")
}

fn wait_for_keys(node: &Node, least: u64) {
    until("a key is to be announced", LIMIT, || match keys(node) {
        keys if keys < least => Err(keys.to_string()),
        _ => Ok(()),
    });
}

/// A directory of some files, one of them of many chunks, and their bytes in all.
fn some_model(lab: &Lab) -> (PathBuf, u64) {
    let files = [
        ("README.md", 300),
        ("config.json", 900),
        ("a/weights.bin", 6 * MIB as u64 + 5),
    ];
    let path = lab.path("model");
    model::write_tree(&path, &files, 3);
    (path, files.iter().map(|(_, size)| size).sum())
}

/// Downloads all files of a directory by name, and compares them.
fn download_all(node: &Node, repo: &str, source: &Path) {
    for path in model::tree(source).keys() {
        let answer = get(gateway(node), &format!("/{repo}/resolve/main/{path}"));
        assert!(answer.whole, "{path}: {}", answer.status);
        assert!(
            answer.body == fs::read(source.join(path)).expect("a file"),
            "{path} differs"
        );
    }
}

#[test]
fn of_a_chain_of_nodes_only_the_first_asks_the_upstream_for_bytes() {
    let lab = Lab::new(HUBLESS);
    let (source, size) = some_model(&lab);
    let hub = lab.machine("hub").with("HUBLESS_GATEWAY", "127.0.0.1:0");
    let hub = hub.seed(&source, &["--name", "acme/model"]);
    let counter = Counter::before(gateway(&hub));
    let first = mirror(&lab, "first", &counter.url, &[]);
    download_all(&first, "acme/model", &source);
    let by_first = counter.bytes();
    assert!(
        (size..size + size / 50).contains(&by_first),
        "{by_first} of {size}"
    );

    let second = mirror(&lab, "second", &counter.url, &["--peer", first.address()]);
    first.wait_until_announced(4);
    until("the second knows the first", LIMIT, || {
        match second.count("dht/routing_peers") {
            0 => Err("not yet".to_owned()),
            _ => Ok(()),
        }
    });
    download_all(&second, "acme/model", &source);
    let by_second = counter.bytes() - by_first;
    assert!(
        by_second < size / 50,
        "only what it is, not its bytes: {by_second}"
    );
    assert_eq!(second.count("bytes_from_upstream"), 0);
    assert!(
        second.count("bytes_received") >= size,
        "they came from the first"
    );

    let hash = hub.hash().to_owned();
    drop(hub);
    for node in [&first, &second] {
        download_all(node, "acme/model", &source);
    }
    // The same model under the same address, also without the name.
    let third = lab.machine("third");
    let fetched = third.get(&[&hash, "--peer", second.address()]);
    model::assert_same_tree(&fetched.path, &source);
}

#[test]
fn what_came_as_a_whole_has_an_address() {
    let (lab, hub) = (Lab::new(HUBLESS), hub());
    let node = mirror(&lab, "mirror", &hub.url, &[]);
    for path in ["config.json", "weights.bin"] {
        assert!(get(gateway(&node), &file(path)).whole);
    }
    wait_for_keys(&node, 3);
    let output = lab.path("output");
    node.machine.get(&[REPO, "-o", text(&output)]);
    assert!(fs::read(output.join("weights.bin")).expect("a file") == weights());
}

#[test]
fn the_real_client_downloads_through_a_mirror() {
    let source = script("fetch-model", &[]);
    let python = script("hf-client", &["hub", "1.28.0"]);
    let lab = Lab::new(HUBLESS);
    let hub = lab.machine("hub").with("HUBLESS_GATEWAY", "127.0.0.1:0");
    let hub = hub.seed(&source, &["--name", "sentence/minilm"]);
    let node = mirror(&lab, "mirror", gateway(&hub), &[]);
    let cache = lab.path("cache");
    let mut command = Command::new(python);
    command
        .arg(root().join("tests/clients/download.py"))
        .args(["sentence/minilm", "main"])
        .arg(&source)
        .env("HF_ENDPOINT", gateway(&node))
        .env("HF_HOME", cache)
        .env("HF_HUB_DISABLE_TELEMETRY", "1")
        .env_remove("HF_TOKEN");
    Process::start(command).wait(LIMIT).ok();
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The output of a script of the project.
fn script(name: &str, args: &[&str]) -> PathBuf {
    let script = root().join("scripts").join(name);
    let output = Command::new(script).args(args).output().expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "scripts/{name}: {errors}");
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}
