//! A bad line to a node: passes on bytes, and then does not.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
    time::Duration,
};

/// What happens to a connection after so many bytes have come from the node.
#[derive(Debug, Clone, Copy)]
pub enum Then {
    /// Both sides see it closed.
    Cut,
    /// It stays open and nothing comes any more.
    Stall,
}

/// How long a stalled connection is held: longer than any test.
const STALL: Duration = Duration::from_secs(600);

/// Passes on each connection to a node until so many bytes have come from it. Returns the address
/// to dial instead of `address`, which is `/ip4/127.0.0.1/tcp/<port>/p2p/<peer id>`. Its threads
/// end with the test's process.
pub fn bad_line(address: &str, bytes: u64, then: Then) -> String {
    let node = port(address);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let own = listener.local_addr().expect("a bound socket").port();
    thread::spawn(move || {
        for asker in listener.incoming().flatten() {
            thread::spawn(move || pass_on(&asker, node, bytes, then));
        }
    });
    address.replace(&format!("/tcp/{node}"), &format!("/tcp/{own}"))
}

/// The TCP port in a multiaddr.
pub fn port(address: &str) -> u16 {
    let mut parts = address.split('/').skip_while(|part| *part != "tcp");
    let port = parts.nth(1).and_then(|text| text.parse().ok());
    port.unwrap_or_else(|| panic!("no TCP port in {address}"))
}

fn pass_on(asker: &TcpStream, node: u16, bytes: u64, then: Then) {
    let Ok(node) = TcpStream::connect(("127.0.0.1", node)) else {
        return;
    };
    let clones = asker
        .try_clone()
        .and_then(|asker| Ok((asker, node.try_clone()?)));
    let Ok((from_asker, to_node)) = clones else {
        return;
    };
    thread::spawn(move || copy(&from_asker, &to_node, u64::MAX));
    // However it ends, there is nobody to tell.
    let passed = copy(&node, asker, bytes).unwrap_or(0);
    if passed == bytes && matches!(then, Then::Stall) {
        thread::sleep(STALL);
    }
    for side in [asker, &node] {
        let _ = side.shutdown(Shutdown::Both);
    }
}

fn copy(mut from: &TcpStream, mut to: &TcpStream, bytes: u64) -> io::Result<u64> {
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
