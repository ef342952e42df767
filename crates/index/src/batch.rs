//! What is written at once: a group commit, and files that are put in their places.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use hubless_content::{ChunkList, ChunkSet, FileHash, Manifest};

use crate::{
    digests::{self, Digests},
    error::IndexError,
    file_rows::{encode_list, get_record, put_record},
    files::write_uses,
    index::Index,
    record::{Check, FileLocation, Record},
    tables,
};

/// What one group commit writes.
#[derive(Default)]
pub struct Batch {
    /// The bytes of files of one chunk.
    pub inline: HashMap<FileHash, Bytes>,
    /// Chunk lists that are new.
    pub lists: HashMap<FileHash, ChunkList>,
    /// Partial files with more chunks than the index knows.
    pub dirty: HashSet<FileHash>,
    /// New values of records of others; `None` removes one.
    pub records: HashMap<Vec<u8>, Option<Vec<u8>>>,
    /// Digests that were computed.
    pub digests: HashMap<FileHash, Digests>,
    /// Complete files that were found to be right.
    pub checks: HashMap<FileHash, Check>,
}

impl Batch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.inline.is_empty()
            && self.lists.is_empty()
            && self.dirty.is_empty()
            && self.records.is_empty()
            && self.digests.is_empty()
            && self.checks.is_empty()
    }

    /// Puts back what could not be written, under what came since.
    pub fn put_under(&self, newer: &mut Self) {
        newer.inline.extend(
            self.inline
                .iter()
                .map(|(file, bytes)| (*file, bytes.clone())),
        );
        newer.dirty.extend(&self.dirty);
        newer.digests.extend(&self.digests);
        for (file, check) in &self.checks {
            newer.checks.entry(*file).or_insert(*check);
        }
        for (file, list) in &self.lists {
            newer.lists.entry(*file).or_insert_with(|| list.clone());
        }
        for (key, value) in &self.records {
            newer
                .records
                .entry(key.clone())
                .or_insert_with(|| value.clone());
        }
    }
}

/// One of the dirty files of a batch, with its bytes synced.
pub struct FileRow<'a> {
    /// The file.
    pub file: FileHash,
    /// Where its bytes are.
    pub record: Record,
    /// The chunks that are held, unless the file is complete.
    pub held: Option<&'a ChunkSet>,
}

/// A file that is put in its place, or stays where the user has it.
pub struct PlacedRow<'a> {
    /// The file.
    pub file: FileHash,
    /// Where its bytes are.
    pub record: Record,
    /// Its chunk list.
    pub list: &'a ChunkList,
    /// Its digests, if they are known.
    pub digests: Option<Digests>,
}

impl Index {
    /// Writes a batch, its dirty files as `files` has them, and the last uses of files. Returns the
    /// bytes of inline files that were there already.
    pub fn commit(
        &self,
        batch: &Batch,
        files: &[FileRow<'_>],
        uses: &[(FileHash, u64)],
    ) -> Result<u64, IndexError> {
        self.database.write(|write| {
            let mut twice = 0;
            let mut records = tables::FILES.write(write)?;
            let mut held = tables::HELD.write(write)?;
            let mut lists = write.open_table(tables::CHUNK_LISTS)?;
            let mut inline = write.open_table(tables::INLINE)?;
            let mut foreign = tables::RECORDS.write(write)?;
            for (file, list) in &batch.lists {
                lists.insert(file.as_bytes(), &encode_list(list)[..])?;
            }
            for (file, bytes) in &batch.inline {
                let record = Record::new(bytes.len() as u64, FileLocation::Inline);
                inline.insert(file.as_bytes(), &bytes[..])?;
                if get_record(&records, *file)?.is_some() {
                    twice += bytes.len() as u64;
                }
                put_record(&mut records, *file, &record)?;
            }
            for row in files {
                match row.held {
                    Some(chunks) => held.insert(row.file.as_bytes(), &chunks.to_bytes()[..])?,
                    None => drop(held.remove(row.file.as_bytes())?),
                }
                put_record(&mut records, row.file, &row.record)?;
            }
            for (file, check) in &batch.checks {
                if let Some(record) = get_record(&records, *file)? {
                    put_record(&mut records, *file, &record.found_right(check))?;
                }
            }
            for (key, value) in &batch.records {
                match value {
                    Some(value) => foreign.insert(&key[..], value)?,
                    None => drop(foreign.remove(&key[..])?),
                }
            }
            drop(records);
            digests::write(write, &batch.digests)?;
            write_uses(write, uses)?;
            Ok(twice)
        })
    }

    /// Makes files known, and a manifest, pinned, with them; all or none. Returns the records that
    /// were there before.
    pub fn place(
        &self,
        placed: &[PlacedRow<'_>],
        manifest: Option<&Manifest>,
    ) -> Result<HashMap<FileHash, Record>, IndexError> {
        let model = manifest.map(|manifest| (manifest.content_hash(), manifest.encode()));
        let digests = placed
            .iter()
            .filter_map(|row| Some((row.file, row.digests?)));
        let digests: HashMap<FileHash, Digests> = digests.collect();
        self.database.write(|write| {
            let mut files = tables::FILES.write(write)?;
            let mut held = tables::HELD.write(write)?;
            let mut lists = write.open_table(tables::CHUNK_LISTS)?;
            let mut before = HashMap::new();
            for PlacedRow {
                file, record, list, ..
            } in placed
            {
                lists.insert(file.as_bytes(), &encode_list(list)[..])?;
                held.remove(file.as_bytes())?;
                if let Some(old) = get_record(&files, *file)? {
                    before.insert(*file, old);
                }
                put_record(&mut files, *file, record)?;
            }
            drop(files);
            digests::write(write, &digests)?;
            if let Some((model, bytes)) = &model {
                let mut manifests = write.open_table(tables::MANIFESTS)?;
                manifests.insert(model.as_bytes(), &bytes[..])?;
                let mut pins = tables::PINS.write(write)?;
                pins.insert(model.as_bytes(), &[])?;
            }
            Ok(before)
        })
    }
}
