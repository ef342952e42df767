//! Models: their manifests, and how much of them is held.

use hubless_content::{ChunkSet, ContentHash, chunk_count};
use hubless_index::Presence;

use crate::{error::StoreError, work::Work};

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

impl Work {
    /// All models that are known, complete or not, in the order of their hashes.
    pub(crate) fn models(&self) -> Result<Vec<ModelInfo>, StoreError> {
        let mut models = Vec::new();
        for model in self.files.index.manifests().hashes()? {
            models.extend(self.model_info(model)?);
        }
        Ok(models)
    }

    /// What is known about one model.
    pub(crate) fn model_info(&self, model: ContentHash) -> Result<Option<ModelInfo>, StoreError> {
        let Some(manifest) = self.files.index.manifests().get(model)? else {
            return Ok(None);
        };
        let entries = manifest.entries();
        let chunks = self.files.chunks_of(entries)?;
        let held_bytes = entries
            .iter()
            .zip(&chunks)
            .map(|(entry, held)| held.bytes(entry.size));
        Ok(Some(ModelInfo {
            hash: model,
            files: entries.len() as u64,
            bytes: manifest.bytes(),
            held_bytes: held_bytes.sum(),
            complete: chunks.iter().all(Presence::is_all),
            pinned: self.files.index.pins().contains(model)?,
            in_place: chunks.contains(&Presence::All { external: true }),
        }))
    }

    /// Which chunks of a model can be read: those of all its files one after the other, in the
    /// order of the manifest. `None` if the model is not known.
    pub(crate) fn model_held(&self, model: ContentHash) -> Result<Option<ChunkSet>, StoreError> {
        let Some(manifest) = self.files.index.manifests().get(model)? else {
            return Ok(None);
        };
        let total = u32::try_from(manifest.chunks()).unwrap_or(u32::MAX);
        let mut set = ChunkSet::empty(total);
        let mut start = 0u32;
        for (entry, held) in manifest
            .entries()
            .iter()
            .zip(self.files.chunks_of(manifest.entries())?)
        {
            let end = start.saturating_add(chunk_count(entry.size));
            match held {
                Presence::None => {}
                Presence::All { .. } => set.insert_range(start..end),
                Presence::Some(held) => {
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
