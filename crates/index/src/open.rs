//! Opening the index: making it, bringing it to this version, and making it anew if it is damaged.

use std::{
    io,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use hubless_disk::{Access, Disk, DiskError, DiskFile, Home, IoContext, process_that_locks};
use redb::WriteTransaction;

use crate::{
    database::Database,
    error::IndexError,
    index::Index,
    migrate::{from_version_3, from_versions_1_and_2},
    overlay::pages_are_right,
    record::seconds_since_1970,
    salvage::salvage,
    tables,
    tx::TxResult,
};

/// A row that a flipped bit hides is missed by no reader, so the pages are compared with their
/// checksums. An index up to this size is compared in some 10 ms, so at each start.
const CHECK_ALWAYS_BYTES: u64 = 16 * 1024 * 1024;

/// The longest that damage to a larger index stays hidden, if the store is opened at all.
const CHECK_AFTER: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl Index {
    /// Opens the index in `home`, and makes it if there is none.
    ///
    /// # Errors
    /// [`IndexError::Locked`] if another process has it open, [`IndexError::Corrupt`] if it is damaged
    /// beyond repair, [`IndexError::Newer`] if a newer version wrote it.
    pub fn open(disk: &dyn Disk, home: &Home) -> Result<Self, IndexError> {
        open_index(disk, home).map(Self::new)
    }
}

/// An index is made under another name, so that one that is found was complete once: an empty one
/// is damaged, and not the beginning of a new store.
fn open_index(disk: &dyn Disk, home: &Home) -> Result<Database, IndexError> {
    let path = home.index();
    if let Some(index) = open_unwritable(disk, home)? {
        return Ok(index);
    }
    if disk.signature(&path).is_err() {
        let new = home.new_index();
        let file = open_locked(disk, home, &new)?;
        // Another process may have been faster, before the lock was ours.
        if disk.signature(&path).is_err() {
            return make_index(disk, home, file);
        }
    }
    let file = open_locked(disk, home, &path)?;
    let size = file.signature().context("read", &path)?.size;
    if size == 0 {
        return Err(corrupt(&path, "it is empty"));
    }
    if size <= CHECK_ALWAYS_BYTES && !pages_are_right(&file).context("read", &path)? {
        return make_anew(disk, home, &file);
    }
    let index = Database::open(path.clone(), file)?;
    check_schema(&index, &path)?;
    if size > CHECK_ALWAYS_BYTES && check_is_due(&index)? {
        if !index.pages_are_right()? {
            let damaged = index.file();
            drop(index);
            return make_anew(disk, home, &damaged);
        }
        note_check(&index)?;
    }
    Ok(index)
}

/// Whether a large index was last checked [`CHECK_AFTER`] ago or earlier.
fn check_is_due(index: &Database) -> Result<bool, IndexError> {
    let now = seconds_since_1970(SystemTime::now());
    let last = index.read(|read| {
        let meta = read.open_table(tables::META)?;
        Ok(meta.get(tables::META_CHECKED)?.map(|value| value.value()))
    })?;
    let is_fresh = |last: u64| last <= now && now - last < CHECK_AFTER.as_secs();
    Ok(!last.is_some_and(is_fresh))
}

fn note_check(index: &Database) -> Result<(), IndexError> {
    let now = seconds_since_1970(SystemTime::now());
    index.write(|write| {
        let mut meta = write.open_table(tables::META)?;
        meta.insert(tables::META_CHECKED, now)?;
        Ok(())
    })
}

/// Makes a new index of what is right in a damaged one, which is kept beside it.
///
/// # Errors
/// [`IndexError::Corrupt`] if a row is lost that cannot be had again; then nothing is changed.
fn make_anew(
    disk: &dyn Disk,
    home: &Home,
    damaged: &Arc<dyn DiskFile>,
) -> Result<Database, IndexError> {
    let (new, path, kept) = (home.new_index(), home.index(), home.damaged_index());
    let file = open_locked(disk, home, &new)?;
    file.set_len(0).context("make", &new)?;
    let index = Database::open(path.clone(), file)?;
    make_tables(&index)?;
    let losses = index
        .write(|write| salvage(damaged, write))
        .map_err(|error| unsalvageable(&path, error))?;
    copy_file(disk, &**damaged, &path, &kept)?;
    disk.rename(&new, &path).context("make", &path)?;
    disk.sync_dir(home.root()).context("sync", home.root())?;
    for loss in losses {
        let (lost, rows) = (loss.what, loss.rows);
        tracing::warn!(
            lost,
            rows,
            "the index was damaged; what was lost is searched for again"
        );
    }
    tracing::warn!(
        index = %path.display(), damaged = %kept.display(),
        "the index was damaged and was made anew"
    );
    Ok(index)
}

fn unsalvageable(path: &Path, error: IndexError) -> IndexError {
    match error {
        IndexError::Corrupt { detail, .. } => IndexError::Corrupt {
            path: path.to_owned(),
            detail: format!("some of its pages are damaged, and {detail}"),
        },
        IndexError::Disk(DiskError::ReadOnly { .. }) => {
            corrupt(path, "some of its pages are damaged")
        }
        error => error,
    }
}

fn copy_file(
    disk: &dyn Disk,
    from: &dyn DiskFile,
    path: &Path,
    to: &Path,
) -> Result<(), IndexError> {
    const PIECE: u64 = 1024 * 1024;
    let size = from.signature().context("read", path)?.size;
    let copy = disk.open(to, Access::Create).context("make", to)?;
    copy.set_len(size).context("make", to)?;
    let mut buffer = vec![0; PIECE as usize];
    for at in (0..size).step_by(PIECE as usize) {
        let piece = &mut buffer[..PIECE.min(size - at) as usize];
        from.read_exact_at(piece, at).context("read", path)?;
        copy.write_all_at(piece, at).context("write", to)?;
    }
    Ok(copy.sync().context("sync", to)?)
}

/// The index, if it is there and cannot be written to.
fn open_unwritable(disk: &dyn Disk, home: &Home) -> Result<Option<Database>, IndexError> {
    let path = home.index();
    let refused = disk.open(&path, Access::Update).err();
    let is_read_only = |error: io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied
        )
    };
    if !refused.is_some_and(is_read_only) {
        return Ok(None);
    }
    let file = disk.open(&path, Access::Read).context("open", &path)?;
    lock_index(&*file, home, &path)?;
    // No process can write, so others may read.
    file.unlock().context("unlock", &path)?;
    tracing::warn!(path = %path.display(), "the store cannot be written to; it is only read");
    let index = Database::open_read_only(path.clone(), file)?;
    check_schema(&index, &path)?;
    Ok(Some(index))
}

