//! What threads share: locks that go on after a panic, counts by key that go down by themselves, and
//! rates that bound how often something happens.
//!
//! ```
//! use std::sync::Mutex;
//!
//! use hubless_sync::{Counter, lock};
//!
//! let names = Mutex::new(vec!["a"]);
//! lock(&names).push("b");
//!
//! let open = Counter::default();
//! let first = open.add("peer");
//! assert!(open.add_below("peer", 1).is_none());
//! drop(first);
//! assert_eq!(open.get(&"peer"), 0);
//! ```
//!
//! # Not here
//! The order of locks: `store` has one, in its `locks.rs`.

mod counter;
mod lock;
mod rate;

pub use counter::{Counted, Counter, Counts};
pub use lock::{lock, read, wait, wait_timeout, write};
pub use rate::Rate;
