//! Names of publishers: the id and what this node calls it are the same repo, each answered as asked.

use hubless_content::{PublisherId, RepoKind};
use hubless_node::api::{Trust, Untrust};
use hubless_store::{ImportOptions, Publication, Store};
use hubless_testkit::author::Author;

use crate::common::*;

const TIME: u64 = 1_790_000_000_000;

/// What strangers may write where a name for people is.
const HOSTILE: [&str; 6] = [
    "<script>window.pwned=1</script>",
    "\"><img src=x onerror=window.pwned=1>",
    "</title></main><meta http-equiv=refresh content=0>",
    "\u{202e}elgoog\u{2066}\u{200b}",
    "&lt;b&gt; &#x3c;i>",
    "{{7*7}} javascript:window.pwned=1",
];

/// A hub with a repo `mini` of a publisher that writes this as its full name.
async fn hub(full_name: &str) -> (Hub, PublisherId) {
    let mut author = Author::new(1);
    let id = author.id();
    let hub = Hub::start_prepared(&[("README.md", b"# Mini\n")], |store, model| {
        let added = store.import(model, &ImportOptions::default(), &()).unwrap();
        for kind in [RepoKind::Model, RepoKind::Dataset] {
            let step = author.step(kind, "Mini", added.hash, TIME);
            publish(store, &step);
        }
        let (head, profile) = author.profile("acme", full_name, &["acme.com"], TIME);
        store.put_profile(&head, &profile, None).unwrap();
    })
    .await;
    (hub, id)
}

fn publish(store: &Store, step: &hubless_testkit::author::Step) {
    let publication = Publication {
        head: &step.head,
        state: &step.state,
        revisions: std::slice::from_ref(&step.revision),
        after: None,
    };
    store.publish(&publication).unwrap();
}

async fn trust(hub: &Hub, name: &str, id: PublisherId) {
    let name = name.to_owned();
    call(&hub.node, Trust { name, id }).await;
}

#[tokio::test]
async fn a_namespace_and_the_id_behind_it_are_the_same_repo() {
    let (hub, id) = hub("").await;
    assert_eq!(hub.ask("GET /api/models/acme/mini").await.status, 404);
    trust(&hub, "acme", id).await;
    let by_id = hub.json(&format!("GET /api/models/{id}/mini")).await;
    let by_name = hub.json("GET /api/models/ACME/mini").await;
    assert_eq!(by_id["id"], format!("{id}/Mini"));
    assert_eq!(
        [&by_name["id"], &by_name["modelId"], &by_name["author"]],
        ["ACME/Mini", "ACME/Mini", "ACME"]
    );
    for key in ["sha", "_id", "createdAt", "siblings"] {
        assert_eq!(by_id[key], by_name[key], "{key}");
    }
    for (namespace, kind) in [
        (id.to_string(), ""),
        ("acme".into(), ""),
        ("acme".into(), "datasets/"),
    ] {
        let file = format!("GET /{kind}{namespace}/mini/resolve/main/README.md");
        let file = hub.ask(&file).await;
        assert_eq!((file.status, &*file.body), (200, &b"# Mini\n"[..]));
        let api = format!(
            "GET /api/{}{namespace}/mini",
            if kind.is_empty() { "models/" } else { kind }
        );
        let refs = hub.json(&format!("{api}/refs")).await;
        assert_eq!(refs["branches"][0]["name"], "main");
        let tree = hub.json(&format!("{api}/tree/main")).await;
        assert_eq!(tree[0]["path"], "README.md");
        let commits = hub.json(&format!("{api}/commits/main")).await;
        assert_eq!(commits[0]["authors"][0]["user"], namespace);
        let listed = hub
            .json(&format!("GET /api/models?author={namespace}"))
            .await;
        assert_eq!(listed[0]["id"], format!("{namespace}/Mini"));
    }
    let untrust = Untrust {
        name: "acme".into(),
    };
    call(&hub.node, untrust).await;
    assert_eq!(hub.ask("GET /api/models/acme/mini").await.status, 404);
    hub.stop().await;
}

#[tokio::test]
async fn pages_show_who_signs_a_repo_and_what_means_it_elsewhere() {
    let (hub, id) = hub("Acme & Söhne").await;
    let page = async |path: &str| {
        let answer = hub.ask(&format!("GET {path}")).await;
        assert_eq!(answer.status, 200, "{path}");
        String::from_utf8(answer.body).unwrap()
    };
    let publisher = page(&format!("/{id}")).await;
    for part in [
        format!("<h1>{}…</h1>", id.short()),
        "Calls itself</dt><dd>acme".into(),
        format!("hubless trust acme {id}"),
        format!("hubless follow {id}"),
        "Acme &amp; Söhne".into(),
        "by its id".into(),
        "1 of 1 root key".into(),
        format!("href=\"/{id}/Mini\""),
        format!("href=\"/datasets/{id}/Mini\""),
    ] {
        assert!(publisher.contains(&part), "{part} in {publisher}");
    }
    assert_eq!(
        hub.ask("GET /acme").await.status,
        404,
        "no page binds a name"
    );
    trust(&hub, "lab", id).await;
    let publisher = page("/lab").await;
    for part in [
        "<h1>lab</h1>",
        "bound by hand",
        "href=\"/lab/Mini\"",
        "Calls itself",
    ] {
        assert!(publisher.contains(part), "{part} in {publisher}");
    }
    let repo = page("/lab/mini").await;
    for part in [
        "<title>lab/Mini · hubless</title>".to_owned(),
        format!("hubless get {id}/Mini"),
        "hf download lab/Mini".into(),
        format!("href=\"/lab\" title=\"{id}\""),
        "bound by hand".into(),
        "Confirmed".into(),
    ] {
        assert!(repo.contains(&part), "{part} in {repo}");
    }
    let dataset = page(&format!("/datasets/{id}/mini")).await;
    assert!(
        dataset.contains(&format!("hubless get datasets/{id}/Mini")),
        "{dataset}"
    );
    let title = format!("<title>{}…/Mini · hubless</title>", id.short());
    assert!(
        dataset.contains(&title),
        "a long id is short in titles: {dataset}"
    );
    for path in ["/", "/search?q=lab"] {
        assert!(page(path).await.contains("href=\"/lab/Mini\""), "{path}");
    }
    hub.stop().await;
}

#[tokio::test]
async fn what_a_publisher_calls_itself_is_text() {
    for full_name in HOSTILE {
        let (hub, id) = hub(full_name).await;
        let page = hub.ask(&format!("GET /{id}")).await;
        let html = String::from_utf8(page.body).unwrap();
        assert_eq!(page.status, 200);
        assert!(!html.contains("<script>w") && !html.contains("<img") && !html.contains("<meta h"));
        assert!(
            html.ends_with("</html>") && html.matches("</main>").count() == 1,
            "{html}"
        );
        // Its direction ends with it.
        assert!(html.contains("<bdi>"), "{html}");
        hub.stop().await;
    }
}
