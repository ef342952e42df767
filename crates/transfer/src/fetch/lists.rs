//! Which chunk lists are still to be had, and who is at it.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hubless_content::ChunkCv;
use tokio::{sync::Notify, time::Instant};

use super::layout::FileNumber;

/// The files whose chunk lists nobody is asked for. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub(super) struct Lists(Arc<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    files: Mutex<VecDeque<FileNumber>>,
    more: Notify,
}

impl Lists {
    pub(super) fn add(&self, files: impl IntoIterator<Item = FileNumber>) {
        self.0
            .files
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(files);
        self.0.more.notify_waiters();
    }

    /// Waits for a file whose list is to be asked for, but for those that `refused` names.
    pub(super) async fn claim(&self, refused: &HashSet<FileNumber>) -> Claim {
        loop {
            let more = self.0.more.notified();
            tokio::pin!(more);
            more.as_mut().enable();
            if let Some(file) = self.take(refused) {
                return Claim {
                    file,
                    lists: self.clone(),
                    done: false,
                };
            }
            more.await;
        }
    }

    fn take(&self, refused: &HashSet<FileNumber>) -> Option<FileNumber> {
        let mut files = self.0.files.lock().unwrap_or_else(PoisonError::into_inner);
        let position = files.iter().position(|file| !refused.contains(file))?;
        files.remove(position)
    }
}

/// The right to ask for one list. Dropping it lets another source ask.
#[derive(Debug)]
pub(super) struct Claim {
    file: FileNumber,
    lists: Lists,
    done: bool,
}

impl Claim {
    pub(super) fn file(&self) -> FileNumber {
        self.file
    }

    /// The list is there; nobody has to ask for it again.
    pub(super) fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.done {
            self.lists.add([self.file]);
        }
    }
}

/// A list of which some pages came.
#[derive(Debug)]
pub(super) struct ListInProgress {
    claim: Claim,
    count: u32,
    cvs: Vec<ChunkCv>,
    last_page: Instant,
}

impl ListInProgress {
    pub(super) fn new(claim: Claim, count: u32) -> Self {
        Self {
            claim,
            count,
            cvs: Vec::new(),
            last_page: Instant::now(),
        }
    }

    pub(super) fn file(&self) -> FileNumber {
        self.claim.file
    }

    /// Takes a page; `None` if it cannot be one.
    pub(super) fn take(&mut self, page: &[u8]) -> Option<()> {
        let values = page.len() / size_of::<ChunkCv>();
        let room = self.count as usize - self.cvs.len();
        if values == 0 || values > room || !page.len().is_multiple_of(size_of::<ChunkCv>()) {
            return None;
        }
        self.cvs.extend(
            page.chunks(size_of::<ChunkCv>())
                .filter_map(ChunkCv::from_slice),
        );
        self.last_page = Instant::now();
        Some(())
    }

    /// The first value of the next page; `None` if all came.
    pub(super) fn next(&self) -> Option<u32> {
        let have = self.cvs.len() as u32;
        (have < self.count).then_some(have)
    }

    /// How long ago the last page came.
    pub(super) fn idle(&self) -> Duration {
        self.last_page.elapsed()
    }

    pub(super) fn finish(self) -> (Claim, Vec<ChunkCv>) {
        (self.claim, self.cvs)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn claim_now(lists: &Lists, refused: &HashSet<FileNumber>) -> Option<Claim> {
        lists.claim(refused).now_or_never()
    }

    #[test]
    fn a_dropped_claim_is_free_again_and_a_done_one_is_not() {
        let (lists, none) = (Lists::default(), HashSet::new());
        lists.add([3, 5]);
        let three = claim_now(&lists, &none).unwrap();
        let five = claim_now(&lists, &HashSet::from([3])).unwrap();
        assert_eq!((three.file(), five.file()), (3, 5));
        assert!(claim_now(&lists, &none).is_none());
        drop(three);
        assert!(claim_now(&lists, &HashSet::from([3])).is_none(), "refused");
        claim_now(&lists, &none).unwrap().done();
        five.done();
        assert!(claim_now(&lists, &none).is_none());
    }

    #[test]
    fn pages_that_cannot_be_are_refused() {
        let lists = Lists::default();
        lists.add([0]);
        let mut list = ListInProgress::new(claim_now(&lists, &HashSet::new()).unwrap(), 3);
        assert_eq!(list.take(&[]), None);
        assert_eq!(list.take(&[0; 33]), None);
        assert_eq!(list.take(&[0; 128]), None, "more than there are");
        assert_eq!(list.take(&[0; 64]), Some(()));
        assert_eq!(list.next(), Some(2));
        assert_eq!(list.take(&[0; 32]), Some(()));
        assert_eq!(list.next(), None);
    }
}
