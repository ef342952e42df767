//! A lane as a stream.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite, io::BufReader};
use futures_rustls::TlsStream;
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    net::TcpStream,
};

use super::Counted;

/// What is taken from the socket at once by the side that receives chunks: eight TLS records.
/// rustls alone takes 4 KiB first, and never more than one record.
const READ_BYTES: usize = 128 * 1024;

/// The socket of a lane.
pub(super) type Socket = BufReader<Tcp>;

/// The socket of the side that dials, which receives chunks.
pub(super) fn to_receive(socket: TcpStream) -> Socket {
    BufReader::with_capacity(READ_BYTES, Tcp(socket))
}

/// The socket of the side that accepts, which receives asks.
pub(super) fn to_send(socket: TcpStream) -> Socket {
    BufReader::new(Tcp(socket))
}

/// A TCP socket for `futures`. Other than the adapter of tokio-util it takes all records that wait
/// in one system call, which wakes the other side once.
pub(super) struct Tcp(TcpStream);

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut out = ReadBuf::new(out);
        let read = Pin::new(&mut self.0).poll_read(context, &mut out);
        read.map_ok(|()| out.filled().len())
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, pieces)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// TLS over TCP; counts as open until it is dropped.
pub(super) struct Lane {
    tls: TlsStream<Socket>,
    _counted: Counted,
}

impl Lane {
    pub(super) fn new(tls: TlsStream<Socket>, counted: Counted) -> Self {
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
