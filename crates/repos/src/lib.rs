//! Repos: names for content, as clients of a hub see them.
//!
//! # The path of a request
//! ```text
//! resolve: name + revision -> Resolved (commit, revision)       redb, and the upstream if need be
//! tree:    Resolved -> RepoTree (paths, sizes, file hashes)     the manifest, from peers if need be
//! ids:     a file -> FileIds (git SHA-1, SHA-256)               kept, listed, computed, or claimed
//! permit:  Resolved -> whether its caller may have the files    the upstream, of restricted repos
//! open:    Resolved + a file + a range -> FileStream            held bytes, peers, the upstream
//! ```
//!
//! # Where repos come from
//! Repos that were named on this node have revisions with a manifest ([`Tree::Content`]). Repos of
//! the upstream have its listing ([`Tree::Listed`]): files known by SHA-256 or git's SHA-1, and by
//! their BLAKE3 once a node has computed it.
//!
//! [`Tree::Content`]: hubless_content::Tree::Content
//! [`Tree::Listed`]: hubless_content::Tree::Listed

mod attributes;
mod file;
mod holdings;
mod ids;
pub mod names;
mod open;
mod publishers;
mod repos;
mod resolve;
mod search;
mod small;
mod stream;
mod tensors;
mod tree;

pub use hubless_store::{PastCommit, Repo, RepoOrigin};
pub use hubless_upstream::{Caller, Cause, RepoError};

pub use self::{
    file::RepoFile,
    holdings::{Holding, Unnamed},
    ids::{FileIds, pointer},
    publishers::{PublishedRepo, PublisherDetails},
    repos::Repos,
    resolve::Resolved,
    search::Search,
    stream::FileStream,
    tree::RepoTree,
};
