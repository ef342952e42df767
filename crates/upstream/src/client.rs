//! The HTTP client of an upstream.
//!
//! Redirects are followed here and not by the HTTP library: each step is checked against
//! [`Hosts`], and the caller's token goes to the upstream itself alone. Proxy variables and
//! `SSL_CERT_FILE` are honoured by the libraries below.

use std::{ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use hubless_content::RepoId;
use reqwest::{
    Response, StatusCode, Url,
    header::{
        ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue, LINK,
        LOCATION, RANGE, RETRY_AFTER,
    },
    redirect,
};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::{
    error::{Refusal, SetupError, UpstreamError},
    hosts::{Hosts, Reach, Resolver},
    room::{Place, Room, Rooms},
};

/// Metadata requests at once: hubs refuse clients with a higher rate.
const QUESTIONS_MAX: usize = 16;

/// File requests at once, short and long ones each. A snapshot of one client has 8. They have
/// limits of their own, because a file may take hours.
const FILES_MAX: usize = 64;

/// Redirects of one request: a renamed repo, a storage bridge, a region.
const REDIRECTS_MAX: usize = 5;

/// Time limit to reach an upstream: clients wait 10 s for a response.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);

/// How long an upstream may send nothing before or within a file.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// How long it may send nothing for a metadata request. The waiting client has left by then, and
/// the place is free for another request.
const QUESTION_SILENCE_MAX: Duration = Duration::from_secs(10);

/// Bytes of a response that is not a file: a page of 1,000 entries has about 400 KB.
const METADATA_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of an error's text that are read.
const ERROR_BYTES_MAX: usize = 16 * 1024;

/// Attempts of a metadata request.
const METADATA_TRIES: u32 = 3;

/// The wait before the second attempt, if the upstream names none; doubled each time.
const RETRY_FIRST: Duration = Duration::from_millis(300);

/// The longest wait before another attempt: clients wait 10 s, and get a longer wait as
/// `Retry-After`.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(3);

/// The longest wait that an upstream can demand.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

const ERROR_CODE: HeaderName = HeaderName::from_static("x-error-code");
const ERROR_MESSAGE: HeaderName = HeaderName::from_static("x-error-message");

/// A client of one upstream.
pub(super) struct Client {
    http: reqwest::Client,
    hosts: Arc<Hosts>,
    questions: Room,
    files: Rooms,
}

/// A response whose body is still to be read.
pub(super) struct Answer {
    pub(super) response: Response,
    silence: Duration,
    _place: Place,
}

impl Answer {
    /// The next bytes of the body; `None` at its end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        let next = timeout(self.silence, self.response.chunk()).await;
        let next = next.map_err(|_| silent(self.response.url(), self.silence))?;
        next.map_err(|error| unreachable(self.response.url(), error))
    }

    async fn whole(&mut self, max: usize) -> Result<Vec<u8>, UpstreamError> {
        let mut body = Vec::new();
        while let Some(piece) = self.next().await? {
            if body.len() + piece.len() > max {
                return Err(UpstreamError::Malformed(format!("more than {max} bytes")));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }
}

impl Client {
    pub(super) fn new(hosts: Hosts) -> Result<Self, SetupError> {
        let hosts = Arc::new(hosts);
        let http = reqwest::Client::builder()
            .user_agent(concat!("hubless/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(SILENCE_MAX)
            .dns_resolver(Resolver(hosts.clone()))
            .build()
            .map_err(SetupError::Client)?;
        Ok(Self {
            http,
            hosts,
            questions: Room::new(QUESTIONS_MAX),
            files: Rooms::new(FILES_MAX),
        })
    }

    /// A URL of the upstream, from the segments of its path, with special characters escaped.
    pub(super) fn url<'a>(&self, parts: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.hosts.base().clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().extend(parts);
        }
        url
    }

    /// The name of the upstream.
    pub(super) fn name(&self) -> String {
        self.hosts.base().as_str().trim_end_matches('/').to_owned()
    }

    /// Requests the range `bytes` of a file of a repo, or all of it without a range.
    pub(super) async fn file(
        &self,
        repo: &RepoId,
        url: Url,
        token: Option<&str>,
        range: Option<Range<u64>>,
        bytes: u64,
    ) -> Result<Answer, UpstreamError> {
        let place = self.files.of(bytes).take(repo).await?;
        self.get(place, SILENCE_MAX, url, token, range).await
    }

    /// Sends one request, and follows its redirects.
    async fn get(
        &self,
        place: Place,
        silence: Duration,
        mut url: Url,
        token: Option<&str>,
        range: Option<Range<u64>>,
    ) -> Result<Answer, UpstreamError> {
        for _ in 0..=REDIRECTS_MAX {
            let reach = self.hosts.reach(&url).ok_or_else(|| forbidden(&url))?;
            let token = token.filter(|_| reach == Reach::Upstream);
            let headers = headers(token, range.as_ref());
            let sent = self.http.get(url.clone()).headers(headers).send();
            let sent = timeout(silence, sent).await;
            let sent = sent.map_err(|_| silent(&url, silence))?;
            let response = sent.map_err(|error| unreachable(&url, error))?;
            if !is_redirect(response.status()) {
                let answer = Answer {
                    response,
                    silence,
                    _place: place,
                };
                return checked(answer).await;
            }
            let location = response.headers().get(LOCATION);
            let location = location.and_then(|location| location.to_str().ok());
            let next = location.and_then(|location| url.join(location).ok());
            url = next.ok_or_else(|| UpstreamError::Malformed("a redirect to nowhere".into()))?;
        }
        Err(UpstreamError::Redirects)
    }

    /// Requests JSON about a repo, with retries of temporary errors; also returns the URL of the
    /// next page.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        repo: &RepoId,
        url: Url,
        token: Option<&str>,
    ) -> Result<(T, Option<Url>), UpstreamError> {
        let mut tries = 1;
        loop {
            let error = match self.json_once(repo, url.clone(), token).await {
                Err(error) if error.is_temporary() && tries < METADATA_TRIES => error,
                answered => return answered,
            };
            let wait = error.retry_after().unwrap_or(RETRY_FIRST * tries * tries);
            if wait > RETRY_WAIT_MAX {
                return Err(error);
            }
            tracing::debug!(%error, ?wait, "the upstream is asked again");
            tokio::time::sleep(wait).await;
            tries += 1;
        }
    }

    async fn json_once<T: DeserializeOwned>(
        &self,
        repo: &RepoId,
        url: Url,
        token: Option<&str>,
    ) -> Result<(T, Option<Url>), UpstreamError> {
        let place = self.questions.take(repo).await?;
        let silence = QUESTION_SILENCE_MAX;
        let mut answer = self.get(place, silence, url, token, None).await?;
        let next = next_page(&answer.response);
        let body = answer.whole(METADATA_BYTES_MAX).await?;
        let value = serde_json::from_slice(&body)
            .map_err(|error| UpstreamError::Malformed(error.to_string()))?;
        Ok((value, next))
    }
}

fn headers(token: Option<&str>, range: Option<&Range<u64>>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(Ok(mut value)) =
        token.map(|token| HeaderValue::from_str(&format!("Bearer {token}")))
    {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    if let Some(range) = range {
        let text = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(RANGE, value);
        }
    }
    headers
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn forbidden(url: &Url) -> UpstreamError {
    UpstreamError::ForbiddenHost { host: host_of(url) }
}

fn silent(url: &Url, after: Duration) -> UpstreamError {
    UpstreamError::Silent {
        host: host_of(url),
        after,
    }
}

fn unreachable(url: &Url, error: reqwest::Error) -> UpstreamError {
    UpstreamError::Unreachable {
        host: host_of(url),
        source: error.without_url(),
    }
}

/// Accepts a successful response whose bytes are the requested ones.
async fn checked(mut answer: Answer) -> Result<Answer, UpstreamError> {
    let status = answer.response.status();
    let encoding = answer.response.headers().get(CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| encoding != "identity") {
        return Err(UpstreamError::Malformed("compressed without need".into()));
    }
    if matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
        return Ok(answer);
    }
    let headers = answer.response.headers();
    let text = |name: HeaderName| Some(headers.get(name)?.to_str().ok()?.to_owned());
    let (code, message) = (text(ERROR_CODE), text(ERROR_MESSAGE));
    let retry_after = retry_after(headers);
    let message = match message {
        Some(message) => message,
        None => error_text(&answer.whole(ERROR_BYTES_MAX).await.unwrap_or_default()),
    };
    Err(UpstreamError::Refused {
        status,
        reason: Refusal::read(status, code.as_deref(), &message),
        message,
        retry_after,
    })
}

/// The field `error` of a JSON body.
fn error_text(body: &[u8]) -> String {
    let value: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let text = value.as_ref().and_then(|value| value["error"].as_str());
    text.unwrap_or_default().to_owned()
}

/// `Retry-After` in seconds, or the rest of a rate limit's window: `ratelimit: "api";r=0;t=55`.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let plain = text(RETRY_AFTER.as_str()).and_then(|text| text.trim().parse().ok());
    let window = || {
        let mut parts = text("ratelimit")?.split(';');
        parts.find_map(|part| part.trim().strip_prefix("t=")?.parse().ok())
    };
    let seconds: u64 = plain.or_else(window)?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// The URL of `Link: <...>; rel="next"`.
fn next_page(response: &Response) -> Option<Url> {
    let links = response.headers().get_all(LINK).iter();
    let mut links = links
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let next = links.find(|link| link.contains("rel=\"next\"") || link.contains("rel=next"))?;
    let (_, target) = next.split_once('<')?;
    let (target, _) = target.split_once('>')?;
    response.url().join(target).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_to_ask_again() {
        let of = |name: &'static str, value: &'static str| {
            let name = HeaderName::from_static(name);
            retry_after(&HeaderMap::from_iter([(
                name,
                HeaderValue::from_static(value),
            )]))
        };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(of("retry-after", "7"), seconds(7));
        assert_eq!(of("retry-after", "99999999999"), seconds(3600));
        assert_eq!(of("ratelimit", "\"api\";r=0;t=55"), seconds(55));
        assert_eq!(of("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"), None);
        assert_eq!(of("x", "y"), None);
    }

    #[test]
    fn a_token_is_marked_so_that_it_is_never_printed() {
        let headers = headers(Some("hf_secret"), Some(&(3..7)));
        assert_eq!(headers[AUTHORIZATION], "Bearer hf_secret");
        assert!(!format!("{headers:?}").contains("secret"));
        assert_eq!(headers[RANGE], "bytes=3-6");
    }
}
