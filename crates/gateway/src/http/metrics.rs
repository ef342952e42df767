//! Requests by route and status, and how long their answers took to begin.
//!
//! Labels are never what a client wrote: routes are templates, of which there is a fixed number.

use std::{
    borrow::Cow,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use tokio::time::Instant;

use crate::route::{OTHER, route};

/// Seconds until an answer begins: from what is in memory to what clients no longer wait for.
const SECONDS: [f64; 10] = [0.001, 0.005, 0.025, 0.1, 0.25, 1.0, 2.5, 5.0, 10.0, 30.0];

/// What is counted of requests. Cloning is cheap, and counts for the same.
#[derive(Debug, Clone)]
pub(crate) struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram>,
    streams: Gauge,
    stream_bytes: Counter,
    started: SystemTime,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: Cow<'static, str>,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: Cow<'static, str>,
}

impl Default for HttpMetrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            streams: Gauge::default(),
            stream_bytes: Counter::default(),
            started: SystemTime::now(),
        }
    }
}

impl HttpMetrics {
    /// A file that is sent to a client, for as long as the value lives.
    pub(crate) fn stream(&self) -> OpenStream {
        self.streams.inc();
        OpenStream {
            streams: self.streams.clone(),
            bytes: self.stream_bytes.clone(),
        }
    }

    /// When the gateway began to count, in seconds since 1970.
    pub(crate) fn started(&self) -> f64 {
        let since = self.started.duration_since(UNIX_EPOCH);
        since.map_or(0.0, |since| since.as_secs_f64())
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "http_requests",
            "Requests, by route and by the status of the answer",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "http_request_duration",
            "Time until the head of the answer",
            Unit::Seconds,
            self.seconds.clone(),
        );
        registry.register(
            "gateway_streams",
            "Files that are being sent to clients",
            self.streams.clone(),
        );
        registry.register_with_unit(
            "gateway_sent",
            "Payload of files given to clients",
            Unit::Bytes,
            self.stream_bytes.clone(),
        );
    }
}

/// A file on its way to a client.
#[derive(Debug)]
pub(crate) struct OpenStream {
    streams: Gauge,
    bytes: Counter,
}

impl OpenStream {
    /// The next bytes go out.
    pub(crate) fn count(&self, bytes: usize) {
        self.bytes.inc_by(bytes as u64);
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.streams.dec();
    }
}

/// Counts a request, whatever becomes of it.
pub(crate) async fn measure(
    State(metrics): State<HttpMetrics>,
    request: Request,
    next: Next,
) -> Response {
    let method = method(request.method());
    let route = template(&request);
    let since = Instant::now();
    let response = next.run(request).await;
    let labels = RequestLabels {
        method,
        route: route.clone(),
        status: response.status().as_u16(),
    };
    metrics.requests.get_or_create(&labels).inc();
    let seconds = metrics.seconds.get_or_create(&RouteLabels { route });
    seconds.observe(since.elapsed().as_secs_f64());
    response
}

/// The template of the route that answers: the router's own, or that of a path which begins with the
/// name of a repository.
fn template(request: &Request) -> Cow<'static, str> {
    if let Some(path) = request.extensions().get::<MatchedPath>() {
        return path.as_str().to_owned().into();
    }
    let route = route(request.uri().path());
    route.map_or(OTHER, |route| route.template()).into()
}

/// A method that is known; a client may send any word.
fn method(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let found = known.into_iter().find(|known| method == known);
    found.unwrap_or("other")
}
