//! The held content of a node, for lists: by name where there is one, else by content hash.

use std::collections::{HashMap, HashSet};

use hubless_content::{ContentHash, Manifest, RefName, RepoId, RepoKind, Tree, TreeEntry};
use hubless_store::{ModelInfo, Repo, Store, StoreError};
use hubless_upstream::RepoError;

use crate::repos::Repos;

/// Repos and models that are read for one list: a mirror knows far fewer.
const READ_MAX: usize = 20_000;

/// Content that a node holds, or whose files it knows.
#[derive(Debug, Clone)]
pub struct Holding {
    /// Its name; `None` for content without a name.
    pub repo: Option<RepoId>,
    /// Its content, if its address is known.
    pub hash: Option<ContentHash>,
    /// When its last revision was made: milliseconds since 1970, UTC; 0 without a name.
    pub time: u64,
    /// Files in it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The held bytes.
    pub held_bytes: u64,
    /// Whether garbage collection keeps it.
    pub pinned: bool,
}

/// Content by its address.
#[derive(Debug, Clone)]
pub struct Unnamed {
    /// The held part of it.
    pub summary: ModelInfo,
    /// Its files.
    pub manifest: std::sync::Arc<Manifest>,
    /// The repos whose main branch leads to it.
    pub repos: Vec<RepoId>,
}

impl Repos {
    /// The held content: named content first, the newest at the top, then content without a name,
    /// the largest at the top. Private and gated content is left out.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn holdings(&self) -> Result<Vec<Holding>, RepoError> {
        self.store(holdings).await
    }

    /// Content by its address, if its list of files is held and it is neither private nor gated.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn content(&self, hash: ContentHash) -> Result<Option<Unnamed>, RepoError> {
        self.store(move |store| content(store, hash)).await
    }

    /// The names of the contents of main branches.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn names(&self) -> Result<HashMap<ContentHash, RepoId>, RepoError> {
        let named = self.store(heads).await?;
        let names = named
            .into_iter()
            .filter(|head| head.is_public())
            .filter_map(|head| Some((head.tree.content_hash()?, head.repo.id)));
        Ok(names.collect())
    }
}

/// A repo and the last state of its main branch.
struct Head {
    repo: Repo,
    tree: Tree,
    time: u64,
}

impl Head {
    fn is_public(&self) -> bool {
        !self.repo.private && !self.repo.gated
    }
}

fn heads(store: &Store) -> Result<Vec<Head>, StoreError> {
    let mut heads = Vec::new();
    for kind in RepoKind::ALL {
        for repo in store.repos(kind, "", None, READ_MAX)? {
            if let Some(commit) = store.get_ref(&repo.id, &RefName::main())?
                && let Some(revision) = store.revision(&repo.id, commit)?
            {
                heads.push(Head {
                    repo,
                    tree: revision.tree,
                    time: revision.time,
                });
            }
        }
    }
    Ok(heads)
}

fn holdings(store: &Store) -> Result<Vec<Holding>, StoreError> {
    let (mut named, mut addressed) = (Vec::new(), HashSet::new());
    for head in heads(store)? {
        addressed.extend(head.tree.content_hash());
        if head.is_public() {
            named.push(of_head(store, head)?);
        }
    }
    named.sort_by_key(|holding| std::cmp::Reverse(holding.time));
    let mut unnamed = Vec::new();
    for model in store.models()?.into_iter().take(READ_MAX) {
        if !addressed.contains(&model.hash) {
            unnamed.push(of_model(model, None, 0));
        }
    }
    unnamed.sort_by_key(|holding| std::cmp::Reverse(holding.bytes));
    named.append(&mut unnamed);
    Ok(named)
}

fn of_head(store: &Store, head: Head) -> Result<Holding, StoreError> {
    let (repo, time) = (Some(head.repo.id), head.time);
    let empty = |hash| Holding {
        repo: repo.clone(),
        hash,
        time,
        files: 0,
        bytes: 0,
        held_bytes: 0,
        pinned: false,
    };
    match head.tree {
        Tree::Content(hash) => Ok(match store.model_info(hash)? {
            Some(model) => of_model(model, repo, time),
            None => empty(Some(hash)),
        }),
        Tree::Listed(entries) => {
            let mut held_bytes = 0u64;
            for entry in &entries {
                held_bytes += held_of(store, entry)?;
            }
            Ok(Holding {
                files: entries.len() as u64,
                bytes: entries.iter().map(|entry| entry.size).sum(),
                held_bytes,
                ..empty(None)
            })
        }
    }
}

fn held_of(store: &Store, entry: &TreeEntry) -> Result<u64, StoreError> {
    let Some(file) = entry.file else {
        return Ok(0);
    };
    let is_here = store.file(file)?.is_some_and(|file| file.complete);
    Ok(if is_here { entry.size } else { 0 })
}

fn of_model(model: ModelInfo, repo: Option<RepoId>, time: u64) -> Holding {
    Holding {
        repo,
        hash: Some(model.hash),
        time,
        files: model.files,
        bytes: model.bytes,
        held_bytes: model.held_bytes,
        pinned: model.pinned,
    }
}

fn content(store: &Store, hash: ContentHash) -> Result<Option<Unnamed>, StoreError> {
    let (Some(model), Some(manifest)) = (store.model_info(hash)?, store.manifest(hash)?) else {
        return Ok(None);
    };
    let heads = heads(store)?.into_iter();
    let named: Vec<Head> = heads
        .filter(|head| head.tree.content_hash() == Some(hash))
        .collect();
    if !named.is_empty() && !named.iter().any(Head::is_public) {
        return Ok(None);
    }
    let public = named.into_iter().filter(Head::is_public);
    Ok(Some(Unnamed {
        summary: model,
        manifest,
        repos: public.map(|head| head.repo.id).collect(),
    }))
}
