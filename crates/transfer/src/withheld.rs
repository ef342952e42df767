//! Files that peers must not get: files of repos that are private or gated at their upstream, and
//! files that are not proven yet.
//!
//! A peer has no token that the upstream could check. So these files are neither announced nor
//! given to peers, except to members of a private network, which may get all content of its nodes.
//! Pinned models, which the user added or fetched by themselves, are given to all.

use std::{
    collections::HashSet,
    sync::{Arc, RwLock},
};

use hubless_content::{ContentHash, FileHash, RepoKind, Sha256};
use hubless_store::{Store, StoreError};
use hubless_sync::{Counted, Counter, read, write};

/// Repos that are read from the store in one call.
const BATCH: usize = 1000;

#[derive(Debug, Default, PartialEq, Eq)]
struct Sets {
    files: HashSet<FileHash>,
    models: HashSet<ContentHash>,
    /// Files that arrived since the last reading of the store began.
    added: HashSet<FileHash>,
}

/// Withholds a file from peers until it is dropped.
pub type HeldBack = Counted<FileHash>;

/// The withheld files. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub struct Withheld {
    sets: Arc<RwLock<Sets>>,
    /// Unproven files, with the number of pulls that wait for the proof.
    unproven: Counter<FileHash>,
    /// Whether all peers may get all content.
    is_among_members: bool,
}

impl Withheld {
    /// Nothing is withheld yet; in a private network nothing ever is.
    pub fn new(is_among_members: bool) -> Self {
        Self {
            sets: Arc::default(),
            unproven: Counter::default(),
            is_among_members,
        }
    }

    /// Whether peers must not get a file.
    pub fn has_file(&self, file: FileHash) -> bool {
        // In this order: a file is added to the sets before the guard of its proof is dropped.
        self.unproven.get(&file) > 0 || read(&self.sets).files.contains(&file)
    }

    /// Whether peers must not get a model.
    pub fn has_model(&self, model: ContentHash) -> bool {
        read(&self.sets).models.contains(&model)
    }

    /// The aliases of the withheld files.
    pub fn sha256s(&self, store: &Store) -> Result<HashSet<Sha256>, StoreError> {
        // In this order, as in `has_file`.
        let mut files = self.unproven.keys();
        files.extend(&read(&self.sets).files);
        let mut sha256s = HashSet::new();
        for file in files {
            sha256s.extend(store.digests(file)?.map(|digests| digests.sha256));
        }
        Ok(sha256s)
    }

    /// Withholds a newly stored file.
    pub fn add(&self, file: FileHash) {
        if !self.is_among_members {
            let mut sets = write(&self.sets);
            sets.files.insert(file);
            sets.added.insert(file);
        }
    }

    /// Withholds a file whose claimed alias is not proven yet.
    pub fn hold_back(&self, file: FileHash) -> HeldBack {
        self.unproven.add(file)
    }

    /// Reads all repos again.
    pub fn refresh(&self, store: &Store) -> Result<(), StoreError> {
        if self.is_among_members {
            return Ok(());
        }
        write(&self.sets).added.clear();
        let mut sets = Sets::default();
        for kind in RepoKind::ALL {
            let mut after = None;
            loop {
                let repos = store.repos(kind, "", after.as_ref(), BATCH)?;
                for repo in repos.iter().filter(|repo| repo.private || repo.gated) {
                    for commit in store.revisions(&repo.id)? {
                        let Some(revision) = store.revision(&repo.id, commit)? else {
                            continue;
                        };
                        sets.models.extend(revision.tree.content_hash());
                        sets.files.extend(store.listed_files(&revision.tree)?);
                    }
                }
                if repos.len() < BATCH {
                    break;
                }
                after = repos.last().map(|repo| repo.id.clone());
            }
        }
        if sets != Sets::default() {
            for model in store.pins()? {
                sets.models.remove(&model);
                for entry in store.manifest(model)?.iter().flat_map(|m| m.entries()) {
                    sets.files.remove(&entry.hash);
                }
            }
        }
        let mut now = write(&self.sets);
        sets.files.extend(&now.added);
        *now = sets;
        Ok(())
    }
}
