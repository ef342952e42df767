//! Models: their manifests, and how much of them is held.

use std::sync::Arc;

use hubless_content::{ChunkSet, ContentHash, Manifest, chunk_count};
use redb::ReadableTable;

use crate::{
    Shared, Store,
    error::StoreError,
    files::located::Chunks,
    index::{database::IndexError, tables},
    sync::lock,
};

/// Files of all manifests that are kept decoded, some 150 bytes each.
pub(crate) const MANIFEST_CACHE_FILES: usize = 100_000;

/// A model and how much of it is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// Its address.
    pub hash: ContentHash,
    /// Its files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The bytes that can be read here.
    pub held_bytes: u64,
    /// Whether all can be read here.
    pub complete: bool,
    /// Whether garbage collection keeps it.
    pub pinned: bool,
    /// Whether some of its files are the user's own.
    pub in_place: bool,
}

impl Store {
    /// Makes a model known; its files may come later. Durable when it returns.
    ///
    /// # Errors
    /// If the disk is full or fails.
    pub fn put_manifest(&self, manifest: &Manifest) -> Result<ContentHash, StoreError> {
        let bytes = manifest.encode();
        let hash = manifest.content_hash();
        self.shared.in_use.lock().touch_model(hash);
        self.shared.index.write(|write| {
            write
                .open_table(tables::MANIFESTS)?
                .insert(hash.as_bytes(), &bytes[..])?;
            Ok(())
        })?;
        Ok(hash)
    }

    /// The manifest of a model, if it is known.
    ///
    /// # Errors
    /// If the index fails.
    pub fn manifest(&self, model: ContentHash) -> Result<Option<Arc<Manifest>>, StoreError> {
        self.shared.manifest(model)
    }

    /// All models that are known, complete or not, in the order of their hashes.
    ///
    /// # Errors
    /// If the index fails.
    pub fn models(&self) -> Result<Vec<ModelInfo>, StoreError> {
        let mut models = Vec::new();
        for model in self.shared.model_hashes()? {
            models.extend(self.model_info(model)?);
        }
        Ok(models)
    }

    /// What is known about one model.
    ///
    /// # Errors
    /// If the index fails.
    pub fn model_info(&self, model: ContentHash) -> Result<Option<ModelInfo>, StoreError> {
        let Some(manifest) = self.shared.manifest(model)? else {
            return Ok(None);
        };
        let entries = manifest.entries();
        let chunks = self.shared.chunks_of(entries)?;
        let held_bytes = entries
            .iter()
            .zip(&chunks)
            .map(|(entry, held)| held.bytes(entry.size));
        Ok(Some(ModelInfo {
            hash: model,
            files: entries.len() as u64,
            bytes: manifest.bytes(),
            held_bytes: held_bytes.sum(),
            complete: chunks.iter().all(is_all),
            pinned: self.is_pinned(model)?,
            in_place: chunks.contains(&Chunks::All { external: true }),
        }))
    }

    /// Which chunks of a model can be read: those of all its files one after the other, in the
    /// order of the manifest. `None` if the model is not known.
    ///
    /// # Errors
    /// If the index fails.
    pub fn model_held(&self, model: ContentHash) -> Result<Option<ChunkSet>, StoreError> {
        let Some(manifest) = self.shared.manifest(model)? else {
            return Ok(None);
        };
        let total = u32::try_from(manifest.chunks()).unwrap_or(u32::MAX);
        let mut set = ChunkSet::empty(total);
        let mut start = 0u32;
        for (entry, held) in manifest
            .entries()
            .iter()
            .zip(self.shared.chunks_of(manifest.entries())?)
        {
            let end = start.saturating_add(chunk_count(entry.size));
            match held {
                Chunks::None => {}
                Chunks::All { .. } => set.insert_range(start..end),
                Chunks::Some(held) => {
                    for run in held.ranges() {
                        set.insert_range(
                            start.saturating_add(run.start)..start.saturating_add(run.end),
                        );
                    }
                }
            }
            start = end;
        }
        Ok(Some(set))
    }
}

pub(crate) fn is_all(chunks: &Chunks) -> bool {
    match chunks {
        Chunks::None => false,
        Chunks::All { .. } => true,
        Chunks::Some(held) => held.is_full(),
    }
}

impl Shared {
    pub(crate) fn manifest(&self, model: ContentHash) -> Result<Option<Arc<Manifest>>, StoreError> {
        if let Some(manifest) = lock(&self.manifests).get(model) {
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
        lock(&self.manifests).insert(model, manifest.clone(), weight);
        Ok(Some(manifest))
    }

    pub(crate) fn model_hashes(&self) -> Result<Vec<ContentHash>, StoreError> {
        self.index.read(|read| {
            let table = read.open_table(tables::MANIFESTS)?;
            let rows = table.iter()?;
            rows.map(|row| Ok(ContentHash::new(*row?.0.value())))
                .collect()
        })
    }
}
