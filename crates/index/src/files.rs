//! Files: their records, which chunks of partial ones are held, chunk lists, and the bytes of files of
//! one chunk.

use std::collections::HashSet;

use bytes::Bytes;
use hubless_content::{ChunkList, ChunkSet, FileHash};
use redb::{ReadableTable, WriteTransaction};

use crate::{
    database::Database,
    digests,
    error::IndexError,
    file_rows::{decode_list, encode_list, get_held, get_record, get_use, put_record, records},
    presence::Presence,
    record::{FileLocation, Record},
    tables,
    tx::{TxError, TxResult},
};

/// The rows of files.
#[derive(Clone, Copy)]
pub struct FileTable<'a> {
    pub(crate) database: &'a Database,
}

impl FileTable<'_> {
    /// Where the bytes of a file are, if it is known.
    pub fn get(self, file: FileHash) -> Result<Option<Record>, IndexError> {
        self.database
            .read(|read| get_record(&tables::FILES.read(read)?, file))
    }

    /// A record, and which chunks of a partial file are held.
    pub fn get_with_held(self, file: FileHash) -> Result<Option<(Record, ChunkSet)>, IndexError> {
        self.database.read(|read| {
            let Some(record) = get_record(&tables::FILES.read(read)?, file)? else {
                return Ok(None);
            };
            let held = get_held(&tables::HELD.read(read)?, file, record.size)?;
            Ok(Some((record, held)))
        })
    }

    /// The chunk list of a file, if it is known.
    pub fn chunk_list(self, file: FileHash) -> Result<Option<ChunkList>, IndexError> {
        self.database.read(|read| {
            let lists = read.open_table(tables::CHUNK_LISTS)?;
            let Some(value) = lists.get(file.as_bytes())? else {
                return Ok(None);
            };
            let list = decode_list(file, value.value());
            list.map(Some)
                .ok_or(TxError::Malformed("the chunk list of its file"))
        })
    }

    /// The bytes of a file of one chunk.
    pub fn inline_bytes(self, file: FileHash) -> Result<Option<Bytes>, IndexError> {
        self.database.read(|read| {
            let table = read.open_table(tables::INLINE)?;
            Ok(table
                .get(file.as_bytes())?
                .map(|value| Bytes::copy_from_slice(value.value())))
        })
    }

    /// Files, and chunk lists without a file.
    pub fn all(self) -> Result<Vec<FileHash>, IndexError> {
        self.database.read(|read| {
            let mut files = HashSet::new();
            for row in records(&tables::FILES.read(read)?)? {
                files.insert(row?.0);
            }
            for row in read.open_table(tables::CHUNK_LISTS)?.iter()? {
                files.insert(FileHash::new(*row?.0.value()));
            }
            Ok(files.into_iter().collect())
        })
    }

    /// Runs `step` over all records, ordered by file. Begins anew with `start` if the database had to
    /// be opened again.
    pub fn fold<T>(
        self,
        start: impl Fn() -> T,
        step: impl Fn(&mut T, FileHash, Record),
    ) -> Result<T, IndexError> {
        self.database.read(|read| {
            let mut sum = start();
            for row in records(&tables::FILES.read(read)?)? {
                let (file, record) = row?;
                step(&mut sum, file, record);
            }
            Ok(sum)
        })
    }

    /// As [`FileTable::fold`], with the last use of each file in milliseconds since 1970, or 0.
    pub fn fold_with_use<T>(
        self,
        start: impl Fn() -> T,
        step: impl Fn(&mut T, FileHash, Record, u64),
    ) -> Result<T, IndexError> {
        self.database.read(|read| {
            let uses = tables::USED.read(read)?;
            let mut sum = start();
            for row in records(&tables::FILES.read(read)?)? {
                let (file, record) = row?;
                step(&mut sum, file, record, get_use(&uses, file)?);
            }
            Ok(sum)
        })
    }

    /// Files of which at least one chunk can be read, and whether all can.
    pub fn readable(self) -> Result<Vec<(FileHash, bool)>, IndexError> {
        self.database.read(|read| {
            let table = tables::FILES.read(read)?;
            let held = tables::HELD.read(read)?;
            let mut files = Vec::new();
            for row in records(&table)? {
                let (file, record) = row?;
                let whole = record.is_complete();
                let any = match record.place {
                    FileLocation::Partial => !get_held(&held, file, record.size)?.is_empty(),
                    _ => whole,
                };
                if any {
                    files.push((file, whole));
                }
            }
            Ok(files)
        })
    }

    /// Which chunks of each file can be read; `newer` is asked first, for what is not committed yet.
    pub fn presence(
        self,
        files: impl Iterator<Item = FileHash> + Clone,
        newer: impl Fn(FileHash) -> Option<Presence>,
    ) -> Result<Vec<Presence>, IndexError> {
        self.database.read(|read| {
            let table = tables::FILES.read(read)?;
            let held = tables::HELD.read(read)?;
            let presence = files.clone().map(|file| {
                if let Some(newer) = newer(file) {
                    return Ok(newer);
                }
                Ok(match get_record(&table, file)? {
                    Some(record) if record.is_partial() => {
                        Presence::Some(get_held(&held, file, record.size)?)
                    }
                    Some(record) if record.is_complete() => Presence::All {
                        external: matches!(record.place, FileLocation::External(_)),
                    },
                    Some(_) | None => Presence::None,
                })
            });
            presence.collect()
        })
    }

    /// Removes files with all that is known of them. Returns the records that were there.
    pub fn remove(self, files: &[FileHash]) -> Result<Vec<(FileHash, Record)>, IndexError> {
        self.database.write(|write| remove_rows(write, files))
    }

    /// Puts a new record in the place of `known`, unless another has come meanwhile. True if it was put.
    pub fn replace(self, file: FileHash, known: &Record, new: &Record) -> Result<bool, IndexError> {
        self.database.write(|write| {
            let mut table = tables::FILES.write(write)?;
            if get_record(&table, file)?.as_ref() != Some(known) {
                return Ok(false);
            }
            put_record(&mut table, file, new)?;
            Ok(true)
        })
    }

    /// Makes a file partial, of which these chunks are held.
    pub fn make_partial(
        self,
        file: FileHash,
        size: u64,
        held: &ChunkSet,
    ) -> Result<(), IndexError> {
        self.database.write(|write| {
            let mut files = tables::FILES.write(write)?;
            put_record(&mut files, file, &Record::new(size, FileLocation::Partial))?;
            let mut table = tables::HELD.write(write)?;
            table.insert(file.as_bytes(), &held.to_bytes()[..])
        })
    }

    /// Makes a partial file known with its chunk list; none of its chunks is held.
    pub fn put_partial(self, list: &ChunkList) -> Result<(), IndexError> {
        let file = list.file();
        self.database.write(|write| {
            let record = Record::new(list.size(), FileLocation::Partial);
            put_record(&mut tables::FILES.write(write)?, file, &record)?;
            tables::HELD.write(write)?.remove(file.as_bytes())?;
            let mut lists = write.open_table(tables::CHUNK_LISTS)?;
            lists.insert(file.as_bytes(), &encode_list(list)[..])?;
            Ok(())
        })
    }

    /// Notes when files were last used, in milliseconds since 1970.
    pub fn put_uses(self, uses: &[(FileHash, u64)]) -> Result<(), IndexError> {
        self.database.write(|write| write_uses(write, uses))
    }
}

