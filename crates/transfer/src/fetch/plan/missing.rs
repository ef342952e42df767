//! What of a model is missing here.

use std::ops::Range;

use hubless_content::{ChunkIndex, ChunkList, ChunkSet, ContentHash, chunk_count};
use hubless_fetch::{FileNumber, Layout, Planned, WantedBytes};
use hubless_store::{Store, StoreError};

/// Compares every wanted file with the store. What an earlier fetch stored but could not note any
/// more is found again. `pin` is pinned, so that what comes is kept.
pub(in crate::fetch) fn plan(
    store: &Store,
    layout: &Layout,
    bytes: &WantedBytes,
    pin: Option<ContentHash>,
) -> Result<Planned, StoreError> {
    let mut planned = nothing(layout);
    if let Some(model) = pin {
        store.pin(model)?;
    }
    for file in layout.wanted() {
        plan_file(store, layout, file, bytes, &mut planned)?;
    }
    Ok(planned)
}

/// What is missing of a range of one file.
pub(in crate::fetch) fn plan_read(
    store: &Store,
    layout: &Layout,
    file: FileNumber,
    bytes: Range<u64>,
) -> Result<Planned, StoreError> {
    let mut planned = nothing(layout);
    let bytes = WantedBytes::Range(bytes);
    plan_file(store, layout, file, &bytes, &mut planned)?;
    Ok(planned)
}

fn nothing(layout: &Layout) -> Planned {
    Planned {
        wanted_now: ChunkSet::empty(layout.chunks()),
        missing: ChunkSet::empty(layout.chunks()),
        lists: Vec::new(),
    }
}

fn plan_file(
    store: &Store,
    layout: &Layout,
    file: FileNumber,
    bytes: &WantedBytes,
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
    let is_held = |index: &ChunkIndex| held.as_ref().is_some_and(|held| held.contains(index.0));
    let missing = (0..chunk_count(entry.size))
        .map(ChunkIndex)
        .filter(|index| bytes.include(*index) && !is_held(index));
    let mut any = false;
    for index in missing {
        any = true;
        let chunk = layout.chunk(file, index);
        planned.missing.insert(chunk.0);
        if list.is_some() {
            planned.wanted_now.insert(chunk.0);
        }
    }
    match list {
        Some(list) => layout.set_list(file, list),
        None if any => planned.lists.push(file),
        None => {}
    }
    Ok(())
}
