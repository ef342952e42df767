//! Locks, and the order in which a thread may take several of them.
//!
//! # Order
//! A thread that holds a lock takes only locks of a later [`Rank`]; debug builds panic at the first one
//! that is taken against it, also where no other thread would have met it. All other locks of the store
//! are leaves: a thread that holds one takes no further lock. One lock lies above all: that of a file
//! that is imported is held while room is made for its copy.

use std::{
    ops::{Deref, DerefMut},
    sync::{Mutex, MutexGuard},
};

use hubless_sync::lock;

/// The locks that are held together with others, from the first to the last that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// One garbage collection or eviction at a time. It commits before, and removes files after.
    Collecting,
    /// One verification of complete partial files at a time. What is wrong is rejected under the commit
    /// lock.
    Proving,
    /// The commit lock: one change of the states of files at a time.
    Committing,
    /// What is protected from collection. A removal holds it under the commit lock, so that no file
    /// comes into use between the check and the removal.
    InUse,
    /// The map of partial files: held while one is loaded, made or removed.
    Partials,
    /// One partial file: held while it is opened or moved.
    Partial,
    /// The cache of open files.
    Handles,
}

/// A mutex with a place in the order.
#[derive(Debug)]
pub(crate) struct Ranked<T> {
    rank: Rank,
    mutex: Mutex<T>,
}

impl<T> Ranked<T> {
    pub(crate) const fn new(rank: Rank, value: T) -> Self {
        Self {
            rank,
            mutex: Mutex::new(value),
        }
    }

    /// # Panics
    /// In debug builds, if this thread holds a lock of the same or a later rank.
    pub(crate) fn lock(&self) -> RankedGuard<'_, T> {
        // Before waiting: a wrong order shows without a second thread.
        let held = Held::new(self.rank);
        RankedGuard {
            guard: lock(&self.mutex),
            _held: held,
        }
    }
}

/// See [`Ranked::lock`].
#[must_use = "the lock is held only as long as this lives"]
pub(crate) struct RankedGuard<'a, T> {
    guard: MutexGuard<'a, T>,
    _held: Held,
}

impl<T> Deref for RankedGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for RankedGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// A rank that this thread holds, as debug builds note it.
struct Held {
    #[cfg(debug_assertions)]
    rank: Rank,
}

#[cfg(debug_assertions)]
thread_local! {
    static RANKS_HELD: std::cell::RefCell<Vec<Rank>> = const { std::cell::RefCell::new(Vec::new()) };
}

#[cfg(debug_assertions)]
impl Held {
    fn new(rank: Rank) -> Self {
        RANKS_HELD.with_borrow_mut(|held| {
            if let Some(later) = held.iter().find(|held| **held >= rank) {
                panic!("lock order: {rank:?} was taken while {later:?} is held");
            }
            held.push(rank);
        });
        Self { rank }
    }
}

#[cfg(debug_assertions)]
impl Drop for Held {
    fn drop(&mut self) {
        RANKS_HELD.with_borrow_mut(|held| held.retain(|rank| *rank != self.rank));
    }
}

#[cfg(not(debug_assertions))]
impl Held {
    fn new(_rank: Rank) -> Self {
        Self {}
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;

    #[test]
    fn locks_are_taken_in_their_order_and_again_after_they_were_released() {
        let committing = Ranked::new(Rank::Committing, 1);
        let partials = Ranked::new(Rank::Partials, 2);
        let (first, second) = (committing.lock(), partials.lock());
        assert_eq!((*first, *second), (1, 2));
        drop(first);
        drop(second);
        drop(partials.lock());
        drop(committing.lock());
    }

    #[test]
    #[should_panic(expected = "lock order: Committing was taken while Partials is held")]
    fn a_lock_that_is_taken_against_the_order_panics_in_debug_builds() {
        let committing = Ranked::new(Rank::Committing, ());
        let partials = Ranked::new(Rank::Partials, ());
        let _partials = partials.lock();
        let _committing = committing.lock();
    }

    #[test]
    #[should_panic(expected = "lock order: Partial was taken while Partial is held")]
    fn two_locks_of_one_rank_are_never_held_by_one_thread() {
        let files = [(); 2].map(|()| Ranked::new(Rank::Partial, ()));
        let _first = files[0].lock();
        let _second = files[1].lock();
    }
}
