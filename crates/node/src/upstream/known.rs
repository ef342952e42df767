//! Answers that hold for a while, each asked for once however many wait for it.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::{replies::interrupted, repos::RepoError};

/// Answers remembered. Clients choose what is asked, so they would make it grow.
const KNOWN_MAX: usize = 10_000;

/// How long an answer holds: branches move, access is given and taken.
const HOLDS: Duration = Duration::from_secs(60);

/// How long it holds that something is not there: who has just made it looks again.
const ABSENCE_HOLDS: Duration = Duration::from_secs(5);

type Outcome<V> = (Result<V, RepoError>, Instant);

type Waiting<V> = Shared<BoxFuture<'static, Outcome<V>>>;

/// Answers by what was asked.
pub(super) struct Known<K, V>(Mutex<HashMap<K, Waiting<V>>>);

impl<K, V> Default for Known<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K, V> Known<K, V>
where
    K: Eq + Hash + Clone,
    V: Clone + Send + Sync + 'static,
{
    /// The answer that is known, or what `ask` finds: in a task of its own, which goes on when this
    /// caller does not wait any longer.
    pub(super) async fn get<F>(
        &self,
        key: K,
        tasks: &TaskTracker,
        ask: impl Fn() -> F,
    ) -> Result<V, RepoError>
    where
        F: Future<Output = Result<V, RepoError>> + Send + 'static,
    {
        loop {
            let waiting = {
                let mut known = self.lock();
                match known.get(&key) {
                    Some(waiting) => waiting.clone(),
                    None => {
                        make_room(&mut known);
                        let waiting = begin(tasks, ask());
                        known.insert(key.clone(), waiting.clone());
                        waiting
                    }
                }
            };
            let (answer, at) = waiting.clone().await;
            if at.elapsed() < holds(&answer) {
                return answer;
            }
            let mut known = self.lock();
            if known.get(&key).is_some_and(|now| now.ptr_eq(&waiting)) {
                known.remove(&key);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Waiting<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn begin<V: Clone + Send + Sync + 'static>(
    tasks: &TaskTracker,
    ask: impl Future<Output = Result<V, RepoError>> + Send + 'static,
) -> Waiting<V> {
    let asked = tasks.spawn(async move { (ask.await, Instant::now()) });
    let answered = asked
        .map(|outcome| outcome.unwrap_or_else(|_| (Err(interrupted().into()), Instant::now())));
    answered.boxed().shared()
}

fn holds<V>(answer: &Result<V, RepoError>) -> Duration {
    match answer {
        Ok(_) => HOLDS,
        Err(_) => ABSENCE_HOLDS,
    }
}

fn make_room<K: Clone + Eq + Hash, V: Clone>(known: &mut HashMap<K, Waiting<V>>) {
    if known.len() < KNOWN_MAX {
        return;
    }
    known.retain(|_, waiting| {
        waiting
            .peek()
            .is_none_or(|(answer, at)| at.elapsed() < holds(answer))
    });
    if known.len() >= KNOWN_MAX {
        known.clear(); // who waits goes on waiting; the next one asks anew
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;

    #[tokio::test]
    async fn asked_once_however_many_wait() {
        let (known, tasks) = (Known::default(), TaskTracker::new());
        let asked = Arc::new(AtomicU32::new(0));
        let ask = || {
            let asked = asked.clone();
            async move {
                tokio::task::yield_now().await;
                Ok(asked.fetch_add(1, Ordering::Relaxed))
            }
        };
        let many = (0..64).map(|_| known.get("x", &tasks, ask));
        let many = futures::future::join_all(many).await;
        assert!(many.iter().all(|answer| matches!(answer, Ok(0))));
        assert!(matches!(known.get("x", &tasks, ask).await, Ok(0)));
        assert!(matches!(known.get("y", &tasks, ask).await, Ok(1)));
    }

    #[tokio::test]
    async fn who_leaves_does_not_end_what_others_wait_for() {
        let (known, tasks) = (Known::default(), TaskTracker::new());
        let (go, wait) = tokio::sync::watch::channel(false);
        let ask = || {
            let mut wait = wait.clone();
            async move {
                let _ = wait.wait_for(|go| *go).await;
                Ok(7)
            }
        };
        let first = known.get((), &tasks, ask).now_or_never();
        assert!(first.is_none(), "left before there was an answer");
        go.send_replace(true);
        let answer = known.get((), &tasks, || async { Ok(8) }).await;
        assert!(matches!(answer, Ok(7)), "found what the first one began");
    }

    #[tokio::test]
    async fn room_is_made_for_new_answers() {
        let (known, tasks) = (Known::default(), TaskTracker::new());
        for key in 0..KNOWN_MAX + 10 {
            let _ = known.get(key, &tasks, || async { Ok(()) }).await;
        }
        assert!(known.lock().len() <= KNOWN_MAX);
    }
}
