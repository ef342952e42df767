//! The beginnings of files whose pull ended early: a client that comes back finds them.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use hubless_store::Incoming;
use hubless_sync::lock;
use tokio_util::sync::CancellationToken;

use super::PullKey;

/// Files of which a part is kept. Room is taken for all of each.
const KEPT_MAX: usize = 8;

/// How long: clients try again within minutes.
const KEPT_FOR: Duration = Duration::from_secs(5 * 60);

/// Parts of files, the oldest first.
#[derive(Default)]
pub(crate) struct Kept(Mutex<VecDeque<Named>>);

struct Named {
    key: PullKey,
    part: Part,
}

/// The beginning of a file, as long as it may be of use.
pub(crate) struct Part {
    pub(crate) incoming: Incoming,
    /// How long it is kept after bytes came: a try that brings nothing changes nothing.
    until: Instant,
    /// Its bytes then.
    written: u64,
}

impl Part {
    pub(crate) fn new(incoming: Incoming) -> Self {
        Self {
            until: Instant::now() + KEPT_FOR,
            written: incoming.written(),
            incoming,
        }
    }

    /// The part after another try.
    fn tried(self) -> Self {
        match self.incoming.written() > self.written {
            true => Self::new(self.incoming),
            false => self,
        }
    }

    fn is_old(&self) -> bool {
        Instant::now() >= self.until
    }
}

impl Kept {
    /// Keeps a part after a try, unless it has brought nothing for too long.
    pub(crate) fn put(&self, key: PullKey, part: Part) {
        let part = part.tried();
        let mut parts = self.parts();
        parts.retain(|known| known.key != key);
        if part.is_old() {
            return;
        }
        while parts.len() >= KEPT_MAX {
            parts.pop_front();
        }
        parts.push_back(Named { key, part });
    }

    pub(crate) fn take(&self, key: &PullKey) -> Option<Part> {
        self.drop_old();
        let mut parts = self.parts();
        let at = parts.iter().position(|known| known.key == *key)?;
        parts.remove(at).map(|known| known.part)
    }

    /// Makes room; whether there was anything.
    pub(crate) fn clear(&self) -> bool {
        let parts = std::mem::take(&mut *self.parts());
        !parts.is_empty()
    }

    /// Drops what was kept until now when its time is over, and all when the node stops.
    pub(crate) async fn expire(&self, cancel: &CancellationToken) {
        tokio::select! {
            () = tokio::time::sleep(KEPT_FOR) => self.drop_old(),
            () = cancel.cancelled() => drop(self.clear()),
        }
    }

    fn drop_old(&self) {
        self.parts().retain(|known| !known.part.is_old());
    }

    fn parts(&self) -> MutexGuard<'_, VecDeque<Named>> {
        lock(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use hubless_store::{Store, StoreOptions};

    use super::*;
    use crate::pulls::Content;

    #[test]
    fn a_try_that_brings_nothing_does_not_make_a_part_younger() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path(), StoreOptions::default()).unwrap();
        let key = PullKey {
            repo: "org/model".parse().unwrap(),
            content: Content::GitBlob(hubless_content::GitBlobId::new([1; 20])),
        };
        let kept = Kept::default();
        let mut part = Part::new(store.incoming(100).unwrap());
        part.incoming.write(&[7; 10]).unwrap();
        kept.put(key.clone(), part);

        let tried = kept.take(&key).unwrap();
        let until = tried.until;
        kept.put(key.clone(), tried);
        let mut part = kept.take(&key).unwrap();
        assert_eq!(part.until, until, "as old as before");

        part.until = Instant::now();
        kept.put(key.clone(), part);
        assert!(kept.take(&key).is_none(), "its time is over");

        let mut part = Part::new(store.incoming(100).unwrap());
        part.until = Instant::now();
        part.incoming.write(&[7; 10]).unwrap();
        kept.put(key.clone(), part);
        assert!(kept.take(&key).is_some(), "something came");
    }
}
