//! What operators and their programs ask: metrics, health, control.
//!
//! ```text
//! /metrics                     counters and state, as OpenMetrics text
//! /healthz, /readyz            whether the node lives, and whether it can do its work
//! /api/hubless/...             control: what the command line does, described by openapi.json
//! ```

mod control;
mod health;
mod metrics;
mod process;

use axum::{Router, routing::get};

use crate::app::Shared;

pub(crate) fn routes(app: Shared) -> Router<Shared> {
    Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .merge(control::routes(app))
}
