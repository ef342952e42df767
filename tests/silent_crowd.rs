//! Crowds of clients that never complete a request, and processes with few file descriptors: other
//! clients are served meanwhile, memory stays small, and all resources are released.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use hubless_testkit::{
    http, model,
    process::{LIMIT, Lab, Node, Signal, until},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

/// Sockets of a crowd, all from one address: more than a gateway accepts.
const CROWD: usize = 2000;

/// Bytes of the file that a part of the crowd requests and does not read: more than sockets buffer.
const SIZE: u64 = 160 * model::CHUNK;

const SMALL: &[u8] = b"{\"model_type\": \"test\"}";

/// An honest client is served within this time, including retries.
const SERVED_WITHIN: Duration = Duration::from_secs(2);

/// All resources of a crowd are released within this time after it left.
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// Bound of a node's memory beside any crowd.
const RSS_MAX: u64 = 250_000_000;

/// The time over which CPU usage is measured.
const WINDOW: Duration = Duration::from_secs(2);

/// Bound of the log's bytes: an event is logged, not each of its repetitions.
const LOG_MAX: usize = 20_000;

/// Raises the limit of this process, which needs a socket for each client of the crowd too.
fn raise_own_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised).expect("the soft limit may be as high as the hard one");
}

/// A node that seeds a model under the name `o/n` and has a gateway; with a limit of file descriptors,
/// if one is given.
fn seeder(lab: &Lab, descriptors: Option<u64>) -> Node {
    let source = lab.path("model");
    model::write_file(&source.join("weights.bin"), SIZE, 5);
    std::fs::write(source.join("config.json"), SMALL).expect("write");
    let machine = lab.machine("seeder").with("HUBLESS_GATEWAY", "127.0.0.1:0");
    let machine = match descriptors {
        Some(limit) => machine.with_descriptors(limit),
        None => machine,
    };
    machine.seed(&source, &["--name", "o/n"])
}

fn gateway(node: &Node) -> &str {
    node.gateway.as_deref().expect("a gateway")
}

/// Opens a socket and sends these bytes. The gateway may close it at any time.
fn begin(node: &Node, request: &str) -> TcpStream {
    let host = gateway(node).trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).expect("the gateway listens");
    let _ = stream.write_all(request.replace("HOST", host).as_bytes());
    stream
}

/// A request for a file whose response is not read.
const UNREAD: &str = "GET /o/n/resolve/main/weights.bin HTTP/1.1\r\nHost: HOST\r\n\r\n";

/// A quarter each sends nothing, sends part of a head, sends part of a body, and reads nothing of a
/// file.
fn crowd(node: &Node) -> Vec<TcpStream> {
    let requests = [
        "",
        "GET / HTTP/1.1\r\nHost: HOST\r\nAccept:",
        "POST /api/models/o/n/paths-info/main HTTP/1.1\r\nHost: HOST\r\n\
         Content-Type: application/json\r\nContent-Length: 999\r\n\r\n{",
        UNREAD,
    ];
    let requests = requests.iter().cycle().take(CROWD);
    let crowd: Vec<_> = requests.map(|request| begin(node, request)).collect();
    let unread = crowd.iter().skip(3).step_by(4);
    unread.for_each(wait_for_answer);
    crowd
}

/// More responses than a gateway has places, none of which is read.
fn unread(node: &Node) -> Vec<TcpStream> {
    let crowd: Vec<_> = (0..1030).map(|_| begin(node, UNREAD)).collect();
    crowd.iter().for_each(wait_for_answer);
    crowd
}

/// Waits until an answer has begun, or is refused: from then on the crowd is silent. Until then its
/// requests are served like those of any other clients.
fn wait_for_answer(stream: &TcpStream) {
    stream.set_read_timeout(Some(LIMIT)).expect("a socket");
    // An error is a refusal: the gateway has closed the connection.
    let _ = stream.peek(&mut [0]);
}

