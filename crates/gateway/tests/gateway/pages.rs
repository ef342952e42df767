//! Pages over a real socket: what they are, what they forbid, and what they do not give away.

use std::time::Duration;

use crate::common::{Answer, Hub};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const CARD: &[u8] =
    b"---\nlicense: mit\ntags: [speech]\n---\n# Hello\n\nOf whales and <script>x</script>\n";

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

async fn hub() -> Hub {
    let hub = Hub::start(&[
        ("README.md", CARD),
        ("docs/a b.md", b"# Notes\n"),
        ("tiny.safetensors", &safetensors()),
    ])
    .await;
    hub.name("model", "o/n", &["v1"]).await;
    hub
}

fn safetensors() -> Vec<u8> {
    let header = br#"{"layer.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}"#;
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header, &[0; 24]].concat()
}

#[tokio::test]
async fn every_page_forbids_what_it_does_not_need() {
    let hub = hub().await;
    for path in [
        "/",
        "/o/n",
        "/O/N/",
        "/o/n/tree/main",
        "/o/n/tree/v1/docs",
        "/o/n/blob/main/docs/a%20b.md",
        "/o/n/blob/main/tiny.safetensors?from=0",
        "/o/n/commits/main",
        "/search?q=whales",
        "/o/none",
        "/none",
        "/o/n/blob/main/none",
        "/o/n/tree/none",
        "/content/none",
    ] {
        let answer = hub.ask(&format!("GET {path}")).await;
        let expected = if path.contains("none") { 404 } else { 200 };
        assert_eq!(answer.status, expected, "{path}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{path} {policy}");
        assert!(!policy.contains("unsafe"), "{path} {policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        let html = text(&answer);
        assert!(html.starts_with("<!DOCTYPE html>"), "{path}");
        assert!(html.ends_with("</html>"), "{path}");
        assert!(!html.contains("<script>x"), "{path}");
        let head = hub.ask(&format!("HEAD {path}")).await;
        assert_eq!((head.status, head.body.len()), (expected, 0), "{path}");
    }
    hub.stop().await;
}

#[tokio::test]
async fn a_repo_shows_its_card_files_tensors_and_commands() {
    let hub = hub().await;
    let html = text(&hub.ask("GET /o/n").await);
    for part in [
        "<h2>Hello",
        "Of whales and",
        "license:mit",
        "href=\"/o/n/blob/main/docs/a%20b.md\"",
        "href=\"/o/n/tree/v1\"",
        "layer.weight",
        "[2, 3]",
        &format!("hubless get {}", hub.hash),
        &format!("HF_ENDPOINT=http://{}", hub.host()),
    ] {
        assert!(html.contains(part), "{part} in {html}");
    }
    assert!(
        !html.contains("license: mit"),
        "the YAML is not a part of the card"
    );
    let home = text(&hub.ask("GET /").await);
    assert!(home.contains("href=\"/o/n\""), "{home}");
    let found = text(&hub.ask("GET /search?q=WHALES+speech").await);
    assert!(found.contains("href=\"/o/n\""), "{found}");
    let none = text(&hub.ask("GET /search?q=whales+penguins").await);
    assert!(none.contains("0 results"), "{none}");
    hub.stop().await;
}

#[tokio::test]
async fn content_has_a_page_without_a_name() {
    let hub = Hub::start(&[("README.md", CARD)]).await;
    let home = text(&hub.ask("GET /").await);
    let (_, rest) = home.split_once("href=\"/content/").unwrap();
    let hash = &rest[..64];
    let page = hub.ask(&format!("GET /content/{hash}")).await;
    assert_eq!(page.status, 200);
    assert!(text(&page).contains(&format!("hubless get {hash}")));
    let swarm = text(&hub.ask(&format!("GET /content/{hash}/swarm")).await);
    assert!(swarm.contains("this node"), "{swarm}");
    let found = hub.ask(&format!("GET /search?q={hash}")).await;
    assert_eq!(
        (found.status, found.header("location")),
        (303, &*format!("/content/{hash}"))
    );
    let unknown = hub.ask(&format!("GET /content/{}", "0".repeat(64))).await;
    assert_eq!(unknown.status, 404);
    hub.stop().await;
}

#[tokio::test]
async fn pages_change_nothing_and_are_not_for_other_sites() {
    let hub = hub().await;
    for path in ["/", "/o/n", "/search", "/events", "/content/x"] {
        assert_eq!(hub.ask(&format!("POST {path}")).await.status, 405, "{path}");
        let rebound = hub
            .send(&format!("GET {path}"), &[("Host", "evil.example")], b"")
            .await;
        assert_eq!(rebound.status, 403, "{path}");
        let embedded = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "cors")];
        let embedded = hub.send(&format!("GET {path}"), &embedded, b"").await;
        assert_eq!(embedded.status, 403, "{path}");
    }
    hub.stop().await;
}

#[tokio::test]
async fn style_and_script_are_kept_as_long_as_they_are_the_same() {
    let hub = hub().await;
    let html = text(&hub.ask("GET /").await);
    for (kind, ending) in [
        ("text/css", ".css\""),
        ("text/javascript", ".js\""),
        ("image/svg", ".svg\""),
    ] {
        let end = html.find(ending).unwrap() + ending.len() - 1;
        let start = html[..end].rfind("/static/").unwrap();
        let answer = hub.ask(&format!("GET {}", &html[start..end])).await;
        assert_eq!(answer.status, 200);
        assert!(answer.header("content-type").starts_with(kind));
        assert!(answer.header("cache-control").contains("immutable"));
    }
    assert_eq!(hub.ask("GET /static/pages-0.css").await.status, 404);
    hub.stop().await;
}

/// Opens a stream of events and reads its head.
async fn stream(hub: &Hub) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(hub.host()).await.unwrap();
    let request = format!("GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", hub.host());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    (stream, String::from_utf8(head).unwrap())
}

#[tokio::test]
async fn streams_of_events_are_bounded_and_end_with_the_gateway() {
    let hub = hub().await;
    let mut open = Vec::new();
    let refused = loop {
        let (stream, head) = stream(&hub).await;
        if !head.starts_with("HTTP/1.1 200") {
            break head;
        }
        open.push(stream);
        assert!(open.len() <= 1000, "there is no bound");
    };
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("retry-after"), "{refused}");
    let mut first = vec![0; 4000];
    let read = open[0].read(&mut first).await.unwrap();
    let first = String::from_utf8_lossy(&first[..read]).into_owned();
    assert!(first.contains("event: parts"), "{first}");

    // A reader that leaves makes room for others.
    open.clear();
    let again = async { while !stream(&hub).await.1.starts_with("HTTP/1.1 200") {} };
    tokio::time::timeout(Duration::from_secs(20), again)
        .await
        .unwrap();

    // And the end of the gateway is the end of the stream.
    let (mut last, head) = stream(&hub).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let stopped = hub.stop();
    let ended = async {
        let mut rest = Vec::new();
        last.read_to_end(&mut rest).await.unwrap();
    };
    let both = async { tokio::join!(stopped, ended) };
    tokio::time::timeout(Duration::from_secs(20), both)
        .await
        .unwrap();
}
