//! The states of a repo before and with a revision.

use axum::{http::StatusCode, response::Response};
use hubless_content::RepoId;
use maud::html;

use super::{layout::Page, repo, text, tree, urls};
use crate::http::{context::RequestContext, error::ApiError};

/// States of one page.
const PAGE: usize = 100;

pub(crate) async fn commits(
    cx: &RequestContext,
    id: &RepoId,
    revision: &str,
) -> Result<Response, ApiError> {
    let resolved = cx.resolve(id, revision).await?;
    let history = cx.repos.commits(&resolved).await?;
    let repo = &cx.spelled(&resolved.repo.id);
    let page = cx.query.get("p").and_then(|page| page.parse().ok());
    let page: usize = page.unwrap_or(0);
    let first = page.saturating_mul(PAGE);
    let more = first.saturating_add(PAGE) < history.len();
    let next = page.saturating_add(1);
    let body = html! {
        (repo::head(repo, Some("Revisions")))
        (tree::trail(repo, revision, "", true))
        p.muted { (text::count(history.len() as u64, "revision")) ", the newest first" }
        ol.commits {
            @for commit in history.iter().skip(first).take(PAGE) {
                li {
                    (repo::commit_line(repo, commit.id, &commit.title, commit.time))
                    @if !commit.author.is_empty() { " " span.small.muted { (commit.author) } }
                }
            }
        }
        @if more {
            p {
                a rel="next" href=(format!("{}?p={next}", urls::revision(repo, "commits", revision, ""))) {
                    "Older ones"
                }
            }
        }
    };
    let title = format!("Revisions of {}", text::repo(repo));
    let page = Page {
        title: &title,
        query: "",
        body,
    };
    Ok(page.respond(StatusCode::OK))
}
