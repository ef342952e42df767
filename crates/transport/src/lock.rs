//! Locks of this crate. State behind them is valid between any two statements that change it, so a
//! panic while one is held leaves nothing to repair.

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
