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
//! server (connections, bounds) -> http::metrics -> http::request_id -> http::guard (host, origin, token)
//!   -> a fixed route of the router, or else route (raw path -> one of the hub's calls)
//!   -> hub::* or pages::* (the answer) -> hubless_node::repos (what there is, and its bytes)
//! ```
//!
//! # Adding routes
//! A fixed path (`/metrics`, `/static/...`) is a route of the router that `router` builds; merge
//! another `Router<Shared>` there, and guard, request id and bounds hold for it too. A path that
//! begins with the name of a repository cannot be distinguished by a router, because names have one
//! or two segments and revisions hold `%2F`: add a variant to `route::Route` and answer it in
//! `router`.

#![deny(clippy::self_named_module_files)]

mod app;
mod card;
mod config;
mod http;
mod hub;
mod ops;
mod pages;
mod route;
mod router;
mod server;
mod token;

pub use self::{
    config::GatewayConfig,
    server::{Gateway, StartError},
    token::{Token, TokenError},
};
