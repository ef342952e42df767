//! The hub's reading API over a real socket, before a real node.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::common::Hub;
use serde_json::{Value, json};

#[tokio::test]
async fn a_named_model_is_read_as_from_a_hub() {
    let hub = Hub::start(&[
        ("README.md", b"---\nlicense: mit\n---\n# hi\n".as_slice()),
        ("config.json", b"{}\n"),
        ("model.safetensors", &[7; 600_000]),
        ("sub/to?/awful?name%you:should,never.give", b"odd\n"),
    ])
    .await;
    let first = hub.name("model", "Org/Name", &[]).await;

    let info = hub.json("GET /api/models/org/name").await;
    assert_eq!(info["id"], "Org/Name", "case does not matter");
    assert_eq!(info["sha"], first);
    assert_eq!(info["siblings"][0]["rfilename"], "README.md");
    assert_eq!(info["tags"], json!(["license:mit"]));
    assert_eq!(info["cardData"]["license"], "mit");

    let head = hub.ask("HEAD /Org/Name/resolve/main/config.json").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("x-repo-commit"), first);
    // From `git hash-object`.
    assert_eq!(
        head.header("etag"),
        "\"0967ef424bce6791893e9a57bb952f80fd536e93\""
    );
    assert_eq!(head.header("content-length"), "3");

    let large = hub
        .ask("HEAD /Org/Name/resolve/main/model.safetensors")
        .await;
    assert_eq!(large.header("content-length"), "600000");
    let etag = large.header("etag").to_owned();
    assert_eq!(etag.len(), 66, "a SHA-256 in quotes");
    assert_eq!(large.header("x-linked-etag"), etag);
    let same = hub
        .send(
            "HEAD /Org/Name/resolve/main/model.safetensors",
            &[("If-None-Match", &etag)],
            b"",
        )
        .await;
    assert_eq!(same.status, 304);

    let odd = "GET /Org/Name/resolve/main/sub/to%3F/awful%3Fname%25you%3Ashould%2Cnever.give";
    assert_eq!(hub.ask(odd).await.body, b"odd\n");

    let pointer = hub.ask("GET /Org/Name/raw/main/model.safetensors").await;
    let pointer = String::from_utf8(pointer.body).unwrap();
    assert!(pointer.starts_with("version https://git-lfs"), "{pointer}");
    hub.stop().await;
}

#[tokio::test]
async fn ranges_are_exact() {
    let bytes: Vec<u8> = (0..700_000u32).map(|at| (at / 251) as u8).collect();
    let hub = Hub::start(&[("w.bin", bytes.as_slice())]).await;
    hub.name("model", "o/n", &[]).await;
    for (range, expected) in [
        ("bytes=0-0", Some(0..1)),
        ("bytes=262143-262144", Some(262_143..262_145)),
        ("bytes=100-600000", Some(100..600_001)),
        ("bytes=-5", Some(699_995..700_000)),
        ("bytes=699999-900000", Some(699_999..700_000)),
        ("bytes=700000-", None),
    ] {
        let path = "GET /o/n/resolve/main/w.bin";
        let answer = hub.send(path, &[("Range", range)], b"").await;
        match expected {
            Some(part) => {
                assert_eq!(answer.status, 206, "{range}");
                let content = format!("bytes {}-{}/700000", part.start, part.end - 1);
                assert_eq!(answer.header("content-range"), content);
                assert!(answer.body == bytes[part], "{range}");
            }
            None => {
                assert_eq!(answer.status, 416, "{range}");
                assert_eq!(answer.header("content-range"), "bytes */700000");
            }
        }
    }
    assert!(hub.ask("GET /o/n/resolve/main/w.bin").await.body == bytes);
    hub.stop().await;
}

#[tokio::test]
async fn what_is_missing_has_its_code() {
    let hub = Hub::start(&[("a/b", b"x".as_slice())]).await;
    let commit = hub.name("model", "o/n", &[]).await;
    for (path, code) in [
        ("/o/none/resolve/main/a", "RepoNotFound"),
        ("/none/resolve/main/a", "RepoNotFound"),
        ("/o/n--x/resolve/main/a", "RepoNotFound"),
        ("/api/models/o/none", "RepoNotFound"),
        ("/api/models/none/tree/main", "RepoNotFound"),
        ("/api/datasets/o/n", "RepoNotFound"),
        ("/o/n/resolve/none/a", "RevisionNotFound"),
        ("/api/models/o/n/revision/none", "RevisionNotFound"),
        ("/api/models/o/n/revision/refs%2Fpr%2F1", "RevisionNotFound"),
        ("/o/n/resolve/main/c", "EntryNotFound"),
        ("/o/n/resolve/main/a", "EntryNotFound"),
        ("/api/models/o/n/tree/main/c", "EntryNotFound"),
        ("/api/models/o/n/tree/main/a%2Fb", "EntryNotFound"),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = hub.ask(&format!("{method} {path}")).await;
            assert_eq!(answer.status, 404, "{path}");
            assert_eq!(answer.header("x-error-code"), code, "{path}");
            assert!(!answer.header("x-error-message").is_empty());
        }
    }
    let missing = hub.ask("HEAD /o/n/resolve/main/c").await;
    assert_eq!(missing.header("x-repo-commit"), commit);
    let bad = hub.ask("GET /o/n/resolve/main/%ff").await;
    assert_eq!(bad.status, 400);
    let post = hub.ask("POST /api/models/o/n").await;
    assert_eq!((post.status, post.header("allow")), (405, "GET, HEAD"));
    let expand = hub
        .ask("GET /api/models/o/n?expand=sha&expand=nonsense")
        .await;
    assert_eq!(expand.status, 400);
    assert!(String::from_utf8_lossy(&expand.body).contains("must be one of ["));
    hub.stop().await;
}

