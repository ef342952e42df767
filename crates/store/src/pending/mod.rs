//! What the index does not have yet: changes that wait for the next commit, room that is promised,
//! uses of files.
//!
//! It lies below `files` because a reader must see what waits, and above `index` because it waits to be
//! written there. What is committed, and when, is decided by `commit` and `work`.

pub(crate) mod queue;
pub(crate) mod quota;
pub(crate) mod uses;
