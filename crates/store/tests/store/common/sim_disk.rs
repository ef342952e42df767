//! A disk in memory that crashes and runs full.
//!
//! What is durable is the bytes of a file up to its last sync, and the names of a directory up to
//! its last sync: neither makes the other durable. Of what is pending, a crash keeps any subset
//! ([`Survivors`]): writes reordered, torn at sectors or lost, names that came or went or not. Two
//! things are certain, as on file systems with a journal: a rename is one step, and changes of one
//! name or one file's names survive in their order.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ffi::{OsStr, OsString},
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    time::SystemTime,
};

use hubless_store::{Access, Dir, Disk, DiskFile, Entry, EntryKind, Signature};

use super::Rng;

/// What a disk writes as one.
const SECTOR: usize = 512;

/// One change, as the log has it. `tick` is its time.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    MakeDir(PathBuf),
    MakeFile(PathBuf, u64),
    Link(PathBuf, u64),
    Rename(PathBuf, PathBuf, u64),
    Remove(PathBuf, u64),
    Write(u64, usize, Arc<[u8]>),
    SetLen(u64, usize),
    SetMode(u64),
    Sync(u64),
    SyncDir(PathBuf),
    SyncAll,
    /// The medium changes a byte by itself, at once and unseen.
    Rot(u64, usize),
}

impl Op {
    fn paths(&self) -> [Option<&Path>; 2] {
        match self {
            Self::MakeDir(path)
            | Self::MakeFile(path, _)
            | Self::Link(path, _)
            | Self::Remove(path, _) => [Some(path), None],
            Self::Rename(from, to, _) => [Some(from), Some(to)],
            _ => [None, None],
        }
    }

    fn node(&self) -> Option<u64> {
        match self {
            Self::MakeFile(_, node)
            | Self::Link(_, node)
            | Self::Rename(_, _, node)
            | Self::Remove(_, node)
            | Self::Write(node, ..)
            | Self::SetLen(node, _)
            | Self::SetMode(node)
            | Self::Sync(node)
            | Self::Rot(node, _) => Some(*node),
            Self::MakeDir(_) | Self::SyncDir(_) | Self::SyncAll => None,
        }
    }

    fn is_of_names(&self) -> bool {
        self.paths()[0].is_some()
    }

    /// Whether `self` can only be there if `earlier` is.
    fn needs(&self, earlier: &Self) -> bool {
        if !self.is_of_names() || !earlier.is_of_names() {
            return false;
        }
        let same_node = self.node().is_some() && self.node() == earlier.node();
        let touches = |path: &Path| {
            (earlier.paths().into_iter().flatten())
                .any(|other| other == path || path.parent() == Some(other))
        };
        same_node || self.paths().into_iter().flatten().any(touches)
    }
}

/// The content of one file.
#[derive(Debug, Clone, Default)]
struct Content {
    bytes: Vec<u8>,
    written: u64,
    changed: u64,
}

/// Names and contents.
#[derive(Debug, Clone, Default)]
struct Image {
    directories: BTreeSet<PathBuf>,
    names: BTreeMap<PathBuf, u64>,
    contents: HashMap<u64, Content>,
}

impl Image {
    fn apply(&mut self, op: &Op, tick: u64) {
        match op {
            Op::MakeDir(path) => {
                self.directories.insert(path.clone());
            }
            Op::MakeFile(path, node) | Op::Link(path, node) => {
                self.names.insert(path.clone(), *node);
            }
            Op::Rename(from, to, node) => {
                if self.names.get(from) == Some(node) {
                    self.names.remove(from);
                }
                self.names.insert(to.clone(), *node);
            }
            Op::Remove(path, node) => {
                if self.names.get(path) == Some(node) {
                    self.names.remove(path);
                }
            }
            Op::Write(node, at, bytes) => self.write(*node, *at, bytes),
            Op::SetLen(node, len) => self.content(*node).bytes.resize(*len, 0),
            Op::Rot(node, at) => {
                self.content(*node).bytes[*at] ^= 1;
                return; // leaves no time
            }
            Op::SetMode(_) => {}
            Op::Sync(_) | Op::SyncDir(_) | Op::SyncAll => return,
        }
        if let Some(node) = op.node() {
            let content = self.content(node);
            content.changed = content.changed.max(tick);
            if matches!(op, Op::Write(..) | Op::SetLen(..)) {
                content.written = content.written.max(tick);
            }
        }
    }

