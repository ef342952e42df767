//! Manifests of models, and a cache of decoded ones.

use std::sync::{Arc, Mutex};

use hubless_content::{ContentHash, Manifest};
use hubless_memory::Lru;
use hubless_sync::lock;
use redb::ReadableTable;

use crate::{database::Database, error::IndexError, tables, tx::TxError};

/// Files of all manifests that are kept decoded, some 150 bytes each.
pub(crate) const DECODED_FILES_MAX: usize = 100_000;

/// The rows of manifests.
#[derive(Clone, Copy)]
pub struct ManifestTable<'a> {
    pub(crate) database: &'a Database,
    pub(crate) decoded: &'a Mutex<Lru<ContentHash, Arc<Manifest>>>,
}

impl ManifestTable<'_> {
    /// Makes a model known. Durable when it returns.
    pub fn put(self, model: ContentHash, manifest: &Manifest) -> Result<(), IndexError> {
        let bytes = manifest.encode();
        self.database.write(|write| {
            let mut table = write.open_table(tables::MANIFESTS)?;
            table.insert(model.as_bytes(), &bytes[..])?;
            Ok(())
        })
    }

    /// The manifest of a model, if it is known.
    pub fn get(self, model: ContentHash) -> Result<Option<Arc<Manifest>>, IndexError> {
        if let Some(manifest) = lock(self.decoded).get(model) {
            return Ok(Some(manifest));
        }
        let found = self.database.read(|read| {
            let table = read.open_table(tables::MANIFESTS)?;
            let Some(value) = table.get(model.as_bytes())? else {
                return Ok(None);
            };
            let bytes = value.value();
            let is_own = ContentHash::of_manifest_bytes(bytes) == model;
            let manifest = Manifest::decode(bytes).ok().filter(|_| is_own);
            let manifest = manifest.map(Some);
            manifest.ok_or(TxError::Malformed("the manifest of its model"))
        })?;
        let Some(manifest) = found.map(Arc::new) else {
            return Ok(None);
        };
        let weight = manifest.entries().len();
        lock(self.decoded).insert(model, manifest.clone(), weight);
        Ok(Some(manifest))
    }

    /// All models, in the order of their hashes.
    pub fn hashes(self) -> Result<Vec<ContentHash>, IndexError> {
        self.database.read(|read| {
            let table = read.open_table(tables::MANIFESTS)?;
            let rows = table.iter()?;
            rows.map(|row| Ok(ContentHash::new(*row?.0.value())))
                .collect()
        })
    }

    /// Removes manifests. Pins stay.
    pub fn remove(self, models: &[ContentHash]) -> Result<(), IndexError> {
        self.database.write(|write| {
            let mut table = write.open_table(tables::MANIFESTS)?;
            for model in models {
                table.remove(model.as_bytes())?;
            }
            Ok(())
        })?;
        let mut decoded = lock(self.decoded);
        models.iter().for_each(|model| decoded.remove(*model));
        Ok(())
    }

    /// Removes a manifest and its pin; true if the model was known.
    pub fn remove_with_pin(self, model: ContentHash) -> Result<bool, IndexError> {
        let was_known = self.database.write(|write| {
            tables::PINS.write(write)?.remove(model.as_bytes())?;
            let mut manifests = write.open_table(tables::MANIFESTS)?;
            let was_known = manifests.remove(model.as_bytes())?.is_some();
            Ok(was_known)
        })?;
        lock(self.decoded).remove(model);
        Ok(was_known)
    }
}
