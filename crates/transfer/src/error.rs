//! How a transfer fails.

use std::{sync::Arc, time::Duration};

use hubless_content::{ChunkIndex, ContentHash, ModelPath};
use hubless_fetch::{FetchError, Target};
use hubless_store::{StoreError, StoreErrorKind};

use crate::{
    blocking::Aborted,
    text::{explain_store, size},
};

/// Why bytes were not transferred. Its text is a sentence for people, with its causes.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TransferError {
    /// A fetch got nothing, or not all of what was wanted.
    #[error("{}", explain_fetch(target, reason))]
    Fetch {
        /// What was fetched.
        target: Box<Target>,
        /// Why the fetch ended.
        reason: Box<FetchError>,
    },
    /// No node that has it answered in the time that a question waits.
    #[error("no provider of {target} was found in {within:?}: {}", tried(*candidates))]
    NoHolder {
        /// What was searched.
        target: Box<Target>,
        /// Nodes that were named for it.
        candidates: usize,
        /// How long they were waited for.
        within: Duration,
    },
    /// Peers gave nothing for as long as the reader waits.
    #[error("no peer gave {path:?} in {patience:?}")]
    Silent {
        /// The file.
        path: ModelPath,
        /// How long the reader waited.
        patience: Duration,
    },
    /// The peers that had the file have left, or do not answer.
    #[error(
        "no peer gives {path:?} now: {named} were named for it, and the DHT was searched {walks} times"
    )]
    NoGiver {
        /// The file.
        path: ModelPath,
        /// Peers that were named for it.
        named: usize,
        /// Walks through the DHT that have ended.
        walks: u32,
    },
    /// The file was here a moment ago, or is damaged.
    #[error("{path:?} cannot be read from the store")]
    Unreadable {
        /// The file.
        path: ModelPath,
    },
    /// A chunk is wrong on this node's disk, and no peer gave it.
    #[error("chunk {chunk} of {path:?} is wrong on disk and could not be fetched again: {source}")]
    NotReplaced {
        /// The file.
        path: ModelPath,
        /// The chunk.
        chunk: ChunkIndex,
        /// Why it could not be fetched.
        source: Box<TransferError>,
    },
    /// The fetch that a reader of this file waits for failed.
    #[error("{path:?}: {source}")]
    OfFile {
        /// The file.
        path: ModelPath,
        /// How the fetch failed.
        source: Box<TransferError>,
    },
    /// The store failed, or has no room.
    #[error("{}", explain_store(source))]
    Store {
        /// The model that was fetched; what came of it stays.
        model: Option<ContentHash>,
        /// How it failed.
        source: Arc<StoreError>,
    },
    /// This process did not join the network.
    #[error("no node runs on this home directory")]
    NoNode,
    /// A call of the store was aborted.
    #[error(transparent)]
    Aborted(#[from] Aborted),
    /// The caller left, or the node stops.
    #[error("interrupted")]
    Interrupted,
}

impl TransferError {
    /// The end of a fetch of a target.
    pub(crate) fn of_fetch(target: &Target, reason: FetchError) -> Self {
        Self::Fetch {
            target: Box::new(target.clone()),
            reason: Box::new(reason),
        }
    }

    /// A failure of the store during a fetch of a target.
    pub(crate) fn of_store(target: &Target, error: StoreError) -> Self {
        Self::Store {
            model: target.model(),
            source: Arc::new(error),
        }
    }

    /// Whether no peer gives the bytes now: this node works, and what peers sent was right.
    pub fn is_absence(&self) -> bool {
        match self {
            Self::Fetch { reason, .. } => match **reason {
                FetchError::Partial { .. }
                | FetchError::NoNetwork
                | FetchError::Alone
                | FetchError::NoProvider { .. } => true,
                FetchError::BadManifest(_) => false,
            },
            Self::NoHolder { .. } | Self::Silent { .. } | Self::NoGiver { .. } => true,
            Self::NotReplaced { source, .. } | Self::OfFile { source, .. } => source.is_absence(),
            Self::Store { source, .. } => source.kind() == StoreErrorKind::NotFound,
            Self::Unreadable { .. } | Self::NoNode | Self::Aborted(_) | Self::Interrupted => false,
        }
    }

