//! A directory of the user's that files are exported to, behind the seam of [`Disk`](crate::Disk).
//!
//! Everything is reached from the open directory above it, and no link is followed: an export never
//! leaves its target, whatever lies there and whatever changes meanwhile.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::Arc,
};

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat},
    io::Errno,
};

use crate::{
    file::RealFile,
    seam::{Dir, DiskFile, Entry, EntryKind},
    signature::Signature,
};

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A directory of this machine.
#[derive(Debug)]
pub(crate) struct RealDir(OwnedFd);

impl RealDir {
    /// Opens the directory at `path`, which the user chose and which may be a link. It is made, with
    /// those above it, if there is none.
    pub(crate) fn open(path: &Path) -> io::Result<Arc<dyn Dir>> {
        let missing = path.ancestors().take_while(|above| !above.exists());
        let missing: Vec<&Path> = missing.collect();
        std::fs::create_dir_all(path)?;
        for made in missing {
            let parent = made.parent().filter(|parent| *parent != Path::new(""));
            File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        let flags = DIRECTORY.difference(OFlags::NOFOLLOW);
        let opened = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        Ok(Arc::new(Self(opened)))
    }
}

impl Dir for RealDir {
    fn make_child(&self, name: &str) -> io::Result<Arc<dyn Dir>> {
        match rustix::fs::mkdirat(&self.0, name, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => self.child(name),
            Err(error) => Err(error.into()),
        }
    }

    fn child(&self, name: &str) -> io::Result<Arc<dyn Dir>> {
        match rustix::fs::openat(&self.0, name, DIRECTORY, Mode::empty()) {
            Ok(opened) => Ok(Arc::new(Self(opened))),
            // How a link is refused differs from system to system.
            Err(Errno::LOOP | Errno::MLINK) => Err(io::ErrorKind::NotADirectory.into()),
            Err(error) => Err(error.into()),
        }
    }

    fn entry(&self, name: &OsStr) -> io::Result<Option<Entry>> {
        match rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(entry(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        // A pipe that took the file's place must not be waited for.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.0, name, flags, Mode::empty())?;
        Ok(Arc::new(RealFile(File::from(opened))))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let made = rustix::fs::openat(&self.0, name, flags, Mode::from_raw_mode(0o666))?;
        Ok(Arc::new(RealFile(File::from(made))))
    }

    fn link(&self, from: &Path, name: &str) -> io::Result<()> {
        Ok(rustix::fs::linkat(
            CWD,
            from,
            &self.0,
            name,
            AtFlags::empty(),
        )?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?)
    }

    fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    fn device(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstat(&self.0)?.st_dev)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.0)?)
    }

    fn sync_file_system(&self) -> io::Result<bool> {
        #[cfg(target_os = "linux")]
        return Ok(rustix::fs::syncfs(&self.0).map(|()| true)?);
        #[cfg(not(target_os = "linux"))]
        return Ok(false);
    }
}

fn entry(stat: &Stat) -> Entry {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Directory,
        _ => EntryKind::Other,
    };
    Entry {
        kind,
        signature: Signature::of_stat(stat),
    }
}
