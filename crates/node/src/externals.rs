//! Watches files that are referenced in place: a changed file is no longer announced.

use std::{sync::Arc, time::Duration};

use hubless_transfer::Blocking;
use tracing::{error, info, warn};

use crate::core::Core;

/// Interval of the checks. A check is one `stat` a file; serving checks by itself, so this bounds
/// only how long a changed file stays announced.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Runs until the node stops.
pub(crate) async fn run(core: Arc<Core>) {
    let cancel = core.cx.cancel.clone();
    let work = async {
        tidy(&core).await;
        loop {
            check_all(&core).await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = cancel.cancelled() => {}
    }
}

/// Takes back files from `lost/`. Files are put there only when a store is opened, so once is
/// enough.
async fn tidy(core: &Arc<Core>) {
    let store = core.cx.store.clone();
    match Blocking::run_long(move || store.tidy_lost()).await {
        Ok(Ok(0)) => {}
        Ok(Ok(_)) => core.cx.note_change(),
        Ok(Err(error)) => error!(%error, "cannot take back files that were put aside"),
        Err(error) => error!(%error, "cannot take back files that were put aside"),
    }
}

async fn check_all(core: &Arc<Core>) {
    let store = core.cx.store.clone();
    let changes = match Blocking::run_long(move || store.check_externals()).await {
        Ok(Ok(changes)) => changes,
        Ok(Err(error)) => return error!(%error, "cannot check files that are shared in place"),
        Err(error) => return error!(%error, "cannot check files that are shared in place"),
    };
    for change in &changes {
        let path = change.path.display();
        if change.stale {
            warn!(%path, "changed: no longer served or announced; restore it, or add the model again");
        } else {
            info!(%path, "restored: served and announced again");
        }
    }
    if !changes.is_empty() {
        core.cx.note_change();
    }
}
