//! A disk in memory that fails: it crashes before a given call, or runs full.
//!
//! What survives a crash is what was synced: the bytes of files as of their last sync, and the
//! names of directories as of their last sync. Between the two extremes, a crash may also keep
//! what was not synced, as disks do; `keep_unsynced` chooses.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use hubless_store::{Access, Disk, DiskFile, Signature};

#[derive(Debug, Default)]
struct Node {
    live: Mutex<Vec<u8>>,
    durable: Mutex<Vec<u8>>,
    number: u64,
}

type Names = BTreeMap<PathBuf, Arc<Node>>;

#[derive(Debug, Default)]
struct Disks {
    live: Names,
    durable: Names,
    directories: BTreeSet<PathBuf>,
    next: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct SimDisk {
    disks: Arc<Mutex<Disks>>,
    /// Calls that change something, left before the crash.
    left: Arc<AtomicU64>,
    /// Bytes that fit.
    room: Arc<AtomicU64>,
}

impl SimDisk {
    pub(crate) fn new() -> Self {
        Self {
            disks: Arc::default(),
            left: Arc::new(AtomicU64::new(u64::MAX)),
            room: Arc::new(AtomicU64::new(u64::MAX)),
        }
    }

    pub(crate) fn crash_after(calls: u64) -> Self {
        let disk = Self::new();
        disk.left.store(calls, Ordering::SeqCst);
        disk
    }

    pub(crate) fn calls(&self) -> u64 {
        u64::MAX - self.left.load(Ordering::SeqCst)
    }

    pub(crate) fn set_room(&self, bytes: u64) {
        self.room.store(bytes, Ordering::SeqCst);
    }

    pub(crate) fn used(&self) -> u64 {
        self.lock()
            .live
            .values()
            .map(|node| node.live.lock().unwrap().len() as u64)
            .sum()
    }

    /// The disk as the next start finds it.
    pub(crate) fn after_crash(&self, keep_unsynced: bool) -> Self {
        let disks = self.lock();
        let names = if keep_unsynced {
            &disks.live
        } else {
            &disks.durable
        };
        let survive = |node: &Arc<Node>| {
            let bytes = if keep_unsynced {
                &node.live
            } else {
                &node.durable
            };
            let bytes = bytes.lock().unwrap().clone();
            Arc::new(Node {
                live: Mutex::new(bytes.clone()),
                durable: Mutex::new(bytes),
                number: node.number,
            })
        };
        let live: Names = names
            .iter()
            .map(|(path, node)| (path.clone(), survive(node)))
            .collect();
        let new = Disks {
            durable: live.clone(),
            live,
            directories: disks.directories.clone(),
            next: disks.next,
        };
        Self {
            disks: Arc::new(Mutex::new(new)),
            ..Self::new()
        }
    }

    fn lock(&self) -> MutexGuard<'_, Disks> {
        self.disks.lock().unwrap()
    }

    fn change(&self) -> io::Result<()> {
        let step = |left: u64| left.checked_sub(1);
        self.left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, step)
            .map(drop)
            .map_err(|_| io::Error::other("the disk is gone"))
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let node = self.lock().live.get(path).cloned();
        let node = match node {
            Some(node) => node,
            None if access == Access::Create => {
                self.change()?;
                let mut disks = self.lock();
                disks.next += 1;
                let node = Arc::new(Node {
                    number: disks.next,
                    ..Node::default()
                });
                disks.live.insert(path.to_owned(), node.clone());
                // A new file's name is durable with its own sync on the file systems that we
                // know; it is empty until then.
                disks.durable.insert(path.to_owned(), node.clone());
                node
            }
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            node,
        }))
    }

    fn signature(&self, path: &Path) -> io::Result<Signature> {
        let node = self
            .lock()
            .live
            .get(path)
            .cloned()
            .ok_or(io::ErrorKind::NotFound)?;
        SimFile {
            disk: self.clone(),
            node,
        }
        .signature()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change()?;
        let mut disks = self.lock();
        let node = disks.live.remove(from).ok_or(io::ErrorKind::NotFound)?;
        disks.live.insert(to.to_owned(), node);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        self.lock()
            .live
            .remove(path)
            .map(drop)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        self.lock().directories.insert(path.to_owned());
        Ok(())
    }

    /// A rename reaches the disk with either of its directories, as one.
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        let mut disks = self.lock();
        let live = disks.live.clone();
        for (name, node) in live.iter().filter(|(name, _)| name.parent() == Some(path)) {
            disks.durable.retain(|_, other| !Arc::ptr_eq(other, node));
            disks.durable.insert(name.clone(), node.clone());
        }
        disks
            .durable
            .retain(|name, _| name.parent() != Some(path) || live.contains_key(name));
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let disks = self.lock();
        let names = disks.live.keys().chain(&disks.directories);
        let below = names.filter(|name| name.parent() == Some(path));
        Ok(below
            .filter_map(|name| name.file_name().map(OsString::from))
            .collect())
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    node: Arc<Node>,
}

impl SimFile {
    fn grow(&self, len: u64) -> io::Result<()> {
        let grown = len.saturating_sub(self.node.live.lock().unwrap().len() as u64);
        if grown > 0 && self.disk.used() + grown > self.disk.room.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn signature(&self) -> io::Result<Signature> {
        let size = self.node.live.lock().unwrap().len() as u64;
        Ok(Signature {
            size,
            inode: self.node.number,
            ..Signature::default()
        })
    }

    fn links(&self) -> io::Result<u64> {
        Ok(1)
    }

    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        let live = self.node.live.lock().unwrap();
        let start = (offset as usize).min(live.len());
        let bytes = live[start..]
            .get(..out.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        let live = self.node.live.lock().unwrap();
        let from = &live[(offset as usize).min(live.len())..];
        let read = from.len().min(out.len());
        out[..read].copy_from_slice(&from[..read]);
        Ok(read)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.change()?;
        let end = offset as usize + bytes.len();
        self.grow(end as u64)?;
        let mut live = self.node.live.lock().unwrap();
        if live.len() < end {
            live.resize(end, 0);
        }
        live[offset as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.change()?;
        self.grow(len)?;
        self.node.live.lock().unwrap().resize(len as usize, 0);
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.grow(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.change()?;
        self.node
            .durable
            .lock()
            .unwrap()
            .clone_from(&self.node.live.lock().unwrap());
        Ok(())
    }

    fn set_read_only(&self, _: bool) -> io::Result<()> {
        self.disk.change()
    }

    fn data_extents(&self) -> io::Result<Vec<Range<u64>>> {
        Ok(std::iter::once(0..self.node.live.lock().unwrap().len() as u64).collect())
    }

    fn try_lock(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn unlock(&self) -> io::Result<()> {
        Ok(())
    }

    fn as_file(&self) -> Option<&std::fs::File> {
        None
    }
}
