//! The page of a repo: its card, its files, its tensors, its states, its swarm.

use std::time::Duration;

use axum::{http::StatusCode, response::Response};
use hubless_content::{CommitId, ContentHash, RefName, RepoId, RepoKind};
use hubless_node::repos::{Repo, RepoOrigin, RepoTree, Resolved, names::Signed};
use maud::{Markup, html};

use super::{
    files::{self, Linked},
    layout::Page,
    markdown::{self, Place},
    publisher,
    tensors::{self, FileTensors},
    text, urls,
};
use crate::{
    card::{self, Card},
    http::{context::RequestContext, error::ApiError},
};

/// How long a page waits for a list of files that has to come from peers.
const TREE_WITHIN: Duration = Duration::from_secs(6);

/// Files that the page lists; all are on the page of the tree.
const FILES_SHOWN: usize = 60;

/// Refs that the page lists.
const REFS_SHOWN: usize = 30;

/// States that the page lists.
const COMMITS_SHOWN: usize = 5;

/// Tags that the page shows.
const TAGS_SHOWN: usize = 60;

/// The branch that a page without a revision is of.
pub(crate) const MAIN: &str = "main";

/// All that the page shows.
struct Shown {
    resolved: Resolved,
    tree: Option<RepoTree>,
    readme: Option<String>,
    tensors: Vec<FileTensors>,
    refs: Vec<(RefName, CommitId)>,
    commits: Vec<(CommitId, String, u64)>,
    states: usize,
    signed: Option<Signed>,
}

pub(crate) async fn repo(cx: &RequestContext, id: &RepoId) -> Result<Response, ApiError> {
    let resolved = cx.resolve(id, "HEAD").await?;
    let tree = tokio::time::timeout(TREE_WITHIN, cx.repos.tree(&resolved)).await;
    // Without its files, the page still says what is known.
    let tree = tree.ok().and_then(Result::ok);
    let (mut readme, mut tensors) = (None, Vec::new());
    if let Some(tree) = &tree {
        readme = card::readme(&cx.repos, &resolved, tree).await;
        if cx.repos.permit(&resolved).await.is_ok() {
            tensors = tensors::of_tree(&cx.repos, tree).await?;
        }
    }
    let history = cx.repos.commits(&resolved).await?;
    let commits = history.iter().take(COMMITS_SHOWN);
    let commits = commits.map(|commit| (commit.id, commit.title.clone(), commit.time));
    let shown = Shown {
        tree,
        readme,
        tensors,
        refs: cx.repos.refs(id, &cx.caller).await?,
        commits: commits.collect(),
        states: history.len(),
        signed: cx.repos.signed(&resolved.repo.id).await?,
        resolved,
    };
    let body = body(cx, &shown).await;
    let page = Page {
        title: &text::repo(&cx.spelled(&shown.resolved.repo.id)),
        query: "",
        body,
    };
    Ok(page.respond(StatusCode::OK))
}