fn open_locked(disk: &dyn Disk, home: &Home, path: &Path) -> Result<Arc<dyn DiskFile>, IndexError> {
    let file = disk.open(path, Access::Create).context("open", path)?;
    lock_index(&*file, home, path)?;
    // Earlier versions made it readable for all.
    if let Err(error) = file.set_read_only(false) {
        tracing::debug!(path = %path.display(), %error, "cannot set the mode of the index");
    }
    Ok(file)
}

fn lock_index(file: &dyn DiskFile, home: &Home, path: &Path) -> Result<(), IndexError> {
    match file.try_lock() {
        Ok(true) => Ok(()),
        Ok(false) => Err(IndexError::Locked {
            home: home.root().to_owned(),
            process: file.signature().ok().and_then(process_that_locks),
        }),
        // Some network file systems have no locks.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            tracing::warn!(path = %path.display(), "the file system cannot lock the index");
            Ok(())
        }
        Err(error) => Err(DiskError::new("lock", path, error).into()),
    }
}

fn make_index(
    disk: &dyn Disk,
    home: &Home,
    file: Arc<dyn DiskFile>,
) -> Result<Database, IndexError> {
    let (new, path) = (home.new_index(), home.index());
    // A new index would know none of them.
    if has_owned_files(disk, home)? {
        return Err(corrupt(&path, "it is not there, but its files are"));
    }
    file.set_len(0).context("make", &new)?;
    let index = Database::open(path.clone(), file)?;
    make_tables(&index)?;
    disk.rename(&new, &path).context("make", &path)?;
    disk.sync_dir(home.root()).context("sync", home.root())?;
    Ok(index)
}

fn has_owned_files(disk: &dyn Disk, home: &Home) -> Result<bool, IndexError> {
    let files = home.files();
    let names = disk.list(&files).context("list", &files)?;
    // What others left there, such as `.DS_Store`, has another form.
    Ok(names.iter().any(|name| name.len() == 2))
}

/// Makes all tables that are not there at once, so that no later transaction has to check for one.
fn make_tables(index: &Database) -> Result<(), IndexError> {
    index.write(open_all)
}

fn migrate(index: &Database, schema: u64) -> Result<(), IndexError> {
    index.write(|write| {
        if schema < 3 {
            from_versions_1_and_2(write)?;
        }
        if schema < 4 {
            from_version_3(write)?;
        }
        open_all(write)
    })
}

fn open_all(write: &WriteTransaction) -> TxResult<()> {
    write
        .open_table(tables::META)?
        .insert(tables::META_SCHEMA, tables::SCHEMA)?;
    tables::FILES.write(write)?;
    tables::HELD.write(write)?;
    write.open_table(tables::CHUNK_LISTS)?;
    write.open_table(tables::INLINE)?;
    write.open_table(tables::MANIFESTS)?;
    tables::PINS.write(write)?;
    tables::RECORDS.write(write)?;
    tables::DIGESTS.write(write)?;
    tables::SHA256S.write(write)?;
    tables::GIT_BLOBS.write(write)?;
    tables::REPOS.write(write)?;
    tables::REFS.write(write)?;
    tables::REVISIONS.write(write)?;
    tables::USED.write(write)?;
    tables::REMOVED.write(write)?;
    tables::HISTORIES.write(write)?;
    tables::HEADS.write(write)?;
    tables::HEADS_OF.write(write)?;
    tables::DOCUMENTS.write(write)?;
    tables::CHAINS.write(write)?;
    tables::PUBLISHERS.write(write)?;
    tables::NAMESPACES.write(write)?;
    tables::FOLLOWS.write(write)?;
    Ok(())
}

fn check_schema(index: &Database, path: &Path) -> Result<(), IndexError> {
    let schema = index.read(|read| match read.open_table(tables::META) {
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        table => Ok(table?.get(tables::META_SCHEMA)?.map(|value| value.value())),
    })?;
    match schema {
        Some(tables::SCHEMA) => Ok(()),
        Some(older @ 1..tables::SCHEMA) => migrate(index, older),
        Some(found) if found > tables::SCHEMA => Err(IndexError::Newer {
            path: path.to_owned(),
            found,
            known: tables::SCHEMA,
        }),
        Some(_) => Err(corrupt(path, "its schema was never in use")),
        None => Err(corrupt(path, "it is the database of another program")),
    }
}

fn corrupt(path: &Path, detail: &str) -> IndexError {
    IndexError::Corrupt {
        path: path.to_owned(),
        detail: detail.to_owned(),
    }
}