#[tokio::test]
async fn trees_paths_refs_and_commits() {
    let hub = Hub::start(&[("a.bin", b"\0".as_slice()), ("d/e/f", b"x"), ("d/g", b"y")]).await;
    let first = hub.name("dataset", "o/n", &["v1"]).await;
    let second = hub.name_other("dataset", "o/n").await;
    assert_ne!(first, second);

    let tree = hub
        .json("GET /api/datasets/o/n/tree/v1?recursive=true&expand=false")
        .await;
    let paths: Vec<&str> = tree
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["a.bin", "d", "d/e", "d/e/f", "d/g"]);
    assert_eq!(tree[0]["lfs"]["size"], 1);
    assert_eq!(tree[1]["type"], "directory");
    assert!(tree[4].get("lfs").is_none());

    let page = hub
        .ask("GET /api/datasets/o/n/tree/v1?recursive=true&limit=2")
        .await;
    let link = page.header("link");
    assert!(
        link.starts_with(&format!("<http://{}/api/datasets/o/n/tree/v1?", hub.host())),
        "{link}"
    );
    let next = link.split_once('>').unwrap().0.trim_start_matches('<');
    let next = next.split_once(hub.host()).unwrap().1;
    let rest = hub.json(&format!("GET {next}")).await;
    assert_eq!(rest[0]["path"], "d/e");

    let form = b"paths=d&paths=none&paths=a.bin&expand=true";
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    let path = "POST /api/datasets/o/n/paths-info/v1";
    let by_form = hub.send(path, &[kind], form).await.json();
    let body = json!({ "paths": ["d", "none", "a.bin"], "expand": true }).to_string();
    let kind = ("Content-Type", "application/json");
    let by_json = hub.send(path, &[kind], body.as_bytes()).await.json();
    assert_eq!(by_form, by_json);
    assert_eq!(by_form.as_array().unwrap().len(), 2);
    assert_eq!(by_form[0]["lastCommit"]["id"], first);

    let refs = hub.json("GET /api/datasets/o/n/refs?include_prs=1").await;
    assert_eq!(refs["branches"][0]["targetCommit"], second);
    assert_eq!(refs["tags"][0]["name"], "v1");
    assert_eq!(refs["pullRequests"], json!([]));

    let commits = hub.json("GET /api/datasets/o/n/commits/main").await;
    let ids: Vec<&Value> = commits
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["id"])
        .collect();
    assert_eq!(ids, [&json!(second), &json!(first)]);
    let by_prefix = format!("GET /api/datasets/o/n/revision/{}", &first[..7]);
    assert_eq!(hub.json(&by_prefix).await["sha"], first);
    hub.stop().await;
}

#[tokio::test]
async fn lists_are_searched_and_paged() {
    let hub = Hub::start(&[("README.md", b"---\ntags: [t]\n---\n".as_slice())]).await;
    for name in ["a/one", "a/two", "b/one"] {
        hub.name("model", name, &[]).await;
    }
    let ids = |list: &Value| -> Vec<String> {
        let items = list.as_array().unwrap().iter();
        items
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        ids(&hub.json("GET /api/models?search=ONE").await),
        ["a/one", "b/one"]
    );
    assert_eq!(
        ids(&hub.json("GET /api/models?author=a").await),
        ["a/one", "a/two"]
    );
    assert_eq!(
        ids(&hub.json("GET /api/models?filter=t&author=b").await),
        ["b/one"]
    );
    assert_eq!(ids(&hub.json("GET /api/models?filter=x").await), [""; 0]);
    assert_eq!(ids(&hub.json("GET /api/datasets").await), [""; 0]);
    let page = hub.ask("GET /api/models?limit=2").await;
    assert_eq!(ids(&page.json()), ["a/one", "a/two"]);
    assert!(page.header("link").contains("cursor=a%2Ftwo"));
    hub.stop().await;
}

