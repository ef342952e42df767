//! A call of the list, made by an HTTP client.
//!
//! The answer is JSON, or a stream of server-sent events: `progress`, `export` and `warning`, and at
//! the end `done` or `failed`. The work of a stream lives as long as the connection; fetched chunks
//! stay, and the next fetch continues from there.

use std::{collections::BTreeMap, convert::Infallible};

use axum::{
    body::Body,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{
        IntoResponse,
        sse::{Event as SseEvent, KeepAlive, Sse},
    },
};
use futures::stream;
use hubless_node::{
    Replies, Update,
    api::{AnswerForm, Event, HttpCall},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::answer::{Answer, Refused, body, shown};
use crate::{app::Shared, http::context::Query};

/// Makes the call that a request describes.
pub(super) async fn answer<C: HttpCall>(
    State(app): State<Shared>,
    Path(path): Path<BTreeMap<String, String>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    sent: Body,
) -> Answer {
    let fields = if C::ROUTE.has_body {
        body(&headers, sent).await?
    } else {
        text_fields(path, &Query::new(query.as_deref()))?
    };
    let replies = app.node.call(C::from_fields(fields)?);
    Ok(match C::ROUTE.answer {
        AnswerForm::Json(_) => shown(replies.answer().await?),
        AnswerForm::Empty(_) => {
            replies.answer().await?;
            StatusCode::NO_CONTENT.into_response()
        }
        AnswerForm::Events(_) => events(replies).into_response(),
    })
}

/// Fields that are texts in path and query. Of a field that is given several times, the first counts.
fn text_fields<T: DeserializeOwned>(
    path: BTreeMap<String, String>,
    query: &Query,
) -> Result<T, Refused> {
    let mut fields = path;
    for (name, value) in query.pairs() {
        if !fields.contains_key(name) {
            fields.insert(name.to_owned(), value.to_owned());
        }
    }
    let fields = fields.into_iter().map(|(name, value)| (name, value.into()));
    serde_json::from_value(Value::Object(fields.collect()))
        .map_err(|error| Refused::usage(error.to_string()))
}

fn events<A: Serialize + Send + 'static>(replies: Replies<A>) -> impl IntoResponse {
    let events = stream::unfold(Some(replies), |replies| async {
        let (event, replies) = next_event(replies?).await;
        Some((Ok::<_, Infallible>(event), replies))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// The next event, and the replies that follow it; none after the end.
async fn next_event<A: Serialize>(mut replies: Replies<A>) -> (SseEvent, Option<Replies<A>>) {
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
