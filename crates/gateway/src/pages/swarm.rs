//! The nodes that have a content, and how much of it.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use hubless_content::ContentHash;
use hubless_node::api::{FindSwarm, Swarm, SwarmMember};
use maud::{Markup, html};

use super::{
    Pages,
    layout::{self, Page},
    refusal, text,
};
use crate::http::error::ApiError;

/// Seconds for nodes to be found and to answer: a person waits no longer.
const WITHIN_S: u64 = 5;

pub(crate) async fn swarm(
    State(pages): State<Arc<Pages>>,
    Path(hash): Path<String>,
    headers: HeaderMap,
) -> Response {
    let body = match ask_members(&pages, &hash).await {
        Ok(part) => part,
        Err(error) => return refusal(error),
    };
    // A script puts it into a page; without scripts it is one.
    let is_page = headers
        .get("sec-fetch-dest")
        .is_some_and(|dest| dest == "document");
    if !is_page {
        return layout::fragment(StatusCode::OK, body);
    }
    let page = Page {
        title: "Swarm",
        query: "",
        body: html! { h1 { "Swarm" } (body) },
    };
    page.respond(StatusCode::OK)
}

async fn ask_members(pages: &Pages, hash: &str) -> Result<Markup, ApiError> {
    let hash: ContentHash = hash.parse().map_err(|_| ApiError::not_found())?;
    if pages.node.repos().content(hash).await?.is_none() {
        return Err(ApiError::not_found());
    }
    let busy = || {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Too many searches at once. Try again in a moment.",
        )
    };
    let _permit = pages.swarms.try_acquire().map_err(|_| busy())?;
    let call = FindSwarm {
        hash,
        timeout_s: WITHIN_S,
    };
    let swarm = pages.node.call(call).answer().await?;
    Ok(shown(&swarm))
}

fn shown(swarm: &Swarm) -> Markup {
    let mut members: Vec<&SwarmMember> = swarm.members.iter().collect();
    members.sort_by_key(|member| std::cmp::Reverse(member.chunks));
    html! {
        table {
            thead { tr { th scope="col" { "Node" } th scope="col" { "Has" } } }
            tbody {
                tr { td { "this node" } td { (share(Some(swarm.own_chunks), swarm.chunks)) } }
                @for member in &members {
                    tr {
                        td { (text::peer(&member.peer_id)) }
                        td { (share(member.chunks, swarm.chunks)) }
                    }
                }
            }
        }
        @if members.is_empty() { p.muted { "No other node was found." } }
    }
}

fn share(chunks: Option<u32>, all: u32) -> Markup {
    html! {
        @match chunks {
            None => span.muted { "did not answer" },
            Some(chunks) if chunks >= all => span.good { "all" },
            Some(chunks) => {
                (text::percent(chunks.into(), all.into())) " %"
            }
        }
    }
}
