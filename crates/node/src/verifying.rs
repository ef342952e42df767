//! `verify`: hashes stored bytes again, and reports wrong ones by model and path.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
};

use hubless_content::{ContentHash, FileHash};
use hubless_repos::names::names_of;
use hubless_store::{FilePlace, Store, StoreError, VerifyReport};
use hubless_transfer::Blocking;

use crate::{
    api::{Absence, Absent, Damaged, Failure, InModel, Verified},
    core::Core,
    publish::{SinkObserver, hashing},
    replies::ReplySink,
};

/// Limit of the files that are listed as absent: a person reads a few, a script the counts.
const ABSENT_MAX: usize = 1000;

pub(crate) async fn verify(
    core: &Arc<Core>,
    sink: &ReplySink,
    model: Option<ContentHash>,
) -> Result<Verified, Failure> {
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
