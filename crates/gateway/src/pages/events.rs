//! Changes for pages that are open, as server-sent events.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{RawQuery, State},
    http::{HeaderValue, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::stream;
use hubless_content::ContentHash;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Interval, MissedTickBehavior, interval},
};

use super::{Pages, live::Live};
use crate::http::context::Query;

/// Interval of updates: what a person can follow.
const EVERY: Duration = Duration::from_secs(1);

/// How long nothing may be sent before a comment shows that the gateway is there.
const QUIET: Duration = Duration::from_secs(15);

/// When a browser without room asks again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("10");

/// The parts of a page by their ids.
type Parts = BTreeMap<&'static str, String>;

pub(crate) async fn events(State(pages): State<Arc<Pages>>, RawQuery(query): RawQuery) -> Response {
    let Ok(permit) = pages.streams.clone().try_acquire_owned() else {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            [(header::RETRY_AFTER, RETRY_AFTER)],
        )
            .into_response();
    };
    let query = Query::new(query.as_deref());
    let mut ticks = interval(EVERY);
    // A browser that reads slowly gets fewer, not all of them later.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let view = View {
        of: query.get("content").and_then(|hash| hash.parse().ok()),
        pages,
        ticks,
        shown: Parts::new(),
        _permit: permit,
    };
    let stream = stream::unfold(view, |mut view| async {
        let event = view.next().await?;
        Some((Ok::<_, Infallible>(event), view))
    });
    let mut response = Sse::new(stream)
        .keep_alive(KeepAlive::new().interval(QUIET))
        .into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// One page's view of the node.
struct View {
    pages: Arc<Pages>,
    /// Only of this content.
    of: Option<ContentHash>,
    ticks: Interval,
    /// What the page shows.
    shown: Parts,
    _permit: OwnedSemaphorePermit,
}

impl View {
    /// What has changed; `None` when the gateway stops.
    async fn next(&mut self) -> Option<Event> {
        loop {
            tokio::select! {
                _ = self.ticks.tick() => {}
                () = self.pages.stopping.cancelled() => return None,
            }
            let parts = self.parts().await?;
            let changed: Parts = parts
                .iter()
                .filter(|(id, html)| self.shown.get(*id) != Some(html))
                .map(|(id, html)| (*id, html.clone()))
                .collect();
            self.shown = parts;
            if !changed.is_empty() {
                let event = Event::default().event("parts").json_data(&changed);
                return event.ok();
            }
        }
    }

    async fn parts(&self) -> Option<Parts> {
        let live = Live::read(&self.pages).await.ok()?;
        let mut parts = Parts::from([("transfers", live.transfers(self.of).into_string())]);
        if self.of.is_none() {
            parts.insert("facts", live.facts().into_string());
            parts.insert("peers", live.peers().into_string());
        }
        Some(parts)
    }
}
