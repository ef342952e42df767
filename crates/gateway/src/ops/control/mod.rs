//! Control over HTTP: what the command line does with a running node, for programs.
//!
//! The calls are those of [`hubless_node::api`] that say where HTTP clients find them, and so are
//! their answers: routes and description are made from that list. Added here are the description
//! itself and the configuration, which changes by several calls at once. Clients that may read the
//! gateway may read here. Changes need the gateway's token, also on the machine itself: a port on
//! loopback is open to every user and every program there, the Unix socket is not.

mod answer;
mod call;
mod config;
mod openapi;

use axum::{
    Router,
    extract::{Request as HttpRequest, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodFilter, get, on},
};
use hubless_node::api::{HttpCall, HttpCalls, Method, visit_http_calls};

use crate::{app::Shared, http::error::ApiError};

/// The path before those of the calls.
const ROOT: &str = "/api/hubless";

/// The routes of the calls.
struct Routes(Router<Shared>);

impl HttpCalls for Routes {
    fn http<C: HttpCall>(&mut self) {
        let method = match C::ROUTE.method {
            Method::Get => MethodFilter::GET,
            Method::Put => MethodFilter::PUT,
            Method::Post => MethodFilter::POST,
            Method::Delete => MethodFilter::DELETE,
        };
        let router = std::mem::take(&mut self.0);
        self.0 = router.route(&at(C::ROUTE.path), on(method, call::answer::<C>));
    }
}

fn at(path: &str) -> String {
    format!("{ROOT}{path}")
}

pub(super) fn routes(app: Shared) -> Router<Shared> {
    let own = Router::new()
        .route(&at("/openapi.json"), get(openapi::openapi))
        .route(&at("/config"), get(config::config).patch(config::configure));
    let mut routes = Routes(own);
    visit_http_calls(&mut routes);
    let guard = middleware::from_fn_with_state(app, changes_need_a_token);
    routes.0.route_layer(guard)
}

/// The guard has checked the token, if there is one.
async fn changes_need_a_token(
    State(app): State<Shared>,
    request: HttpRequest,
    next: Next,
) -> Response {
    if request.method().is_safe() || app.config.token.is_some() {
        return next.run(request).await;
    }
    let message = "Changes over HTTP need a token: start the node with --gateway-token FILE, or use \
                   the `hubless` command, which talks to the node's Unix socket.";
    ApiError::new(StatusCode::FORBIDDEN, message).into_response()
}
