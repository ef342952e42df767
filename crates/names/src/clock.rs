//! The time as heads have it.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time of this machine: milliseconds since 1970, UTC.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    // A clock before 1970 is as wrong as one at 1970.
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
