//! One file: its names, its hashes, its tensors or its text.

use axum::{http::StatusCode, response::Response};
use hubless_content::RepoId;
use hubless_node::repos::{FileIds, RepoFile, Resolved};
use maud::{Markup, html};

use super::{
    files::{self, Linked},
    layout::Page,
    markdown::{self, Place},
    repo,
    tensors::{self, FileTensors},
    text, tree, urls,
};
use crate::{
    card,
    http::{context::RequestContext, error::ApiError},
};

/// Bytes of a text that is shown.
const TEXT_BYTES_MAX: u64 = 256 * 1024;

/// Tensors of one page.
const TENSORS_PAGE: usize = 2000;

pub(crate) async fn blob(
    cx: &RequestContext,
    id: &RepoId,
    revision: &str,
    path: &str,
) -> Result<Response, ApiError> {
    let resolved = cx.resolve(id, revision).await?;
    cx.repos.permit(&resolved).await?;
    let tree = cx.repos.tree(&resolved).await?;
    let missing = || ApiError::entry_not_found(path);
    let file = tree.get(path).ok_or_else(missing)?;
    let repo = &cx.spelled(&resolved.repo.id);
    let is_held = cx.repos.is_held(&file).await;
    let ids = cx.repos.ids(&resolved, &file, false).await?;
    let inside = inside(cx, &resolved, revision, &file, is_held).await?;
    let linked = Linked { repo, revision };
    let body = html! {
        (repo::head(repo, Some("Files")))
        (tree::trail(repo, revision, path, false))
        (facts(&file, &ids, is_held))
        p { a href=(linked.bytes(&file)) download { "Download" } }
        (inside)
    };
    let title = format!("{path} in {}", text::repo(repo));
    let page = Page {
        title: &title,
        query: "",
        body,
    };
    Ok(page.respond(StatusCode::OK))
}

fn facts(file: &RepoFile, ids: &FileIds, is_held: bool) -> Markup {
    html! {
        dl.rows {
            dt { "Size" } dd { (text::size(file.size)) " (" (text::number(file.size)) " bytes)" }
            dt { "Here" } dd { (files::here(is_held)) }
            @if let Some(hash) = file.hash {
                dt { "BLAKE3" } dd { code data-copy { (hash) } }
            }
            @match ids {
                FileIds::Regular(id) => { dt { "Git SHA-1" } dd { code data-copy { (id) } } },
                FileIds::Large { sha256, .. } => { dt { "SHA-256" } dd { code data-copy { (sha256) } } },
                FileIds::Unknown(_) => {},
            }
        }
    }
}

/// What can be shown of the file's inside, if it is here.
async fn inside(
    cx: &RequestContext,
    resolved: &Resolved,
    revision: &str,
    file: &RepoFile,
    is_held: bool,
) -> Result<Markup, ApiError> {
    if !is_held {
        return Ok(html! {});
    }
    if let Some(of) = tensors::of_file(&cx.repos, file.clone()).await? {
        return Ok(tensors_page(cx, resolved, revision, &of));
    }
    if file.size > TEXT_BYTES_MAX {
        return Ok(html! { p.muted { "It is too large to be shown here." } });
    }
    let bytes = cx.repos.read_small(resolved, file).await?;
    let Ok(text) = String::from_utf8(bytes) else {
        return Ok(html! { p.muted { "It is no text." } });
    };
    if file.path.as_str().ends_with(".md") {
        let place = Place::Repo {
            repo: cx.spelled(&resolved.repo.id),
            revision: revision.to_owned(),
        };
        let card = markdown::render(card::body(&text), &place);
        return Ok(html! { article.card aria-label="Text" { (card) } });
    }
    Ok(html! { pre.file tabindex="0" { code { (text) } } })
}

fn tensors_page(
    cx: &RequestContext,
    resolved: &Resolved,
    revision: &str,
    of: &FileTensors,
) -> Markup {
    let from = cx.query.get("from").and_then(|from| from.parse().ok());
    let from: usize = from.unwrap_or(0);
    let next = from.saturating_add(TENSORS_PAGE);
    let path = of.file.path.as_str();
    let url = urls::revision(&cx.spelled(&resolved.repo.id), "blob", revision, path);
    html! {
        section aria-labelledby="h-tensors" {
            h2 #h-tensors { "Tensors" }
            (tensors::table(of, from, TENSORS_PAGE))
            @if next < tensors::len(of) { p { a rel="next" href=(format!("{url}?from={next}")) { "Next page" } } }
        }
    }
}
