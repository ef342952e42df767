//! The calls to a node, their answers, and the events of running work.
//!
//! The same types serve callers in this process and, as JSON, callers on the Unix socket
//! (`node.sock` in the home directory). Answers serialize to what `--json` prints: scripts rely on
//! these names.

use serde::{Deserialize, Serialize};

pub use hubless_network::{Multiaddr, NodeId, Reachability};
pub use hubless_repos::names::{
    NameDetails, NameRef, NameRevision, NameSet, Named, Names, ResolvedName, RevisionRemoved,
};
pub use hubless_transfer::{
    Stall, State, Subject, Transfer, TransferSource,
    fetch::{Swarm, SwarmMember},
};

pub use crate::{
    failure::{Failure, FailureKind},
    remedy::Remedy,
    requests::*,
};

/// An event of the running work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Progress of long work.
    Progress {
        /// The current phase.
        state: State,
        /// Bytes that were hashed, or fetched and verified.
        bytes_verified: u64,
        /// Bytes in all; 0 as long as it is not known.
        bytes_total: u64,
        /// Peers that take part.
        sources: u32,
        /// Present only while no bytes arrive.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stall: Option<Stall>,
    },
    /// Progress of writing to the target directory; all bytes are verified by then.
    Export {
        /// Bytes that were linked, cloned or copied.
        bytes_exported: u64,
        /// Bytes in all.
        bytes_total: u64,
    },
    /// A warning that does not stop the work.
    Warning {
        /// A sentence.
        message: String,
    },
}
