//! Every answer has an `X-Request-Id`, which clients print in their error messages.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use uuid::Uuid;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");

/// Bytes of an id that is echoed; ids are UUIDs or a little more.
const ID_BYTES_MAX: usize = 128;

pub(crate) async fn request_id(request: Request, next: Next) -> Response {
    let id = choose(request.headers());
    let mut response = next.run(request).await;
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// The caller's id, else its trace id, else a new one.
fn choose(headers: &HeaderMap) -> HeaderValue {
    let sent = |name| {
        headers
            .get(name)
            .filter(|id| !id.is_empty() && id.len() <= ID_BYTES_MAX && id.to_str().is_ok())
    };
    let new = || HeaderValue::from_str(&Uuid::new_v4().to_string()).ok();
    sent(REQUEST_ID)
        .or_else(|| sent(TRACE_ID))
        .cloned()
        .or_else(new)
        .unwrap_or(HeaderValue::from_static("none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(headers: &[(HeaderName, &str)]) -> String {
        let headers = headers.iter().map(|(name, value)| {
            (
                name.clone(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            )
        });
        choose(&headers.collect()).to_str().unwrap().to_owned()
    }

    #[test]
    fn the_callers_id_comes_first() {
        assert_eq!(chosen(&[(REQUEST_ID, "mine"), (TRACE_ID, "trace")]), "mine");
        assert_eq!(chosen(&[(TRACE_ID, "trace")]), "trace");
        assert_eq!(chosen(&[]).len(), 36);
    }

    #[test]
    fn ids_that_are_no_ids_are_replaced() {
        for hostile in ["", "é", &"x".repeat(ID_BYTES_MAX + 1)] {
            assert_eq!(chosen(&[(REQUEST_ID, hostile)]).len(), 36, "{hostile:?}");
        }
    }
}
