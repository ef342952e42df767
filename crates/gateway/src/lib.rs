//! The node over HTTP: what Hugging Face clients, browsers and operators talk to.
//!
//! # Goals
//! Clients that know nothing of hubless work unchanged when `HF_ENDPOINT` points here, and every
//! byte they get was proven before.
//!
//! # Not here
//! Where bytes come from (`node`), and how they are stored (`store`).
//!
//! # The way of a request
//! ```text
//! server (connections, bounds) -> ops::measure -> http::request_id -> http::guard (host, origin, token)
//!   -> a fixed route of the router, or else hub::route (raw path -> one of the hub's calls)
//!   -> hub::* or pages::* (the answer) -> hubless_node::repos (what there is, and its bytes)
//! ```
//!
//! # Adding routes
//! A fixed path (`/metrics`, `/static/...`) is a route of the router that `router` builds; merge
//! another `Router<Shared>` there, and guard, request id and bounds hold for it too. A path that
//! begins with the name of a repository cannot be told apart by a router, because names have one
//! or two segments and revisions hold `%2F`: add a variant to `hub::route::Route` and answer it
//! in `hub`.

mod http;
mod hub;
mod ops;
mod pages;
mod server;

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, middleware};
use hubless_node::NodeHandle;
use tokio_util::sync::CancellationToken;

pub use self::{
    http::token::{Token, TokenError},
    server::{Gateway, StartError},
};

/// Where and for whom a gateway answers.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Where it listens.
    pub address: SocketAddr,
    /// Who has it may ask; without, everybody who can reach the address, which then must be a
    /// loopback address.
    pub token: Option<Token>,
    /// Names and addresses by which the gateway is reached beside the loopback ones and its own,
    /// such as those of a proxy in front of it; without port.
    pub names: Vec<String>,
    /// What is sent to the upstream for callers that have `token`: their one header for a token is
    /// taken.
    pub upstream_token: Option<Token>,
}

/// What all requests share.
pub(crate) struct App {
    pub(crate) node: NodeHandle,
    pub(crate) config: GatewayConfig,
    pub(crate) pages: pages::Pages,
    /// Ends answers that have no end of their own, when the gateway is told to stop.
    pub(crate) stopping: CancellationToken,
    pub(crate) http: ops::HttpMetrics,
}

/// The state of the router.
pub(crate) type Shared = Arc<App>;

/// Everything that can be asked.
pub(crate) fn router(app: Shared) -> Router {
    Router::new()
        .merge(pages::routes())
        .merge(ops::routes(app.clone()))
        .fallback(hub::answer)
        .layer(middleware::from_fn_with_state(
            app.clone(),
            http::guard::guard,
        ))
        .layer(middleware::from_fn(http::request_id::request_id))
        .layer(middleware::from_fn_with_state(app.clone(), ops::measure))
        .with_state(app)
}