/// Waits until what is made from now on has a later time: times are in milliseconds.
async fn next_millisecond() {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH);
    let now = || now().expect("a clock that was set").as_millis();
    let before = now();
    while now() == before {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn lists_are_ordered_as_asked() {
    let hub = Hub::start(&[("a", b"x".as_slice())]).await;
    for name in ["a/first", "b/second", "c/third"] {
        hub.name("model", name, &[]).await;
        next_millisecond().await;
    }
    hub.name_other("model", "a/first").await;
    let all = async |query: &str| {
        let (mut ids, mut line) = (Vec::new(), format!("GET /api/models?{query}"));
        loop {
            let page = hub.ask(&line).await;
            for item in page.json().as_array().unwrap() {
                ids.push(item["id"].as_str().unwrap().to_owned());
            }
            let link = page.header("link");
            let Some((next, _)) = link.trim_start_matches('<').split_once('>') else {
                return ids;
            };
            line = format!("GET {}", next.split_once(hub.host()).unwrap().1);
        }
    };
    let modified = ["a/first", "c/third", "b/second"];
    assert_eq!(all("sort=lastModified").await, modified);
    assert_eq!(
        all("sort=lastModified&direction=-1&limit=1").await,
        modified
    );
    let oldest = ["b/second", "c/third", "a/first"];
    assert_eq!(all("sort=lastModified&direction=1&limit=2").await, oldest);
    let created = ["c/third", "b/second", "a/first"];
    assert_eq!(all("sort=createdAt&limit=2").await, created);
    // Downloads are not counted.
    assert_eq!(all("sort=downloads&limit=2&full=true").await, modified);
    assert_eq!(hub.ask("GET /api/models?sort=nonsense").await.status, 400);
    let full = hub
        .json("GET /api/models?sort=likes&limit=1&full=true")
        .await;
    assert_eq!(full[0]["siblings"][0]["rfilename"], "other");
    hub.stop().await;
}

#[tokio::test]
async fn a_last_commit_is_the_one_that_changed_it() {
    let hub = Hub::start(&[("a", b"1".as_slice()), ("d/x", b"1"), ("d/y", b"1")]).await;
    let first = hub.name("model", "o/n", &[]).await;
    let files = [("a", b"2".as_slice()), ("d/x", b"1"), ("d/y", b"1")];
    let second = hub.name_files("model", "o/n", &files).await;
    let files = [("a", b"2".as_slice()), ("d/x", b"1"), ("d/y", b"3")];
    let third = hub.name_files("model", "o/n", &files).await;
    let tree = hub
        .json("GET /api/models/o/n/tree/main?recursive=true&expand=true")
        .await;
    let commits: Vec<(&str, &str)> = tree
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let id = entry["lastCommit"]["id"].as_str().unwrap();
            (entry["path"].as_str().unwrap(), id)
        })
        .collect();
    let expected = [
        ("a", &second),
        ("d", &third),
        ("d/x", &first),
        ("d/y", &third),
    ];
    assert_eq!(
        commits,
        expected.map(|(path, commit)| (path, commit.as_str()))
    );
    let before = hub
        .json(&format!("GET /api/models/o/n/tree/{second}?expand=true"))
        .await;
    assert_eq!(
        before[1]["lastCommit"]["id"],
        json!(first),
        "d at that time"
    );
    hub.stop().await;
}

#[tokio::test]
async fn a_missing_repo_is_named() {
    let hub = Hub::start(&[("a", b"x".as_slice())]).await;
    let missing = hub.ask("GET /api/datasets/acme/none").await;
    let message = missing.header("x-error-message");
    assert!(
        message.contains("dataset acme/none") && message.contains("hubless name"),
        "{message}"
    );
    assert_eq!(missing.json()["error"], message);
    hub.stop().await;
}

#[tokio::test]
async fn whoami_wants_a_token() {
    let hub = Hub::start(&[("a", b"x".as_slice())]).await;
    assert_eq!(hub.ask("GET /api/whoami-v2").await.status, 401);
    let bearer = [("Authorization", "Bearer hf_x")];
    let me = hub.send("GET /api/whoami-v2", &bearer, b"").await.json();
    assert_eq!(me["type"], "user");
    hub.stop().await;
}

#[tokio::test]
async fn where_a_hub_takes_writes_the_gateway_says_that_it_is_read_only() {
    let hub = Hub::start(&[("a", b"x".as_slice())]).await;
    hub.name("model", "o/n", &[]).await;
    for line in [
        "POST /api/repos/create",
        "DELETE /api/repos/delete",
        "POST /api/validate-yaml",
        "POST /api/models/o/n/commit/main",
        "POST /api/models/o/n/preupload/main",
        "PUT /api/models/o/n/settings",
        "GET /api/models/o/n/discussions",
        "POST /o/n.git/info/lfs/objects/batch",
    ] {
        let answer = hub.ask(line).await;
        assert_eq!(answer.status, 403, "{line}");
        let message = answer.header("x-error-message");
        assert!(message.contains("read-only"), "{line}: {message}");
        assert!(message.contains("hubless seed DIR"), "{line}: {message}");
    }
    for line in ["GET /api/settings/repositories", "GET /api/users/me/likes"] {
        assert_eq!(hub.json(line).await, serde_json::json!([]), "{line}");
    }
    assert_eq!(hub.ask("POST /o/n/resolve/main/a").await.status, 405);
    assert_eq!(hub.ask("GET /api/nothing/at/all").await.status, 404);
    hub.stop().await;
}
