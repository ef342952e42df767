//! An HTTP client that sends requests unchanged, and reads responses to the end.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use hubless_testkit::process::{LIMIT, Node};
use serde_json::Value;

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A node's gateway.
pub(crate) struct Gateway {
    host: String,
    token: Option<&'static str>,
}

impl Gateway {
    pub(crate) fn of(node: &Node) -> Self {
        let url = node.gateway.as_deref().expect("a node with a gateway");
        let host = url.strip_prefix("http://").expect("a URL").to_owned();
        Self { host, token: None }
    }

    /// The same gateway, with a token in each request.
    pub(crate) fn with_token(&self, token: &'static str) -> Self {
        Self {
            host: self.host.clone(),
            token: Some(token),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None)
    }

    pub(crate) fn json(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.send(method, path, &[], Some(body))
    }

    /// Sends a request; the given headers come before the default ones.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        let mut put = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
        headers.iter().for_each(|(name, value)| put(name, value));
        if !headers.iter().any(|(name, _)| *name == "Host") {
            put("Host", &self.host);
        }
        if let Some(token) = self.token {
            put("Authorization", &format!("Bearer {token}"));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        if !body.is_empty() {
            put("Content-Type", "application/json");
        }
        put("Content-Length", &body.len().to_string());
        let answer = self.exchange(&format!("{head}\r\n{body}"));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let is_chunked = head
            .to_ascii_lowercase()
            .contains("transfer-encoding: chunked");
        Answer {
            status: status.unwrap_or_else(|| panic!("{method} {path}: no answer: {answer:?}")),
            head: head.to_owned(),
            body: if is_chunked {
                unchunked(body)
            } else {
                body.to_owned()
            },
        }
    }

    fn exchange(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.host).expect("the gateway listens");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it answers");
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// Decodes a body in chunked transfer encoding.
fn unchunked(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length.trim(), 16).unwrap_or(0);
        let Some(chunk) = rest.get(..length).filter(|_| length > 0) else {
            break;
        };
        text.push_str(chunk);
        body = rest[length..].trim_start_matches("\r\n");
    }
    text
}
