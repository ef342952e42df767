//! `add`: imports a directory.

use std::{path::PathBuf, sync::Arc};

use hubless_content::ContentHash;
use hubless_store::ImportOptions;
use hubless_transfer::Blocking;
use serde::{Deserialize, Serialize};

use super::{
    Call,
    observer::{SinkObserver, hashing},
};
use crate::{core::Core, failure::Failure, replies::ReplySink};

/// Imports a directory. Events: [`Event::Progress`](crate::event::Event::Progress).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Add {
    /// The directory; absolute.
    pub path: PathBuf,
    /// Reference files where they lie instead of copying them.
    pub in_place: bool,
    /// Follow links that leave the directory.
    pub follow_links: bool,
}

/// A model was imported.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Added {
    /// Its address.
    pub hash: ContentHash,
    /// Files in it.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

impl Call for Add {
    type Answer = Added;

    async fn handle(self, core: &Arc<Core>, sink: &ReplySink) -> Result<Added, Failure> {
        let observer = SinkObserver::new(sink, hashing);
        let _busy = core.cx.busy.begin();
        let store = core.cx.store.clone();
        let options = ImportOptions {
            in_place: self.in_place,
            follow_links: self.follow_links,
        };
        let import = move || store.import(&self.path, &options, &observer);
        let added = Blocking::run_long(import).await??;
        core.cx.note_change();
        Ok(Added {
            hash: added.hash,
            files: added.files,
            bytes: added.bytes,
        })
    }
}
