//! The disk of this machine.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    sync::Arc,
};

use rustix::fs::OFlags;

use crate::{
    dir::RealDir,
    file::{MODE_WRITABLE, RealFile},
    seam::{Access, Dir, Disk, DiskFile},
    signature::Signature,
};

/// Directories of the store: a hub gives some of what lies there to users with a token only.
const MODE_DIRECTORY: u32 = 0o700;

/// The rights of other users.
const MODE_OTHERS: u32 = 0o077;

/// The disk of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        // Without waiting for a writer, should a pipe lie there.
        let flags = match access {
            Access::ReadUsers => OFlags::NONBLOCK,
            _ => OFlags::NONBLOCK | OFlags::NOFOLLOW,
        };
        let file = OpenOptions::new()
            .read(true)
            .write(matches!(access, Access::Update | Access::Create))
            .create(access == Access::Create)
            .truncate(false)
            .mode(MODE_WRITABLE)
            .custom_flags(flags.bits().cast_signed())
            .open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn Dir>> {
        RealDir::open(path)
    }

    fn signature(&self, path: &Path) -> io::Result<Signature> {
        Ok(Signature::of(&fs::metadata(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)?;
        let permissions = fs::metadata(path)?.permissions();
        if permissions.mode() & MODE_OTHERS != 0
            && let Err(error) =
                fs::set_permissions(path, fs::Permissions::from_mode(MODE_DIRECTORY))
        {
            tracing::warn!(path = %path.display(), %error, "other users may read this directory");
        }
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(path)?
            .map(|entry| Ok(entry?.file_name()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_extents_find_what_was_written_into_an_allocated_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = RealDisk
            .open(&dir.path().join("sparse"), Access::Create)
            .unwrap();
        file.set_len(8 << 20).unwrap();
        file.allocate(8 << 20).unwrap();
        file.write_all_at(&[7; 4096], 5 << 20).unwrap();
        let extents = file.data_extents().unwrap();
        assert!(
            extents.iter().any(|extent| extent.contains(&(5 << 20))),
            "{extents:?}"
        );
    }

    #[test]
    fn reading_ends_with_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = RealDisk
            .open(&dir.path().join("short"), Access::Create)
            .unwrap();
        file.write_all_at(b"abcdef", 0).unwrap();
        let mut buffer = [0; 4];
        assert_eq!(file.read_at(&mut buffer, 1).unwrap(), 4);
        assert_eq!(&buffer, b"bcde");
        assert_eq!(file.read_at(&mut buffer, 4).unwrap(), 2);
        assert_eq!(&buffer, b"efde");
        assert_eq!(file.read_at(&mut buffer, 100).unwrap(), 0);
    }
}
