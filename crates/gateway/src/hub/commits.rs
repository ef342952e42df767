//! The history of a revision.

use axum::{
    Json,
    http::{HeaderName, HeaderValue},
    response::{IntoResponse, Response},
};
use hubless_content::{CommitId, RepoId, Revision};
use serde_json::{Value, json};

use super::{ask::Ask, info::date};
use crate::http::error::ApiError;

const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// Revisions of one page.
const PAGE: usize = 50;

/// The most that a client may ask for.
const PAGE_MAX: usize = 1000;

pub(crate) async fn commits(
    ask: &Ask,
    repo: &RepoId,
    revision: &str,
) -> Result<Response, ApiError> {
    let resolved = ask.resolve(repo, revision).await?;
    let history = ask.repos.history(&resolved).await?;
    let limit = ask.query.limit(PAGE, PAGE_MAX);
    let page: usize = ask
        .query
        .get("p")
        .and_then(|page| page.parse().ok())
        .unwrap_or(0);
    let formatted = ask.query.all("expand").any(|field| field == "formatted");
    let author = resolved.repo.id.namespace().unwrap_or("hubless");
    let first = page.saturating_mul(limit);
    let shown = history.iter().skip(first).take(limit);
    let shown: Vec<Value> = shown
        .map(|(id, revision)| shown_commit(*id, revision, author, formatted))
        .collect();
    let more = first.saturating_add(limit) < history.len();
    let mut response = Json(shown).into_response();
    let headers = response.headers_mut();
    headers.insert(TOTAL_COUNT, HeaderValue::from(history.len()));
    if more {
        let (name, value) = ask.next_link("p", &(page + 1).to_string());
        headers.insert(name, value);
    }
    Ok(response)
}

fn shown_commit(id: CommitId, revision: &Revision, owner: &str, formatted: bool) -> Value {
    let author = match revision.author.as_str() {
        "" => owner,
        author => author,
    };
    let mut commit = json!({
        "id": id,
        "title": revision.title,
        "message": revision.message,
        "date": date(revision.time),
        "authors": [{ "user": author, "avatar": "" }],
    });
    if formatted {
        commit["formatted"] = json!({ "title": revision.title, "message": revision.message });
    }
    commit
}