    fn content(&mut self, node: u64) -> &mut Content {
        self.contents.entry(node).or_default()
    }

    fn write(&mut self, node: u64, at: usize, bytes: &[u8]) {
        let content = &mut self.content(node).bytes;
        let end = at + bytes.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[at..end].copy_from_slice(bytes);
    }

    /// Forgets contents that no name and none of `pending` leads to.
    fn trim(&mut self, pending: &[(u64, Op)]) {
        let pending = pending.iter().filter(|(_, op)| op.is_of_names());
        let pending = pending.filter_map(|(_, op)| op.node());
        let reached: HashSet<u64> = self.names.values().copied().chain(pending).collect();
        self.contents.retain(|node, _| reached.contains(node));
    }
}

/// What of a disk is durable, and what is not yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Durable {
    image: Image,
    pending: Vec<(u64, Op)>,
    tick: u64,
}

/// What a crash keeps of what is pending.
#[derive(Debug)]
pub(crate) enum Survivors {
    All,
    None,
    Some(Rng),
}

impl Durable {
    /// Takes the next change in.
    pub(crate) fn apply(&mut self, op: &Op) {
        self.tick += 1;
        match op {
            Op::Sync(node) => {
                let of_file = |op: &Op| !op.is_of_names() && op.node() == Some(*node);
                self.settle(|op, _| of_file(op));
            }
            Op::SyncDir(path) => {
                let in_directory = |op: &Op| {
                    (op.paths().into_iter().flatten()).any(|name| name.parent() == Some(path))
                };
                self.settle(|op, later| {
                    in_directory(op) || later.iter().any(|later| later.needs(op))
                });
                self.image.trim(&self.pending);
                let image = &self.image;
                let named: HashSet<u64> = image.names.values().copied().collect();
                let coming: HashSet<u64> = (self.pending.iter())
                    .filter(|(_, op)| op.is_of_names())
                    .filter_map(|(_, op)| op.node())
                    .collect();
                self.pending.retain(|(_, op)| {
                    op.node()
                        .is_none_or(|node| named.contains(&node) || coming.contains(&node))
                });
            }
            Op::SyncAll => self.settle(|_, _| true),
            Op::Rot(..) => self.image.apply(op, self.tick),
            _ => self.pending.push((self.tick, op.clone())),
        }
    }

    /// Makes those of what is pending durable that `is_settled` names: it is called from the last to
    /// the first, with the later ones that are settled.
    fn settle(&mut self, is_settled: impl Fn(&Op, &[Op]) -> bool) {
        let mut settled: Vec<Op> = Vec::new();
        let mut keep = vec![false; self.pending.len()];
        for (n, (_, op)) in self.pending.iter().enumerate().rev() {
            if is_settled(op, &settled) {
                settled.push(op.clone());
                keep[n] = true;
            }
        }
        let mut rest = Vec::new();
        for ((tick, op), keep) in std::mem::take(&mut self.pending).into_iter().zip(keep) {
            if keep {
                self.image.apply(&op, tick);
            } else {
                rest.push((tick, op));
            }
        }
        self.pending = rest;
    }

    /// The disk as the next start finds it after a crash now.
    pub(crate) fn crash(&self, survivors: &mut Survivors) -> SimDisk {
        let mut image = self.image.clone();
        for (tick, op) in self.surviving(survivors) {
            image.apply(&op, tick);
        }
        // What lies in a directory that is not there cannot be found.
        let directories = image.directories.clone();
        image.names.retain(|path, _| {
            path.parent()
                .is_some_and(|parent| directories.contains(parent))
        });
        SimDisk::holding(image, self.tick)
    }

    fn surviving(&self, survivors: &mut Survivors) -> Vec<(u64, Op)> {
        let rng = match survivors {
            Survivors::All => return self.pending.clone(),
            Survivors::None => return Vec::new(),
            Survivors::Some(rng) => rng,
        };
        let of_hundred = [10, 50, 90][rng.below(3)];
        let mut kept: Vec<(u64, Op)> = Vec::new();
        for (tick, op) in self.pending.iter().rev() {
            if rng.below(100) < of_hundred || kept.iter().any(|(_, later)| later.needs(op)) {
                match op {
                    Op::Write(node, at, bytes) if rng.below(4) == 0 => {
                        let torn = torn(*node, *at, bytes, rng);
                        kept.extend(torn.into_iter().map(|op| (*tick, op)));
                    }
                    op => kept.push((*tick, op.clone())),
                }
            }
        }
        kept.reverse();
        kept
    }
}