    /// Whether the content is not available, by absence or by damage, and this node works.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Fetch { .. }
            | Self::NoHolder { .. }
            | Self::Silent { .. }
            | Self::NoGiver { .. }
            | Self::Unreadable { .. } => true,
            Self::NotReplaced { source, .. } | Self::OfFile { source, .. } => {
                source.is_unavailable()
            }
            Self::Store { source, .. } => is_unavailable_in_store(source),
            Self::NoNode | Self::Aborted(_) | Self::Interrupted => false,
        }
    }

    /// Whether it was stopped, and did not fail.
    pub fn is_interruption(&self) -> bool {
        match self {
            Self::Interrupted => true,
            Self::OfFile { source, .. } | Self::NotReplaced { source, .. } => {
                source.is_interruption()
            }
            Self::Store { source, .. } => source.kind() == StoreErrorKind::Cancelled,
            Self::Fetch { .. }
            | Self::NoHolder { .. }
            | Self::Silent { .. }
            | Self::NoGiver { .. }
            | Self::Unreadable { .. }
            | Self::NoNode
            | Self::Aborted(_) => false,
        }
    }
}

/// Whether content is missing or damaged in a store that works.
pub fn is_unavailable_in_store(error: &StoreError) -> bool {
    match error.kind() {
        // What is stored is not what it should be: the caller's request was right.
        StoreErrorKind::NotFound | StoreErrorKind::Corrupt | StoreErrorKind::Integrity => true,
        StoreErrorKind::Locked
        | StoreErrorKind::Conflict
        | StoreErrorKind::NoSpace
        | StoreErrorKind::Quota
        | StoreErrorKind::Input
        | StoreErrorKind::Io
        | StoreErrorKind::Cancelled => false,
    }
}

impl From<StoreError> for TransferError {
    fn from(error: StoreError) -> Self {
        Self::Store {
            model: None,
            source: Arc::new(error),
        }
    }
}

fn explain_fetch(what: &Target, reason: &FetchError) -> String {
    match reason {
        FetchError::BadManifest(error) => {
            format!("{what} is not a model that can be kept: {error}")
        }
        FetchError::Partial { held, total } => {
            let (held, total) = (size(*held), size(*total));
            format!("{held} of {total} are here; no node that has the rest answers")
        }
        FetchError::NoNetwork => {
            format!("cannot look for {what}: none of the named peers could be reached")
        }
        FetchError::Alone => {
            format!(
                "cannot look for {what}: not connected to any other node, so no node could be asked"
            )
        }
        FetchError::NoProvider { candidates } => {
            let asked = match candidates {
                0 => "no node announces it".to_owned(),
                1 => "asked 1 node, which does not have it".to_owned(),
                asked => format!("asked {asked} nodes; none has it"),
            };
            format!("no provider of {what} was found: {asked}")
        }
    }
}

fn tried(candidates: usize) -> String {
    match candidates {
        0 => "no node announces it".to_owned(),
        1 => "the 1 node that may have it does not answer".to_owned(),
        tried => format!("none of the {tried} nodes that may have it answers"),
    }
}

#[cfg(test)]
mod tests {
    use hubless_content::FileHash;

    use super::*;

    fn of_file(source: TransferError) -> TransferError {
        TransferError::OfFile {
            path: "a.bin".parse().unwrap(),
            source: Box::new(source),
        }
    }

    fn ended(reason: FetchError) -> TransferError {
        let model = ContentHash::of_manifest_bytes(b"a manifest");
        TransferError::of_fetch(&Target::Model(model), reason)
    }

    #[test]
    fn what_no_peer_gives_is_absent_and_what_is_wrong_is_not() {
        let absent = ended(FetchError::NoProvider { candidates: 2 });
        assert!(absent.to_string().contains("asked 2 nodes; none has it"));
        assert!(absent.is_absence() && of_file(absent).is_absence());
        let path = "a.bin".parse().unwrap();
        let unreadable = TransferError::Unreadable { path };
        assert!(!unreadable.is_absence() && unreadable.is_unavailable());
    }

    #[test]
    fn a_node_without_network_or_room_has_failed_and_content_is_not_unavailable() {
        assert!(!TransferError::NoNode.is_unavailable());
        let no_room = TransferError::from(StoreError::Quota {
            needed: 1,
            quota: 2,
            used: 2,
        });
        assert!(!no_room.is_unavailable() && !of_file(no_room).is_unavailable());
        let file = FileHash::new([1; 32]);
        let damaged = TransferError::from(StoreError::WrongFile {
            expected: file,
            found: FileHash::new([2; 32]),
        });
        assert!(damaged.is_unavailable() && !damaged.is_absence());
    }

    #[test]
    fn a_call_that_was_stopped_did_not_fail() {
        let stopped = TransferError::from(StoreError::Cancelled);
        assert!(stopped.is_interruption() && TransferError::Interrupted.is_interruption());
        assert!(!ended(FetchError::Alone).is_interruption());
    }
}
