//! From an answer of the node to one over HTTP, and from a body to the fields of a call.

use axum::{
    Json,
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hubless_node::api::{Failure, FailureKind};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::http::error::advice;

/// Bytes of a body: the longest has a few thousand globs.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// An answer, or why there is none.
pub(super) type Answer = Result<Response, Refused>;

/// Why there is no answer, for programs and people.
#[derive(Debug)]
pub(super) struct Refused(StatusCode, Failure);

impl Refused {
    /// The request makes no sense.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Failure::new(FailureKind::Usage, message).into()
    }

    /// What the body of the answer says; the same for a fetch that fails on the way.
    pub(super) fn body(failure: &Failure) -> Value {
        json!({ "error": failure.message, "kind": failure.kind, "hint": failure.remedy.as_ref().and_then(advice) })
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        let status = match failure.kind {
            FailureKind::Usage => StatusCode::BAD_REQUEST,
            FailureKind::Denied => StatusCode::FORBIDDEN,
            FailureKind::NotFound => StatusCode::NOT_FOUND,
            FailureKind::Busy => StatusCode::CONFLICT,
            FailureKind::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
            FailureKind::Network | FailureKind::Partial => StatusCode::BAD_GATEWAY,
            FailureKind::Interrupted => StatusCode::SERVICE_UNAVAILABLE,
            FailureKind::Integrity | FailureKind::HostEnded | FailureKind::Other => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self(status, failure)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self(status, failure) = self;
        (status, uncached(), Json(Self::body(&failure))).into_response()
    }
}

/// State that is old a moment later.
fn uncached() -> [(header::HeaderName, HeaderValue); 1] {
    [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))]
}

/// An answer as it is shown.
pub(super) fn shown(value: impl Serialize) -> Response {
    (uncached(), Json(value)).into_response()
}

/// A body that must be JSON and say that it is: a page of another origin cannot send such a one
/// without asking first.
pub(super) async fn body<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Refused> {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let failure = Failure::new(FailureKind::Usage, "the body must be application/json");
        return Err(Refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, failure));
    }
    let bytes = axum::body::to_bytes(body, BODY_BYTES_MAX).await;
    let bytes = bytes.map_err(|_| Refused::usage("the body is too large or broken"))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Refused::usage(format!("the body does not fit: {error}")))
}
