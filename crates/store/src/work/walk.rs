//! Finding the files of a directory that is imported.
//!
//! Links to files are followed, and become files. One that leads out of the directory could share
//! what the user did not mean to share, so it needs to be asked for. A snapshot of a Hugging Face cache is
//! the exception: it consists of nothing but links into the `blobs/` beside it.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use hubless_content::{ModelPath, PATH_DEPTH_MAX, PathError};
use hubless_disk::IoContext;

use crate::{error::StoreError, work::temporary::is_temporary};

/// A file to import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundFile {
    /// Its path inside the model.
    pub(crate) name: ModelPath,
    /// Where it is; if a link led there, where that leads.
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
}

/// All files below `root`, in no order.
pub(crate) fn walk(root: &Path, follow_links: bool) -> Result<Vec<FoundFile>, StoreError> {
    let not_a_directory = || StoreError::NotADirectory {
        path: root.to_owned(),
    };
    let metadata = match fs::metadata(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(not_a_directory()),
        metadata => metadata.context("read", root)?,
    };
    if !metadata.is_dir() {
        return Err(not_a_directory());
    }
    let canonical = fs::canonicalize(root).context("read", root)?;
    let mut allowed = vec![canonical.clone()];
    allowed.extend(blobs_of_snapshot(&canonical));
    let mut walk = Walk {
        follow_links,
        allowed,
        above: Vec::new(),
        found: Vec::new(),
    };
    walk.directory(&canonical, "", &metadata)?;
    if walk.found.is_empty() {
        return Err(StoreError::NoFiles {
            path: root.to_owned(),
        });
    }
    Ok(walk.found)
}

/// The `blobs/` of a Hugging Face cache if `root` is one of its `snapshots/<revision>/`.
fn blobs_of_snapshot(root: &Path) -> Option<PathBuf> {
    let snapshots = root.parent()?;
    if snapshots.file_name()? != "snapshots" {
        return None;
    }
    fs::canonicalize(snapshots.parent()?.join("blobs")).ok()
}

struct Walk {
    follow_links: bool,
    /// Where links may lead.
    allowed: Vec<PathBuf>,
    /// Device and inode of the directories above: a link to one of them would never end.
    above: Vec<(u64, u64)>,
    found: Vec<FoundFile>,
}

impl Walk {
    /// Recursion ends at [`PATH_DEPTH_MAX`].
    fn directory(
        &mut self,
        path: &Path,
        name: &str,
        metadata: &fs::Metadata,
    ) -> Result<(), StoreError> {
        let source = PathError::TooDeep;
        if self.above.len() > PATH_DEPTH_MAX {
            return Err(StoreError::Name {
                path: path.to_owned(),
                source,
            });
        }
        self.above.push((metadata.dev(), metadata.ino()));
        for entry in fs::read_dir(path).context("read", path)? {
            let entry = entry.context("read", path)?;
            let path = entry.path();
            let name = match (entry.file_name().to_str(), name) {
                (None, _) => {
                    return Err(StoreError::Name {
                        path,
                        source: PathError::NotUtf8,
                    });
                }
                (Some(last), "") => last.to_owned(),
                (Some(last), above) => format!("{above}/{last}"),
            };
            let kind = entry.file_type().context("read", &path)?;
            if !is_skipped(&name, kind) && !is_left_by_export(&name, kind) {
                self.entry(&path, &name, kind)?;
            }
        }
        self.above.pop();
        Ok(())
    }

    fn entry(&mut self, path: &Path, name: &str, kind: fs::FileType) -> Result<(), StoreError> {
        if kind.is_symlink() {
            return self.link(path, name);
        }
        let metadata = fs::symlink_metadata(path).context("read", path)?;
        if kind.is_dir() {
            self.directory(path, name, &metadata)
        } else {
            self.file(path, name, &metadata)
        }
    }

    fn link(&mut self, link: &Path, name: &str) -> Result<(), StoreError> {
        let target = fs::canonicalize(link).context("follow", link)?;
        let link = link.to_owned();
        if !self.follow_links
            && !self
                .allowed
                .iter()
                .any(|allowed| target.starts_with(allowed))
        {
            return Err(StoreError::LinkLeaves { link, target });
        }
        let metadata = fs::metadata(&target).context("read", &target)?;
        if !metadata.is_dir() {
            return self.file(&target, name, &metadata);
        }
        if !self.follow_links {
            return Err(StoreError::LinkToDirectory { link });
        }
        if self.above.contains(&(metadata.dev(), metadata.ino())) {
            return Err(StoreError::LinkCycle { link });
        }
        self.directory(&target, name, &metadata)
    }

    fn file(&mut self, path: &Path, name: &str, metadata: &fs::Metadata) -> Result<(), StoreError> {
        let path = path.to_owned();
        if let Some(kind) = special(metadata.file_type()) {
            return Err(StoreError::NotAFile { path, kind });
        }
        match ModelPath::new(name) {
            Ok(name) => self.found.push(FoundFile {
                name,
                path,
                size: metadata.len(),
            }),
            Err(source) => return Err(StoreError::Name { path, source }),
        }
        Ok(())
    }
}

/// What version control and the Hub's client keep for themselves beside the files.
fn is_skipped(name: &str, kind: fs::FileType) -> bool {
    let is_git = name == ".git" || name.ends_with("/.git");
    kind.is_dir() && (is_git || name == ".cache/huggingface")
}

/// A file that an export was writing when it was killed: part of a file, and of no model.
fn is_left_by_export(name: &str, kind: fs::FileType) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    kind.is_file() && is_temporary(last)
}

fn special(kind: fs::FileType) -> Option<&'static str> {
    if kind.is_file() {
        None
    } else if kind.is_socket() {
        Some("socket")
    } else if kind.is_fifo() {
        Some("pipe")
    } else {
        Some("device")
    }
}
