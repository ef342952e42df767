//! One connection: HTTP/1 on a socket, within bounds.

use std::{convert::Infallible, future::ready, sync::Arc, time::Duration};

use axum::{
    Router,
    http::{HeaderValue, Request, Response, StatusCode, header},
    response::IntoResponse,
};
use futures::{FutureExt, future::BoxFuture};
use hubless_node::Place;
use hyper::{body::Incoming, server::conn::http1, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::net::TcpStream;

use super::{
    client::Client,
    patience::{AnswerBody, Impatient, RequestBody},
};
use crate::http::error::ApiError;

/// How long a client may take for the head of a request, and an unused connection stays open.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of a request's head, and of an answer that may wait in the connection when the next chunk
/// is taken. Paths have at most 1 KiB, and tokens some hundred bytes.
const BUFFER_BYTES: usize = 16 * 1024;

/// Headers of a request.
const HEADERS_MAX: usize = 100;

/// Bytes that the kernel takes beyond those that are on their way: one chunk. Without this bound an
/// answer that nothing reads takes megabytes of the kernel's memory. What is on its way, as long
/// lines need it, is not bounded by it.
const UNSENT_BYTES_MAX: u32 = 256 * 1024;

/// What is answered when all places but the reserve are busy: a supervisor and its graphs have to
/// see a node that has too many clients.
const ALWAYS_ANSWERED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// When a client without a place may come again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

pub(super) type Connection = http1::Connection<TokioIo<Impatient<TcpStream>>, Answering>;

pub(super) fn connection(stream: TcpStream, place: Place, router: Router) -> Connection {
    // Both only make it faster or smaller; a connection without them works too.
    let _ = set_up(&stream);
    let client = Arc::new(Client::new(place));
    let service = Answering {
        router: TowerToHyperService::new(router),
        client: client.clone(),
    };
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER_BYTES)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(Impatient::new(stream, client)), service)
}

fn set_up(stream: &TcpStream) -> std::io::Result<()> {
    // Head and body may go out in two writes; waiting for the first one's acknowledgement would
    // cost each request 40 ms.
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
    Ok(())
}

/// The router as one connection uses it.
pub(super) struct Answering {
    router: TowerToHyperService<Router>,
    client: Arc<Client>,
}

impl Service<Request<Incoming>> for Answering {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (under_way, has_place) = self.client.begin();
        if !has_place && !ALWAYS_ANSWERED.contains(&request.uri().path()) {
            let refused = no_place().map(|body| AnswerBody::new(body, under_way));
            return ready(Ok(refused)).boxed();
        }
        let client = self.client.clone();
        let answered = self
            .router
            .call(request.map(|body| RequestBody::new(body, client)));
        let with_body = |answer: Response<_>| answer.map(|body| AnswerBody::new(body, under_way));
        answered.map(|answered| answered.map(with_body)).boxed()
    }
}

/// For a request that came when all places but the reserve were busy.
fn no_place() -> Response<axum::body::Body> {
    let message = "All connections of this gateway are in use; try again.";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message)
        .header(header::RETRY_AFTER, RETRY_AFTER)
        .header(header::CONNECTION, HeaderValue::from_static("close"))
        .into_response()
}
