//! Reading everything again, and admitting what is no longer right.

use std::{
    collections::{BTreeSet, HashSet},
    path::PathBuf,
};

use hubless_content::{ContentHash, FileHash};
use hubless_index::FileLocation;

use crate::{
    error::StoreError,
    files::{damage::Damaged, located::LocatedFile},
    observer::Observer,
    work::{Work, check::FileToCheck},
};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifyReport {
    /// Files that were read.
    pub files: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Those that are wrong.
    pub damaged: Vec<Damaged>,
    /// The user's own files that were found to be changed or gone before, and still are.
    pub stale: Vec<(FileHash, PathBuf)>,
    /// Files of which chunks are held that cannot be checked, because their chunk list is not known.
    pub unlisted: Vec<FileHash>,
    /// Other files of the models asked for that are not held completely.
    pub missing: Vec<FileHash>,
}

impl VerifyReport {
    /// Whether every file of every model asked for is there and right.
    pub fn is_good(&self) -> bool {
        self.damaged.is_empty()
            && self.stale.is_empty()
            && self.unlisted.is_empty()
            && self.missing.is_empty()
    }
}

/// Where a file of the user's is that was stale already.
fn stale_path(target: &FileToCheck) -> Option<PathBuf> {
    match &target.located {
        LocatedFile::Stored(record) => match &record.place {
            FileLocation::External(external) if external.stale => Some(external.path.clone()),
            _ => None,
        },
        _ => None,
    }
}

impl Work {
    fn is_held(&self, file: FileHash) -> Result<bool, StoreError> {
        let located = self.files.locate(file)?;
        Ok(!self.files.presence(file, &located).is_empty())
    }

    /// Reads all stored bytes of a model, or of all files, and the index, and checks them. Wrong chunks are no
    /// longer held afterwards, so that fetching the model again fetches only them; external files
    /// that changed are no longer served, and those that are right again are. What was put aside and
    /// is wanted is taken back first.
    pub(crate) fn verify(
        &self,
        model: Option<ContentHash>,
        observer: &dyn Observer,
    ) -> Result<VerifyReport, StoreError> {
        self.flush()?;
        self.files.index.check()?;
        self.tidy_lost()?;
        let mut report = VerifyReport::default();
        let targets = self.targets(model, &mut report)?;
        let checked = self.check_all(&targets, observer)?;
        report.files = targets.len() as u64;
        report.bytes = checked.bytes;
        for (number, chunks) in checked.wrong {
            let target = &targets[number];
            match stale_path(target) {
                Some(path) => report.stale.push((target.file, path)),
                None => report.damaged.push(Damaged {
                    file: target.file,
                    chunks,
                    external: target.located.is_external(),
                }),
            }
        }
        self.flush()?;
        self.find_missing(model, &mut report)?;
        Ok(report)
    }

    fn targets(
        &self,
        model: Option<ContentHash>,
        report: &mut VerifyReport,
    ) -> Result<Vec<FileToCheck>, StoreError> {
        let files = match model {
            None => self.files.index.files().all()?,
            Some(model) => {
                let manifest = self
                    .files
                    .index
                    .manifests()
                    .get(model)?
                    .ok_or(StoreError::UnknownModel { model })?;
                let files: BTreeSet<_> =
                    manifest.entries().iter().map(|entry| entry.hash).collect();
                files.into_iter().collect()
            }
        };
        let mut targets = Vec::new();
        for file in files {
            match self.target(file)? {
                Some(target) => targets.push(target),
                None if !self.is_held(file)? => {}
                None => report.unlisted.push(file),
            }
        }
        Ok(targets)
    }

    /// Adds those files of the models that are asked for which are not complete.
    fn find_missing(
        &self,
        model: Option<ContentHash>,
        report: &mut VerifyReport,
    ) -> Result<(), StoreError> {
        let damaged = report.damaged.iter().map(|damaged| damaged.file);
        let stale = report.stale.iter().map(|(file, _)| *file);
        let mut known: HashSet<FileHash> = damaged.chain(stale).collect();
        known.extend(&report.unlisted);
        let models = match model {
            Some(model) => vec![model],
            None => self.files.index.manifests().hashes()?,
        };
        for model in models {
            // One that was removed meanwhile lacks nothing.
            let Some(manifest) = self.files.index.manifests().get(model)? else {
                continue;
            };
            let chunks = self.files.chunks_of(manifest.entries())?;
            for (entry, chunks) in manifest.entries().iter().zip(&chunks) {
                if !chunks.is_all() && known.insert(entry.hash) {
                    report.missing.push(entry.hash);
                }
            }
        }
        Ok(())
    }
}
