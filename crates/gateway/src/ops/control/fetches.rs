//! A fetch, and its events as they happen.
//!
//! The answer is a stream of server-sent events: `progress`, `export` and `warning`, and at the end
//! `done` or `failed`. The fetch lives as long as the connection; what came stays, and the next one
//! goes on from there.

use std::convert::Infallible;

use axum::{
    body::Body,
    extract::State,
    http::HeaderMap,
    response::{
        IntoResponse,
        sse::{Event as SseEvent, KeepAlive, Sse},
    },
};
use futures::stream;
use hubless_content::ContentHash;
use hubless_node::{
    Replies, Ticket, Update,
    api::{Event, Get, Got},
};
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Refused, body};
use crate::app::Shared;

/// Seconds without progress after which a fetch gives up, if nothing else is said.
const PATIENCE_SECONDS: u64 = 30;

/// The longest that one may have it wait.
const PATIENCE_SECONDS_MAX: u64 = 24 * 3600;

/// What to fetch.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FetchBody {
    /// A content hash or a ticket.
    model: String,
    #[serde(default)]
    include: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
    timeout_s: Option<u64>,
}

pub(super) async fn fetch(State(app): State<Shared>, headers: HeaderMap, sent: Body) -> Answer {
    let sent: FetchBody = body(&headers, sent).await?;
    let ticket = ticket(&sent.model)?;
    let timeout_s = sent.timeout_s.unwrap_or(PATIENCE_SECONDS);
    if timeout_s == 0 || timeout_s > PATIENCE_SECONDS_MAX {
        let message = format!("timeout_s is a number from 1 to {PATIENCE_SECONDS_MAX}");
        return Err(Refused::usage(message));
    }
    let call = Get {
        hash: ticket.hash(),
        peers: ticket.peers().to_vec(),
        output: None,
        include: sent.include,
        exclude: sent.exclude,
        dry_run: false,
        timeout_s,
        verify: false,
        force: false,
    };
    let replies = app.node.call(call);
    let events = stream::unfold(Some(replies), |replies| async {
        let (event, replies) = next_event(replies?).await;
        Some((Ok::<_, Infallible>(event), replies))
    });
    let events = Sse::new(events).keep_alive(KeepAlive::default());
    Ok(events.into_response())
}

fn ticket(text: &str) -> Result<Ticket, Refused> {
    if let Ok(hash) = text.parse::<ContentHash>() {
        return Ok(hash.into());
    }
    text.parse()
        .map_err(|error| Refused::usage(format!("model is neither a hash nor a ticket: {error}")))
}

/// The next event, and the replies that follow it; the last one is `done` or `failed`.
async fn next_event(mut replies: Replies<Got>) -> (SseEvent, Option<Replies<Got>>) {
    while let Some(update) = replies.next().await {
        if let Update::Event(event) = update {
            return (sse(name(&event), &event), Some(replies));
        }
    }
    let last = match replies.answer().await {
        Ok(answer) => sse("done", &answer),
        Err(failure) => sse("failed", &Refused::body(&failure)),
    };
    (last, None)
}

/// JSON has no line breaks that would end the data.
fn sse(name: &'static str, data: &impl Serialize) -> SseEvent {
    let json = serde_json::to_string(data).unwrap_or_default();
    SseEvent::default().event(name).data(json)
}

fn name(event: &Event) -> &'static str {
    match event {
        Event::Progress { .. } => "progress",
        Event::Export { .. } => "export",
        Event::Warning { .. } => "warning",
    }
}
