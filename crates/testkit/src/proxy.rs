//! TCP proxies to a node or a server: proxies that fail after some bytes, and proxies that count
//! bytes.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// The fate of a connection after the node has sent so many bytes.
#[derive(Debug, Clone, Copy)]
pub enum Then {
    /// Both sides see it closed.
    Cut,
    /// It stays open and transfers nothing more.
    Stall,
}

/// How long a stalled connection stays open: longer than any test.
const STALL: Duration = Duration::from_secs(600);

/// Forwards each connection to a node until the node has sent so many bytes. Returns the address to
/// dial instead of `address`, which is `/ip4/127.0.0.1/tcp/<port>/p2p/<peer id>`. Its threads end
/// with the test's process.
pub fn bad_line(address: &str, bytes: u64, then: Then) -> String {
    let node = port(address);
    let own = listen(node, bytes, then, Arc::default());
    address.replace(&format!("/tcp/{node}"), &format!("/tcp/{own}"))
}

/// A proxy of an HTTP server. Its threads end with the test's process.
#[derive(Debug)]
pub struct CountedLine {
    endpoint: String,
    sent: Arc<AtomicU64>,
}

impl CountedLine {
    /// A proxy of `http://127.0.0.1:<port>`.
    pub fn to(endpoint: &str) -> Self {
        let (host, port) = endpoint.rsplit_once(':').expect("a URL with a port");
        let port = port.parse().expect("a port");
        let sent = Arc::default();
        let own = listen(port, u64::MAX, Then::Cut, Arc::clone(&sent));
        let endpoint = format!("{host}:{own}");
        Self { endpoint, sent }
    }

    /// The URL to use instead of the server's.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Bytes that the server sent since the last call.
    pub fn take_count(&self) -> u64 {
        self.sent.swap(0, Ordering::Relaxed)
    }
}

/// Forwards each connection to a port, up to so many bytes from it. Returns the port to use instead.
fn listen(port: u16, bytes: u64, then: Then, sent: Arc<AtomicU64>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let own = listener.local_addr().expect("a bound socket").port();
    thread::spawn(move || {
        for asker in listener.incoming().flatten() {
            let sent = Arc::clone(&sent);
            thread::spawn(move || pass_on(&asker, port, bytes, then, &sent));
        }
    });
    own
}

/// The TCP port in a multiaddr.
pub fn port(address: &str) -> u16 {
    let mut parts = address.split('/').skip_while(|part| *part != "tcp");
    let port = parts.nth(1).and_then(|text| text.parse().ok());
    port.unwrap_or_else(|| panic!("no TCP port in {address}"))
}

fn pass_on(asker: &TcpStream, node: u16, bytes: u64, then: Then, sent: &AtomicU64) {
    let Ok(node) = TcpStream::connect(("127.0.0.1", node)) else {
        return;
    };
    let clones = asker
        .try_clone()
        .and_then(|asker| Ok((asker, node.try_clone()?)));
    let Ok((from_asker, to_node)) = clones else {
        return;
    };
    thread::spawn(move || copy(&from_asker, &to_node, u64::MAX, &AtomicU64::new(0)));
    // The peers see the end themselves; an error here needs no report.
    let passed = copy(&node, asker, bytes, sent).unwrap_or(0);
    if passed == bytes && matches!(then, Then::Stall) {
        thread::sleep(STALL);
    }
    for side in [asker, &node] {
        let _ = side.shutdown(Shutdown::Both);
    }
}

fn copy(
    mut from: &TcpStream,
    mut to: &TcpStream,
    bytes: u64,
    passed: &AtomicU64,
) -> io::Result<u64> {
    let mut buffer = vec![0; 64 * 1024];
    let mut left = bytes;
    while left > 0 {
        let want = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = from.read(&mut buffer[..want])?;
        if read == 0 {
            break;
        }
        // Counted before the write: a test that received these bytes finds them counted.
        passed.fetch_add(read as u64, Ordering::Relaxed);
        to.write_all(&buffer[..read])?;
        left -= read as u64;
    }
    Ok(bytes - left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_after_its_bytes() {
        let node = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!(
            "/ip4/127.0.0.1/tcp/{}/p2p/x",
            node.local_addr().unwrap().port()
        );
        let line = bad_line(&address, 5, Then::Cut);
        assert!(line.ends_with("/p2p/x") && line != address);
        let mut asker = TcpStream::connect(("127.0.0.1", port(&line))).unwrap();
        asker.write_all(b"ask").unwrap();
        let (mut answerer, _) = node.accept().unwrap();
        let mut asked = [0; 3];
        answerer.read_exact(&mut asked).unwrap();
        assert_eq!(&asked, b"ask");
        answerer.write_all(b"a long answer").unwrap();
        let mut answer = String::new();
        asker.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "a lon");
    }
}
