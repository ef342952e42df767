//! Which callers are let in: hosts, origins, tokens, and bytes that are no requests.

use std::time::Duration;

use crate::common::{Hub, start_node};
use hubless_gateway::{Gateway, GatewayConfig, StartError};
use proptest::{prelude::*, string::string_regex, test_runner::TestRunner};

#[tokio::test]
async fn a_rebound_name_and_foreign_pages_are_refused() {
    let hub = Hub::start(&[("a", b"x".as_slice())]).await;
    hub.name("model", "o/n", &[]).await;
    let path = "GET /api/models/o/n";
    let with = async |headers: &[(&str, &str)]| hub.send(path, headers, b"").await.status;
    assert_eq!(with(&[]).await, 200);
    assert_eq!(with(&[("Host", "evil.example")]).await, 403);
    assert_eq!(with(&[("Origin", "http://evil.example")]).await, 403);
    assert_eq!(with(&[("Origin", "null")]).await, 403);
    assert_eq!(with(&[("Sec-Fetch-Site", "cross-site")]).await, 403);
    let own = format!("http://{}", hub.host());
    assert_eq!(with(&[("Origin", &own)]).await, 200);
    let id = [("X-Request-Id", "mine")];
    assert_eq!(
        hub.send(path, &id, b"").await.header("x-request-id"),
        "mine"
    );
    hub.stop().await;
}

#[tokio::test]
async fn with_a_token_nobody_else_may_ask() {
    let hub = Hub::start_with(&[("a", b"x".as_slice())], Some("0123456789abcdef")).await;
    hub.name("model", "o/n", &[]).await;
    let with = async |headers: &[(&str, &str)]| {
        let answer = hub.send("GET /o/n/resolve/main/a", headers, b"").await;
        (answer.status, answer.body == b"x")
    };
    assert_eq!(with(&[]).await, (401, false));
    let wrong = [("Authorization", "Bearer 0123456789abcdeg")];
    assert_eq!(with(&wrong).await, (401, false));
    let right = [("Authorization", "Bearer 0123456789abcdef")];
    assert_eq!(with(&right).await, (200, true));
    hub.stop().await;
}

#[tokio::test]
async fn requests_are_counted_under_the_template_of_their_route_and_not_under_their_path() {
    let hub = Hub::start(&[("a", b"x".as_slice())]).await;
    hub.name("model", "o/n", &[]).await;
    for path in [
        "/static/secret.css",
        "/api/hubless/names/model/o%2Fsecret",
        "/o/n/resolve/secret/a",
        "//secret",
    ] {
        hub.send(&format!("GET {path}"), &[], b"").await;
    }
    let metrics = hub.send("GET /metrics", &[], b"").await.body;
    let metrics = String::from_utf8(metrics).unwrap();
    for route in [
        "/static/{name}",
        "/api/hubless/names/{kind}/{name}",
        "/{repo}/resolve/{revision}/{path}",
        "other",
    ] {
        let counted = metrics.lines().any(|line| {
            line.starts_with("hubless_http_requests_total{")
                && line.contains(&format!("route=\"{route}\""))
                && line.ends_with(" 1")
        });
        assert!(counted, "{route} is not in {metrics}");
    }
    assert!(!metrics.contains("secret"), "{metrics}");
    hub.stop().await;
}

#[tokio::test]
async fn an_address_for_others_needs_a_token() {
    let dir = tempfile::tempdir().unwrap();
    let node = start_node(dir.path()).await;
    let config = GatewayConfig {
        address: "0.0.0.0:0".parse().unwrap(),
        token: None,
        names: Vec::new(),
        upstream_token: None,
    };
    let refused = Gateway::start(node.handle(), config).await;
    assert!(matches!(refused, Err(StartError::Open(_))));
    node.stop().await;
}

/// Requests near those that mean something.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let path = "(/|api|models|datasets|o|n|none|resolve|raw|tree|revision|refs|commits|main|a|HEAD|\
                paths-info|whoami-v2|hubless|names|config|fetches|gc|metrics|readyz|openapi.json|\
                %2F|%00|%ff|%|\\?|&|limit=|cursor=|expand=|sort=|lastModified|full=|direction=|=|\\.\\.|\
                [!-~])";
    let path = string_regex(&format!("/({path}){{0,12}}")).unwrap();
    let beginning =
        "(/(o/n/(resolve|raw)/main|api/(models|datasets)(/o/n)?|api/hubless/[a-z]{3,7}))?";
    let path = (beginning, path).prop_map(|(beginning, path)| beginning + &path);
    let header = "(Range|Host|Origin|If-None-Match|If-Range|If-Match|If-Modified-Since|Accept|\
                  Authorization|Content-Type|Sec-Fetch-Site|X-Request-Id|X-Forwarded-Proto|[A-Z-]+)\
                  : (bytes=[0-9,-]{0,12}|bytes=99999999999999999999-|Bearer [!-~]{0,9}|\
                  Basic [!-~]{0,9}|application/json|W/\"[0-9a-f]{0,9}\"|\\*|localhost(:[0-9]{0,6})?|\
                  \\[::1\\]|same-origin|[ -~]{0,12})";
    let headers = prop::collection::vec(header, 0..4);
    let body = prop::collection::vec(any::<u8>(), 0..40);
    let method = "(GET|HEAD|POST|PUT|DELETE|OPTIONS|[A-Z]{1,8})";
    (method, path, headers, body, any::<bool>()).prop_map(|(method, path, headers, body, host)| {
        let mut request = format!("{method} {path} HTTP/1.1\r\n");
        if host {
            request.push_str("Host: localhost\r\n");
        }
        for header in headers {
            request.push_str(&header);
            request.push_str("\r\n");
        }
        request.push_str(&format!(
            "Connection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        ));
        [request.into_bytes(), body].concat()
    })
}

#[test]
fn every_request_gets_an_answer_as_the_hub_gives_it() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let hub = runtime.block_on(async {
        let hub = Hub::start(&[("a", b"x".as_slice()), ("n/a", b"y")]).await;
        hub.name("model", "o/n", &["v1"]).await;
        hub
    });
    let mut runner = TestRunner::new(ProptestConfig::with_cases(1500));
    let outcome = runner.run(&requests(), |request| {
        let asked =
            async { tokio::time::timeout(Duration::from_secs(20), hub.raw(&request)).await };
        let answer = runtime.block_on(asked);
        let answer = answer.map_err(|_| TestCaseError::fail("no answer"))?;
        let answer = answer.ok_or_else(|| TestCaseError::fail("closed without an answer"))?;
        let text = String::from_utf8_lossy(&request).into_owned();
        // A node that is not ready says so.
        let is_fine = answer.status < 500 || text.split_whitespace().nth(1) == Some("/readyz");
        prop_assert!(is_fine, "{} {text}", answer.status);
        let code = answer.header("x-error-code");
        if answer.status == 404 && text.starts_with("GET /o/n/resolve/") {
            prop_assert!(!code.is_empty(), "{text}");
        }
        prop_assert!(code.is_empty() || answer.status == 404, "{text}");
        Ok(())
    });
    // Whatever came, it goes on answering.
    let alive = runtime.block_on(hub.ask("GET /o/n/resolve/main/a"));
    assert_eq!(alive.body, b"x");
    runtime.block_on(hub.stop());
    outcome.unwrap();
}
