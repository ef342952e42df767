//! Pages for people: what this node holds, what it does now, and each repo.
//!
//! # Goals
//! A page is whole when it arrives: made here, from one stylesheet and one small script that only
//! adds what pages work without. What strangers wrote is text, never markup ([`markdown`]); what a
//! page may load is this gateway's own ([`layout`]).
//!
//! # Not here
//! Changing anything: all of it is `GET`, and answers nothing that the API would not.
//!
//! # Callers
//! ```text
//! router -> home, search, content, events (paths of their own)
//! route (a path that begins with a name) -> publisher, repo, tree, blob, commits
//! ```

mod assets;
mod blob;
mod commits;
mod content;
mod events;
mod files;
mod home;
mod layout;
mod live;
mod markdown;
mod publisher;
mod repo;
mod search;
mod spellings;
mod swarm;
mod tensors;
mod text;
mod tree;
mod urls;

use std::sync::Arc;

use axum::{Router, response::Response, routing::get};
use hubless_content::{RepoId, RepoKind};
use hubless_node::NodeHandle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    http::{context::RequestContext, error::ApiError},
    route::PageCall,
};

/// Event streams at once: each browser tab that shows a live page has one. Each reads the
/// node's state once a second.
const STREAMS_MAX: usize = 64;

/// Searches of swarms at once: each opens exchanges with some dozens of peers.
const SWARMS_MAX: usize = 4;

/// What the pages share between requests.
pub(crate) struct Pages {
    node: NodeHandle,
    /// Ends event streams when the gateway stops.
    stopping: CancellationToken,
    streams: Arc<Semaphore>,
    swarms: Semaphore,
    names: live::Names,
}

/// The pages with paths of their own.
pub(crate) fn routes<S>(app: &App) -> Router<S> {
    let pages = Pages {
        node: app.node.clone(),
        stopping: app.stopping.clone(),
        streams: Arc::new(Semaphore::new(STREAMS_MAX)),
        swarms: Semaphore::new(SWARMS_MAX),
        names: live::Names::default(),
    };
    Router::new()
        .route("/", get(home::home))
        .route("/search", get(search::search))
        .route("/events", get(events::events))
        .route("/static/{name}", get(assets::asset))
        .route("/content/{hash}", get(content::content))
        .route("/content/{hash}/swarm", get(swarm::swarm))
        .with_state(Arc::new(pages))
}

/// Answers with a page of a repo, or with one that says why there is none.
pub(crate) async fn answer(
    cx: &mut RequestContext,
    kind: RepoKind,
    name: &str,
    call: &PageCall,
) -> Response {
    let page = async {
        if kind == RepoKind::Model
            && *call == PageCall::Card
            && let Some(bound) = publisher::named(cx, name).await?
        {
            return publisher::publisher(cx, name, &bound).await;
        }
        let repo = cx.repo(kind, name).await?;
        page(cx, &repo, call).await
    };
    page.await.unwrap_or_else(refusal)
}

async fn page(cx: &RequestContext, repo: &RepoId, call: &PageCall) -> Result<Response, ApiError> {
    match call {
        PageCall::Card => repo::repo(cx, repo).await,
        PageCall::Tree(revision, path) => tree::tree(cx, repo, revision, path).await,
        PageCall::Blob(revision, path) => blob::blob(cx, repo, revision, path).await,
        PageCall::Commits(revision) => commits::commits(cx, repo, revision).await,
    }
}

/// What went wrong, as a page.
fn refusal(error: ApiError) -> Response {
    let title = match error.status().as_u16() {
        404 => "Not found",
        400 => "Bad request",
        403 => "Access denied",
        _ => "Something failed",
    };
    let (status, text) = (error.status(), error.message().to_owned());
    let mut response = layout::failure(status, title, &text);
    response.headers_mut().extend(error.into_headers());
    response
}
