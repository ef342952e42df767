//! `follow`: follows a publisher.

use std::{sync::Arc, time::Duration};

use hubless_content::{PublisherId, Subject};
use hubless_names::clock;
use hubless_store::{Follow as Followed, Mirror, Store, StoreError};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::Call;
use crate::{
    core::Core,
    failure::{Failure, FailureKind, interrupted},
    remedy::Remedy,
    replies::ReplySink,
};

/// How long an answer waits for the profile of a publisher that is new here.
const PROFILE_WITHIN: Duration = Duration::from_secs(8);

/// Follows a publisher, or changes what of its content is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Follow {
    /// Its id, or a namespace that stands for it on this node.
    pub publisher: String,
    /// What of its content is fetched and kept.
    pub mirror: Mirror,
}

/// A publisher that is followed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FollowDetails {
    /// The publisher.
    pub id: PublisherId,
    /// The namespace that it proposes for itself, once its profile is here.
    pub handle: Option<String>,
    /// What of its content is kept.
    pub mirror: Mirror,
    /// Its repos that are here, as `ID/NAME`, with the word of the kind before it as in URLs.
    pub repos: Vec<String>,
    /// Seconds since the newest confirmation of its heads.
    pub confirmed_s: Option<u64>,
}

impl Call for Follow {
    type Answer = FollowDetails;

    async fn handle(self, core: &Arc<Core>, sink: &ReplySink) -> Result<FollowDetails, Failure> {
        let Self { publisher, mirror } = self;
        let store = core.cx.store.clone();
        let put = move || {
            let Some(id) = find(&store, &publisher)? else {
                return Ok(Err(unknown(&publisher)));
            };
            let followed = Followed {
                publisher: id,
                mirror,
                since: store
                    .follow(id)?
                    .map_or_else(clock::now, |known| known.since),
            };
            store.put_follow(&followed)?;
            Ok::<_, StoreError>(Ok(followed))
        };
        let followed = core.cx.blocking.run(put).await???;
        core.names.follower.follows_changed();
        core.cx.note_change();
        if core.names.follower.is_running() {
            tokio::select! {
                () = profile(core, followed.publisher) => {}
                () = sink.cancelled() => return Err(interrupted()),
            }
        }
        let store = core.cx.store.clone();
        Ok(core
            .cx
            .blocking
            .run(move || details(&store, &followed))
            .await??)
    }
}

/// Waits until the profile of a publisher is here, within a limit.
async fn profile(core: &Core, publisher: PublisherId) {
    let deadline = Instant::now() + PROFILE_WITHIN;
    let mut taken = core.names.adopter.watchers().subscribe();
    loop {
        let store = core.cx.store.clone();
        let key = Subject::profile(publisher).key();
        let known = core.cx.blocking.run(move || store.head(key)).await;
        let is_known = !matches!(known, Ok(Ok(None)));
        if is_known || timeout_at(deadline, taken.recv()).await.is_err() {
            return;
        }
    }
}

/// The publisher that a text names.
pub(super) fn find(store: &Store, text: &str) -> Result<Option<PublisherId>, StoreError> {
    match text.parse() {
        Ok(id) => Ok(Some(id)),
        Err(_) => Ok(store.namespace(text)?.map(|namespace| namespace.publisher)),
    }
}

pub(super) fn unknown(text: &str) -> Failure {
    let message = format!("{text:?} stands for no publisher on this node, and is no publisher id");
    Failure::new(FailureKind::NotFound, message).remedy(Remedy::NamePublisher)
}

/// What is known here of a followed publisher.
pub(super) fn details(store: &Store, followed: &Followed) -> Result<FollowDetails, StoreError> {
    let (mut repos, mut confirmed) = (Vec::new(), None);
    for head in store.heads_of(followed.publisher)? {
        let head = head.head();
        confirmed = confirmed.max(Some(head.time));
        if head.subject.repo_id().is_some() {
            repos.push(head.subject.to_string());
        }
    }
    repos.sort_unstable();
    let profile = store.profile(followed.publisher)?;
    let age = |time: u64| clock::now().saturating_sub(time) / 1_000;
    Ok(FollowDetails {
        id: followed.publisher,
        handle: profile.map(|profile| profile.handle),
        mirror: followed.mirror,
        repos,
        confirmed_s: confirmed.map(age),
    })
}
