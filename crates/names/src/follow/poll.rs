//! Asking holders for all heads of a publisher, for where no watch reports them.

use std::{collections::HashSet, time::Duration};

use hubless_content::{PublisherId, RepoId, Subject, SubjectKey};
use hubless_transfer::Context;
use tracing::{debug, warn};

use super::{Follower, read};
use crate::{
    ask::{AskError, Holder, Source},
    clock,
};

/// A publisher confirms its heads daily. One that has not for so long is gone, or its holders hide it.
const STALE_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);

/// Asks each of these holders for the profile and all repos that are known of a publisher.
pub(super) async fn run(follower: &Follower, publisher: PublisherId, sources: &[Source]) {
    for source in sources {
        if let Err(error) = ask(follower, publisher, source).await {
            debug!(%publisher, %error, "a poll of a holder ended early");
        }
    }
    warn_if_stale(follower.cx(), publisher).await;
}

async fn ask(follower: &Follower, publisher: PublisherId, source: &Source) -> Result<(), AskError> {
    let mut holder = Holder::open(follower.cx(), source).await?;
    let mut asked = HashSet::new();
    let mut open = vec![Subject::profile(publisher).key()];
    while let Some(key) = open.pop() {
        match holder.head(key).await {
            Ok(head) => follower.adopt(head, source).await,
            Err(AskError::NotHere { .. }) => {}
            Err(error) => return Err(error),
        }
        asked.insert(key);
        if asked.len() == 1 {
            // The profile is the newest one now, and names the repos.
            open.extend(repos(follower.cx(), publisher).await);
            open.retain(|key| !asked.contains(key));
        }
    }
    Ok(())
}

/// The repos of a publisher that its profile names, and those that are here.
async fn repos(cx: &Context, publisher: PublisherId) -> HashSet<SubjectKey> {
    let keys = read(cx, move |store| {
        let profile = store.profile(publisher)?;
        let named = profile.into_iter().flat_map(|profile| profile.repos);
        let subject = |repo: RepoId| Subject::repo(publisher, repo.kind(), repo.name()).ok();
        let named = named.filter_map(subject).map(|subject| subject.key());
        let mut keys: HashSet<SubjectKey> = named.collect();
        let held = store.heads_of(publisher)?;
        keys.extend(held.iter().map(|head| head.head().subject.key()));
        Ok(keys)
    });
    keys.await.unwrap_or_default()
}

async fn warn_if_stale(cx: &Context, publisher: PublisherId) {
    let newest = read(cx, move |store| {
        let heads = store.heads_of(publisher)?;
        Ok(heads.iter().map(|head| head.head().time).max())
    });
    if let Some(confirmed) = newest.await.flatten()
        && let Some(days) = stale_days(confirmed, clock::now())
    {
        warn!(%publisher, days, "a followed publisher has not confirmed its names");
    }
}

/// Days since the newest confirmation, if they are too many.
fn stale_days(confirmed: u64, now: u64) -> Option<u64> {
    let age = Duration::from_millis(now.saturating_sub(confirmed));
    (age > STALE_AFTER).then_some(age.as_secs() / (24 * 3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publisher_that_has_not_confirmed_for_a_week_is_stale() {
        let day = 24 * 3600 * 1000;
        assert_eq!(stale_days(100 * day, 107 * day), None);
        assert_eq!(stale_days(100 * day, 107 * day + 1), Some(7));
        assert_eq!(stale_days(100 * day, 130 * day), Some(30));
        assert_eq!(
            stale_days(100 * day, 99 * day),
            None,
            "the clock was set back"
        );
    }
}
