//! What goes wrong, as clients of the hub read it: status, `X-Error-Code`, `X-Error-Message`.
//!
//! The code is in a header because the answer to `HEAD` has no body; without it, clients on plain
//! HTTP cannot distinguish a missing file from a broken server.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hubless_content::RepoKind;
use hubless_node::{
    api::{Failure, FailureKind, Remedy},
    repos::RepoError,
};
use serde_json::json;

pub(crate) const ERROR_CODE: HeaderName = HeaderName::from_static("x-error-code");
pub(crate) const ERROR_MESSAGE: HeaderName = HeaderName::from_static("x-error-message");

const REPO_NOT_FOUND: &str = "RepoNotFound";

/// Characters of `X-Error-Message`; the body has all of it.
const MESSAGE_CHARS_MAX: usize = 500;

/// An answer that is an error.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: Option<&'static str>,
    message: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            code: None,
            message: message.into(),
            headers: Vec::new(),
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// Nothing is at this path at all.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is nothing at this path.")
    }

    /// What a hub has where people write. 403 is what clients do not repeat.
    pub(crate) fn read_only() -> Self {
        let message = "This gateway is read-only: it takes no uploads, and has no discussions or \
                       settings. On its machine, `hubless seed DIR --name ORG/NAME` publishes a \
                       directory.";
        Self::new(StatusCode::FORBIDDEN, message)
    }

    pub(crate) fn method_not_allowed(allowed: &'static str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed.")
            .header(header::ALLOW, HeaderValue::from_static(allowed))
    }

    fn coded(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code: Some(code),
            ..Self::new(StatusCode::NOT_FOUND, message)
        }
    }

    /// Says which repository is missing, and what to do about it.
    pub(crate) fn of_repo(mut self, kind: RepoKind, name: &str) -> Self {
        if self.code == Some(REPO_NOT_FOUND) {
            self.message = format!(
                "Repository not found: {kind} {name}. This node knows no such name: `hubless name \
                 ls` lists those it knows, `hubless name set {kind} {name} HASH` gives one."
            );
        }
        self
    }

    pub(crate) fn repo_not_found() -> Self {
        Self::coded(REPO_NOT_FOUND, "Repository not found")
    }

    pub(crate) fn entry_not_found(path: &str) -> Self {
        Self::coded("EntryNotFound", format!("Entry not found: {path}"))
    }

    fn too_many_requests(retry_after: Duration) -> Self {
        let message = "The upstream takes no more requests now; try again later.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, message).retry_after(retry_after)
    }

    /// 504 would be repeated by clients for half a minute; what peers do not have now is mostly not
    /// there a moment later.
    fn unavailable(failure: &Failure) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, sentence(failure))
    }

    fn failed(failure: &Failure) -> Self {
        tracing::error!(error = %failure, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, sentence(failure))
    }

    fn retry_after(self, time: Duration) -> Self {
        let seconds = time.as_secs().max(1);
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// What it says beside status and body.
    pub(crate) fn into_headers(self) -> Vec<(HeaderName, HeaderValue)> {
        let code = self
            .code
            .map(|code| (ERROR_CODE, HeaderValue::from_static(code)));
        self.headers.into_iter().chain(code).collect()
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// A failure of a call of the node, such as a page makes.
impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        if let Some(seconds) = failure.retry_after {
            return Self::too_many_requests(Duration::from_secs(seconds));
        }
        match failure.kind {
            // The received bytes are wrong: neither the caller's request nor this node is at fault.
            FailureKind::NotFound
            | FailureKind::Network
            | FailureKind::Partial
            | FailureKind::Integrity => Self::unavailable(&failure),
            FailureKind::Denied => Self::new(StatusCode::FORBIDDEN, failure.message),
            FailureKind::Other
            | FailureKind::Usage
            | FailureKind::Busy
            | FailureKind::HostEnded
            | FailureKind::NoSpace
            | FailureKind::Interrupted => Self::failed(&failure),
        }
    }
}

