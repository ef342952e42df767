//! The page of a publisher: what it is called, which keys speak for it, its repos, and how fresh that is.

use axum::{http::StatusCode, response::Response};
use hubless_content::{PublisherId, RepoId};
use hubless_node::{
    api::Failure,
    names::namespaces::Bound,
    repos::{PublishedRepo, PublisherDetails},
};
use maud::{Markup, html};

use super::{home, layout::Page, repo, text, urls};
use crate::http::{context::RequestContext, error::ApiError};

/// Repos that the page lists; search finds the rest.
const REPOS_SHOWN: usize = 200;

/// What a publisher without a profile is called in commands.
const ANY_NAME: &str = "NAME";

/// The publisher that a name without a slash stands for. Only what is bound already counts: a path that a
/// browser or a crawler made up causes no question to others.
pub(crate) async fn named(cx: &RequestContext, name: &str) -> Result<Option<Bound>, ApiError> {
    if name.contains('/') {
        return Ok(None);
    }
    let bound = cx.node.namespaces().bound_here(name).await;
    Ok(bound.map_err(Failure::from)?)
}

pub(crate) async fn publisher(
    cx: &RequestContext,
    written: &str,
    bound: &Bound,
) -> Result<Response, ApiError> {
    let shown = Shown {
        written,
        bound,
        details: cx.repos.publisher(bound.publisher).await?,
    };
    let name = shown.name();
    let page = Page {
        title: &name,
        query: "",
        body: shown.body(),
    };
    Ok(page.respond(StatusCode::OK))
}

/// All that the page shows.
struct Shown<'a> {
    /// The namespace in the path.
    written: &'a str,
    bound: &'a Bound,
    details: PublisherDetails,
}

impl Shown<'_> {
    /// What this node calls it; else its id: what it calls itself, any other can call itself too.
    fn name(&self) -> String {
        text::namespace(self.written)
    }

    fn body(&self) -> Markup {
        html! {
            div.title { h1 { (self.name()) } span.chip { "publisher" } }
            div.columns {
                div.wide {
                    section aria-labelledby="h-repos" { h2 #h-repos { "Repos" } (self.repos()) }
                }
                div.narrow {
                    (self.commands())
                    section aria-labelledby="h-facts" { h2 #h-facts { "Facts" } (self.facts()) }
                    (self.keys())
                }
            }
        }
    }

    fn repos(&self) -> Markup {
        let repos = &self.details.repos;
        if repos.is_empty() {
            return html! { p.muted { "No repo of it is here yet: follow it, or get one by its name." } };
        }
        html! {
            ul.results {
                @for published in repos.iter().take(REPOS_SHOWN) { li { (self.repo(published)) } }
            }
            @if repos.len() > REPOS_SHOWN {
                p.muted { "and " (text::number((repos.len() - REPOS_SHOWN) as u64)) " more: search for them" }
            }
        }
    }

    fn repo(&self, published: &PublishedRepo) -> Markup {
        let repo = &published.repo;
        let spelled = RepoId::new(repo.kind(), &format!("{}/{}", self.written, repo.name()));
        let url = urls::repo(spelled.as_ref().unwrap_or(repo));
        html! {
            div.line {
                a href=(url) { (repo.name()) }
                span.small.muted {
                    (home::kind(repo.kind())) " · confirmed " (text::ago(published.confirmed))
                }
            }
        }
    }

    fn commands(&self) -> Markup {
        let id = self.details.id;
        let handle = self.details.profile.as_ref();
        let handle = handle.map_or(ANY_NAME, |profile| &profile.handle);
        html! {
            section aria-labelledby="h-use" {
                h2 #h-use { "Use it" }
                @if self.bound.source.is_none() {
                    (repo::command("Give it a name on a node", &format!("hubless trust {handle} {id}")))
                }
                (repo::command("Follow it", &format!("hubless follow {id}")))
            }
        }
    }

    fn facts(&self) -> Markup {
        let PublisherDetails {
            id,
            profile,
            confirmed,
            follow,
            ..
        } = &self.details;
        html! {
            dl.rows {
                dt { "Id" } dd { code data-copy { (id) } }
                dt { "Known here" } dd { (source(self.bound)) }
                @if let Some(profile) = profile {
                    dt { "Calls itself" }
                    dd {
                        (profile.handle)
                        @if !profile.full_name.is_empty() { " (" bdi { (profile.full_name) } ")" }
                    }
                    @for domain in &profile.domains { dt { "Claims" } dd { (domain) } }
                }
                @if *confirmed > 0 { dt { "Confirmed" } dd { (text::ago(*confirmed)) } }
                @if let Some(follow) = follow { dt { "Followed" } dd { "since " (text::time(follow.since)) } }
            }
        }
    }

    fn keys(&self) -> Markup {
        let Some(chain) = &self.details.chain else {
            return html! {};
        };
        let identity = chain.current();
        html! {
            section aria-labelledby="h-keys" {
                h2 #h-keys { "Keys" }
                dl.rows {
                    @for signer in &identity.signers {
                        dt { "Signs" } dd { (text::peer(&signer.to_string())) }
                    }
                    dt { "Change the keys" }
                    dd { (identity.threshold) " of " (text::count(identity.keys.len() as u64, "root key")) }
                    dt { "Identity document" } dd { (text::number(identity.number)) }
                }
            }
        }
    }
}

/// How this node knows which publisher a namespace is.
pub(crate) fn source(bound: &Bound) -> Markup {
    use hubless_node::names::namespaces::NamespaceSource as From;
    html! {
        @match &bound.source {
            None => "by its id",
            Some(From::Own) => "its keys are on this node",
            Some(From::Petname) => "bound by hand on this node",
            Some(From::Directory(directory)) => { "listed in the directory " (text::namespace_of(directory)) },
            Some(From::Dns) => "named by the DNS",
        }
    }
}

/// The row of a repo's facts about its publisher.
pub(crate) fn row(publisher: PublisherId, namespace: &str, bound: Option<&Bound>) -> Markup {
    html! {
        dt { "Publisher" }
        dd {
            a href=(urls::publisher(namespace)) title=(publisher) { (text::namespace(namespace)) }
            @if let Some(bound) = bound { ", " (source(bound)) }
        }
    }
}
