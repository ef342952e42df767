//! Locks that go on after a panic.
//!
//! The standard library poisons a lock when a thread panics while it holds one. In this project the
//! state behind a lock is valid between any two statements that change it, so a panic leaves nothing
//! to repair; and one panic must not end every later request that needs the same lock.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

/// Takes a mutex.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a lock for reading.
pub fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a lock for writing.
pub fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Releases the mutex until `changed` is notified, or for no reason.
pub fn wait<'a, T>(changed: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    changed.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// As [`wait`], at most for this time.
pub fn wait_timeout<'a, T>(
    changed: &Condvar,
    guard: MutexGuard<'a, T>,
    time: Duration,
) -> MutexGuard<'a, T> {
    let woken = changed.wait_timeout(guard, time);
    woken.unwrap_or_else(PoisonError::into_inner).0
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use super::*;

    #[test]
    fn a_lock_is_taken_after_a_thread_panicked_with_it() {
        let shared = Arc::new((Mutex::new(1), RwLock::new(2)));
        let held = shared.clone();
        let thread = thread::spawn(move || {
            let _mutex = held.0.lock();
            let _lock = held.1.write();
            panic!("while both are held");
        });
        assert!(thread.join().is_err() && shared.0.is_poisoned() && shared.1.is_poisoned());
        assert_eq!((*lock(&shared.0), *read(&shared.1)), (1, 2));
        *write(&shared.1) = 3;
        let guard = wait_timeout(&Condvar::new(), lock(&shared.0), Duration::ZERO);
        assert_eq!((*guard, *read(&shared.1)), (1, 3));
    }
}
