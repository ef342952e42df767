//! Tables of files.

use hubless_content::RepoId;
use hubless_node::repos::{RepoFile, Repos};
use maud::{Markup, html};

use super::{text, urls};

/// Where files have their own pages.
pub(crate) struct Linked<'a> {
    pub(crate) repo: &'a RepoId,
    pub(crate) revision: &'a str,
}

impl Linked<'_> {
    pub(crate) fn page(&self, file: &RepoFile) -> String {
        urls::revision(self.repo, "blob", self.revision, file.path.as_str())
    }

    pub(crate) fn bytes(&self, file: &RepoFile) -> String {
        urls::revision(self.repo, "resolve", self.revision, file.path.as_str())
    }
}

/// A row of a listing.
pub(crate) enum Row {
    /// A directory: its name and address.
    Directory(String, String),
    /// A file: what is shown as its name, and whether it is here.
    File(String, RepoFile, bool),
}

/// Rows of files, with whether they are here.
pub(crate) async fn rows(repos: &Repos, files: impl IntoIterator<Item = RepoFile>) -> Vec<Row> {
    let mut rows = Vec::new();
    for file in files {
        let is_held = repos.is_held(&file).await;
        rows.push(Row::File(file.path.to_string(), file, is_held));
    }
    rows
}

/// A listing.
pub(crate) fn table(rows: &[Row], linked: Option<&Linked<'_>>) -> Markup {
    html! {
        div.scroll role="group" aria-label="Files" tabindex="0" {
            table.files {
                thead {
                    tr {
                        th scope="col" { "File" }
                        th.right scope="col" { "Size" }
                        th scope="col" { "Here" }
                        th scope="col" { "BLAKE3" }
                        @if linked.is_some() { th scope="col" { "Bytes" } }
                    }
                }
                tbody { @for row in rows { (one(row, linked)) } }
            }
        }
    }
}

fn one(row: &Row, linked: Option<&Linked<'_>>) -> Markup {
    match row {
        Row::Directory(name, url) => html! {
            tr {
                td { a.directory href=(url) { (name) "/" } }
                td {} td {} td {} @if linked.is_some() { td {} }
            }
        },
        Row::File(name, file, is_held) => html! {
            tr {
                td {
                    @match linked {
                        Some(linked) => a href=(linked.page(file)) { (name) },
                        None => (name),
                    }
                }
                td.right { (text::size(file.size)) }
                td { (here(*is_held)) }
                td { @if let Some(hash) = file.hash { (text::short(&hash.to_string())) } }
                @if let Some(linked) = linked {
                    td { a href=(linked.bytes(file)) download aria-label=(format!("Download {name}")) { "download" } }
                }
            }
        },
    }
}

/// Whether something is here.
pub(crate) fn here(is_held: bool) -> Markup {
    html! {
        @if is_held { span.good { "yes" } } @else { span.muted { "no" } }
    }
}
