//! Tables whose values carry a checksum.
//!
//! redb checks its pages only after a crash, so a bit that flips on the disk would be read as if it
//! had been written. A value that does not prove itself is followed by the first 8 bytes of the
//! BLAKE3 of its table, its key and itself: a row whose key or value was altered is found when it
//! is read.

use std::{borrow::Borrow, ops::RangeBounds};

use redb::{
    AccessGuard, Key, ReadOnlyTable, ReadTransaction, ReadableTable, StorageError, Table,
    TableDefinition, WriteTransaction,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::tx::{TxError, TxResult};

/// Enough to find damage; nothing here defends against a person who can write to the index.
const CHECKSUM_BYTES: usize = 8;

/// The name of such a table, and what its values are, for messages.
pub(crate) struct Sealed<K: Key + 'static> {
    definition: TableDefinition<'static, K, &'static [u8]>,
    name: &'static str,
    what: &'static str,
}

/// Such a table, open.
pub(crate) struct Rows<T> {
    pub(crate) table: T,
    name: &'static str,
    what: &'static str,
}

impl<K: Key + 'static> Sealed<K> {
    pub(crate) const fn new(name: &'static str, what: &'static str) -> Self {
        Self {
            definition: TableDefinition::new(name),
            name,
            what,
        }
    }

    pub(crate) fn definition(&self) -> TableDefinition<'static, K, &'static [u8]> {
        self.definition
    }

    /// What a value is, for messages.
    pub(crate) fn what(&self) -> &'static str {
        self.what
    }

    /// Whether a value, as it lies in the table, is what was written for this key.
    pub(crate) fn proves(&self, key: &[u8], sealed: &[u8]) -> bool {
        let parts = sealed.split_last_chunk::<CHECKSUM_BYTES>();
        parts.is_some_and(|(value, checksum)| checksum_of(self.name, key, value) == *checksum)
    }

    fn rows<T>(&self, table: T) -> Rows<T> {
        Rows {
            table,
            name: self.name,
            what: self.what,
        }
    }

    pub(crate) fn read(
        &self,
        read: &ReadTransaction,
    ) -> TxResult<Rows<ReadOnlyTable<K, &'static [u8]>>> {
        Ok(self.rows(read.open_table(self.definition)?))
    }

    /// The table is made if there is none.
    pub(crate) fn write<'t>(
        &self,
        write: &'t WriteTransaction,
    ) -> TxResult<Rows<Table<'t, K, &'static [u8]>>> {
        Ok(self.rows(write.open_table(self.definition)?))
    }
}

impl<T> Rows<T> {
    pub(crate) fn get<'k, K: Key + 'static>(
        &self,
        key: impl Borrow<K::SelfType<'k>>,
    ) -> TxResult<Option<Vec<u8>>>
    where
        T: ReadableTable<K, &'static [u8]>,
    {
        let key = key.borrow();
        let value = self.table.get(key)?;
        let value = value.map(|value| self.unseal(K::as_bytes(key).as_ref(), value.value()));
        value.transpose()
    }

    pub(crate) fn iter<K: Key + 'static>(
        &self,
    ) -> TxResult<impl Iterator<Item = TxResult<(AccessGuard<'_, K>, Vec<u8>)>>>
    where
        T: ReadableTable<K, &'static [u8]>,
    {
        Ok(self.table.iter()?.map(|row| self.unseal_row(row)))
    }

    pub(crate) fn range<'k, K: Key + 'static>(
        &self,
        range: impl RangeBounds<K::SelfType<'k>> + 'k,
    ) -> TxResult<impl Iterator<Item = TxResult<(AccessGuard<'_, K>, Vec<u8>)>>>
    where
        T: ReadableTable<K, &'static [u8]>,
    {
        Ok(self.table.range(range)?.map(|row| self.unseal_row(row)))
    }

    /// The row with this key, from JSON.
    pub(crate) fn get_json<'k, V: DeserializeOwned, K: Key + 'static>(
        &self,
        key: impl Borrow<K::SelfType<'k>>,
    ) -> TxResult<Option<V>>
    where
        T: ReadableTable<K, &'static [u8]>,
    {
        let value = self.get(key)?;
        value.map(|value| self.parse_json(&value)).transpose()
    }

    /// All rows, ordered by key, from JSON.
    pub(crate) fn all_json<V: DeserializeOwned, K: Key + 'static>(&self) -> TxResult<Vec<V>>
    where
        T: ReadableTable<K, &'static [u8]>,
    {
        let rows = self.iter()?;
        rows.map(|row| self.parse_json(&row?.1)).collect()
    }

    fn parse_json<V: DeserializeOwned>(&self, value: &[u8]) -> TxResult<V> {
        serde_json::from_slice(value).map_err(|_| TxError::Malformed(self.what))
    }

    fn unseal_row<'r, K: Key + 'static>(
        &self,
        row: Result<(AccessGuard<'r, K>, AccessGuard<'r, &'static [u8]>), StorageError>,
    ) -> TxResult<(AccessGuard<'r, K>, Vec<u8>)> {
        let (key, value) = row?;
        let value = self.unseal(K::as_bytes(&key.value()).as_ref(), value.value())?;
        Ok((key, value))
    }

    fn unseal(&self, key: &[u8], value: &[u8]) -> TxResult<Vec<u8>> {
        let sealed = value.split_last_chunk::<CHECKSUM_BYTES>();
        let right =
            sealed.filter(|(value, checksum)| checksum_of(self.name, key, value) == **checksum);
        let right = right.map(|(value, _)| value.to_vec());
        right.ok_or(TxError::Malformed(self.what))
    }
}

impl<K: Key + 'static> Rows<Table<'_, K, &'static [u8]>> {
    pub(crate) fn insert<'k>(
        &mut self,
        key: impl Borrow<K::SelfType<'k>>,
        value: &[u8],
    ) -> TxResult<()> {
        let key = key.borrow();
        let checksum = checksum_of(self.name, K::as_bytes(key).as_ref(), value);
        let sealed = [value, &checksum].concat();
        self.table.insert(key, &sealed[..])?;
        Ok(())
    }

    /// As [`Rows::insert`], with the value as JSON.
    pub(crate) fn insert_json<'k>(
        &mut self,
        key: impl Borrow<K::SelfType<'k>>,
        value: &impl Serialize,
    ) -> TxResult<()> {
        let value = serde_json::to_vec(value).map_err(|_| TxError::Malformed(self.what))?;
        self.insert(key, &value)
    }

    /// True if there was such a row.
    pub(crate) fn remove<'k>(&mut self, key: impl Borrow<K::SelfType<'k>>) -> TxResult<bool> {
        Ok(self.table.remove(key)?.is_some())
    }
}

fn checksum_of(table: &str, key: &[u8], value: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = blake3::Hasher::new();
    for part in [table.as_bytes(), key] {
        hasher
            .update(&(part.len() as u64).to_le_bytes())
            .update(part);
    }
    let hash = hasher.update(value).finalize();
    let mut checksum = [0; CHECKSUM_BYTES];
    checksum.copy_from_slice(&hash.as_bytes()[..CHECKSUM_BYTES]);
    checksum
}

#[cfg(test)]
mod tests;
