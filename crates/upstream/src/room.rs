//! Limits of concurrent requests to an upstream, in total and for each repo.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
};

use hubless_content::RepoId;
use hubless_sync::lock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::UpstreamError;

/// Bytes up to which a request counts as short, which is quick even on a slow line: configurations,
/// tokenizers, the headers of weights. Short requests have places of their own, so that they do not
/// wait for weights that take hours.
const SHORT_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// A number of places, of which one repo gets at most half, so that hanging requests for one repo
/// leave room for others.
pub(super) struct Room {
    places: Arc<Semaphore>,
    share: usize,
    repos: Mutex<HashMap<RepoId, Weak<Semaphore>>>,
}

/// A place in a room, until it is dropped.
pub(super) struct Place {
    _share: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
}

impl Room {
    pub(super) fn new(places: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            share: (places / 2).max(1),
            repos: Mutex::default(),
        }
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// Never while the room exists.
    pub(super) async fn take(&self, repo: &RepoId) -> Result<Place, UpstreamError> {
        // The repo's share first, so that a request that waits for it holds no place.
        let share = self.share_of(repo).acquire_owned().await;
        let place = self.places.clone().acquire_owned().await;
        Ok(Place {
            _share: share.map_err(|_| UpstreamError::Interrupted)?,
            _place: place.map_err(|_| UpstreamError::Interrupted)?,
        })
    }

    fn share_of(&self, repo: &RepoId) -> Arc<Semaphore> {
        let mut repos = lock(&self.repos);
        if let Some(share) = repos.get(repo).and_then(Weak::upgrade) {
            return share;
        }
        // Entries without requests are removed, so there are at most as many as running requests.
        repos.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(self.share));
        repos.insert(repo.clone(), Arc::downgrade(&share));
        share
    }
}

/// Places for short requests and for long ones.
pub(super) struct Rooms {
    short: Room,
    long: Room,
}

impl Rooms {
    /// Creates both, with so many places each.
    pub(super) fn new(places: usize) -> Self {
        Self {
            short: Room::new(places),
            long: Room::new(places),
        }
    }

    /// The places for a request of so many bytes.
    pub(super) fn of(&self, bytes: u64) -> &Room {
        match bytes {
            0..=SHORT_BYTES_MAX => &self.short,
            _ => &self.long,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn one_repo_gets_half_of_the_places_and_what_waits_for_them_holds_none() {
        let room = Room::new(4);
        let repo = |name: &str| name.parse::<RepoId>().unwrap();
        let take = |name| room.take(&repo(name)).now_or_never().map(Result::unwrap);
        let first = take("org/a").unwrap();
        let _second = take("org/a").unwrap();
        assert!(take("org/a").is_none() && take("ORG/A").is_none());
        let third = take("org/b").unwrap();
        let _fourth = take("org/c").unwrap();
        assert!(take("org/d").is_none(), "all are taken");
        drop(third);
        assert!(take("org/a").is_none(), "its share is used up");
        drop(first);
        assert!(take("org/a").is_some());
        assert!(room.repos.lock().unwrap().len() <= 4);
    }

    #[test]
    fn what_is_short_does_not_wait_for_what_is_long() {
        let rooms = Rooms::new(2);
        let repo = |name: &str| name.parse::<RepoId>().unwrap();
        let long = rooms.of(SHORT_BYTES_MAX + 1);
        let _all = ["org/a", "org/b"].map(|name| long.take(&repo(name)).now_or_never().unwrap());
        assert!(long.take(&repo("org/c")).now_or_never().is_none());
        let short = rooms.of(SHORT_BYTES_MAX);
        assert!(short.take(&repo("org/c")).now_or_never().is_some());
    }
}
