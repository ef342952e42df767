//! Making room within the quota: what no pin and no name of this node needs goes, least recently
//! used first.
//!
//! The files of an upstream's repos are a cache: their names stay known, and their bytes are pulled
//! again when they are asked for. So are those of publishers, unless the publisher is this node's or is
//! followed with a policy that covers them. Models that were fetched and are not pinned go too. What is
//! pinned, named here or in use stays, and so do the user's own files. A pass removes nothing if all
//! that may go would not make the room that was asked for.
//!
//! A pass is a garbage collection that keeps more: it takes the same locks in the same order.

use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
    time::{Duration, Instant},
};

use hubless_content::{ContentHash, FileHash};
use hubless_index::{FileLocation, Named};
use hubless_sync::lock;

use crate::{
    error::StoreError,
    pending::quota::Reservation,
    work::{
        Work,
        gc::{BATCH_FILES, GcReport, Kept},
    },
};

/// Times that room is made for one file: other tasks may take what was freed for it.
const TRIES_MAX: usize = 3;

/// The share of the quota that a pass frees beside what was asked for, as far as small models make
/// it: a pass reads the whole index, so a full store must not need one for each file.
const SPARE_SHARE: u64 = 50;

/// A pass that could not make the room is not repeated before so many times the time it took:
/// futile passes take at most a tenth of one processor.
const FUTILE_REST: u32 = 10;

/// What eviction did since the store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evictions {
    /// Models, and revisions of upstreams, whose files were removed.
    pub models: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Times that room was asked for and could not be made.
    pub refused: u64,
}

#[derive(Default)]
pub(crate) struct Evictor(Mutex<EvictorState>);

#[derive(Default)]
struct EvictorState {
    done: Evictions,
    /// So many bytes could not be freed, and until then another pass is of no use.
    futile: Option<(u64, Instant)>,
}

/// Files that have their last use and their removal in common.
struct Group {
    used: u64,
    bytes: u64,
    files: Vec<FileHash>,
    /// What is forgotten with the files, because nothing names it.
    manifest: Option<ContentHash>,
}

/// A file that may go.
struct Candidate {
    bytes: u64,
    used: u64,
    /// The group that was used last of those that have it.
    group: Option<usize>,
}

/// Makes a group of those of `listed` that may go. A file of several groups belongs to the one that
/// was used last.
fn join(
    files: &mut HashMap<FileHash, Candidate>,
    groups: &mut Vec<Group>,
    manifest: Option<ContentHash>,
    listed: &HashSet<FileHash>,
) {
    let uses = listed.iter().filter_map(|file| Some(files.get(file)?.used));
    let Some(used) = uses.max() else {
        return; // nothing of it is here
    };
    let number = groups.len();
    groups.push(Group::new(used, manifest));
    for file in listed {
        if let Some(candidate) = files.get_mut(file)
            && candidate
                .group
                .is_none_or(|group| groups[group].used < used)
        {
            candidate.group = Some(number);
        }
    }
}

/// The groups that go: the least recently used ones that are enough, and of the next ones those that
/// fit into `spare`. `None` if all are not enough.
fn choose(mut groups: Vec<Group>, missing: u64, spare: u64) -> Option<Vec<Group>> {
    let all: u64 = groups.iter().map(|group| group.bytes).sum();
    if all < missing {
        return None;
    }
    groups.sort_by_key(|group| group.used);
    let mut freed = 0;
    groups.retain(|group| {
        let goes = freed < missing || freed + group.bytes <= missing.saturating_add(spare);
        freed += if goes { group.bytes } else { 0 };
        goes
    });
    Some(groups)
}

impl Group {
    fn new(used: u64, manifest: Option<ContentHash>) -> Self {
        Self {
            used,
            bytes: 0,
            files: Vec::new(),
            manifest,
        }
    }
}

impl Evictor {
    fn is_futile(&self, missing: u64, now: Instant) -> bool {
        let futile = lock(&self.0).futile;
        futile.is_some_and(|(bytes, until)| missing >= bytes && now < until)
    }

    fn refuse(&self, missing: u64, began: Instant) {
        let mut state = lock(&self.0);
        state.done.refused += 1;
        let took: Duration = began.elapsed();
        state.futile = Some((missing, Instant::now() + took * FUTILE_REST));
    }
}

impl Work {
    /// What was evicted since the store was opened.
    pub(crate) fn evictions(&self) -> Evictions {
        lock(&self.evictor.0).done
    }

    /// Takes room within the quota, made if there is none. Not for callers that hold a lock of the
    /// store.
    pub(crate) fn reserve(&self, bytes: u64) -> Result<Reservation, StoreError> {
        self.making_room(|| self.files.quota.reserve(bytes))
    }

    /// Runs `work`, which takes room; if there is none, makes some and runs it again. Not for
    /// callers that hold a lock of the store.
    pub(crate) fn making_room<T>(
        &self,
        work: impl Fn() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        for _ in 0..TRIES_MAX {
            match work() {
                Err(StoreError::Quota { needed, .. }) if self.make_room(needed)? => {}
                outcome => return outcome,
            }
        }
        work()
    }