async fn body(cx: &RequestContext, shown: &Shown) -> Markup {
    let repo = &cx.spelled(&shown.resolved.repo.id);
    let hash = shown.resolved.revision.tree.content_hash();
    let card = shown.readme.as_deref().map(Card::parse).unwrap_or_default();
    let files = files_section(cx, shown).await;
    html! {
        (head(repo, None))
        (tags(&card))
        div.columns {
            div.wide {
                (readme(shown, repo))
                section aria-labelledby="h-files" { h2 #h-files { "Files" } (files) }
                @if !shown.tensors.is_empty() {
                    section aria-labelledby="h-tensors" {
                        h2 #h-tensors { "Tensors" }
                        (tensors::section(&shown.tensors))
                    }
                }
            }
            div.narrow {
                (commands(repo, &elsewhere(&shown.resolved.repo, hash), cx.origin()))
                (facts(cx, shown, repo, hash))
                (revisions(shown, repo))
                (swarm(hash))
            }
        }
    }
}

/// Name, kind, and the ways to its other pages.
pub(crate) fn head(repo: &RepoId, here: Option<&str>) -> Markup {
    let links = [
        ("Card", urls::repo(repo)),
        ("Files", urls::revision(repo, "tree", MAIN, "")),
        ("Revisions", urls::revision(repo, "commits", MAIN, "")),
    ];
    let here = here.unwrap_or("Card");
    html! {
        div.title {
            h1 {
                @if let Some(namespace) = repo.namespace() {
                    span.muted { (text::namespace(namespace)) "/" wbr; }
                }
                (repo.id().rsplit('/').next().unwrap_or_default())
            }
            span.chip { (repo.kind()) }
        }
        nav.tabs aria-label="Of this repo" {
            @for (name, url) in &links {
                a href=(url) aria-current=[(*name == here).then_some("page")] { (name) }
            }
        }
    }
}

pub(crate) fn tags(card: &Card) -> Markup {
    let tags = card.tags();
    html! {
        @if !tags.is_empty() {
            ul.tags aria-label="Tags" {
                @for tag in tags.iter().take(TAGS_SHOWN) {
                    li { a.chip href=(format!("/search?{}", query(tag))) { (tag) } }
                }
                @if tags.len() > TAGS_SHOWN { li.muted { "and " (tags.len() - TAGS_SHOWN) " more" } }
            }
        }
    }
}

fn query(text: &str) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("q", text)
        .finish()
}

fn readme(shown: &Shown, repo: &RepoId) -> Markup {
    let Some(text) = &shown.readme else {
        return html! { p.muted { "It has no card, or the card is not here yet." } };
    };
    let place = Place::Repo {
        repo: repo.clone(),
        revision: MAIN.to_owned(),
    };
    html! { article.card aria-label="Card" { (markdown::render(card::body(text), &place)) } }
}

async fn files_section(cx: &RequestContext, shown: &Shown) -> Markup {
    let Some(tree) = &shown.tree else {
        return html! {
            p.muted {
                "The list of files is not here, and no peer has given it yet. \
                 Load the page again in a moment."
            }
        };
    };
    let repo = &cx.spelled(&shown.resolved.repo.id);
    let linked = Linked {
        repo,
        revision: MAIN,
    };
    let rows = files::rows(&cx.repos, tree.files().take(FILES_SHOWN)).await;
    html! {
        (files::table(&rows, Some(&linked)))
        @if tree.len() > FILES_SHOWN {
            p {
                a href=(urls::revision(repo, "tree", MAIN, "")) {
                    "All " (text::count(tree.len() as u64, "file"))
                }
            }
        }
    }
}

/// What means this repo on every machine, if anything does: the name behind the id of its publisher, the
/// address of content that only this node named, or the name at the hub where it comes from.
fn elsewhere(repo: &Repo, hash: Option<ContentHash>) -> String {
    match (&repo.origin, hash) {
        (RepoOrigin::Local, Some(hash)) => hash.to_string(),
        (RepoOrigin::Local, None) | (RepoOrigin::Publisher | RepoOrigin::Upstream(_), _) => {
            repo.id.to_string()
        }
    }
}

/// What to type to have it.
fn commands(repo: &RepoId, elsewhere: &str, origin: &str) -> Markup {
    let id = repo.id();
    let (option, argument) = match repo.kind() {
        RepoKind::Model => (String::new(), String::new()),
        kind => (
            format!(" --repo-type {kind}"),
            format!(", repo_type=\"{kind}\""),
        ),
    };
    let python = format!(
        "from huggingface_hub import snapshot_download\n\nsnapshot_download(\n    \"{id}\"{argument},\n    endpoint=\"{origin}\",\n)"
    );
    html! {
        section aria-labelledby="h-get" {
            h2 #h-get { "Get it" }
            (command("Peer to peer", &format!("hubless get {elsewhere}")))
            (command("Hugging Face client", &format!("HF_ENDPOINT={origin} \\\n  hf download {id}{option}")))
            (command("Python", &python))
        }
    }
}

/// Something to copy.
pub(crate) fn command(name: &str, text: &str) -> Markup {
    html! {
        h3.label { (name) }
        div.command { pre tabindex="0" data-copy { code { (text) } } }
    }
}

