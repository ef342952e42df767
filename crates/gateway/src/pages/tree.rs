//! The files of a revision, a directory at a time.

use axum::{http::StatusCode, response::Response};
use hubless_content::RepoId;
use hubless_node::repos::RepoTree;
use maud::{Markup, html};

use super::{
    files::{self, Linked, Row},
    layout::Page,
    repo, text, urls,
};
use crate::{
    http::{context::RequestContext, error::ApiError},
    hub::tree::{Entry, is_directory, list, path_of},
};

/// Entries of one page.
const PAGE: usize = 500;

pub(crate) async fn tree(
    cx: &RequestContext,
    repo: &RepoId,
    revision: &str,
    path: &str,
) -> Result<Response, ApiError> {
    let resolved = cx.resolve(repo, revision).await?;
    let tree = cx.repos.tree(&resolved).await?;
    if !path.is_empty() && !is_directory(&tree, path) {
        return Err(ApiError::entry_not_found(path));
    }
    let repo = &cx.spelled(&resolved.repo.id);
    let mut entries = list(&tree, path, false, cx.query.get("cursor"), PAGE + 1);
    let more = entries.len() > PAGE;
    entries.truncate(PAGE);
    let last = entries.last().map(|entry| path_of(&tree, entry));
    let place = Listing {
        repo,
        revision,
        path,
        tree: &tree,
    };
    let rows = place.rows(cx, &entries).await;
    let linked = Linked { repo, revision };
    let body = html! {
        (repo::head(repo, Some("Files")))
        (place.trail())
        p.muted {
            (text::count(tree.len() as u64, "file")) " in this revision, "
            (text::size(tree.files().map(|file| file.size).sum())) " · "
            (text::short(&resolved.commit.to_string())) " · "
            a href=(urls::revision(repo, "commits", revision, "")) { "revisions before it" }
        }
        (files::table(&rows, Some(&linked)))
        @if let Some(last) = last.filter(|_| more) {
            p { a rel="next" href=(next(&urls::revision(repo, "tree", revision, path), &last)) { "Next page" } }
        }
    };
    let title = format!("{} at {revision}", text::repo(repo));
    let page = Page {
        title: &title,
        query: "",
        body,
    };
    Ok(page.respond(StatusCode::OK))
}

fn next(url: &str, last: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("cursor", last)
        .finish();
    format!("{url}?{query}")
}

struct Listing<'a> {
    repo: &'a RepoId,
    revision: &'a str,
    path: &'a str,
    tree: &'a RepoTree,
}

impl Listing<'_> {
    async fn rows(&self, cx: &RequestContext, entries: &[Entry]) -> Vec<Row> {
        let mut rows = Vec::new();
        for entry in entries {
            let path = path_of(self.tree, entry);
            let name = path.rsplit('/').next().unwrap_or_default().to_owned();
            match entry {
                Entry::Directory(path) => {
                    let url = urls::revision(self.repo, "tree", self.revision, path);
                    rows.push(Row::Directory(name, url));
                }
                Entry::File(position) => {
                    if let Some(file) = self.tree.file(*position) {
                        let is_held = cx.repos.is_held(&file).await;
                        rows.push(Row::File(name, file, is_held));
                    }
                }
            }
        }
        rows
    }

    fn trail(&self) -> Markup {
        trail(self.repo, self.revision, self.path, true)
    }
}

/// The way to a path, from its revision on.
pub(crate) fn trail(repo: &RepoId, revision: &str, path: &str, is_directory: bool) -> Markup {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    html! {
        nav.trail aria-label="Path" {
            a href=(urls::revision(repo, "tree", revision, "")) { (revision) }
            @for (at, part) in parts.iter().enumerate() {
                " / "
                @if at + 1 == parts.len() && !is_directory {
                    span { (part) }
                } @else {
                    a href=(urls::revision(repo, "tree", revision, &parts[..=at].join("/"))) { (part) }
                }
            }
        }
    }
}
