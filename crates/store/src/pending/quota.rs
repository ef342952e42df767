//! How many bytes the store takes, and how many it may.
//!
//! Bytes are reserved before they are written, all of a file at once, so the sum holds under
//! concurrent fetches: a writer that finds no room gets the error before it has written anything. Room is made
//! before that, if something may go: see `evict.rs`.

use std::sync::{Arc, Mutex};

use hubless_sync::lock;

use crate::error::StoreError;

/// What the store takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of files in the home directory, whether in the index, complete or partial; a partial
    /// file counts in full.
    pub bytes: u64,
    /// Those of them that are held: of a partial file the chunks that are there.
    pub held_bytes: u64,
    /// Bytes of files that stay where the user has them.
    pub external_bytes: u64,
    /// Bytes allowed, if there is a limit.
    pub quota: Option<u64>,
}

#[derive(Debug, Default)]
pub(crate) struct Quota {
    state: Mutex<QuotaState>,
}

#[derive(Debug, Default)]
struct QuotaState {
    used: u64,
    limit: Option<u64>,
}

impl Quota {
    pub(crate) fn new(used: u64, limit: Option<u64>) -> Self {
        Self {
            state: Mutex::new(QuotaState { used, limit }),
        }
    }

    /// Takes `bytes`, or says that there is no room for them.
    pub(crate) fn take(&self, bytes: u64) -> Result<(), StoreError> {
        let mut state = lock(&self.state);
        let sum = state.used.saturating_add(bytes);
        match state.limit {
            Some(quota) if sum > quota => Err(StoreError::Quota {
                needed: bytes,
                quota,
                used: state.used,
            }),
            _ => {
                state.used = sum;
                Ok(())
            }
        }
    }

    /// Bytes that have to go before so many can be taken.
    pub(crate) fn missing(&self, bytes: u64) -> u64 {
        let state = lock(&self.state);
        let sum = state.used.saturating_add(bytes);
        state.limit.map_or(0, |limit| sum.saturating_sub(limit))
    }

    /// Bytes allowed; 0 without a limit.
    pub(crate) fn limit(&self) -> u64 {
        lock(&self.state).limit.unwrap_or(0)
    }

    pub(crate) fn give_back(&self, bytes: u64) {
        let mut state = lock(&self.state);
        state.used = state.used.saturating_sub(bytes);
    }

    /// A known size turned out to be another.
    pub(crate) fn correct(&self, from: u64, to: u64) {
        let mut state = lock(&self.state);
        state.used = state.used.saturating_sub(from).saturating_add(to);
    }

    pub(crate) fn set_limit(&self, limit: Option<u64>) {
        lock(&self.state).limit = limit;
    }

    pub(crate) fn used_and_limit(&self) -> (u64, Option<u64>) {
        let state = lock(&self.state);
        (state.used, state.limit)
    }

    /// Takes bytes that are given back unless they are kept.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation, StoreError> {
        self.take(bytes)?;
        Ok(Reservation {
            quota: self.clone(),
            bytes,
        })
    }
}

#[derive(Debug)]
pub(crate) struct Reservation {
    quota: Arc<Quota>,
    bytes: u64,
}

impl Reservation {
    /// The bytes are used for good.
    pub(crate) fn keep(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.quota.give_back(self.bytes);
    }
}
