//! The page of content by its address, named or not.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use hubless_content::ContentHash;
use hubless_node::repos::{RepoTree, Repos, Unnamed};
use maud::{Markup, html};

use super::{
    Pages, files, home,
    layout::Page,
    markdown::{self, Place},
    refusal, repo, tensors, text, urls,
};
use crate::{
    card::{self, Card},
    http::error::ApiError,
};

/// Files that the page lists.
const FILES_SHOWN: usize = 500;

pub(crate) async fn content(State(pages): State<Arc<Pages>>, Path(hash): Path<String>) -> Response {
    match read_facts(&pages.node.repos(), &hash).await {
        Ok(body) => Page {
            title: &hash,
            query: "",
            body,
        }
        .respond(StatusCode::OK),
        Err(error) => refusal(error),
    }
}

async fn read_facts(repos: &Repos, hash: &str) -> Result<Markup, ApiError> {
    let malformed = |_| ApiError::new(StatusCode::NOT_FOUND, "A content hash has 64 digits.");
    let hash: ContentHash = hash.parse().map_err(malformed)?;
    let unknown = || ApiError::new(StatusCode::NOT_FOUND, "This node knows no such content.");
    let content = repos.content(hash).await?.ok_or_else(unknown)?;
    let tree = RepoTree::Manifest(content.manifest.clone());
    let readme = card::readme_of_content(repos, hash, &tree).await;
    let tensors = tensors::of_tree(repos, &tree).await?;
    let rows = files::rows(repos, tree.files().take(FILES_SHOWN)).await;
    let card = readme.as_deref().map(Card::parse).unwrap_or_default();
    Ok(html! {
        div.title { h1 { "Content " (text::short(&hash.to_string())) } span.chip { "by hash" } }
        (repo::tags(&card))
        div.columns {
            div.wide {
                @if let Some(readme) = &readme {
                    article.card aria-label="Card" {
                        (markdown::render(card::body(readme), &Place::Content))
                    }
                }
                section aria-labelledby="h-files" {
                    h2 #h-files { "Files" }
                    (files::table(&rows, None))
                    @if tree.len() > FILES_SHOWN {
                        p.muted { "and " (text::number((tree.len() - FILES_SHOWN) as u64)) " more" }
                    }
                }
                @if !tensors.is_empty() {
                    section aria-labelledby="h-tensors" {
                        h2 #h-tensors { "Tensors" }
                        (tensors::section(&tensors))
                    }
                }
            }
            div.narrow {
                section aria-labelledby="h-get" {
                    h2 #h-get { "Get it" }
                    (repo::command("Peer to peer", &format!("hubless get {hash}")))
                    (repo::command("Give it a name", &format!("hubless name set model ORG/NAME {hash}")))
                }
                (facts(hash, &content))
                (repo::swarm(Some(hash)))
            }
        }
    })
}

fn facts(hash: ContentHash, content: &Unnamed) -> Markup {
    let Unnamed { summary, repos, .. } = content;
    html! {
        section aria-labelledby="h-facts" {
            h2 #h-facts { "Facts" }
            dl.rows {
                dt { "Content hash" } dd { code data-copy { (hash) } }
                dt { "Size" }
                dd { (text::size(summary.bytes)) " in " (text::count(summary.files, "file")) }
                dt { "Held" } dd { (home::share(summary.held_bytes, summary.bytes)) }
                @if summary.pinned { dt { "Kept" } dd { "pinned" } }
                @for repo in repos {
                    dt { "Named" } dd { a href=(urls::repo(repo)) { (repo) } }
                }
            }
        }
    }
}
