//! What of a model is missing here.

use std::ops::Range;

use hubless_content::{CHUNK_SIZE, ChunkIndex, ChunkList, ChunkSet, ContentHash};
use hubless_store::{Store, StoreError};

use super::layout::{FileNumber, Layout};

/// What has to be fetched.
pub(super) struct Planned {
    /// Missing chunks that can be verified already.
    pub(super) wanted_now: ChunkSet,
    /// All missing chunks.
    pub(super) missing: ChunkSet,
    /// Files whose chunk lists are missing.
    pub(super) lists: Vec<FileNumber>,
}

/// Looks at every wanted file; `range` leaves only the chunks with bytes in it. What an earlier
/// fetch stored but could not note any more is found again. `pin` is pinned, so that what
/// comes is kept.
pub(super) fn plan(
    store: &Store,
    layout: &Layout,
    range: Option<Range<u64>>,
    pin: Option<ContentHash>,
) -> Result<Planned, StoreError> {
    let mut planned = Planned {
        wanted_now: ChunkSet::empty(layout.chunks()),
        missing: ChunkSet::empty(layout.chunks()),
        lists: Vec::new(),
    };
    if let Some(model) = pin {
        store.pin(model)?;
    }
    for file in layout.wanted() {
        plan_file(store, layout, file, range.as_ref(), &mut planned)?;
    }
    Ok(planned)
}

/// What is missing of a range of one file.
pub(super) fn plan_one(
    store: &Store,
    layout: &Layout,
    file: FileNumber,
    range: Range<u64>,
) -> Result<Planned, StoreError> {
    let mut planned = Planned {
        wanted_now: ChunkSet::empty(layout.chunks()),
        missing: ChunkSet::empty(layout.chunks()),
        lists: Vec::new(),
    };
    plan_file(store, layout, file, Some(&range), &mut planned)?;
    Ok(planned)
}

fn plan_file(
    store: &Store,
    layout: &Layout,
    file: FileNumber,
    range: Option<&Range<u64>>,
    planned: &mut Planned,
) -> Result<(), StoreError> {
    let entry = layout.entry(file);
    let known = store.file(entry.hash)?;
    if known.as_ref().is_some_and(|known| known.complete) {
        return Ok(());
    }
    let list = match ChunkList::single(entry.hash, entry.size) {
        Ok(single) => Some(single),
        // Proven anew: its size may come from another manifest, which may have lied.
        Err(_) => store
            .chunk_list(entry.hash)?
            .and_then(|list| ChunkList::prove(entry.hash, entry.size, list.cvs().to_vec()).ok()),
    };
    let held = match &list {
        Some(_) if known.is_some() => {
            store.recover(entry.hash)?;
            store.held(entry.hash)?
        }
        _ => None,
    };
    let chunks = layout.range(file);
    let first = chunks.start;
    let wanted = chunks
        .map(|chunk| ChunkIndex(chunk - first))
        .filter(|index| {
            range.is_none_or(|range| touches(range, *index))
                && !held.as_ref().is_some_and(|held| held.contains(index.0))
        });
    let mut any = false;
    for index in wanted {
        any = true;
        planned.missing.insert(first + index.0);
        if list.is_some() {
            planned.wanted_now.insert(first + index.0);
        }
    }
    match list {
        Some(list) => layout.set_list(file, list),
        None if any => planned.lists.push(file),
        None => {}
    }
    Ok(())
}

fn touches(range: &Range<u64>, index: ChunkIndex) -> bool {
    let start = hubless_content::chunk_offset(index);
    start < range.end && range.start < start + CHUNK_SIZE as u64
}
