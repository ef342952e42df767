//! A node with one directory in it and a gateway before it, and a client that sends the bytes it is given.

use std::path::Path;

use hubless_content::{ContentHash, RefName, RepoId, RepoKind};
use hubless_gateway::{Gateway, GatewayConfig, Token};
use hubless_node::{
    Node,
    api::{Add, Call, NameSet},
    config::Config,
};
use hubless_store::{Store, StoreOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(crate) struct Hub {
    pub(crate) node: Node,
    pub(crate) gateway: Gateway,
    host: String,
    pub(crate) hash: ContentHash,
    dir: tempfile::TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header's value; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(crate) fn write_files(dir: &Path, files: &[(&str, &[u8])]) {
    for (path, bytes) in files {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

pub(crate) async fn call<C: Call>(node: &Node, call: C) -> C::Answer {
    node.call(call).answer().await.unwrap()
}

pub(crate) async fn start_node(home: &Path) -> Node {
    let config = Config {
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        mdns: false,
        upnp: false,
        ..Config::default()
    };
    Node::start(home, &config).await.unwrap()
}

impl Hub {
    pub(crate) async fn start(files: &[(&str, &[u8])]) -> Self {
        Self::start_with(files, None).await
    }

    /// With a store that `prepare` has changed, which gets the directory of the files.
    pub(crate) async fn start_prepared(
        files: &[(&str, &[u8])],
        prepare: impl FnOnce(&Store, &Path),
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (home, model) = (dir.path().join("home"), dir.path().join("model"));
        write_files(&model, files);
        std::fs::create_dir(&home).unwrap();
        let store = Store::open(&home, StoreOptions::default()).unwrap();
        prepare(&store, &model);
        store.close().unwrap();
        drop(store);
        Self::start_in(dir, None).await
    }

    pub(crate) async fn start_with(files: &[(&str, &[u8])], token: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        write_files(&dir.path().join("model"), files);
        Self::start_in(dir, token).await
    }

    async fn start_in(dir: tempfile::TempDir, token: Option<&str>) -> Self {
        let model = dir.path().join("model");
        let node = start_node(&dir.path().join("home")).await;
        let added = call(&node, add(&model)).await;
        let config = GatewayConfig {
            address: "127.0.0.1:0".parse().unwrap(),
            token: token.map(|token| Token::new(token).unwrap()),
            names: Vec::new(),
            upstream_token: None,
        };
        let gateway = Gateway::start(node.handle(), config).await.unwrap();
        let host = gateway.url().strip_prefix("http://").unwrap().to_owned();
        Self {
            node,
            gateway,
            host,
            hash: added.hash,
            dir,
        }
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Gives the directory a name, and tags; the commit id.
    pub(crate) async fn name(&self, kind: &str, name: &str, tags: &[&str]) -> String {
        let tags = tags.iter().map(|tag| RefName::tag(tag).unwrap());
        self.set(kind, name, tags.collect(), self.hash).await
    }

    /// Gives another directory the same name.
    pub(crate) async fn name_other(&self, kind: &str, name: &str) -> String {
        self.name_files(kind, name, &[("other", b"other")]).await
    }

    /// Gives a directory with these files the name.
    pub(crate) async fn name_files(
        &self,
        kind: &str,
        name: &str,
        files: &[(&str, &[u8])],
    ) -> String {
        let other = tempfile::tempdir_in(self.dir.path()).unwrap().keep();
        write_files(&other, files);
        let added = call(&self.node, add(&other)).await;
        self.set(kind, name, Vec::new(), added.hash).await
    }

    async fn set(&self, kind: &str, name: &str, tags: Vec<RefName>, hash: ContentHash) -> String {
        let kind: RepoKind = kind.parse().unwrap();
        let name = NameSet {
            repo: RepoId::new(kind, name).unwrap(),
            branch: RefName::main(),
            tags,
            hash,
            message: None,
        };
        let named = call(&self.node, name).await;
        named.commit.to_string()
    }

    /// Sends `METHOD PATH`.
    pub(crate) async fn ask(&self, line: &str) -> Answer {
        self.send(line, &[], b"").await
    }

    pub(crate) async fn json(&self, line: &str) -> serde_json::Value {
        let answer = self.ask(line).await;
        assert_eq!(answer.status, 200, "{line}");
        answer.json()
    }

    pub(crate) async fn send(&self, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            request.push_str(&format!("Host: {}\r\n", self.host));
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        self.raw(&[request.as_bytes(), body].concat())
            .await
            .unwrap()
    }

    /// Sends bytes as they are; `None` if what came back is no answer.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Option<Answer> {
        let mut stream = TcpStream::connect(&self.host).await.unwrap();
        // The gateway may answer and close before it has read all.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        parse(&answer)
    }

    pub(crate) async fn stop(self) {
        self.gateway.stop().await;
        self.node.stop().await;
    }
}

fn add(path: &Path) -> Add {
    Add {
        path: path.to_owned(),
        in_place: false,
        follow_links: false,
    }
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    Some(Answer {
        status,
        headers,
        body: answer[end + 4..].to_vec(),
    })
}
