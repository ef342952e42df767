//! The hub's API: what Hugging Face clients request, and how it is answered.

pub(crate) mod commits;
pub(crate) mod file;
pub(crate) mod info;
mod last_commit;
pub(crate) mod list;
mod order;
pub(crate) mod refs;
pub(crate) mod tree;
pub(crate) mod whoami;
