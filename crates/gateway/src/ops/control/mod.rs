//! Control over HTTP: what the command line does with a running node, for programs.
//!
//! The calls are those of [`hubless_node::api`], and so are their answers; `openapi.json` describes
//! them, together with the table of configuration keys. Clients that may
//! read the gateway may read here. Changes want the gateway's token, also on the
//! machine itself: a port on loopback is open to every user and every program there, the Unix socket
//! is not.

mod answer;
mod calls;
mod fetches;
mod openapi;

use axum::{
    Router,
    extract::{Request as HttpRequest, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post, put},
};

use crate::{app::Shared, http::error::ApiError};

/// Everything there is.
fn table() -> Vec<(&'static str, MethodRouter<Shared>)> {
    vec![
        ("/openapi.json", get(openapi::openapi)),
        ("/status", get(calls::status)),
        ("/transfers", get(calls::transfers)),
        ("/peers", get(calls::peers)),
        ("/models", get(calls::models)),
        ("/models/{hash}", get(calls::model).delete(calls::forget)),
        ("/models/{hash}/pin", put(calls::pin).delete(calls::unpin)),
        ("/models/{hash}/ticket", get(calls::ticket)),
        ("/models/{hash}/why", get(calls::why)),
        ("/providers/{hash}", get(calls::providers)),
        ("/names", get(calls::names).post(calls::set_name)),
        (
            "/names/{kind}/{name}",
            get(calls::name).delete(calls::forget_name),
        ),
        ("/fetches", post(fetches::fetch)),
        ("/config", get(calls::config).patch(calls::configure)),
        ("/gc", post(calls::gc)),
    ]
}

pub(super) fn routes(app: Shared) -> Router<Shared> {
    let all = table().into_iter();
    all.fold(Router::new(), |router, (path, methods)| {
        router.route(&format!("/api/hubless{path}"), methods)
    })
    .route_layer(middleware::from_fn_with_state(app, changes_need_a_token))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_description_has_all_paths_and_no_others() {
        let described: Value = serde_json::from_str(openapi::text()).unwrap();
        let described = described["paths"].as_object().unwrap().keys();
        let described: BTreeSet<String> = described.cloned().collect();
        let real = table()
            .into_iter()
            .map(|(path, _)| format!("/api/hubless{path}"));
        assert_eq!(described, real.collect());
    }

    /// What a client generator stumbles over: a name that leads nowhere.
    #[test]
    fn all_references_of_the_description_lead_somewhere() {
        let described: Value = serde_json::from_str(openapi::text()).unwrap();
        let mut open = vec![&described];
        while let Some(value) = open.pop() {
            match value {
                Value::Object(map) => {
                    if let Some(target) = map.get("$ref").and_then(Value::as_str) {
                        let pointer = target.strip_prefix('#').unwrap();
                        assert!(described.pointer(pointer).is_some(), "{target}");
                    }
                    open.extend(map.values());
                }
                Value::Array(items) => open.extend(items),
                _ => {}
            }
        }
    }
}
