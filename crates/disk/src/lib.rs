//! The disk under a store.
//!
//! Everything that a store does with its home directory, and every byte that it reads of the user's
//! own files, goes through one seam: [`Disk`], [`DiskFile`], and [`Dir`] for the directories that an
//! export writes into. [`RealDisk`] is this machine's; tests put disks behind the seam that fail, run
//! full or lose what was not synced. The exception is the walk through a tree that is imported.
//!
//! [`Home`] names the files of a store. [`parallel`] reads and hashes files on all cores. A refusal of
//! the disk is a [`DiskError`], which names the file and what was tried.
//!
//! # Not here
//! What the files mean (`store`), and the database in one of them (`index`).

mod dir;
mod disk;
mod error;
mod file;
mod holder;
mod home;
pub mod parallel;
mod seam;
mod signature;

pub use disk::RealDisk;
pub use error::{DiskError, IoContext, is_loss, is_shortage};
pub use file::clone_into;
pub use holder::process_that_locks;
pub use home::{Home, is_import};
pub use seam::{Access, Dir, Disk, DiskFile, Entry, EntryKind};
pub use signature::Signature;
