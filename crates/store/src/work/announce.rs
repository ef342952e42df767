//! What a node may announce.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hubless_content::{ContentHash, FileHash, Sha256};
use hubless_index::Digests;

use crate::{error::StoreError, work::Work};

/// What a node may announce.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnnounceKeys {
    /// Models of which at least one chunk can be served.
    pub models: Vec<ContentHash>,
    /// Files of which at least one chunk can be served.
    pub files: Vec<FileHash>,
    /// SHA-256 of those of which all chunks can be served, as far as it is known.
    pub sha256s: Vec<Sha256>,
}

impl Work {
    /// Everything of which at least one chunk can be served, in no order.
    pub(crate) fn announce_keys(&self) -> Result<AnnounceKeys, StoreError> {
        let digests = self.files.queue.all_digests();
        let files = self.held_files()?;
        let sha256s = self.sha256s_of(&files, digests)?;
        let mut models = Vec::new();
        for model in self.files.index.manifests().hashes()? {
            let Some(manifest) = self.files.index.manifests().get(model)? else {
                continue;
            };
            if manifest
                .entries()
                .iter()
                .any(|entry| files.contains_key(&entry.hash))
            {
                models.push(model);
            }
        }
        Ok(AnnounceKeys {
            models,
            files: files.into_keys().collect(),
            sha256s,
        })
    }

    /// The SHA-256 of those files that are held completely, from the index and from what waits to
    /// get there.
    fn sha256s_of(
        &self,
        files: &BTreeMap<FileHash, bool>,
        waiting: HashMap<FileHash, Digests>,
    ) -> Result<Vec<Sha256>, StoreError> {
        let is_whole = |file: &FileHash| files.get(file) == Some(&true);
        let waiting = waiting.into_iter().filter(|(file, _)| is_whole(file));
        let mut found: BTreeSet<Sha256> = waiting.map(|(_, digests)| digests.sha256).collect();
        let committed = self.files.index.digests();
        let committed = committed.sha256s(|file| is_whole(&file))?;
        found.extend(committed);
        Ok(found.into_iter().collect())
    }

    /// The files of which at least one chunk can be served, and whether all can.
    fn held_files(&self) -> Result<BTreeMap<FileHash, bool>, StoreError> {
        let waiting = self.files.queue.inline_files();
        let mut files: BTreeMap<_, _> = waiting.into_iter().map(|file| (file, true)).collect();
        for (file, partial) in self.files.partials.lock().iter() {
            let state = partial.lock();
            if !state.held.is_empty() {
                files.insert(*file, state.held.is_full());
            }
        }
        let committed = self.files.index.files().readable()?;
        // What was read before may have become complete since, and what is complete may wait
        // for its commit: either is enough.
        for (file, whole) in committed {
            *files.entry(file).or_default() |= whole;
        }
        Ok(files)
    }
}
