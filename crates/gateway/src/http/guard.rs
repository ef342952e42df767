//! Who may ask at all.
//!
//! A web page that somebody looks at can send requests to this machine. It cannot choose the
//! `Host` header, which names the page's own host when DNS was rebound, and the browser tells in
//! `Origin` and `Sec-Fetch-Site` where a request comes from. Clients that are no browsers send
//! neither.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    error::ApiError,
    token::{bearer, password},
};
use crate::{GatewayConfig, Shared};

/// What a supervisor asks, which has no token.
const OPEN_PATHS: [&str; 2] = ["/healthz", "/readyz"];

pub(crate) async fn guard(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let (headers, method) = (request.headers(), request.method());
    let allowed = check_host(&app.config, request.uri(), headers)
        .and_then(|host| check_origin(&app.config, &host, method, headers))
        .and_then(|()| check_token(&app.config, request.uri().path(), headers));
    match allowed {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn forbidden(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, message)
}

/// The host by which the gateway was reached must be one of its own.
fn check_host(
    config: &GatewayConfig,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Authority, ApiError> {
    let named = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let host: Authority = named
        .or(uri.authority().map(Authority::as_str))
        .and_then(|host| host.parse().ok())
        .ok_or_else(|| ApiError::bad_request("The Host header is missing or malformed."))?;
    if headers.get_all(header::HOST).iter().count() > 1 {
        return Err(ApiError::bad_request("There are several Host headers."));
    }
    if is_own(config, host.host()) {
        return Ok(host);
    }
    Err(forbidden(format!(
        "This gateway does not answer to the host name {:?}; if it should, add it to \
         `gateway_names` in its configuration.",
        host.host()
    )))
}

fn is_own(config: &GatewayConfig, host: &str) -> bool {
    let host = host.trim_end_matches('.');
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = literal.parse::<std::net::IpAddr>() {
        // A page cannot rebind an address, only a name.
        let bound = config.address.ip();
        return ip.is_loopback() || ip == bound || bound.is_unspecified();
    }
    let names = config.names.iter().map(String::as_str);
    names
        .chain(["localhost"])
        .any(|name| name.eq_ignore_ascii_case(host))
}

/// A request that a page sent must come from the gateway's own pages, or lead to them.
fn check_origin(
    config: &GatewayConfig,
    host: &Authority,
    method: &Method,
    headers: &HeaderMap,
) -> Result<(), ApiError> {
    let refused = || forbidden("Pages of other origins may not use this gateway.");
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = origin.to_str().ok().and_then(|o| o.parse::<Uri>().ok());
        let origin = origin.as_ref().and_then(Uri::authority);
        let own = |name: &str| {
            config
                .names
                .iter()
                .any(|own| own.eq_ignore_ascii_case(name))
        };
        let fits = |origin: &Authority| {
            origin.as_str().eq_ignore_ascii_case(host.as_str()) || own(origin.host())
        };
        return origin.is_some_and(fits).then_some(()).ok_or_else(refused);
    }
    let says = |name: &str, value: &str| headers.get(name).is_some_and(|header| header == value);
    let own = |site: &HeaderValue| site == "same-origin" || site == "none";
    let is_own = headers.get("sec-fetch-site").is_none_or(own);
    let is_link = method.is_safe() && says("sec-fetch-mode", "navigate");
    (is_own || is_link).then_some(()).ok_or_else(refused)
}

/// A client sends the token as bearer, a browser as the password it asked its user for.
fn check_token(config: &GatewayConfig, path: &str, headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(token) = &config.token else {
        return Ok(());
    };
    if OPEN_PATHS.contains(&path) {
        return Ok(());
    }
    let sent = bearer(headers)
        .map(str::to_owned)
        .or_else(|| password(headers));
    let message = match sent {
        Some(sent) if token.is(&sent) => return Ok(()),
        Some(_) => "Invalid credentials in Authorization header",
        None => "Invalid username or password.",
    };
    Err(ApiError::new(StatusCode::UNAUTHORIZED, message).header(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static("Basic realm=\"hubless\", charset=\"UTF-8\""),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::token::Token;

    fn config() -> GatewayConfig {
        GatewayConfig {
            address: "192.0.2.7:8421".parse().unwrap(),
            token: None,
            names: vec!["models.example".into()],
        }
    }

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| {
                (
                    header::HeaderName::from_static(name),
                    value.parse().unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn only_own_names_are_answered_to() {
        let check = |host: &str| {
            check_host(
                &config(),
                &Uri::from_static("/"),
                &headers(&[("host", host)]),
            )
            .is_ok()
        };
        for own in [
            "localhost",
            "LOCALHOST:8421",
            "127.0.0.1:8421",
            "127.1.2.3",
            "[::1]:8421",
            "192.0.2.7:8421",
            "models.example",
            "localhost.",
        ] {
            assert!(check(own), "{own}");
        }
        for foreign in [
            "evil.example",
            "localhost.evil.example",
            "192.0.2.8",
            "127.0.0.1.evil.example",
            "[fe80::1]",
            "",
            "a b",
        ] {
            assert!(!check(foreign), "{foreign}");
        }
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let check = |method: Method, list: &[(&'static str, &str)]| {
            let host = Authority::from_static("127.0.0.1:8421");
            check_origin(&config(), &host, &method, &headers(list)).is_ok()
        };
        assert!(check(Method::GET, &[]), "no browser");
        assert!(check(Method::POST, &[("origin", "http://127.0.0.1:8421")]));
        assert!(check(Method::POST, &[("origin", "https://models.example")]));
        assert!(check(Method::GET, &[("sec-fetch-site", "same-origin")]));
        assert!(check(Method::GET, &[("sec-fetch-site", "none")]));
        let link = [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
        ];
        assert!(check(Method::GET, &link), "a link from elsewhere");
        assert!(!check(Method::POST, &link), "a form elsewhere");
        let image = [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "no-cors"),
        ];
        assert!(!check(Method::GET, &image), "an image elsewhere");
        for origin in ["http://evil.example", "null", "http://127.0.0.1:3000", ""] {
            assert!(!check(Method::GET, &[("origin", origin)]), "{origin}");
        }
    }

    #[test]
    fn the_token_is_asked_of_all_but_supervisors() {
        let mut config = config();
        config.token = Token::new("0123456789abcdef");
        let check = |path, value: &str| {
            check_token(&config, path, &headers(&[("authorization", value)])).is_ok()
        };
        assert!(check("/", "Bearer 0123456789abcdef"));
        assert!(check("/", "bearer 0123456789abcdef"));
        assert!(check("/", "Basic dXNlcjowMTIzNDU2Nzg5YWJjZGVm"));
        assert!(!check("/", "Bearer 0123456789abcdeg"));
        assert!(!check("/", "Basic dXNlcjp3cm9uZw=="));
        assert!(!check("/", "0123456789abcdef"));
        assert!(check("/healthz", ""));
    }
}
