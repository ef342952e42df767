//! One port for two things: connections of libp2p, and lanes, which begin with a TLS hello.

use std::{io, time::Duration};

use libp2p::{core::ConnectedPoint, tcp::tokio::TcpStream};

use crate::{entrance::Arrivals, lane::Lanes};

/// Bytes that identify a TLS hello for certain. libp2p begins with `\x13/multistream`, and a private
/// network with a random nonce, of which one in 2^56 has the same bytes.
const HELLO_BYTES: usize = 11;

/// Interval of reads when only the beginning of what may be a hello is there.
const PEEK_INTERVAL: Duration = Duration::from_millis(10);

/// A lane began on this socket, which is no matter of libp2p any more.
#[derive(Debug, thiserror::Error)]
#[error("the socket became a lane")]
pub(super) struct BecameLane;

/// Hands sockets on which others begin TLS over to the lanes, passes all others on. How many
/// are examined, and for how long, is bounded by the places of `arrivals`.
pub(super) async fn pass(
    socket: TcpStream,
    point: ConnectedPoint,
    lanes: Lanes,
    arrivals: Arrivals,
) -> Result<TcpStream, io::Error> {
    let ConnectedPoint::Listener { send_back_addr, .. } = point else {
        return Ok(socket);
    };
    if begins_with_tls(&socket.0).await? {
        lanes.accept(socket.0);
        return Err(io::Error::other(BecameLane));
    }
    arrivals.spoke(&send_back_addr);
    Ok(socket)
}

async fn begins_with_tls(socket: &tokio::net::TcpStream) -> io::Result<bool> {
    let mut bytes = [0; HELLO_BYTES];
    loop {
        let seen = socket.peek(&mut bytes).await?;
        match is_tls_hello(&bytes[..seen]) {
            Some(is_hello) => return Ok(is_hello),
            // There are bytes to read, so that waiting for some would not wait.
            None => tokio::time::sleep(PEEK_INTERVAL).await,
        }
    }
}

/// Whether these first bytes are those of a TLS hello; none if more bytes are needed.
fn is_tls_hello(bytes: &[u8]) -> Option<bool> {
    // record: handshake, TLS 1.0 (as all begin), length; message: hello, length, TLS 1.2
    let known = [
        Some(0x16),
        Some(3),
        Some(1),
        None,
        None, //
        Some(1),
        Some(0),
        None,
        None,
        Some(3),
        Some(3),
    ];
    let fits = |(known, byte): (&Option<u8>, &u8)| known.is_none_or(|known| known == *byte);
    if bytes.is_empty() || !known.iter().zip(bytes).all(fits) {
        return Some(false);
    }
    (bytes.len() >= HELLO_BYTES).then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_distinguished_from_everything_else_as_soon_as_that_is_certain() {
        let hello = [0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3];
        assert_eq!(is_tls_hello(&hello), Some(true));
        for seen in 1..hello.len() {
            assert_eq!(is_tls_hello(&hello[..seen]), None);
            let mut other = hello;
            other[seen] ^= 0x80;
            let is_length = [3, 4, 7, 8].contains(&seen);
            assert_eq!(is_tls_hello(&other), Some(is_length), "byte {seen}");
        }
        assert_eq!(is_tls_hello(b"\x13/multistream/1.0.0\n"), Some(false));
        assert_eq!(is_tls_hello(b""), Some(false), "the socket was closed");
    }
}
