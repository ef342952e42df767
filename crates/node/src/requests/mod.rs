//! Dispatches a request to its worker.

mod cat;
mod get;

use std::{sync::Arc, time::Duration};

use hubless_transfer::fetch::swarm;
use serde::Serialize;

use crate::{
    api::{Failure, Request},
    configure::configure,
    core::Core,
    inspect, publish,
    replies::{Replies, ReplySink, replies},
    verifying,
};

/// Starts the work. It ends by itself, or soon after the replies are dropped or the node stops.
pub(crate) fn spawn(core: Arc<Core>, request: Request) -> Replies {
    let (sink, replies) = replies(&core.cx.cancel);
    core.cx.tasks.clone().spawn(async move {
        let result = execute(&core, request, &sink).await;
        sink.end(result).await;
    });
    replies
}

async fn execute(
    core: &Arc<Core>,
    request: Request,
    sink: &ReplySink,
) -> Result<serde_json::Value, Failure> {
    match request {
        Request::Add {
            path,
            in_place,
            follow_links,
        } => json(publish::add(core, sink, path, in_place, follow_links).await?),
        Request::Get(get) => get::get(core, sink, get).await,
        Request::Cat {
            hash,
            peers,
            path,
            range,
            timeout_s,
        } => json(
            cat::cat(
                core,
                sink,
                cat::Cat {
                    hash,
                    peers,
                    path,
                    range,
                    timeout_s,
                },
            )
            .await?,
        ),
        Request::List => json(inspect::list(core).await?),
        Request::Info { hash } => json(inspect::info(core, hash).await?),
        Request::Remove { hash } => json(publish::remove(core, hash).await?),
        Request::Pin { hash } => json(publish::pin(core, hash, true).await?),
        Request::Unpin { hash } => json(publish::pin(core, hash, false).await?),
        Request::Gc => json(publish::gc(core).await?),
        Request::Verify { hash } => json(verifying::verify(core, sink, hash).await?),
        Request::Join => json(core.join().await?),
        Request::Id => json(inspect::id(core)),
        Request::Status => json(inspect::status(core).await?),
        Request::Transfers => json(inspect::transfers(core)),
        Request::Peers => json(inspect::peers(core).await?),
        Request::Providers { hash, timeout_s } => {
            json(inspect::providers(core, sink, hash, timeout_s).await?)
        }
        Request::Claims {
            alias,
            peers,
            timeout_s,
        } => json(inspect::claims(core, sink, alias, &peers, timeout_s).await?),
        Request::Swarm { hash, timeout_s } => {
            json(swarm(&core.fetches, hash, Duration::from_secs(timeout_s)).await?)
        }
        Request::Ticket { hash, local } => json(inspect::ticket(core, hash, local).await?),
        Request::NameSet(name) => json(core.repos().set_name(name).await?),
        Request::NameList => json(core.repos().list_names().await?),
        Request::NameShow { repo } => json(core.repos().show_name(repo).await?),
        Request::NameRemove { repo, name } => json(core.repos().remove_name(repo, name).await?),
        Request::RevisionRemove { repo, revision } => {
            json(publish::remove_revision(core, repo, revision).await?)
        }
        Request::NameResolve { repo, revision } => {
            json(core.repos().resolve_name(repo, &revision).await?)
        }
        Request::Why { hash } => json(inspect::why(core, hash).await?),
        Request::Configure { key, value } => json(configure(core, key, value).await?),
    }
}

pub(crate) fn json(value: impl Serialize) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(value)
        .map_err(|error| Failure::new(crate::api::FailureKind::Other, error.to_string()))
}