/// Some sectors of a write.
fn torn(node: u64, at: usize, bytes: &[u8], rng: &mut Rng) -> Vec<Op> {
    let mut ops = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let end = ((at + start) / SECTOR * SECTOR + SECTOR - at).min(bytes.len());
        if rng.below(2) == 0 {
            ops.push(Op::Write(node, at + start, bytes[start..end].into()));
        }
        start = end;
    }
    ops
}

#[derive(Debug, Default)]
struct State {
    live: Image,
    durable: Durable,
    /// Every change, if it is kept.
    log: Option<Vec<Op>>,
    /// Files that are open or named; others have gone.
    open: HashMap<u64, u32>,
    next: u64,
    room: Option<u64>,
    /// As a target on another file system.
    no_links: bool,
    bytes_read: u64,
    /// Seconds that all changes are older than this process.
    age: i64,
}

impl State {
    fn change(&mut self, op: Op) {
        self.durable.apply(&op);
        self.live.apply(&op, self.durable.tick);
        if matches!(op, Op::Remove(..) | Op::Rename(..)) {
            self.trim();
        }
        if let Some(log) = &mut self.log {
            log.push(op);
        }
    }

    fn trim(&mut self) {
        let named: HashSet<u64> = self.live.names.values().copied().collect();
        let open = &self.open;
        (self.live.contents).retain(|node, _| named.contains(node) || open.contains_key(node));
    }

    fn used(&self) -> u64 {
        let nodes: HashSet<u64> = self.live.names.values().copied().collect();
        let sizes = nodes.iter().filter_map(|node| self.live.contents.get(node));
        sizes.map(|content| content.bytes.len() as u64).sum()
    }