    /// Whether there may be room now for so many bytes.
    fn make_room(&self, needed: u64) -> Result<bool, StoreError> {
        let _one_at_a_time = self.collecting.lock();
        let missing = self.files.quota.missing(needed);
        if missing == 0 {
            return Ok(true); // another task's pass made it
        }
        let began = Instant::now();
        let made = !self.evictor.is_futile(missing, began) && {
            self.in_use.lock().begin();
            let outcome = self.evict(missing);
            self.in_use.lock().since = None;
            outcome?
        };
        if !made {
            self.evictor.refuse(missing, began);
        }
        Ok(made)
    }

    /// Frees at least `missing` bytes, or nothing; whether it did.
    fn evict(&self, missing: u64) -> Result<bool, StoreError> {
        self.commit_before();
        let named = self.files.index.revisions().named()?;
        let mut kept = self.not_evicted(&named)?;
        let groups = self.groups(&kept, &named)?;
        let Some(victims) = choose(groups, missing, self.files.quota.limit() / SPARE_SHARE) else {
            return Ok(false);
        };
        let mut report = GcReport::default();
        for victim in &victims {
            self.forget_models(victim.manifest.into_iter().collect(), &mut kept)?;
            for batch in victim.files.chunks(BATCH_FILES) {
                self.remove_files(batch, &mut kept, &mut report)?;
            }
        }
        let models = victims.len() as u64;
        let mut state = lock(&self.evictor.0);
        state.done.models += models;
        state.done.bytes += report.bytes;
        tracing::info!(
            models,
            bytes = report.bytes,
            "evicted what was not used for longest, to make room within the quota"
        );
        Ok(report.bytes > 0)
    }

    /// What pins, names of this node and tasks under way need.
    fn not_evicted(&self, named: &[Named]) -> Result<Kept, StoreError> {
        let mut kept = Kept::default();
        for model in self.files.index.pins().all()? {
            self.keep_model(&mut kept, model)?;
        }
        for named in named.iter().filter(|named| !named.is_cached) {
            self.keep_named(&mut kept, named)?;
        }
        let in_use = self.in_use.lock();
        self.keep_touched(&mut kept, &in_use)?;
        Ok(kept)
    }

    /// All that may go, in groups of files.
    fn groups(&self, kept: &Kept, named: &[Named]) -> Result<Vec<Group>, StoreError> {
        let mut files = self.candidates(kept)?;
        // Files that nothing names are garbage, and go first.
        let mut groups = Vec::new();
        for revision in named {
            let mut listed = Kept::default();
            self.keep_named(&mut listed, revision)?;
            join(&mut files, &mut groups, None, &listed.files);
        }
        let named: HashSet<_> = named.iter().filter_map(|named| named.model).collect();
        for model in self.files.index.manifests().hashes()? {
            if !named.contains(&model) && !kept.models.contains(&model) {
                let mut listed = Kept::default();
                self.keep_model(&mut listed, model)?;
                join(&mut files, &mut groups, Some(model), &listed.files);
            }
        }
        let mut garbage = Group::new(0, None);
        for (file, candidate) in files {
            let group = match candidate.group {
                Some(group) => &mut groups[group],
                None => &mut garbage,
            };
            group.bytes += candidate.bytes;
            group.files.push(file);
        }
        groups.push(garbage);
        groups.retain(|group| !group.files.is_empty());
        Ok(groups)
    }

    /// The files of the store that may go, without those that take no room in it.
    fn candidates(&self, kept: &Kept) -> Result<HashMap<FileHash, Candidate>, StoreError> {
        let mut files =
            self.files
                .index
                .files()
                .fold_with_use(HashMap::new, |files, file, record, used| {
                    let is_users = matches!(record.place, FileLocation::External(_));
                    if !is_users && !kept.files.contains(&file) {
                        let candidate = Candidate {
                            bytes: record.bytes_owned(),
                            used,
                            group: None,
                        };
                        files.insert(file, candidate);
                    }
                })?;
        self.files.uses.each(|file, used| {
            if let Some(candidate) = files.get_mut(&file) {
                candidate.used = candidate.used.max(used);
            }
        });
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(used: u64, bytes: u64) -> Group {
        Group {
            bytes,
            ..Group::new(used, None)
        }
    }

    #[test]
    fn the_least_recently_used_go_and_no_more_than_needed_but_small_ones() {
        let chosen = |missing, spare| {
            let groups = vec![group(3, 50), group(1, 10), group(2, 40), group(4, 2)];
            let chosen = choose(groups, missing, spare)?;
            Some(chosen.iter().map(|group| group.used).collect::<Vec<_>>())
        };
        assert_eq!(chosen(10, 0), Some(vec![1]));
        assert_eq!(chosen(11, 0), Some(vec![1, 2]));
        assert_eq!(chosen(102, 0), Some(vec![1, 2, 3, 4]));
        assert_eq!(chosen(103, 0), None, "nothing goes in vain");
        assert_eq!(chosen(49, 3), Some(vec![1, 2, 4]), "a small one more");
    }
}