impl From<RepoError> for ApiError {
    fn from(error: RepoError) -> Self {
        match error {
            RepoError::NoRepo => Self::repo_not_found(),
            RepoError::NoRevision { revision } => {
                Self::coded("RevisionNotFound", format!("Invalid rev id: {revision}"))
            }
            RepoError::Removed { revision } => Self::coded(
                "RevisionNotFound",
                format!("The content of revision {revision} was removed from this node"),
            ),
            RepoError::Moved { to } => {
                Self::coded("RepoNotFound", format!("The repository is now {to}"))
            }
            RepoError::Name(error) if error.is_unknown() => Self::repo_not_found(),
            RepoError::Name(error) => Self::from(Failure::from(&*error)),
            RepoError::NoEntry { path } => Self::entry_not_found(&path),
            RepoError::Gated { message } => Self {
                code: Some("GatedRepo"),
                ..Self::new(StatusCode::FORBIDDEN, message)
            },
            RepoError::Denied { message } => Self::new(StatusCode::FORBIDDEN, message),
            RepoError::BadToken { message } => Self::new(StatusCode::UNAUTHORIZED, message),
            RepoError::Busy { retry_after } => {
                let message = "Busy; try again later.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, message).retry_after(retry_after)
            }
            RepoError::TooManyRequests { retry_after } => Self::too_many_requests(retry_after),
            RepoError::Unavailable { cause } => Self::unavailable(&Failure::from(&cause)),
            RepoError::Failed { cause } => Self::failed(&Failure::from(&cause)),
        }
    }
}

fn sentence(failure: &Failure) -> String {
    match failure.remedy.as_ref().and_then(advice) {
        Some(advice) => format!("{} ({advice})", failure.message),
        None => failure.message.clone(),
    }
}

/// What a client over HTTP, or the operator that it asks, can do about a failure; `None` for what only
/// concerns commands.
pub(crate) fn advice(remedy: &Remedy) -> Option<&'static str> {
    Some(match remedy {
        Remedy::TryAgain | Remedy::GoOn => "try again",
        Remedy::DownloadAgain => "download it again from the beginning",
        Remedy::WaitForProviders
        | Remedy::WaitForHolder
        | Remedy::Resume { .. }
        | Remedy::ResumeWithProviders { .. } => "try again when a node that holds it is back",
        Remedy::FindProvider => "check the hash; its publisher knows a node that has it",
        Remedy::AskPublisher => "its publisher can give another content hash",
        Remedy::MakeRoom | Remedy::RaiseQuota => "the operator of this node can make room",
        Remedy::Repair | Remedy::RepairFromPeers | Remedy::CheckDisk => {
            "the operator of this node can check its store"
        }
        Remedy::NameUpstream => "the operator of this node can configure the hub it comes from",
        Remedy::CheckUpstream | Remedy::InstallCertificates => {
            "the operator of this node can check its `upstream`, the proxy variables and \
             SSL_CERT_FILE"
        }
        Remedy::AllowHost => "the operator of this node can allow the host",
        Remedy::CheckName => "check the name; what is private needs a token",
        Remedy::DownloadOnce => "its content hash is known after a download",
        Remedy::WriteOrgName => "write the name as ORG/NAME, such as acme/my-model",
        Remedy::ShorterMessage => "give a shorter message",
        Remedy::WriteGlobs => "write globs as *.safetensors or onnx/*",
        Remedy::CountFromZero => "bytes are counted from 0",
        Remedy::AddFiles => "a model needs at least one file; empty directories do not count",
        Remedy::CheckPath | Remedy::PutIntoDirectory => "the path must be an existing directory",
        Remedy::WaitForWriters => "wait until nothing writes to it",
        _ => return None,
    })
}

/// Text that a header can have: printable ASCII, in one line.
fn header_text(text: &str) -> HeaderValue {
    let plain = |char: char| match char {
        ' '..='~' => char,
        _ => '?',
    };
    let text: String = text.chars().take(MESSAGE_CHARS_MAX).map(plain).collect();
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("error"))
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": self.message }));
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.extend(self.headers);
        if let Some(code) = self.code {
            headers.insert(ERROR_CODE, HeaderValue::from_static(code));
        }
        headers.insert(ERROR_MESSAGE, header_text(&self.message));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_others_is_none_of_this_gateway() {
        let status = |kind| ApiError::from(Failure::new(kind, "x")).status();
        assert_eq!(status(FailureKind::Integrity), StatusCode::BAD_GATEWAY);
        assert_eq!(status(FailureKind::Network), StatusCode::BAD_GATEWAY);
        assert_eq!(
            status(FailureKind::Other),
            StatusCode::INTERNAL_SERVER_ERROR
        );
        let limited = Failure::new(FailureKind::Network, "x").retry_after(Duration::from_secs(55));
        let response = ApiError::from(limited).into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[header::RETRY_AFTER], "55");
    }

    #[test]
    fn the_code_is_in_a_header_and_hostile_text_in_none() {
        let response = ApiError::entry_not_found("a\r\nSet-Cookie: x\u{e9}").into_response();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.headers()[ERROR_CODE], "EntryNotFound");
        let message = &response.headers()[ERROR_MESSAGE];
        assert_eq!(message, "Entry not found: a??Set-Cookie: x?");
    }
}
