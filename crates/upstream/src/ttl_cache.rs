//! A cache of responses with a time limit, which sends each request once for all waiting callers.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use hubless_sync::lock;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::repo_error::{Cause, RepoError};

/// Limit of cached responses. Clients choose the requests, so they would make it grow.
const ANSWERS_MAX: usize = 10_000;

/// How long a response is valid: branches move, access is granted and revoked.
const HOLDS: Duration = Duration::from_secs(60);

/// How long a negative response is valid: a user who has just created the repo tries again soon.
const ABSENCE_HOLDS: Duration = Duration::from_secs(5);

/// Interval at which the number of waiting callers is checked. A request that has none twice is
/// abandoned: clients that got `Retry-After` repeat theirs within a second, and a long listing
/// continues for them.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// A response and its time; `None` if the request was abandoned.
type Outcome<V> = (Option<Result<V, RepoError>>, Instant);

type Waiting<V> = Shared<BoxFuture<'static, Outcome<V>>>;

/// A pending or completed request.
struct Asked<V> {
    waiting: Waiting<V>,
    callers: Callers,
}

/// Counts the callers that wait for a response.
#[derive(Clone, Default)]
struct Callers(Arc<AtomicUsize>);

/// One waiting caller, until it is dropped.
struct Caller(Callers);

impl Callers {
    fn join(&self) -> Caller {
        self.0.fetch_add(1, Ordering::Relaxed);
        Caller(self.clone())
    }

    /// Waits until no caller has waited for a while.
    async fn gone(&self, check_every: Duration) {
        let mut checks = 0;
        while checks < 2 {
            tokio::time::sleep(check_every).await;
            checks = match self.0.load(Ordering::Relaxed) {
                0 => checks + 1,
                _ => 0,
            };
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Responses by request.
pub(super) struct TtlCache<K, V> {
    asked: Mutex<HashMap<K, Asked<V>>>,
    max: usize,
    check_every: Duration,
}

impl<K, V> Default for TtlCache<K, V> {
    fn default() -> Self {
        Self {
            asked: Mutex::default(),
            max: ANSWERS_MAX,
            check_every: CHECK_EVERY,
        }
    }
}

impl<K, V> TtlCache<K, V>
where
    K: Eq + Hash + Clone,
    V: Clone + Send + Sync + 'static,
{
    /// A cache of so many responses.
    pub(super) fn at_most(max: usize) -> Self {
        Self {
            max,
            ..Self::default()
        }
    }

    /// The cached response, or the result of `ask`, which runs in a task of its own and continues
    /// for a while if this caller leaves.
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
            let (waiting, _caller) = {
                let mut known = self.lock();
                if !known.contains_key(&key) {
                    make_room(&mut known, self.max);
                }
                let asked = known
                    .entry(key.clone())
                    .or_insert_with(|| begin(tasks, self.check_every, ask()));
                (asked.waiting.clone(), asked.callers.join())
            };
            let (answer, at) = waiting.clone().await;
            if let Some(answer) = answer
                && at.elapsed() < holds(&answer)
            {
                return answer;
            }
            let mut known = self.lock();
            let is_same = |now: &Asked<V>| now.waiting.ptr_eq(&waiting);
            if known.get(&key).is_some_and(is_same) {
                known.remove(&key);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Asked<V>>> {
        lock(&self.asked)
    }
}

fn begin<V: Clone + Send + Sync + 'static>(
    tasks: &TaskTracker,
    check_every: Duration,
    ask: impl Future<Output = Result<V, RepoError>> + Send + 'static,
) -> Asked<V> {
    let callers = Callers::default();
    let waited_for = callers.clone();
    let asked = tasks.spawn(async move {
        let answer = tokio::select! {
            answer = ask => Some(answer),
            () = waited_for.gone(check_every) => None,
        };
        (answer, Instant::now())
    });
    let failed = || (Some(Err(stopped())), Instant::now());
    let answered = asked.map(move |outcome| outcome.unwrap_or_else(|_| failed()));
    Asked {
        waiting: answered.boxed().shared(),
        callers,
    }
}

/// The task of a request ends early only with the node.
fn stopped() -> RepoError {
    RepoError::Failed {
        cause: Cause::Interrupted,
    }
}

fn holds<V>(answer: &Result<V, RepoError>) -> Duration {
    match answer {
        Ok(_) => HOLDS,
        Err(_) => ABSENCE_HOLDS,
    }
}

fn make_room<K: Clone + Eq + Hash, V: Clone>(known: &mut HashMap<K, Asked<V>>, max: usize) {
    if known.len() < max {
        return;
    }
    known.retain(|_, asked| match asked.waiting.peek() {
        Some((Some(answer), at)) => at.elapsed() < holds(answer),
        Some((None, _)) => false,
        None => true,
    });
    if known.len() >= max {
        known.clear(); // waiting callers keep waiting; the next caller starts a new request
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[tokio::test]
    async fn asked_once_however_many_wait() {
        let (known, tasks) = (TtlCache::default(), TaskTracker::new());
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
    async fn a_caller_that_leaves_does_not_end_what_others_wait_for() {
        let (known, tasks) = (TtlCache::default(), TaskTracker::new());
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
    async fn a_question_that_hangs_ends_when_its_callers_have_left() {
        let check_every = Duration::from_millis(20);
        let known = TtlCache {
            check_every,
            ..TtlCache::default()
        };
        let tasks = TaskTracker::new();
        let place = Arc::new(());
        let hang = || {
            let place = place.clone();
            async move {
                std::future::pending::<()>().await;
                drop(place);
                Ok(1)
            }
        };
        let waited = tokio::time::timeout(check_every * 10, known.get((), &tasks, hang));
        assert!(waited.await.is_err());
        assert_eq!(Arc::strong_count(&place), 2, "it had a caller all the time");
        while Arc::strong_count(&place) > 1 {
            tokio::time::sleep(check_every).await;
        }
        let answer = known.get((), &tasks, || async { Ok(2) }).await;
        assert!(matches!(answer, Ok(2)), "it is asked anew");
    }

    #[tokio::test]
    async fn room_is_made_for_new_answers() {
        let (known, tasks) = (TtlCache::default(), TaskTracker::new());
        for key in 0..ANSWERS_MAX + 10 {
            let _ = known.get(key, &tasks, || async { Ok(()) }).await;
        }
        assert!(known.lock().len() <= ANSWERS_MAX);
    }
}
