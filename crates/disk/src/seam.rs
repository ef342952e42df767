//! What the store needs of a disk: the traits that tests put other disks behind.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    fs::File,
    io,
    ops::Range,
    path::Path,
    sync::Arc,
};

use crate::signature::Signature;

/// How a file is opened. Only [`Access::ReadUsers`] follows a link in the file's place: what lies in
/// the home directory is the store's own, or wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To read; it must be there.
    Read,
    /// As [`Access::Read`], for a file of the user's: if it is a link, that is followed.
    ReadUsers,
    /// To read and write; it must be there.
    Update,
    /// To read and write; made if it is not there, kept as it is if it is.
    Create,
}

/// A file system, as far as the store needs one.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Opens a file.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a directory of the user's to write into. It is made, with those above it, if there is
    /// none, and their names are durable then.
    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn Dir>>;
    /// The signature of the file that `path` leads to.
    fn signature(&self, path: &Path) -> io::Result<Signature>;
    /// Renames a file, over what is there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes a directory and those above it if they are not there; only this user may list it
    /// afterwards.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;
}

/// An open file; all calls say where they read or write, so threads share it.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Its signature now.
    fn signature(&self) -> io::Result<Signature>;
    /// How many names it has.
    fn links(&self) -> io::Result<u64>;
    /// Fills `out` from `offset`; [`io::ErrorKind::UnexpectedEof`] if there is less.
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()>;
    /// Fills `out` from `offset` as far as the file goes; returns the bytes read.
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Fills `out` from `offset` if that needs no wait for the disk; false if it might.
    fn read_at_once(&self, out: &mut [u8], offset: u64) -> io::Result<bool> {
        let _ = (out, offset);
        Ok(false)
    }
    /// Writes all of `bytes` at `offset`.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Sets the length; what is new is zero.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Takes the space of the first `len` bytes now, so that a full disk shows early; nothing
    /// where the file system cannot.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// Makes the bytes and the length durable.
    fn sync(&self) -> io::Result<()>;
    /// Forbids or allows writing through later opens.
    fn set_read_only(&self, read_only: bool) -> io::Result<()>;
    /// Where bytes were written, as far as the file system knows: never less than there is.
    fn data_extents(&self) -> io::Result<Vec<Range<u64>>>;
    /// Takes the lock that one process can have; false if another has it.
    fn try_lock(&self) -> io::Result<bool>;
    /// Gives the lock back.
    fn unlock(&self) -> io::Result<()>;
    /// The file itself, for what only the system can do: cloning and linking.
    fn as_file(&self) -> Option<&File>;
}

/// What lies under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A link, pipe, socket or device.
    Other,
}

/// A name in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What it is; links are not followed.
    pub kind: EntryKind,
    /// To compare with what was there before: whether it is still the same one.
    pub signature: Signature,
}

/// An open directory.
pub trait Dir: fmt::Debug + Send + Sync {
    /// Opens a directory in this one, and makes it if there is none.
    /// [`io::ErrorKind::NotADirectory`] for everything else under that name, links included.
    fn make_child(&self, name: &str) -> io::Result<Arc<dyn Dir>>;
    /// Opens a directory in this one; errors as [`Dir::make_child`].
    fn child(&self, name: &str) -> io::Result<Arc<dyn Dir>>;
    /// What is under a name; `None` if there is nothing.
    fn entry(&self, name: &OsStr) -> io::Result<Option<Entry>>;
    /// The names in it.
    fn names(&self) -> io::Result<Vec<OsString>>;
    /// Opens a file to read.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes a file; [`io::ErrorKind::AlreadyExists`] if there is anything under that name.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives the file at `from` another name, here.
    fn link(&self, from: &Path, name: &str) -> io::Result<()>;
    /// Renames a file in this directory, over what is there.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &OsStr) -> io::Result<()>;
    /// The device that its file system is on.
    fn device(&self) -> io::Result<u64>;
    /// Makes the names in it durable.
    fn sync(&self) -> io::Result<()>;
    /// Makes all bytes and names of its file system durable by one call; false if there is no such
    /// call.
    fn sync_file_system(&self) -> io::Result<bool>;
}
