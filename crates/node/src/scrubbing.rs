//! Verifies stored files in the background, so that silent damage is found while other nodes still
//! have a copy.
//!
//! The store records the last check of each file, so a restart changes nothing: files that seem to
//! have been written to come first, then the file with the oldest check. Damage is handled by
//! `repairing`.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use hubless_content::FileHash;
use hubless_store::{Scrubbed, StoreError};
use hubless_transfer::{Blocking, Pacer};
use tracing::{debug, warn};

use crate::core::Core;

/// Bytes a second at most: a twentieth of what a disk reads, and 1 TB in 14 hours.
const BYTES_PER_SECOND: f64 = 20_000_000.0;

/// How far it may run ahead of that rate before it rests.
const AHEAD_MAX: Duration = Duration::from_millis(100);

/// Wait when no file is due, which bounds the delay until a file that seems to have been written to
/// is found.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Runs until the node stops.
pub(crate) async fn run(core: Arc<Core>, every: Duration) {
    let cancel = core.cx.cancel.clone();
    let work = async {
        loop {
            core.cx.busy.idle().await;
            match next(&core, every).await {
                Some(file) => scrub(&core, file).await,
                None => tokio::time::sleep(LOOK_EVERY.min(every)).await,
            }
        }
    };
    cancel.run_until_cancelled(work).await;
}

/// The file whose check is due, if any.
async fn next(core: &Arc<Core>, every: Duration) -> Option<FileHash> {
    let before = SystemTime::now().checked_sub(every)?;
    let store = core.cx.store.clone();
    let due = Blocking::run_long(move || store.next_to_scrub(before)).await;
    due.ok()?.unwrap_or_else(|error| {
        warn!(%error, "cannot list the files whose check is due");
        None
    })
}

async fn scrub(core: &Arc<Core>, file: FileHash) {
    let work = core.clone();
    match Blocking::run_long(move || read(&work, file)).await {
        Ok(Ok(Scrubbed {
            bytes, rejected, ..
        })) => {
            debug!(%file, bytes, rejected, "checked");
        }
        Ok(Err(error)) => {
            warn!(%file, %error, "cannot check a stored file");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(_) => {} // the node stops
    }
}

fn read(core: &Arc<Core>, file: FileHash) -> Result<Scrubbed, StoreError> {
    let pacer = Pacer::new(core.cx.clone(), || false);
    let (began, mut read) = (Instant::now(), 0);
    core.cx.store.scrub(file, &mut |bytes| {
        read += bytes;
        core.cx.counters.scrubbed.add(bytes);
        pacer.step();
        let ahead = Duration::from_secs_f64(read as f64 / BYTES_PER_SECOND);
        let ahead = ahead.saturating_sub(began.elapsed());
        if ahead > AHEAD_MAX {
            pacer.rest(ahead);
        }
        !core.cx.cancel.is_cancelled()
    })
}
