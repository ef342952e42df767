//! `cat`: the bytes of one file, in order, as they are verified.

use std::{ops::Range, sync::Arc, time::Duration};

use hubless_content::{
    CHUNK_SIZE, ChunkIndex, ContentHash, ManifestEntry, ModelPath, chunk_offset,
};
use hubless_scheduler::Order;
use tokio::sync::watch;

use super::{
    job::{Job, Wish},
    layout::Layout,
    target::Target,
};
use crate::{
    api::{Failure, FailureKind},
    core::{Core, peer_addresses},
    replies::ReplySink,
};

/// What to print.
pub(crate) struct Cat {
    pub(crate) hash: ContentHash,
    pub(crate) peers: Vec<String>,
    pub(crate) path: ModelPath,
    pub(crate) range: Option<(u64, Option<u64>)>,
    pub(crate) timeout_s: u64,
}

pub(crate) async fn cat(core: &Arc<Core>, sink: &ReplySink, cat: Cat) -> Result<(), Failure> {
    let (start, end) = cat.range.unwrap_or((0, None));
    let path = cat.path.clone();
    let wish = Wish {
        target: Target::Model(cat.hash),
        named: peer_addresses("peer", &cat.peers)?,
        wants: Box::new(move |entry: &ManifestEntry| entry.path == path),
        range: Some(start..end.unwrap_or(u64::MAX)),
        demands: None,
        order: Order::Sequential,
        patience: Duration::from_secs(cat.timeout_s),
        keep: false,
        only_plan: false,
    };
    let job = Job::new(core, sink, wish)?;
    let (layout, stored) = (job.layout(), job.stored());
    tokio::try_join!(job.run(), print(core, sink, &cat, layout, stored))?;
    Ok(())
}

async fn print(
    core: &Arc<Core>,
    sink: &ReplySink,
    cat: &Cat,
    mut layout: watch::Receiver<Option<Arc<Layout>>>,
    mut stored: watch::Receiver<u64>,
) -> Result<(), Failure> {
    let layout = match layout.wait_for(Option::is_some).await {
        Ok(layout) => layout.clone(),
        Err(_) => None, // the job failed, and says why
    };
    let Some(layout) = layout else { return Ok(()) };
    let entry = layout.manifest.get(cat.path.as_str()).ok_or_else(|| {
        Failure::new(
            FailureKind::NotFound,
            format!("there is no file {:?} in {}", cat.path, cat.hash),
        )
        .hint(format!("`hubless info {}` lists its files", cat.hash))
    })?;
    let range = clamp(cat.range, entry.size)?;
    let mut at = range.start;
    while at < range.end {
        let piece = at..range.end.min(next_chunk(at));
        stream_piece(core, sink, entry, piece.clone(), &mut stored).await?;
        at = piece.end;
    }
    Ok(())
}

fn next_chunk(at: u64) -> u64 {
    (at / CHUNK_SIZE as u64 + 1) * CHUNK_SIZE as u64
}

fn clamp(range: Option<(u64, Option<u64>)>, size: u64) -> Result<Range<u64>, Failure> {
    let (start, end) = range.unwrap_or((0, None));
    let end = end.unwrap_or(size).min(size);
    if range.is_some() && start >= size.max(1) {
        let message = format!("the range begins at byte {start}, but the file has {size} bytes");
        return Err(Failure::new(FailureKind::Usage, message).hint("bytes are counted from 0"));
    }
    Ok(start..end.max(start))
}

/// Waits for the chunk and sends what is asked of it.
async fn stream_piece(
    core: &Arc<Core>,
    sink: &ReplySink,
    entry: &ManifestEntry,
    piece: Range<u64>,
    stored: &mut watch::Receiver<u64>,
) -> Result<(), Failure> {
    let Some(index) = ChunkIndex::of_offset(piece.start) else {
        return Ok(());
    };
    let mut last_look = false;
    loop {
        stored.borrow_and_update();
        let (store, file) = (core.store.clone(), entry.hash);
        if let Some(bytes) = core
            .blocking
            .run(move || store.read_chunk(file, index))
            .await??
        {
            let offset = chunk_offset(index);
            let inside = (piece.start - offset) as usize..(piece.end - offset) as usize;
            let bytes = (inside.end <= bytes.len()).then(|| bytes.slice(inside));
            return sink.data(bytes.ok_or_else(|| damaged(entry))?).await;
        }
        if last_look {
            return Err(damaged(entry));
        }
        // The job is over when its end is gone; what it stored last is there by then.
        last_look = stored.changed().await.is_err();
    }
}

fn damaged(entry: &ManifestEntry) -> Failure {
    Failure::new(
        FailureKind::Integrity,
        format!("{:?} cannot be read from the store", entry.path),
    )
    .hint("`hubless verify` finds what is damaged, `hubless get` repairs it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_end_where_the_file_ends() {
        assert_eq!(clamp(None, 0).unwrap(), 0..0);
        assert_eq!(clamp(None, 10).unwrap(), 0..10);
        assert_eq!(clamp(Some((3, Some(5))), 10).unwrap(), 3..5);
        assert_eq!(clamp(Some((3, Some(99))), 10).unwrap(), 3..10);
        assert_eq!(
            clamp(Some((10, None)), 10).unwrap_err().kind,
            FailureKind::Usage
        );
    }
}