pub(crate) fn write_uses(write: &WriteTransaction, uses: &[(FileHash, u64)]) -> TxResult<()> {
    let mut table = tables::USED.write(write)?;
    for (file, at) in uses {
        table.insert(file.as_bytes(), &at.to_le_bytes())?;
    }
    Ok(())
}

fn remove_rows(write: &WriteTransaction, files: &[FileHash]) -> TxResult<Vec<(FileHash, Record)>> {
    let mut records = tables::FILES.write(write)?;
    let mut held = tables::HELD.write(write)?;
    let mut lists = write.open_table(tables::CHUNK_LISTS)?;
    let mut inline = write.open_table(tables::INLINE)?;
    let mut uses = tables::USED.write(write)?;
    let mut removed = Vec::new();
    for file in files {
        uses.remove(file.as_bytes())?;
        held.remove(file.as_bytes())?;
        lists.remove(file.as_bytes())?;
        inline.remove(file.as_bytes())?;
        if let Some(record) = get_record(&records, *file)? {
            records.remove(file.as_bytes())?;
            removed.push((*file, record));
        }
    }
    digests::forget(write, files)?;
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::new_index;

    #[test]
    fn a_time_of_use_that_was_altered_on_the_disk_counts_as_none() {
        let (_home, index) = new_index();
        let file = FileHash::new([1; 32]);
        let none = ChunkSet::empty(2);
        index.files().make_partial(file, 300_000, &none).unwrap();
        index.files().put_uses(&[(file, 7)]).unwrap();
        let used = || {
            let last = |last: &mut u64, _, _, used| *last = used;
            index.files().fold_with_use(|| 1, last).unwrap()
        };
        assert_eq!(used(), 7);
        let alter = |write: &WriteTransaction| {
            let mut uses = tables::USED.write(write)?;
            uses.table.insert(file.as_bytes(), &[8; 16][..])?;
            Ok(())
        };
        index.database.write(alter).unwrap();
        assert_eq!(used(), 0);
    }
}
