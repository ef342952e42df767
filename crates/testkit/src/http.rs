//! An HTTP/1.1 client that reports what arrived, and whether all of it arrived.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// No request of the tests takes longer.
const LIMIT: Duration = Duration::from_secs(60);

/// A response, as far as it arrived.
#[derive(Debug)]
pub struct Answer {
    /// The status code; 0 if the server closed the connection without a response.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// The bytes of the body that arrived.
    pub body: Vec<u8>,
    /// Whether the body has the length of `Content-Length`.
    pub whole: bool,
}

impl Answer {
    /// A header's value; empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// Sends `GET` to `http://host:port/path`.
pub fn get(endpoint: &str, path: &str) -> Answer {
    get_with(endpoint, path, &[])
}

/// As [`get`], with headers.
pub fn get_with(endpoint: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut stream = begin(endpoint, path, headers);
    let mut reader = BufReader::new(&mut stream);
    let (status, headers) = head(&mut reader);
    let mut body = Vec::new();
    // A broken connection is a valid outcome: the caller checks what arrived.
    let _ = reader.read_to_end(&mut body);
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok());
    Answer {
        status,
        whole: length == Some(body.len()),
        headers,
        body,
    }
}

/// Sends a request and returns the connection, from which the caller reads the response.
pub fn begin(endpoint: &str, path: &str, headers: &[(&str, &str)]) -> TcpStream {
    let host = endpoint.strip_prefix("http://").expect("an HTTP URL");
    let mut stream = TcpStream::connect(host).expect("the gateway listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a socket");
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    stream
}

/// The status and the headers of a response, or the first line and the headers of a request.
fn head(reader: &mut impl BufRead) -> (u16, Vec<(String, String)>) {
    let lines = lines(reader);
    let status = lines.first().and_then(|line| line.split(' ').nth(1));
    let status = status.and_then(|status| status.parse().ok());
    let headers = lines
        .iter()
        .skip(1)
        .filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    (status.unwrap_or(0), headers.collect())
}

/// The lines before the first empty one.
pub fn lines(reader: &mut impl BufRead) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(read) if read > 2 => lines.push(line.trim_end().to_owned()),
            _ => return lines,
        }
    }
}

/// Forwards connections to a URL and counts the bytes of the responses.
pub struct Counter {
    /// The URL that clients use instead of the target's.
    pub url: String,
    bytes: Arc<AtomicU64>,
}

impl Counter {
    /// Listens on a port of 127.0.0.1 and forwards each connection to `url`.
    pub fn before(url: &str) -> Self {
        let target = url.strip_prefix("http://").expect("an HTTP URL").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let own = listener.local_addr().expect("a bound socket");
        let bytes = Arc::new(AtomicU64::new(0));
        let counted = bytes.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (target, counted) = (target.clone(), counted.clone());
                thread::spawn(move || pass_on(&client, &target, &counted));
            }
        });
        Self {
            url: format!("http://{own}"),
            bytes,
        }
    }

    /// Bytes that the target sent so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Forwards both directions until one side closes, and counts the bytes of the responses.
pub fn pass_on(client: &TcpStream, target: &str, counted: &AtomicU64) {
    let Ok(server) = TcpStream::connect(target) else {
        return;
    };
    let clones = (client.try_clone(), server.try_clone());
    let (Ok(mut from_client), Ok(mut to_server)) = clones else {
        return;
    };
    thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let (mut from, mut to, mut buffer) = (&server, client, vec![0; 64 * 1024]);
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        counted.fetch_add(read as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    for side in [client, &server] {
        let _ = side.shutdown(Shutdown::Both);
    }
}
