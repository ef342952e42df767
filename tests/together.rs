//! Many clients of one gateway request the same file while the node fetches it.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use hubless_content::hash_reader;
use hubless_testkit::{
    model,
    process::{Lab, Node},
};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

const REPO: &str = "acme/large";
const FILE: &str = "weights.bin";
const SIZE: u64 = 200_000_000;

const CLIENTS: usize = 64;

/// Clients that leave before the end.
const LEAVERS: usize = 16;

/// Bound of the bytes from peers: the file, and duplicate requests at the end.
const FETCHED_MAX: u64 = SIZE + SIZE / 20;

/// Bound of the node's memory: it buffers a few MiB for each client, and waits for none.
const RSS_MAX: u64 = 200_000_000;

/// A client fails after this time without a byte, as `huggingface_hub` does.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);

struct Scene {
    _lab: Lab,
    /// BLAKE3 of the file.
    hash: String,
    seeder: Node,
    node: Node,
}

/// A seeder, and a node whose gateway knows the repo's name and has no byte of it.
fn scene() -> Scene {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    let hash = model::write_file(&source.join(FILE), SIZE, 64);
    let seeder = lab.machine("seeder").seed(&source, &["--in-place"]);
    let machine = lab.machine("node").with("HUBLESS_GATEWAY", "127.0.0.1:0");
    let node = machine.serve(&["--peer", seeder.address()]);
    machine.json(["name", "set", "model", REPO, seeder.hash()]);
    Scene {
        _lab: lab,
        hash,
        seeder,
        node,
    }
}

/// The body of a response to GET.
fn get(gateway: &str) -> io::Result<impl Read + use<>> {
    let host = gateway.strip_prefix("http://").expect("a URL");
    let host = host.trim_end_matches('/');
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(CLIENT_TIMEOUT))?;
    write!(
        stream,
        "GET /{REPO}/resolve/main/{FILE} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), None);
    answer.read_line(&mut line)?;
    assert_eq!(line.trim_end(), "HTTP/1.1 200 OK");
    while line != "\r\n" {
        line.clear();
        answer.read_line(&mut line)?;
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim_end().parse().ok();
        }
    }
    assert_eq!(length, Some(SIZE), "the size is known at once");
    Ok(answer.take(SIZE))
}

/// Downloads to the end; returns BLAKE3 of the bytes.
fn download(gateway: &str) -> String {
    let body = get(gateway).expect("an answer");
    let list = hash_reader(body).expect("all of it");
    assert_eq!(list.size(), SIZE);
    list.file().to_string()
}

/// Downloads a part and disconnects.
fn leave_after(gateway: &str, bytes: u64) {
    let body = get(gateway).expect("an answer");
    let read = io::copy(&mut body.take(bytes), &mut io::sink()).expect("a part of it");
    assert_eq!(read, bytes);
}

impl Scene {
    /// All clients at once, some of which leave; checks the bytes of the others, and the cost.
    fn run(&self, leavers: usize) {
        let gateway = self.node.gateway.as_deref().expect("a gateway");
        let started = Instant::now();
        thread::scope(|scope| {
            for number in 0..leavers {
                // Some leave before the first byte, some near the end.
                let bytes = SIZE * number as u64 / leavers as u64;
                scope.spawn(move || leave_after(gateway, bytes));
            }
            let stay = (leavers..CLIENTS).map(|_| scope.spawn(|| download(gateway)));
            for client in stay.collect::<Vec<_>>() {
                assert_eq!(client.join().expect("a download"), self.hash);
            }
        });
        let took = started.elapsed();
        let fetched = self.node.count("bytes_received");
        let sent = self.seeder.count("bytes_sent");
        let rss = self.node.process.usage().rss_peak;
        println!("{took:?}; fetched {fetched}, sent {sent}; at most {rss} bytes of memory");
        assert!((SIZE..FETCHED_MAX).contains(&fetched), "{fetched} fetched");
        assert!(sent < FETCHED_MAX, "{sent} sent");
        assert!(rss < RSS_MAX, "{rss} bytes of memory");
    }
}

#[test]
fn alone_64_clients_at_once_get_a_file_that_is_fetched_once() {
    let scene = scene();
    scene.run(0);
    // The seeder has stopped; the node has all bytes.
    let Scene {
        node, hash, seeder, ..
    } = scene;
    drop(seeder);
    assert_eq!(download(node.gateway.as_deref().expect("a gateway")), hash);
}

#[test]
fn alone_clients_that_leave_do_not_stop_the_others() {
    scene().run(LEAVERS);
}