fn facts(
    cx: &RequestContext,
    shown: &Shown,
    spelled: &RepoId,
    hash: Option<ContentHash>,
) -> Markup {
    let Resolved {
        repo,
        commit,
        revision,
        ..
    } = &shown.resolved;
    html! {
        section aria-labelledby="h-facts" {
            h2 #h-facts { "Facts" }
            dl.rows {
                @if let Some(tree) = &shown.tree {
                    dt { "Size" }
                    dd {
                        (text::size(tree.files().map(|file| file.size).sum())) " in "
                        (text::count(tree.len() as u64, "file"))
                    }
                }
                @if let Some(sum) = tensors::sum(&shown.tensors) {
                    dt { "Parameters" } dd { (sum) }
                }
                dt { "Revision" } dd { (text::short(&commit.to_string())) }
                @if let Some(hash) = hash {
                    dt { "Content hash" }
                    dd { a href=(urls::content(hash)) { (text::short(&hash.to_string())) } }
                }
                dt { "Changed" } dd { (text::time(revision.time)) }
                @match (&shown.signed, spelled.namespace()) {
                    (Some(signed), Some(namespace)) => {
                        (publisher::row(signed.publisher, namespace, cx.bound()))
                        dt { "Confirmed" } dd { (text::duration(Duration::from_secs(signed.confirmed_s))) " ago" }
                    },
                    _ => { dt { "Origin" } dd { (origin(&repo.origin)) } },
                }
            }
        }
    }
}

fn origin(origin: &RepoOrigin) -> String {
    match origin {
        RepoOrigin::Local => "named on this node".to_owned(),
        RepoOrigin::Publisher => "signed by its publisher".to_owned(),
        RepoOrigin::Upstream(hub) => hub.clone(),
    }
}

fn revisions(shown: &Shown, repo: &RepoId) -> Markup {
    let of_kind = |prefix: &str| -> Vec<&RefName> {
        let names = shown.refs.iter().map(|(name, _)| name);
        names
            .filter(|name| name.as_str().starts_with(prefix))
            .collect()
    };
    let kinds = [
        ("Branches", of_kind("refs/heads/")),
        ("Tags", of_kind("refs/tags/")),
    ];
    html! {
        section aria-labelledby="h-revisions" {
            h2 #h-revisions { "Revisions" }
            @for (name, refs) in kinds.iter().filter(|(_, refs)| !refs.is_empty()) {
                h3.label { (name) }
                ul.tags {
                    @for name in refs.iter().take(REFS_SHOWN) {
                        li { a.chip href=(urls::revision(repo, "tree", name.short(), "")) { (name.short()) } }
                    }
                    @if refs.len() > REFS_SHOWN { li.muted { "and " (refs.len() - REFS_SHOWN) " more" } }
                }
            }
            ol.commits {
                @for (commit, title, time) in &shown.commits {
                    li { (commit_line(repo, *commit, title, *time)) }
                }
            }
            @if shown.states > shown.commits.len() {
                p {
                    a href=(urls::revision(repo, "commits", MAIN, "")) {
                        "All " (text::count(shown.states as u64, "revision"))
                    }
                }
            }
        }
    }
}

/// One state: what was said, and its files.
pub(crate) fn commit_line(repo: &RepoId, commit: CommitId, title: &str, time: u64) -> Markup {
    let commit = commit.to_string();
    let title = match title.trim() {
        "" => "no title",
        title => title,
    };
    html! {
        a href=(urls::revision(repo, "tree", &commit, "")) { (title) }
        " " span.small.muted { (text::short(&commit)) " " (text::time(time)) }
    }
}

/// The nodes that have it, searched when the page is loaded.
pub(crate) fn swarm(hash: Option<ContentHash>) -> Markup {
    let Some(hash) = hash else {
        return html! {};
    };
    let url = format!("{}/swarm", urls::content(hash));
    html! {
        section aria-labelledby="h-swarm" {
            h2 #h-swarm { "Swarm" }
            div data-load=(url) aria-busy="true" {
                p.muted { a href=(url) { "Nodes that have it" } }
            }
            div data-events=(format!("/events?content={hash}")) {
                div #transfers {}
            }
        }
    }
}
