//! Small files that are read once and as a whole: settings, keys, tokens.
//!
//! What lies at a path that a person gave need not be a file: opening a pipe waits for its writer,
//! and a device may have no end. A secret that others can read is none, and is written for its owner alone.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write as _},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

/// Opens a file without waiting.
///
/// # Errors
/// As [`File::open`], and [`io::ErrorKind::InvalidInput`] for what is no regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed());
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        let why = "it is not a regular file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    Ok(file)
}

/// Reads a file that only its owner can read; of a larger one, the first `bytes_max` bytes.
///
/// # Errors
/// As [`open_regular`], and [`io::ErrorKind::PermissionDenied`] if others can read it.
pub fn read_secret(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let why = format!(
            "others can read it (mode {mode:o}): run `chmod 600 {}`",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Makes a file that only its owner can read. It is written beside its place and linked into it, so that
/// a crash leaves all of it or none, and a file that is there is never replaced.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if there is one; others if the disk is full or fails.
pub fn write_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}.new", std::process::id()));
    let draft = PathBuf::from(draft);
    let written = write_private(&draft, bytes).and_then(|()| fs::hard_link(&draft, path));
    let removed = fs::remove_file(&draft);
    written.and(removed)?;
    sync_parent(path)
}

/// Makes the name of a file durable.
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn a_pipe_without_a_writer_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
        for path in [&*pipe, dir.path(), "/dev/null".as_ref()] {
            let error = open_regular(path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        }
    }

    #[test]
    fn a_secret_is_written_once_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        write_secret(&path, b"secret").unwrap();
        assert_eq!(read_secret(&path, 100).unwrap(), b"secret");
        let again = write_secret(&path, b"other").unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists, "{again}");
        assert_eq!(read_secret(&path, 100).unwrap(), b"secret");
        let files = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(files, 1, "no draft stays behind");
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused_with_the_command_that_helps() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, "secret").unwrap();
        for (mode, is_secret) in [(0o644, false), (0o640, false), (0o600, true), (0o400, true)] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            match read_secret(&path, 100) {
                Ok(bytes) => assert!(is_secret && bytes == b"secret", "{mode:o}"),
                Err(error) => {
                    let help = format!("chmod 600 {}", path.display());
                    assert!(!is_secret && error.to_string().contains(&help), "{error}");
                }
            }
        }
    }
}
