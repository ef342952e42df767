//! The bytes of files: `resolve` and `raw`.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{
    FutureExt,
    future::{self, BoxFuture},
    stream,
};
use hubless_content::RepoId;
use hubless_node::{
    FileStream,
    repos::{FileIds, RepoError, RepoFile, Resolved, pointer},
};

use crate::http::context::{REPO_COMMIT, RequestContext, commit_header};
use crate::http::{error::ApiError, metrics::OpenStream, range};

const LINKED_ETAG: HeaderName = HeaderName::from_static("x-linked-etag");
const LINKED_SIZE: HeaderName = HeaderName::from_static("x-linked-size");

/// The file's BLAKE3: for other gateways, which verify chunks with it as they come.
const FILE_HASH: HeaderName = HeaderName::from_static("x-hubless-file");

/// Requests for so few bytes ask for the metadata in truth: clients that send no `HEAD`.
const METADATA_BYTES_MAX: u64 = 1;

/// How long an answer waits to be an error if it must be; clients wait 10 s for its beginning. That
/// no peer gives the file is mostly known after half of it.
const FIRST_BYTES_WITHIN: Duration = Duration::from_secs(8);

/// What is asked for.
pub(crate) struct Wanted {
    pub(crate) repo: RepoId,
    pub(crate) revision: String,
    pub(crate) path: String,
    pub(crate) raw: bool,
}

pub(crate) async fn file(
    cx: &RequestContext,
    method: &Method,
    request: &HeaderMap,
    wanted: &Wanted,
) -> Result<Response, ApiError> {
    let resolved = cx.resolve(&wanted.repo, &wanted.revision).await?;
    let commit = commit_header(resolved.commit);
    match of_revision(cx, method, request, &resolved, wanted).await {
        Ok(mut response) => {
            response.headers_mut().insert(REPO_COMMIT, commit);
            Ok(response)
        }
        // With the commit, clients remember that this revision has no such file.
        Err(error) => Err(error.header(REPO_COMMIT, commit)),
    }
}

async fn of_revision(
    cx: &RequestContext,
    method: &Method,
    request: &HeaderMap,
    resolved: &Resolved,
    wanted: &Wanted,
) -> Result<Response, ApiError> {
    let tree = cx.repos.tree(resolved).await?;
    let missing = || ApiError::entry_not_found(&wanted.path);
    let file = tree.get(&wanted.path).ok_or_else(missing)?;
    cx.repos.permit(resolved).await?;
    let range = request
        .get(header::RANGE)
        .and_then(|range| range.to_str().ok());
    let is_head = method == Method::HEAD;
    let part = range::wanted(range.filter(|_| !is_head), file.size);
    let metadata_only = match &part {
        range::Wanted::Part(part) => part.end - part.start <= METADATA_BYTES_MAX,
        _ => is_head,
    };
    let ids = cx.repos.ids(resolved, &file, metadata_only).await?;
    if let FileIds::Large { sha256, .. } = ids
        && wanted.raw
    {
        return Ok(pointer_text(
            &ids,
            pointer(sha256, file.size),
            request,
            is_head,
        ));
    }
    let mut headers = file_headers(&file, &ids);
    if is_same(request, &headers) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let (status, bytes) = match part {
        range::Wanted::All => (StatusCode::OK, 0..file.size),
        range::Wanted::Part(part) => {
            let content = format!("bytes {}-{}/{}", part.start, part.end - 1, file.size);
            headers.insert(header::CONTENT_RANGE, ascii(&content));
            (StatusCode::PARTIAL_CONTENT, part)
        }
        range::Wanted::Beyond => {
            return Err(
                ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "Range not satisfiable").header(
                    header::CONTENT_RANGE,
                    ascii(&format!("bytes */{}", file.size)),
                ),
            );
        }
    };
    headers.insert(header::CONTENT_LENGTH, (bytes.end - bytes.start).into());
    let body = match is_head {
        true => Body::empty(),
        false => {
            body(
                cx.repos.open(resolved, &file, bytes).await?,
                cx.http.stream(),
            )
            .await?
        }
    };
    Ok((status, headers, body).into_response())
}

/// The next bytes of a file and what comes behind them.
type Next = BoxFuture<'static, Result<Option<(Bytes, FileStream)>, RepoError>>;

fn next(mut stream: FileStream) -> Next {
    async move { Ok(stream.next().await?.map(|bytes| (bytes, stream))) }.boxed()
}

