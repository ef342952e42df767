//! Publishers, as pages show them.

use hubless_content::{Chain, Profile, PublisherId, RepoId};
use hubless_store::{Follow, Store, StoreError};
use hubless_upstream::RepoError;

use crate::repos::Repos;

/// What this node has of a publisher.
#[derive(Debug, Clone)]
pub struct PublisherDetails {
    /// Its id.
    pub id: PublisherId,
    /// What it says of itself.
    pub profile: Option<Profile>,
    /// The documents that say which keys speak for it.
    pub chain: Option<Chain>,
    /// Its repos that are here, in the order of their names.
    pub repos: Vec<PublishedRepo>,
    /// When a signer last confirmed one of its heads: milliseconds since 1970, UTC; 0 if none is here.
    pub confirmed: u64,
    /// How it is followed, if it is.
    pub follow: Option<Follow>,
}

/// A repo of a publisher.
#[derive(Debug, Clone)]
pub struct PublishedRepo {
    /// Its name.
    pub repo: RepoId,
    /// When a signer last confirmed its head: milliseconds since 1970, UTC.
    pub confirmed: u64,
}

impl Repos {
    /// What this node has of a publisher; of one that it does not know, the id alone.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn publisher(&self, id: PublisherId) -> Result<PublisherDetails, RepoError> {
        self.store(move |store| details(store, id)).await
    }
}

fn details(store: &Store, id: PublisherId) -> Result<PublisherDetails, StoreError> {
    let (mut repos, mut confirmed) = (Vec::new(), 0);
    for record in store.heads_of(id)? {
        let head = record.head();
        confirmed = confirmed.max(head.time);
        // One that was deleted or moved has a head, and no row of its own.
        let repo = match head.subject.repo_id() {
            Some(repo) => store.repo(&repo)?,
            None => None,
        };
        repos.extend(repo.filter(|repo| !repo.private).map(|repo| PublishedRepo {
            repo: repo.id,
            confirmed: head.time,
        }));
    }
    repos.sort_by(|a, b| a.repo.cmp(&b.repo));
    Ok(PublisherDetails {
        id,
        profile: store.profile(id)?,
        chain: store.chain(id)?,
        repos,
        confirmed,
        follow: store.follow(id)?,
    })
}
