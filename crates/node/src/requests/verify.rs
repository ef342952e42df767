//! `verify`: hashes stored bytes again, and reports wrong ones by model and path.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
};

use hubless_content::{ContentHash, FileHash, ModelPath};
use hubless_repos::names::names_of;
use hubless_store::{FilePlace, Store, StoreError, VerifyReport};
use hubless_transfer::Blocking;
use serde::{Deserialize, Serialize};

use super::{
    Call,
    observer::{SinkObserver, hashing},
};
use crate::{core::Core, failure::Failure, replies::ReplySink};

/// Limit of the files that are listed as absent: a person reads a few, a script the counts.
const ABSENT_MAX: usize = 1000;

/// Hashes what is stored again. Events: [`Event::Progress`](crate::event::Event::Progress).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Verify {
    /// One model, or everything.
    pub hash: Option<ContentHash>,
}

/// The result of hashing the store again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Verified {
    /// Files that were hashed.
    pub files: u64,
    /// Bytes that were hashed.
    pub bytes: u64,
    /// Files with wrong bytes. `get` fetches the wrong chunks again.
    pub damaged: Vec<Damaged>,
    /// The number of files that are shared in place and changed or missing.
    pub stale: u64,
    /// The number of partial files that cannot be checked, because their chunk lists are not known.
    pub unlisted: u64,
    /// The number of other files of the models that are not held completely.
    pub missing: u64,
    /// The files that are counted as stale, unlisted or missing; of many, the first.
    pub absent: Vec<Absent>,
}

/// A file that could not be checked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Absent {
    /// The reason.
    pub why: Absence,
    /// The file.
    pub hash: FileHash,
    /// The path of its bytes, if in place.
    pub path: Option<PathBuf>,
    /// Its place in a model.
    pub in_model: Option<InModel>,
}

/// Why a file cannot be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Absence {
    /// Shared in place, and changed or missing.
    Stale,
    /// Its chunk list is not known.
    Unlisted,
    /// It is not held completely.
    Missing,
}

/// A file's place in a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InModel {
    /// The model.
    pub model: ContentHash,
    /// A name of the model, if it has one.
    pub name: Option<String>,
    /// The file's path in it.
    pub file: ModelPath,
}

/// A file whose bytes are wrong.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Damaged {
    /// The file.
    pub hash: FileHash,
    /// The path of its bytes, if in place.
    pub path: Option<PathBuf>,
    /// Chunks that are wrong.
    pub chunks: u64,
    /// Its place in a model.
    pub in_model: Option<InModel>,
}

impl Call for Verify {
    type Answer = Verified;

    async fn handle(self, core: &Arc<Core>, sink: &ReplySink) -> Result<Verified, Failure> {
        let model = self.hash;
        let observer = SinkObserver::new(sink, hashing);
        let store = core.cx.store.clone();
        let verified = Blocking::run_long(move || {
            let report = store.verify(model, &observer)?;
            describe(&store, model, &report)
        })
        .await??;
        if !verified.damaged.is_empty() {
            core.cx.note_change();
        }
        Ok(verified)
    }
}

fn describe(
    store: &Store,
    model: Option<ContentHash>,
    report: &VerifyReport,
) -> Result<Verified, StoreError> {
    let mut stale: Vec<(FileHash, PathBuf)> = report.stale.clone();
    let mut missing = Vec::new();
    for file in &report.missing {
        match path_in_place(store, *file)? {
            Some(path) => stale.push((*file, path)),
            None => missing.push(*file),
        }
    }
    let (stale_files, missing_files) = (stale.len() as u64, missing.len() as u64);
    let stale = stale.into_iter();
    let stale = stale.map(|(file, path)| (Absence::Stale, file, Some(path)));
    let unlisted = report.unlisted.iter();
    let unlisted = unlisted.map(|file| (Absence::Unlisted, *file, None));
    let missing = missing.into_iter();
    let missing = missing.map(|file| (Absence::Missing, file, None));
    let absent: Vec<_> = stale
        .chain(unlisted)
        .chain(missing)
        .take(ABSENT_MAX)
        .collect();
    let damaged = report.damaged.iter().map(|damaged| damaged.file);
    let wanted = damaged.chain(absent.iter().map(|(_, file, _)| *file));
    let places = places(store, model, &wanted.collect())?;
    let damaged = report.damaged.iter().map(|damaged| {
        Ok(Damaged {
            hash: damaged.file,
            path: path_in_place(store, damaged.file)?,
            chunks: damaged.chunks.len() as u64,
            in_model: places.get(&damaged.file).cloned(),
        })
    });
    let damaged = damaged.collect::<Result<_, StoreError>>()?;
    let absent = absent.into_iter().map(|(why, hash, path)| Absent {
        why,
        hash,
        path,
        in_model: places.get(&hash).cloned(),
    });
    Ok(Verified {
        files: report.files,
        bytes: report.bytes,
        damaged,
        stale: stale_files,
        unlisted: report.unlisted.len() as u64,
        missing: missing_files,
        absent: absent.collect(),
    })
}

/// The path of a file that is or was shared in place.
fn path_in_place(store: &Store, file: FileHash) -> Result<Option<PathBuf>, StoreError> {
    Ok(match store.file(file)?.map(|info| info.place) {
        Some(FilePlace::External(path)) => Some(path),
        _ => None,
    })
}

/// The first place of each file in a model.
fn places(
    store: &Store,
    model: Option<ContentHash>,
    files: &HashSet<FileHash>,
) -> Result<HashMap<FileHash, InModel>, StoreError> {
    let mut places = HashMap::new();
    if files.is_empty() {
        return Ok(places);
    }
    let models = match model {
        Some(model) => vec![model],
        None => store
            .models()?
            .into_iter()
            .map(|model| model.hash)
            .collect(),
    };
    for model in models {
        let Some(manifest) = store.manifest(model)? else {
            continue;
        };
        let found: Vec<_> = manifest
            .entries()
            .iter()
            .filter(|entry| files.contains(&entry.hash) && !places.contains_key(&entry.hash))
            .collect();
        if found.is_empty() {
            continue;
        }
        let name = names_of(store, model, 1)?.pop();
        let name = name.map(|name| name.to_string());
        for entry in found {
            let place = InModel {
                model,
                name: name.clone(),
                file: entry.path.clone(),
            };
            places.entry(entry.hash).or_insert(place);
        }
    }
    Ok(places)
}
