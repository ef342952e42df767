//! Reading and hashing on all cores.
//!
//! Files are cut into spans; threads take one span after the other, so that one large file and
//! many small ones keep all cores busy alike. Each thread has one buffer: memory is bounded by
//! the number of cores.

use std::{
    ops::Range,
    path::Path,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use hubless_content::{
    CHUNK_SIZE, ChunkCv, ChunkIndex, ChunkList, chunk_count, chunk_cv, chunk_len, chunk_offset,
};
use hubless_memory::AlignedBytes;
use hubless_sync::lock;

use crate::{
    error::{DiskError, IoContext},
    seam::DiskFile,
};

/// Chunks of a span: 4 MiB, long enough to be read ahead, short enough to share a small file.
const SPAN_CHUNKS: u32 = 16;

/// Chunks read by one call: larger reads do not get faster, smaller ones cost more calls.
const READ_CHUNKS: u32 = 4;

/// Consecutive chunks of one of several files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Which file.
    pub item: usize,
    /// Which chunks of it.
    pub chunks: Range<u32>,
}

/// All chunks of files of these sizes, in order.
pub fn spans(sizes: impl IntoIterator<Item = u64>) -> Vec<Span> {
    let mut spans = Vec::new();
    for (item, size) in sizes.into_iter().enumerate() {
        let count = chunk_count(size);
        let starts = (0..count).step_by(SPAN_CHUNKS as usize);
        spans.extend(starts.map(|start| {
            let end = start.saturating_add(SPAN_CHUNKS).min(count);
            Span {
                item,
                chunks: start..end,
            }
        }));
    }
    spans
}

/// How many spans a file of this size has.
pub fn span_count(size: u64) -> u32 {
    chunk_count(size).div_ceil(SPAN_CHUNKS)
}

/// Threads that this process may run at once. Asking the system takes a dozen calls, too many for
/// each small file.
fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| thread::available_parallelism().map_or(1, usize::from))
}

/// Does `work` for each of `items` on all cores, about in order; each thread has its own buffer.
///
/// # Errors
/// The first of `work`, which ends all of it.
pub fn for_each<T: Sync, E: Send>(
    items: &[T],
    work: impl Fn(&T, &mut AlignedBytes) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let threads = cores().min(items.len());
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let first_error = Mutex::new(None);
    let run = || {
        let mut buffer = AlignedBytes::default();
        while !stop.load(Ordering::Relaxed) {
            let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) else {
                break;
            };
            if let Err(error) = work(item, &mut buffer) {
                stop.store(true, Ordering::Relaxed);
                lock(&first_error).get_or_insert(error);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(run);
        }
        run();
    });
    lock(&first_error).take().map_or(Ok(()), Err)
}

/// Reads `chunks` of a file of `size` bytes in large pieces and gives `each` one chunk at a time;
/// what the file no longer has is given shorter than it should be.
///
/// # Errors
/// The first of `each`, or what the disk refused.
pub fn read_chunks<E: From<DiskError>>(
    file: &dyn DiskFile,
    path: &Path,
    size: u64,
    chunks: Range<u32>,
    buffer: &mut AlignedBytes,
    mut each: impl FnMut(ChunkIndex, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    for start in chunks.clone().step_by(READ_CHUNKS as usize) {
        let group = start..start.saturating_add(READ_CHUNKS).min(chunks.end);
        let lens = group
            .clone()
            .map(|n| chunk_len(size, ChunkIndex(n)).unwrap_or(0));
        let room = buffer.room(lens.clone().sum());
        let read = file.read_at(room, chunk_offset(ChunkIndex(start)));
        let read = read.context("read", path)?;
        for (n, len) in group.zip(lens) {
            let begin = ((n - start) as usize * CHUNK_SIZE).min(read);
            let end = (begin + len).min(read);
            each(ChunkIndex(n), &buffer[begin..end])?;
        }
    }
    Ok(())
}

/// The chaining values of one file of several chunks, which come from several threads.
pub struct CvSlots {
    size: u64,
    cvs: Mutex<Vec<ChunkCv>>,
}

impl CvSlots {
    /// For a file of `size` bytes.
    pub fn new(size: u64) -> Self {
        let none = ChunkCv::new([0; 32]);
        Self {
            size,
            cvs: Mutex::new(vec![none; chunk_count(size) as usize]),
        }
    }

    /// Notes the chaining value of a chunk with these bytes.
    pub fn set(&self, index: ChunkIndex, bytes: &[u8]) {
        let cv = chunk_cv(index, bytes);
        if let Some(slot) = lock(&self.cvs).get_mut(index.0 as usize) {
            *slot = cv;
        }
    }

    /// The list, when all are set.
    pub fn finish(&self) -> Option<ChunkList> {
        ChunkList::from_hashed(self.size, std::mem::take(&mut lock(&self.cvs)))
    }
}

/// The chunk list of the first `size` bytes of the file at `path`, which has several chunks;
/// `None` if it is shorter.
///
/// # Errors
/// What the disk refused.
pub fn hash(file: &dyn DiskFile, path: &Path, size: u64) -> Result<Option<ChunkList>, DiskError> {
    let slots = CvSlots::new(size);
    let whole = AtomicBool::new(true);
    for_each(&spans([size]), |span, buffer| {
        read_chunks(
            file,
            path,
            size,
            span.chunks.clone(),
            buffer,
            |index, bytes| {
                if chunk_len(size, index) != Some(bytes.len()) {
                    whole.store(false, Ordering::Relaxed);
                }
                slots.set(index, bytes);
                Ok(())
            },
        )
    })?;
    Ok(if whole.into_inner() {
        slots.finish()
    } else {
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_cover_each_chunk_once() {
        let chunk = CHUNK_SIZE as u64;
        let sizes = [0, 1, 16 * chunk, 16 * chunk + 1, 40 * chunk];
        let spans = spans(sizes);
        for (item, size) in sizes.into_iter().enumerate() {
            let of_item = spans.iter().filter(|span| span.item == item);
            let chunks: Vec<u32> = of_item
                .clone()
                .flat_map(|span| span.chunks.clone())
                .collect();
            assert_eq!(chunks, (0..chunk_count(size)).collect::<Vec<_>>());
            assert_eq!(of_item.count() as u32, span_count(size));
        }
    }

    #[test]
    fn the_first_error_ends_the_work() {
        let done = AtomicUsize::new(0);
        let items: Vec<usize> = (0..10_000).collect();
        let outcome = for_each(&items, |item, _| {
            done.fetch_add(1, Ordering::Relaxed);
            if *item >= 5 { Err("enough") } else { Ok(()) }
        });
        assert_eq!(outcome, Err("enough"));
        // Each thread ends with its own error at the latest.
        let threads = thread::available_parallelism().map_or(1, usize::from);
        assert!(done.into_inner() <= 5 + threads);
    }
}
