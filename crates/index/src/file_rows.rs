//! How what is known of a file lies in rows.

use hubless_content::{ChunkCv, ChunkList, ChunkSet, FileHash, chunk_count};
use redb::{ReadableTable, Table};

use crate::{
    record::Record,
    sealed::Rows,
    tables::Hash,
    tx::{TxError, TxResult},
};

/// A file hash as a value.
pub(crate) fn file_of(value: &[u8]) -> TxResult<FileHash> {
    FileHash::from_slice(value).ok_or(TxError::Malformed("the hash of a file"))
}

pub(crate) fn get_record(
    table: &Rows<impl ReadableTable<Hash, &'static [u8]>>,
    file: FileHash,
) -> TxResult<Option<Record>> {
    let value = table.get(file.as_bytes())?;
    value.map(|value| decode_record(&value)).transpose()
}

/// All records, ordered by file.
pub(crate) fn records(
    table: &Rows<impl ReadableTable<Hash, &'static [u8]>>,
) -> TxResult<impl Iterator<Item = TxResult<(FileHash, Record)>>> {
    let rows = table.iter()?;
    Ok(rows.map(|row| {
        let (key, value) = row?;
        Ok((FileHash::new(*key.value()), decode_record(&value)?))
    }))
}

pub(crate) fn put_record(
    table: &mut Rows<Table<'_, Hash, &'static [u8]>>,
    file: FileHash,
    record: &Record,
) -> TxResult<()> {
    table.insert(file.as_bytes(), &record.encode())
}

pub(crate) fn decode_record(bytes: &[u8]) -> TxResult<Record> {
    Record::decode(bytes).ok_or(TxError::Malformed("the record of a file"))
}

pub(crate) fn get_held(
    table: &Rows<impl ReadableTable<Hash, &'static [u8]>>,
    file: FileHash,
    size: u64,
) -> TxResult<ChunkSet> {
    let count = chunk_count(size);
    match table.get(file.as_bytes())? {
        None => Ok(ChunkSet::empty(count)),
        Some(value) => ChunkSet::from_bytes(count, &value)
            .ok_or(TxError::Malformed("a set of chunks of its file")),
    }
}

/// When a file was last used, in milliseconds since 1970; 0 if that is not known. A time that was
/// altered on the disk counts as none: the file only seems older than it is.
pub(crate) fn get_use(
    table: &Rows<impl ReadableTable<Hash, &'static [u8]>>,
    file: FileHash,
) -> TxResult<u64> {
    match table.get(file.as_bytes()) {
        Ok(at) => Ok(at.map_or(0, |at| at.try_into().map_or(0, u64::from_le_bytes))),
        Err(TxError::Malformed(_)) => Ok(0),
        Err(error) => Err(error),
    }
}

pub(crate) fn encode_list(list: &ChunkList) -> Vec<u8> {
    let cvs = list.cvs().iter().flat_map(|cv| cv.as_bytes());
    list.size()
        .to_le_bytes()
        .iter()
        .chain(cvs)
        .copied()
        .collect()
}

pub(crate) fn decode_list(file: FileHash, bytes: &[u8]) -> Option<ChunkList> {
    let (size, cvs) = bytes.split_first_chunk()?;
    let (cvs, rest) = cvs.as_chunks();
    let cvs = cvs.iter().map(|cv| ChunkCv::new(*cv)).collect();
    let list = ChunkList::prove(file, u64::from_le_bytes(*size), cvs).ok()?;
    rest.is_empty().then_some(list)
}