/// The response to a client that retries after `Retry-After`, as Hugging Face clients do.
fn ask(node: &Node, path: &str, within: Duration) -> Vec<u8> {
    let began = Instant::now();
    loop {
        let host = gateway(node).trim_start_matches("http://");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let mut stream = TcpStream::connect(host).expect("the gateway listens");
        stream.set_read_timeout(Some(within)).expect("a socket");
        let mut answer = Vec::new();
        let sent = stream.write_all(request.as_bytes());
        let read = sent.and_then(|()| stream.read_to_end(&mut answer));
        let is_served = read.is_ok() && answer.starts_with(b"HTTP/1.1 200");
        let took = began.elapsed();
        let text = || String::from_utf8_lossy(&answer).into_owned();
        assert!(took < within, "{path}: {took:?}, {read:?}: {}", text());
        if is_served {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn metric(node: &Node, name: &str) -> u64 {
    let text = ask(node, "/metrics", LIMIT);
    let text = String::from_utf8(text).expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.trim().parse::<f64>().ok());
    number.unwrap_or_else(|| panic!("no {name} in {text}")) as u64
}

fn open_files(node: &Node) -> usize {
    let path = format!("/proc/{}/fd", node.process.pid());
    std::fs::read_dir(path).expect("it runs").count()
}

/// A crowd connects, other clients are served meanwhile, and all resources are released when it leaves.
fn crowds_lock_no_client_out(descriptors: Option<u64>, crowd: impl Fn(&Node) -> Vec<TcpStream>) {
    raise_own_limit();
    let lab = Lab::new(HUBLESS);
    let node = seeder(&lab, descriptors);
    ask(&node, "/o/n/resolve/main/config.json", LIMIT);
    let (files, memory) = (open_files(&node), node.process.usage().rss);
    for round in 0..2 {
        let crowd = crowd(&node);
        for path in ["/healthz", "/o/n/resolve/main/config.json"] {
            let began = Instant::now();
            let answer = ask(&node, path, SERVED_WITHIN);
            println!("{path} took {:?}", began.elapsed());
            assert!(path == "/healthz" || answer.ends_with(SMALL));
        }
        let status = node.machine.run(["status"]);
        status.ok();
        let usage = node.process.usage();
        println!(
            "round {round}: {} MB, at most {} MB, {} files",
            usage.rss / 1_000_000,
            usage.rss_peak / 1_000_000,
            open_files(&node)
        );
        assert!(usage.rss_peak < RSS_MAX, "{usage:?}");
        drop(crowd);
        until("all that the crowd took is back", BACK_WITHIN, || {
            let now = (open_files(&node), metric(&node, "hubless_gateway_streams "));
            let rss = node.process.usage().rss;
            // Buffers for fast transfers are kept, and a connection with a peer may be new.
            let is_back = now.0 <= files + 8 && now.1 == 0 && rss < memory + 60_000_000;
            is_back
                .then_some(())
                .ok_or_else(|| format!("{now:?}, {rss} bytes"))
        });
        println!("after: {} MB", node.process.usage().rss / 1_000_000);
    }
    stop_with_a_small_log(node);
}

fn stop_with_a_small_log(node: Node) {
    node.process.signal(Signal::TERM);
    let log = node.process.wait(LIMIT).ok().stderr;
    assert!(log.len() < LOG_MAX, "{} bytes: {log}", log.len());
}

#[test]
fn a_silent_crowd_locks_no_client_out() {
    crowds_lock_no_client_out(None, crowd);
}

#[test]
fn answers_that_are_not_read_lock_no_client_out() {
    crowds_lock_no_client_out(None, unread);
}

#[test]
fn a_silent_crowd_locks_no_client_out_of_a_node_with_1024_descriptors() {
    crowds_lock_no_client_out(Some(1024), crowd);
}

#[test]
fn a_silent_crowd_locks_no_client_out_of_a_node_with_256_descriptors() {
    crowds_lock_no_client_out(Some(256), crowd);
}

#[test]
fn a_crowd_over_http_leaves_descriptors_to_peers_and_commands() {
    raise_own_limit();
    let lab = Lab::new(HUBLESS);
    let node = seeder(&lab, Some(1024));
    let silent: Vec<TcpStream> = (0..1020).map(|_| begin(&node, "")).collect();
    let before = node.process.usage().cpu;
    let fetched = lab
        .machine("getter")
        .get(&[node.hash(), "--peer", node.address()]);
    assert_eq!(fetched.bytes_fetched, SIZE + SMALL.len() as u64);
    assert!(node.count("bytes_sent") >= SIZE);
    let sent = node.process.usage().cpu;
    println!("sending took {:?}", sent - before);
    std::thread::sleep(WINDOW);
    let spent = node.process.usage().cpu - sent;
    assert!(
        spent < WINDOW / 4,
        "{spent:?} of {WINDOW:?} beside a crowd that does nothing"
    );
    drop(silent);
    stop_with_a_small_log(node);
}

#[test]
fn with_64_descriptors_a_hundred_files_are_fetched_and_served() {
    const FILES: u64 = 100;
    const FILE_SIZE: u64 = 2 * model::CHUNK;
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    for number in 0..FILES {
        let file = source.join(format!("{number:03}.bin"));
        model::write_file(&file, FILE_SIZE, number);
    }
    let seeder = lab.machine("seeder").with_descriptors(64);
    let seeder = seeder
        .with("HUBLESS_GATEWAY", "127.0.0.1:0")
        .seed(&source, &["--name", "o/n"]);
    let getter = lab.machine("getter").with_descriptors(64);
    let output = lab.path("output");
    let output = output.to_str().expect("UTF-8");
    let fetched = getter.get(&[seeder.hash(), "--peer", seeder.address(), "-o", output]);
    assert_eq!(fetched.bytes_fetched, FILES * FILE_SIZE);
    for number in 0..FILES {
        let name = format!("{number:03}.bin");
        let [sent, came] = [&source, &fetched.path].map(|at| std::fs::read(at.join(&name)));
        assert_eq!(
            sent.expect("own file"),
            came.expect("it was fetched"),
            "{name}"
        );
    }
    let answer = http::get(gateway(&seeder), "/o/n/resolve/main/007.bin");
    assert!(answer.status == 200 && answer.whole, "{}", answer.status);
    stop_with_a_small_log(seeder);
}
