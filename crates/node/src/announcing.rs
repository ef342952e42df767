//! Keeps the announced keys equal to the held content.

use std::{sync::Arc, time::Duration};

use hubless_content::Alias;
use hubless_network::{AnnounceKey, Priority};
use hubless_store::StoreError;
use hubless_transfer::{Blocking, Withheld};
use tracing::warn;

use crate::{config::AnnouncePolicy, core::Core};

/// Changes are gathered for so long, so that an import of a thousand models reads the store once.
const SETTLE: Duration = Duration::from_millis(200);

/// Runs until the node stops.
pub(crate) async fn run(core: Arc<Core>) {
    let cancel = core.cx.cancel.clone();
    let mut changes = core.cx.changes();
    let work = async {
        loop {
            announce(&core).await;
            changes.next().await;
            tokio::time::sleep(SETTLE).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = cancel.cancelled() => {}
    }
}

async fn announce(core: &Arc<Core>) {
    let (store, policy) = (core.cx.store.clone(), core.config.announce);
    let withheld = core.withheld.clone();
    let keys = Blocking::run_long(move || {
        withheld.refresh(&store)?;
        keys(&store, policy, &withheld)
    })
    .await;
    match (keys, core.network()) {
        (Ok(Ok(keys)), Ok(network)) => network.set_announced(keys).await,
        (Ok(Err(error)), _) => warn!(%error, "cannot determine the keys to announce"),
        (Err(error), _) => warn!(%error, "cannot determine the keys to announce"),
        (_, Err(_)) => {}
    }
}

/// The keys to announce, the most useful first: a fetch searches for the content hash of a model.
fn keys(
    store: &hubless_store::Store,
    policy: AnnouncePolicy,
    withheld: &Withheld,
) -> Result<Vec<(AnnounceKey, Priority)>, StoreError> {
    let mut held = store.announce_keys()?;
    held.models.retain(|model| !withheld.has_model(*model));
    held.files.retain(|file| !withheld.has_file(*file));
    let unnamed = withheld.sha256s(store)?;
    held.sha256s.retain(|sha256| !unnamed.contains(sha256));
    let root = |model| (AnnounceKey::from(model), Priority::Root);
    let file = |file| (AnnounceKey::from(file), Priority::File);
    let alias = |sha256| (AnnounceKey::from(Alias::Sha256(sha256)), Priority::File);
    let mut keys: Vec<_> = held.models.into_iter().map(root).collect();
    let named = hubless_names::announce::keys(store)?;
    keys.extend(named.into_iter().map(|key| (key, Priority::Root)));
    if policy != AnnouncePolicy::Roots {
        keys.extend(held.files.iter().copied().map(file));
        keys.extend(held.sha256s.into_iter().map(alias));
    }
    if policy == AnnouncePolicy::Chunks {
        for file in held.files {
            let cvs = store.chunk_list(file)?;
            let held = store.held(file)?;
            if let (Some(list), Some(held)) = (cvs, held) {
                let chunks = list.cvs().iter().zip(0u32..);
                let chunks = chunks.filter(|(_, index)| held.contains(*index));
                keys.extend(chunks.map(|(cv, _)| (AnnounceKey::chunk(cv), Priority::Chunk)));
            }
        }
    }
    Ok(keys)
}
