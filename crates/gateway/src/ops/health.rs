//! Health, for supervisors: 200 or 503, and why.

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hubless_node::Health;

use crate::app::Shared;

/// Whether the node lives. One that does not is to be started again.
pub(super) async fn healthz(State(app): State<Shared>) -> Response {
    answer(&app.node.alive().await)
}

/// Whether the node can do its work. A load balancer sends no client to one that cannot.
pub(super) async fn readyz(State(app): State<Shared>) -> Response {
    answer(&app.node.ready().await)
}

fn answer(health: &Health) -> Response {
    let status = match health.ok {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let now = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (status, now, Json(health)).into_response()
}
