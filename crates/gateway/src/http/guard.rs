//! Which requests are answered at all.
//!
//! A web page in a browser can send requests to this machine. It cannot choose the
//! `Host` header, which names the page's own host when DNS was rebound, and the browser says in
//! `Origin` and `Sec-Fetch-Site` where a request comes from. Clients that are no browsers send
//! neither.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::error::ApiError;
use crate::{
    config::GatewayConfig,
    token::{bearer, password},
};

/// Paths for supervisors, which have no token.
const OPEN_PATHS: [&str; 2] = ["/healthz", "/readyz"];

pub(crate) async fn guard(
    State(config): State<Arc<GatewayConfig>>,
    request: Request,
    next: Next,
) -> Response {
    let (headers, method) = (request.headers(), request.method());
    let allowed = check_host(&config, request.uri(), headers)
        .and_then(|host| check_origin(&config, &host, method, headers))
        .and_then(|()| check_token(&config, request.uri().path(), headers));
    match allowed {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn forbidden(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, message)
}

/// The host by which the gateway was reached must be one of its own. In a request line with a whole
/// URL, that host counts, and the header must be one of its own too.
fn check_host(
    config: &GatewayConfig,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Authority, ApiError> {
    let malformed = || ApiError::bad_request("The Host header is missing or malformed.");
    let mut sent = headers.get_all(header::HOST).iter();
    let header = sent.next().map(|host| {
        let host = host.to_str().ok().and_then(|host| host.parse().ok());
        host.ok_or_else(malformed)
    });
    if sent.next().is_some() {
        return Err(ApiError::bad_request("There are several Host headers."));
    }
    let header = header.transpose()?;
    let hosts = [header, uri.authority().cloned()];
    for host in hosts.iter().flatten() {
        check_name(config, host)?;
    }
    let [header, target] = hosts;
    target.or(header).ok_or_else(malformed)
}

fn check_name(config: &GatewayConfig, host: &Authority) -> Result<(), ApiError> {
    // A name before the host is for URLs, and makes another host read as an own one.
    if host.as_str().contains('@') {
        return Err(ApiError::bad_request("A host has no user name."));
    }
    if is_own(config, host.host()) {
        return Ok(());
    }
    Err(forbidden(format!(
        "This gateway does not answer to the host name {:?}; if it should, add it to \
         `gateway_names` in its configuration.",
        host.host()
    )))
}

fn is_own(config: &GatewayConfig, host: &str) -> bool {
    let host = host.trim_end_matches('.');
    if is_configured(config, host) || host.eq_ignore_ascii_case("localhost") {
        return true;
    }
    // A page cannot rebind an address, only a name.
    let bound = config.address.ip();
    address(host).is_some_and(|ip| ip.is_loopback() || ip == bound || bound.is_unspecified())
}

/// Whether the host is one of `gateway_names`: a name, or an address in any of its spellings.
pub(crate) fn is_configured(config: &GatewayConfig, host: &str) -> bool {
    let ip = address(host);
    config
        .names
        .iter()
        .any(|own| own.eq_ignore_ascii_case(host) || ip.is_some_and(|ip| address(own) == Some(ip)))
}

/// The address that a host is, if it is no name.
fn address(host: &str) -> Option<IpAddr> {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    literal.parse().ok()
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
        let fits = |origin: &Authority| {
            origin.as_str().eq_ignore_ascii_case(host.as_str())
                || is_configured(config, origin.host())
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
    use crate::token::Token;

    fn config() -> GatewayConfig {
        GatewayConfig {
            address: "192.0.2.7:8421".parse().unwrap(),
            token: None,
            names: vec![
                "models.example".into(),
                "10.77.0.8".into(),
                "2001:db8::8".into(),
            ],
            upstream_token: None,
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
            "10.77.0.8:8421",
            "[2001:db8:0::8]:80",
        ] {
            assert!(check(own), "{own}");
        }
        for foreign in [
            "evil.example",
            "localhost.evil.example",
            "192.0.2.8",
            "127.0.0.1.evil.example",
            "[fe80::1]",
            "10.77.0.9",
            "evil@127.0.0.1",
            "127.0.0.1@localhost",
            "",
            "a b",
        ] {
            assert!(!check(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_second_host_is_refused_even_if_both_are_own_ones() {
        let mut both = headers(&[("host", "localhost")]);
        both.append(header::HOST, HeaderValue::from_static("localhost"));
        assert!(check_host(&config(), &Uri::from_static("/"), &both).is_err());
    }

    #[test]
    fn the_host_in_a_whole_url_counts_as_well() {
        let check = |url: &'static str, host: &[(&'static str, &str)]| {
            let host = check_host(&config(), &Uri::from_static(url), &headers(host));
            host.ok().map(|host| host.to_string())
        };
        let own = [("host", "127.0.0.1")];
        assert_eq!(check("http://evil/", &own), None);
        assert_eq!(check("http://127.0.0.1/", &[("host", "evil")]), None);
        assert_eq!(check("http://x@127.0.0.1/", &own), None);
        assert_eq!(
            check("http://localhost/", &own).as_deref(),
            Some("localhost")
        );
        assert_eq!(
            check("http://localhost/", &[]).as_deref(),
            Some("localhost")
        );
        assert_eq!(check("/", &[]), None);
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
        assert!(check(Method::POST, &[("origin", "http://10.77.0.8")]));
        assert!(!check(Method::POST, &[("origin", "http://10.77.0.9")]));
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
