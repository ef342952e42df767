//! The history of a revision.

use axum::{
    Json,
    http::{HeaderName, HeaderValue},
    response::{IntoResponse, Response},
};
use hubless_content::RepoId;
use hubless_node::repos::PastCommit;
use serde_json::{Value, json};

use super::info::date;
use crate::http::{context::RequestContext, error::ApiError};

const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// Revisions of one page.
const PAGE: usize = 50;

/// The most that a client may ask for.
const PAGE_MAX: usize = 1000;

pub(crate) async fn commits(
    cx: &RequestContext,
    repo: &RepoId,
    revision: &str,
) -> Result<Response, ApiError> {
    let resolved = cx.resolve(repo, revision).await?;
    let history = cx.repos.commits(&resolved).await?;
    let limit = cx.query.limit(PAGE, PAGE_MAX);
    let page: usize = cx
        .query
        .get("p")
        .and_then(|page| page.parse().ok())
        .unwrap_or(0);
    let formatted = cx.query.all("expand").any(|field| field == "formatted");
    let spelled = cx.spelled(&resolved.repo.id);
    let author = spelled.namespace().unwrap_or("hubless");
    let first = page.saturating_mul(limit);
    let shown = history.iter().skip(first).take(limit);
    let shown: Vec<Value> = shown
        .map(|commit| shown_commit(commit, author, formatted))
        .collect();
    let more = first.saturating_add(limit) < history.len();
    let mut response = Json(shown).into_response();
    let headers = response.headers_mut();
    headers.insert(TOTAL_COUNT, HeaderValue::from(history.len()));
    if more {
        let (name, value) = cx.next_link("p", &(page + 1).to_string());
        headers.insert(name, value);
    }
    Ok(response)
}

fn shown_commit(commit: &PastCommit, owner: &str, formatted: bool) -> Value {
    let author = match commit.author.as_str() {
        "" => owner,
        author => author,
    };
    let mut shown = json!({
        "id": commit.id,
        "title": commit.title,
        "message": commit.message,
        "date": date(commit.time),
        "authors": [{ "user": author, "avatar": "" }],
    });
    if formatted {
        shown["formatted"] = json!({ "title": commit.title, "message": commit.message });
    }
    shown
}
