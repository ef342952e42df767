//! The index of a store: what is known of files, models and repos, in one redb database.
//!
//! Only this crate names redb. [`Index`] hands out one typed table for each kind of rows; what one
//! transaction must write together, such as a group commit ([`Batch`]), is a method of the index itself.
//! Every call is one transaction: it reads one state, or is durable when it returns.
//!
//! # Damage
//! Each value proves itself or carries a checksum. An index with damaged pages is made anew from the
//! rows that are right, unless one is lost that cannot be had again; see [`Index::open`].
//!
//! # Not here
//! The files whose places the index knows, and when something is written (`store`): nothing here opens
//! a file but that of the index.

mod backend;
mod batch;
mod chains;
mod database;
mod digests;
mod error;
mod file_rows;
mod files;
mod follows;
mod heads;
mod histories;
mod index;
mod keeping;
mod manifests;
mod migrate;
mod namespaces;
mod open;
mod overlay;
mod pins;
mod presence;
mod publication;
mod publishers;
mod record;
mod records;
mod refs;
mod repos;
mod revisions;
mod salvage;
mod sealed;
mod tables;
#[cfg(test)]
mod testing;
mod tx;

pub use batch::{Batch, FileRow, PlacedRow};
pub use chains::ChainTable;
pub use digests::{DigestHasher, DigestTable, Digests};
pub use error::IndexError;
pub use files::FileTable;
pub use follows::{FOLLOWS_MAX, Follow, FollowTable, Mirror};
pub use heads::{HEADS_MAX, HeadTable};
pub use histories::{HISTORY_MAX, HistoryTable, PastCommit};
pub use index::{Counts, Index};
pub use manifests::ManifestTable;
pub use namespaces::{NAMESPACES_MAX, Namespace, NamespaceSource, NamespaceTable};
pub use pins::PinTable;
pub use presence::Presence;
pub use publication::{NewPublisher, Publication, TakenOver};
pub use publishers::{OWN_PUBLISHERS_MAX, OwnPublisher, PublisherTable};
pub use record::{Check, External, FileLocation, Record, seconds_since_1970};
pub use records::{RecordChange, RecordTable, StoredRecord};
pub use refs::RefChange;
pub use repos::{REFS_MAX, REPOS_MAX, Repo, RepoOrigin, RepoTable};
pub use revisions::{COMMIT_PREFIX_MIN, Hold, Named, REVISIONS_MAX, RevisionTable};
