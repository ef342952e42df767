//! Time limits on clients, at the socket and at the body of a request: whatever a route does, a
//! client that neither sends nor reads loses its connection.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::BoxError;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::client::{Client, UnderWay};

/// How long a client may take for the next byte of a request's body.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// How long a client may take to read anything of its answer.
const READ_WITHIN: Duration = Duration::from_secs(60);

/// How long a client may let the node wait before it can lose its place to another. A client on a
/// bad line needs its answer more than a new one does; while others find no place, one that does
/// nothing for longer does not.
const STALL: Duration = Duration::from_secs(1);

/// Waits for a client.
struct Patience {
    client: Arc<Client>,
    /// How long.
    time: Duration,
    wait: Option<Wait>,
}

struct Wait {
    /// Ends the first part of the wait, [`STALL`], and then the rest.
    end: Pin<Box<Sleep>>,
    stalls: bool,
}

impl Patience {
    fn new(client: Arc<Client>, time: Duration) -> Self {
        Self {
            client,
            time,
            wait: None,
        }
    }

    /// The client did something.
    fn progress(&mut self) {
        if self.wait.take().is_some_and(|wait| wait.stalls) {
            self.client.goes_on();
        }
    }

    /// The client did nothing. Ready when it has done nothing for too long.
    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let wait = self.wait.get_or_insert_with(|| Wait {
            end: Box::pin(sleep(STALL.min(self.time))),
            stalls: false,
        });
        ready!(wait.end.as_mut().poll(context));
        if wait.stalls {
            return Poll::Ready(());
        }
        wait.stalls = true;
        self.client.stalls();
        let rest = wait.end.deadline() + self.time.saturating_sub(STALL);
        wait.end.as_mut().reset(rest);
        wait.end.as_mut().poll(context)
    }
}

/// A socket whose client has to read.
pub(super) struct Impatient<S> {
    stream: S,
    patience: Patience,
}

impl<S> Impatient<S> {
    pub(super) fn new(stream: S, client: Arc<Client>) -> Self {
        Self {
            stream,
            patience: Patience::new(client, READ_WITHIN),
        }
    }

    fn check<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.patience.progress();
            return written;
        }
        ready!(self.patience.poll_over(context));
        let message = format!("the client read nothing for {READ_WITHIN:?}");
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.check(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.check(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The body of a request, which has to come.
pub(super) struct RequestBody<B = Incoming> {
    incoming: B,
    patience: Patience,
}

impl<B> RequestBody<B> {
    pub(super) fn new(incoming: B, client: Arc<Client>) -> Self {
        Self {
            incoming,
            patience: Patience::new(client, BODY_WITHIN),
        }
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(context) {
            self.patience.progress();
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(self.patience.poll_over(context));
        let message = format!("the client sent nothing of its request for {BODY_WITHIN:?}");
        let error = io::Error::new(io::ErrorKind::TimedOut, message);
        Poll::Ready(Some(Err(error.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl<B> Drop for RequestBody<B> {
    fn drop(&mut self) {
        // Nothing waits for the rest of it any more.
        self.patience.progress();
    }
}

/// The body of an answer. Its request is under way for as long as there is more of it.
pub(super) struct AnswerBody {
    body: axum::body::Body,
    _under_way: UnderWay,
}

impl AnswerBody {
    pub(super) fn new(body: axum::body::Body, under_way: UnderWay) -> Self {
        Self {
            body,
            _under_way: under_way,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hubless_node::{PlacesConfig, SharedPlaces};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn client() -> Arc<Client> {
        let places = SharedPlaces::new(PlacesConfig::new(8));
        let place = places.enter(std::net::IpAddr::from(Ipv4Addr::LOCALHOST));
        Arc::new(Client::new(place.expect("a place")))
    }

    /// A body of which nothing comes.
    struct Silent;

    impl Body for Silent {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_body_of_which_nothing_comes_ends_its_request() {
        let mut body = RequestBody::new(Silent, client());
        body.patience.time = Duration::from_millis(50);
        let next = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        let next = tokio::time::timeout(Duration::from_secs(20), next).await;
        let error = next
            .expect("an end")
            .expect("an error")
            .expect_err("no bytes");
        let error: &io::Error = error.downcast_ref().expect("an error of the body");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn an_answer_that_nothing_reads_ends_its_connection() {
        let (near, mut far) = tokio::io::duplex(4);
        let mut near = Impatient::new(near, client());
        near.patience.time = Duration::from_millis(50);
        // What is read in time goes on, for longer than one wait.
        let reading = async {
            let mut byte = [0; 4];
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_millis(20)).await;
                far.read_exact(&mut byte).await.expect("four bytes");
            }
        };
        let (written, ()) = tokio::join!(near.write_all(&[7; 20]), reading);
        written.expect("it was read");
        let error = near.write_all(&[7; 8]).await.expect_err("nothing reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
