//! The first page: what this node holds and shares, and what it does now.

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use hubless_content::RepoKind;
use hubless_node::repos::Holding;
use maud::{Markup, html};

use super::{Pages, layout::Page, live::Live, refusal, spellings::Spellings, text, urls};
use crate::http::error::ApiError;

/// Rows of what is held; search finds the rest.
const HOLDINGS_SHOWN: usize = 200;

pub(crate) async fn home(State(pages): State<Arc<Pages>>) -> Response {
    match body(&pages).await {
        Ok(body) => Page {
            title: "",
            query: "",
            body,
        }
        .respond(StatusCode::OK),
        Err(error) => refusal(error).into_response(),
    }
}

async fn body(pages: &Pages) -> Result<Markup, ApiError> {
    let live = Live::read(pages).await?;
    let mut holdings = pages.node.repos().holdings().await?;
    let spellings = Spellings::read(&pages.node).await?;
    for repo in holdings
        .iter_mut()
        .filter_map(|holding| holding.repo.as_mut())
    {
        *repo = spellings.of(repo);
    }
    Ok(html! {
        h1 { "This node" }
        div data-events="/events" {
            dl.facts #facts { (live.facts()) }
            section aria-labelledby="h-transfers" {
                h2 #h-transfers { "Transfers" }
                div #transfers { (live.transfers(None)) }
            }
        }
        section aria-labelledby="h-held" {
            h2 #h-held { "Held and shared" }
            (held(&holdings, &live))
        }
        section aria-labelledby="h-peers" {
            h2 #h-peers { "Peers" }
            div #peers { (live.peers()) }
        }
        section aria-labelledby="h-reach" {
            h2 #h-reach { "How others reach it" }
            dl.rows {
                dt { "Peer id" }
                dd { code data-copy { (live.status.peer_id) } }
                @for address in &live.status.addresses {
                    dt { "Address" }
                    dd { code data-copy { (address) } }
                }
            }
        }
    })
}

fn held(holdings: &[Holding], live: &Live) -> Markup {
    if holdings.is_empty() {
        return html! {
            p.muted { "Nothing yet. Add a directory, or get something that others share:" }
            pre tabindex="0" { code { "hubless add PATH\nhubless get ORG/NAME" } }
        };
    }
    let (bytes, held) = holdings
        .iter()
        .fold((0u64, 0u64), |(bytes, held), holding| {
            (bytes + holding.bytes, held + holding.held_bytes)
        });
    html! {
        p.muted {
            (text::count(holdings.len() as u64, "item")) ", "
            (text::size(held)) @if held < bytes { " of " (text::size(bytes)) }
        }
        div.scroll role="group" aria-label="Held and shared" tabindex="0" {
            table {
                thead {
                    tr {
                        th scope="col" { "Name" }
                        th scope="col" { "Kind" }
                        th.right scope="col" { "Files" }
                        th.right scope="col" { "Size" }
                        th.right scope="col" { "Held" }
                        th scope="col" { "Changed" }
                    }
                }
                tbody {
                    @for holding in holdings.iter().take(HOLDINGS_SHOWN) { (row(holding, live)) }
                }
            }
        }
        @if holdings.len() > HOLDINGS_SHOWN {
            p.muted { "and " (text::number((holdings.len() - HOLDINGS_SHOWN) as u64)) " more: search for them" }
        }
    }
}

fn row(holding: &Holding, live: &Live) -> Markup {
    let is_fetching = holding.hash.is_some_and(|hash| live.is_fetching(hash));
    html! {
        tr {
            td {
                @match (&holding.repo, holding.hash) {
                    (Some(repo), _) => a href=(urls::repo(repo)) { (text::repo(repo)) },
                    (None, Some(hash)) => a href=(urls::content(hash)) {
                        (text::short(&hash.to_string()))
                    },
                    (None, None) => {}
                }
                @if holding.pinned { " " span.chip title="Garbage collection keeps it" { "pinned" } }
            }
            td.muted {
                (holding.repo.as_ref().map_or("no name", |repo| kind(repo.kind())))
            }
            @if holding.files > 0 {
                td.right { (text::number(holding.files)) }
                td.right { (text::size(holding.bytes)) }
                // How much of it is here, its transfer shows as it grows.
                td.right {
                    @if is_fetching { a href="#transfers" { "coming" } }
                    @else { (share(holding.held_bytes, holding.bytes)) }
                }
            } @else {
                td {} td {} td.right.muted { "nothing" }
            }
            td { @if holding.time > 0 { (text::time(holding.time)) } }
        }
    }
}

/// How much of something is here.
pub(crate) fn share(held: u64, bytes: u64) -> Markup {
    html! {
        @if held >= bytes { span.good { "all" } } @else { (text::percent(held, bytes)) " %" }
    }
}

/// What a repo holds, as a word.
pub(crate) fn kind(kind: RepoKind) -> &'static str {
    kind.as_str()
}
