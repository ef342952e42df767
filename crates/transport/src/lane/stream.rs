//! A lane as a stream.

use std::{
    io::{self, IoSlice},
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite};
use futures_rustls::TlsStream;
use hubless_memory::AlignedBytes;
use hubless_sync::Counted;
use libp2p::PeerId;
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    net::TcpStream,
};

/// What is taken from the socket at once by the side that receives chunks: eight TLS records.
/// rustls alone takes 4 KiB first, and never more than one record.
const READ_BYTES: usize = 128 * 1024;

/// What is taken at once by the other side, which receives requests.
const READ_REQUESTS_BYTES: usize = 8 * 1024;

/// The TCP socket of a lane, read in large pieces. Other than the adapter of tokio-util it sends all
/// records that wait in one system call, which wakes the other side once.
pub(super) struct Socket {
    tcp: TcpStream,
    ahead: AlignedBytes,
    /// Where in `ahead` bytes are that no reader has taken yet.
    unread: Range<usize>,
}

impl Socket {
    /// Of the side that dials, which receives chunks.
    pub(super) fn to_receive(tcp: TcpStream) -> Self {
        Self::new(tcp, READ_BYTES)
    }

    /// Of the side that accepts, which receives requests.
    pub(super) fn to_send(tcp: TcpStream) -> Self {
        Self::new(tcp, READ_REQUESTS_BYTES)
    }

    fn new(tcp: TcpStream, ahead: usize) -> Self {
        Self {
            tcp,
            ahead: AlignedBytes::zeroed(ahead),
            unread: 0..0,
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let socket = &mut *self;
        if socket.unread.is_empty() {
            let mut ahead = ReadBuf::new(&mut socket.ahead);
            ready!(Pin::new(&mut socket.tcp).poll_read(context, &mut ahead))?;
            socket.unread = 0..ahead.filled().len();
        }
        let unread = &socket.ahead[socket.unread.clone()];
        let len = unread.len().min(out.len());
        out[..len].copy_from_slice(&unread[..len]);
        socket.unread.start += len;
        Poll::Ready(Ok(len))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(context, pieces)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

/// TLS over TCP; counts as open until it is dropped.
pub(super) struct Lane {
    tls: TlsStream<Socket>,
    _counted: Counted<PeerId>,
}

impl Lane {
    pub(super) fn new(tls: TlsStream<Socket>, counted: Counted<PeerId>) -> Self {
        Self {
            tls,
            _counted: counted,
        }
    }
}

impl AsyncRead for Lane {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_read(context, out)
    }
}

impl AsyncWrite for Lane {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write_vectored(context, pieces)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_close(context)
    }
}