/// The bytes as they come. What fails at once is an answer of its own; later, an error breaks the
/// connection off, so that a client knows that it did not get all.
async fn body(stream: FileStream, sent: OpenStream) -> Result<Body, ApiError> {
    let mut first = next(stream);
    let first = match tokio::time::timeout(FIRST_BYTES_WITHIN, &mut first).await {
        Ok(Err(error)) => return Err(error.into()),
        Ok(begun) => future::ready(begun).boxed(),
        Err(_) => first,
    };
    Ok(Body::from_stream(stream::try_unfold(
        (first, sent),
        |(coming, sent)| async {
            let come = coming.await.inspect_err(|error| {
                tracing::warn!(%error, "an answer is broken off");
            })?;
            let come = come.inspect(|(bytes, _)| sent.count(bytes.len()));
            Ok::<_, RepoError>(come.map(|(bytes, stream)| (bytes, (next(stream), sent))))
        },
    )))
}

fn file_headers(file: &RepoFile, ids: &FileIds) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let etag = ascii(&format!("\"{}\"", ids.etag()));
    if matches!(ids, FileIds::Large { .. }) {
        headers.insert(LINKED_ETAG, etag.clone());
        headers.insert(LINKED_SIZE, file.size.into());
    }
    if let Some(hash) = file.hash {
        headers.insert(FILE_HASH, ascii(&hash.to_string()));
    }
    headers.insert(header::ETAG, etag);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let name = file.path.segments().next_back().unwrap_or_default();
    headers.insert(header::CONTENT_DISPOSITION, disposition(name));
    headers.insert(header::CONTENT_TYPE, content_type(ids));
    harmless(&mut headers);
    headers
}

/// A file of a stranger never becomes a page of this gateway.
fn harmless(headers: &mut HeaderMap) {
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; sandbox"),
    );
}

fn content_type(ids: &FileIds) -> HeaderValue {
    HeaderValue::from_static(match ids {
        FileIds::Regular(_) => "text/plain; charset=utf-8",
        FileIds::Large { .. } | FileIds::Unknown(_) => "application/octet-stream",
    })
}

/// The name in both of the spellings that RFC 6266 has.
fn disposition(name: &str) -> HeaderValue {
    let plain: String = name
        .chars()
        .map(|char| match char {
            '"' | '\\' => '_',
            ' '..='~' => char,
            _ => '_',
        })
        .collect();
    let full = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    ascii(&format!(
        "inline; filename*=UTF-8''{full}; filename=\"{plain}\";"
    ))
}

fn pointer_text(ids: &FileIds, text: String, request: &HeaderMap, is_head: bool) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::ETAG, ascii(&format!("\"{}\"", ids.oid_or_zeros())));
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    harmless(&mut headers);
    if is_same(request, &headers) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    headers.insert(header::CONTENT_LENGTH, text.len().into());
    let body = if is_head { Body::empty() } else { text.into() };
    (headers, body).into_response()
}

/// Whether the client has this version already.
fn is_same(request: &HeaderMap, answer: &HeaderMap) -> bool {
    let Some(etag) = answer.get(header::ETAG).and_then(|etag| etag.to_str().ok()) else {
        return false;
    };
    let sent = request.get_all(header::IF_NONE_MATCH).iter();
    let mut sent = sent.filter_map(|value| value.to_str().ok());
    sent.any(|list| {
        list.split(',').any(|known| {
            let known = known.trim();
            known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag
        })
    })
}

/// Text that was made of ASCII alone.
fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_header() {
        let value = disposition("a\"b\\c\u{e9}.bin");
        assert_eq!(
            value,
            "inline; filename*=UTF-8''a%22b%5Cc%C3%A9%2Ebin; filename=\"a_b_c_.bin\";"
        );
    }

    #[test]
    fn etags_in_the_ways_that_clients_send_them() {
        let answer = HeaderMap::from_iter([(header::ETAG, ascii("\"abc\""))]);
        for (sent, same) in [
            ("\"abc\"", true),
            ("W/\"abc\"", true),
            ("\"x\", \"abc\"", true),
            ("*", true),
            ("\"ab\"", false),
            ("abc", false),
        ] {
            let request = HeaderMap::from_iter([(header::IF_NONE_MATCH, ascii(sent))]);
            assert_eq!(is_same(&request, &answer), same, "{sent}");
        }
    }
}