    /// Fails if the disk has no room for a file to grow to `len`.
    fn grow(&self, node: u64, len: usize) -> io::Result<()> {
        let now = self
            .live
            .contents
            .get(&node)
            .map_or(0, |content| content.bytes.len());
        let grown = len.saturating_sub(now) as u64;
        match self.room {
            Some(room) if grown > 0 && self.used() + grown > room => {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }

    fn make_file(&mut self, path: &Path) -> io::Result<u64> {
        self.require_parent(path)?;
        self.next += 1;
        self.change(Op::MakeFile(path.to_owned(), self.next));
        Ok(self.next)
    }

    fn require_parent(&self, path: &Path) -> io::Result<()> {
        let is_there = path
            .parent()
            .is_some_and(|parent| self.live.directories.contains(parent));
        is_there
            .then_some(())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn make_dirs(&mut self, path: &Path) {
        for path in path.ancestors().collect::<Vec<_>>().into_iter().rev() {
            if !self.live.directories.contains(path) {
                self.change(Op::MakeDir(path.to_owned()));
            }
        }
    }

    fn node(&self, path: &Path) -> io::Result<u64> {
        let node = self.live.names.get(path).copied();
        node.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn signature(&self, node: u64) -> Signature {
        let content = self.live.contents.get(&node).cloned().unwrap_or_default();
        Signature {
            size: content.bytes.len() as u64,
            modified: started() - self.age,
            modified_nanos: content.written as u32,
            changed: started() - self.age,
            changed_nanos: content.changed as u32,
            inode: node,
            device: 1,
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.node(from)?;
        self.require_parent(to)?;
        self.change(Op::Rename(from.to_owned(), to.to_owned(), node));
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let node = self.node(path)?;
        self.change(Op::Remove(path.to_owned(), node));
        Ok(())
    }

    fn names_in(&self, path: &Path) -> Vec<OsString> {
        let names = self.live.names.keys().chain(&self.live.directories);
        let below = names.filter(|name| name.parent() == Some(path));
        below
            .filter_map(|name| name.file_name().map(OsString::from))
            .collect()
    }
}

/// The directories that are there from the beginning.
const ROOTS: [&str; 3] = ["/", "/home", "/target"];

#[derive(Debug, Clone)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

impl SimDisk {
    pub(crate) fn new() -> Self {
        let directories = ROOTS.map(PathBuf::from).into();
        let image = Image {
            directories,
            ..Image::default()
        };
        Self::holding(image, 0)
    }

    /// A disk that keeps a log of its changes.
    pub(crate) fn recording() -> Self {
        let disk = Self::new();
        disk.lock().log = Some(Vec::new());
        disk
    }

    fn holding(image: Image, tick: u64) -> Self {
        let next = image.names.values().copied().max().unwrap_or(0);
        let durable = Durable {
            image: image.clone(),
            pending: Vec::new(),
            tick,
        };
        Self(Arc::new(Mutex::new(State {
            live: image,
            durable,
            next,
            ..State::default()
        })))
    }

    /// A user's file, durable.
    pub(crate) fn add_file(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.lock();
        if let Some(parent) = path.parent() {
            state.make_dirs(parent);
        }
        let node = state.make_file(path).unwrap();
        state.change(Op::Write(node, 0, bytes.into()));
        state.change(Op::SyncAll);
    }

    /// A bit of the file at `path` flips, and nothing shows it.
    pub(crate) fn rot(&self, path: &Path, at: usize) {
        let mut state = self.lock();
        let node = state.node(path).unwrap();
        state.change(Op::Rot(node, at));
    }

    /// From now on no file gets a second name.
    pub(crate) fn refuse_links(&self) {
        self.lock().no_links = true;
    }

    /// Bytes that were read from files through their handles.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.lock().bytes_read
    }

    pub(crate) fn delete(&self, path: &Path) {
        self.lock().remove(path).unwrap();
    }

    /// The bytes of the file at `path`.
    pub(crate) fn read(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.lock();
        let node = state.live.names.get(path)?;
        let content = state.live.contents.get(node);
        Some(content.map_or_else(Vec::new, |content| content.bytes.clone()))
    }

    /// The paths of all files.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.lock().live.names.keys().cloned().collect()
    }

    /// The changes so far, of a disk that records them.
    pub(crate) fn log(&self) -> Vec<Op> {
        self.lock().log.clone().unwrap()
    }

    /// How many there are.
    pub(crate) fn position(&self) -> usize {
        self.lock().log.as_ref().unwrap().len()
    }

    /// What is durable when the log begins.
    pub(crate) fn durable(&self) -> Durable {
        self.lock().durable.clone()
    }

    /// The disk after a crash now.
    pub(crate) fn after_crash(&self, mut survivors: Survivors) -> Self {
        self.lock().durable.crash(&mut survivors)
    }

    pub(crate) fn set_room(&self, bytes: Option<u64>) {
        self.lock().room = bytes;
    }

    pub(crate) fn used(&self) -> u64 {
        self.lock().used()
    }

    /// Everything is as old from now on.
    pub(crate) fn set_age(&self, seconds: i64) {
        self.lock().age = seconds;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn file(&self, node: u64) -> Arc<dyn DiskFile> {
        *self.lock().open.entry(node).or_default() += 1;
        let disk = self.clone();
        Arc::new(SimFile { disk, node })
    }
}

/// When this process began to simulate, seconds since 1970.
fn started() -> i64 {
    static STARTED: OnceLock<i64> = OnceLock::new();
    *STARTED.get_or_init(|| {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap().as_secs() as i64
    })
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        let node = match state.node(path) {
            Err(_) if access == Access::Create => state.make_file(path)?,
            node => node?,
        };
        drop(state);
        Ok(self.file(node))
    }

    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn Dir>> {
        self.lock().make_dirs(path);
        let (disk, path) = (self.clone(), path.to_owned());
        Ok(Arc::new(SimDir { disk, path }))
    }

    fn signature(&self, path: &Path) -> io::Result<Signature> {
        let state = self.lock();
        Ok(state.signature(state.node(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.lock().rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.lock().remove(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.lock().make_dirs(path);
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.lock().change(Op::SyncDir(path.to_owned()));
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        Ok(self.lock().names_in(path))
    }
}

#[derive(Debug)]
struct SimDir {
    disk: SimDisk,
    path: PathBuf,
}

impl Dir for SimDir {
    fn make_child(&self, name: &str) -> io::Result<Arc<dyn Dir>> {
        let path = self.path.join(name);
        let mut state = self.disk.lock();
        if !state.live.names.contains_key(&path) && !state.live.directories.contains(&path) {
            state.change(Op::MakeDir(path));
        }
        drop(state);
        self.child(name)
    }

    fn child(&self, name: &str) -> io::Result<Arc<dyn Dir>> {
        let (disk, path) = (self.disk.clone(), self.path.join(name));
        let state = disk.lock();
        if state.live.names.contains_key(&path) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        if !state.live.directories.contains(&path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        drop(state);
        Ok(Arc::new(Self { disk, path }))
    }

    fn entry(&self, name: &OsStr) -> io::Result<Option<Entry>> {
        let (state, path) = (self.disk.lock(), self.path.join(name));
        let kind = match () {
            () if state.live.names.contains_key(&path) => EntryKind::File,
            () if state.live.directories.contains(&path) => EntryKind::Directory,
            () => return Ok(None),
        };
        let node = state.live.names.get(&path).copied();
        let signature = node.map(|node| state.signature(node)).unwrap_or_default();
        Ok(Some(Entry { kind, signature }))
    }

    fn names(&self) -> io::Result<Vec<OsString>> {
        Ok(self.disk.lock().names_in(&self.path))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(&self.path.join(name), Access::Read)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.path.join(name);
        let mut state = self.disk.lock();
        if state.node(&path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = state.make_file(&path)?;
        drop(state);
        Ok(self.disk.file(node))
    }

    fn link(&self, from: &Path, name: &str) -> io::Result<()> {
        let path = self.path.join(name);
        let mut state = self.disk.lock();
        if state.node(&path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if state.no_links {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        let node = state.node(from)?;
        state.change(Op::Link(path, node));
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (self.path.join(from), self.path.join(to));
        self.disk.lock().rename(&from, &to)
    }

    fn remove(&self, name: &OsStr) -> io::Result<()> {
        self.disk.lock().remove(&self.path.join(name))
    }

    fn device(&self) -> io::Result<u64> {
        Ok(1)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync_dir(&self.path)
    }

    fn sync_file_system(&self) -> io::Result<bool> {
        self.disk.lock().change(Op::SyncAll);
        Ok(true)
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    node: u64,
}

impl SimFile {
    fn with_bytes<T>(&self, work: impl FnOnce(&[u8]) -> T) -> T {
        let state = self.disk.lock();
        let content = state.live.contents.get(&self.node);
        work(content.map_or(&[], |content| &content.bytes))
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = self.disk.lock();
        if let Some(count) = state.open.get_mut(&self.node) {
            *count -= 1;
            if *count == 0 {
                state.open.remove(&self.node);
                state.trim();
            }
        }
    }
}

impl DiskFile for SimFile {
    fn signature(&self) -> io::Result<Signature> {
        Ok(self.disk.lock().signature(self.node))
    }

    fn links(&self) -> io::Result<u64> {
        let state = self.disk.lock();
        let names = state.live.names.values();
        Ok(names.filter(|node| **node == self.node).count() as u64)
    }

    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        self.with_bytes(|bytes| {
            let start = (offset as usize).min(bytes.len());
            let bytes = bytes[start..].get(..out.len());
            out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            io::Result::Ok(())
        })?;
        self.disk.lock().bytes_read += out.len() as u64;
        Ok(())
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.with_bytes(|bytes| {
            let from = &bytes[(offset as usize).min(bytes.len())..];
            let read = from.len().min(out.len());
            out[..read].copy_from_slice(&from[..read]);
            read
        });
        self.disk.lock().bytes_read += read as u64;
        Ok(read)
    }

    fn read_at_once(&self, out: &mut [u8], offset: u64) -> io::Result<bool> {
        self.read_exact_at(out, offset).map(|()| true)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.grow(self.node, offset as usize + bytes.len())?;
        state.change(Op::Write(self.node, offset as usize, bytes.into()));
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.grow(self.node, len as usize)?;
        state.change(Op::SetLen(self.node, len as usize));
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.disk.lock().grow(self.node, len as usize)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.lock().change(Op::Sync(self.node));
        Ok(())
    }

    fn set_read_only(&self, _: bool) -> io::Result<()> {
        self.disk.lock().change(Op::SetMode(self.node));
        Ok(())
    }

    fn data_extents(&self) -> io::Result<Vec<Range<u64>>> {
        self.with_bytes(|bytes| Ok(std::iter::once(0..bytes.len() as u64).collect()))
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
