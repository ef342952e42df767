//! Manifests of models, and a cache of decoded ones.

use std::sync::Arc;

use hubless_content::{ContentHash, Manifest};
use redb::ReadableTable;

use crate::{
    error::StoreError,
    index::{Index, database::IndexError, tables},
    locks::lock,
};

/// Files of all manifests that are kept decoded, some 150 bytes each.
pub(super) const DECODED_FILES_MAX: usize = 100_000;

/// The rows of manifests.
#[derive(Clone, Copy)]
pub(crate) struct ManifestTable<'a> {
    pub(super) index: &'a Index,
}

impl ManifestTable<'_> {
    /// Makes a model known. Durable when it returns.
    pub(crate) fn put(self, model: ContentHash, manifest: &Manifest) -> Result<(), StoreError> {
        let bytes = manifest.encode();
        self.index.write(|write| {
            let mut table = write.open_table(tables::MANIFESTS)?;
            table.insert(model.as_bytes(), &bytes[..])?;
            Ok(())
        })
    }

    pub(crate) fn get(self, model: ContentHash) -> Result<Option<Arc<Manifest>>, StoreError> {
        if let Some(manifest) = lock(&self.index.decoded).get(model) {
            return Ok(Some(manifest));
        }
        let found = self.index.read(|read| {
            let table = read.open_table(tables::MANIFESTS)?;
            let Some(value) = table.get(model.as_bytes())? else {
                return Ok(None);
            };
            let bytes = value.value();
            let is_own = ContentHash::of_manifest_bytes(bytes) == model;
            let manifest = Manifest::decode(bytes).ok().filter(|_| is_own);
            let manifest = manifest.map(Some);
            manifest.ok_or(IndexError::Malformed("the manifest of its model"))
        })?;
        let Some(manifest) = found.map(Arc::new) else {
            return Ok(None);
        };
        let weight = manifest.entries().len();
        lock(&self.index.decoded).insert(model, manifest.clone(), weight);
        Ok(Some(manifest))
    }

    /// All models, in the order of their hashes.
    pub(crate) fn hashes(self) -> Result<Vec<ContentHash>, StoreError> {
        self.index.read(|read| {
            let table = read.open_table(tables::MANIFESTS)?;
            let rows = table.iter()?;
            rows.map(|row| Ok(ContentHash::new(*row?.0.value())))
                .collect()
        })
    }

    pub(crate) fn remove(self, models: &[ContentHash]) -> Result<(), StoreError> {
        self.index.write(|write| {
            let mut table = write.open_table(tables::MANIFESTS)?;
            for model in models {
                table.remove(model.as_bytes())?;
            }
            Ok(())
        })?;
        let mut decoded = lock(&self.index.decoded);
        models.iter().for_each(|model| decoded.remove(*model));
        Ok(())
    }

    /// Removes a manifest and its pin; true if the model was known.
    pub(crate) fn remove_with_pin(self, model: ContentHash) -> Result<bool, StoreError> {
        let was_known = self.index.write(|write| {
            tables::PINS.write(write)?.remove(model.as_bytes())?;
            let mut manifests = write.open_table(tables::MANIFESTS)?;
            let was_known = manifests.remove(model.as_bytes())?.is_some();
            Ok(was_known)
        })?;
        lock(&self.index.decoded).remove(model);
        Ok(was_known)
    }
}
