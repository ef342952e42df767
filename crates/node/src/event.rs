//! Events of running work, as callers get them before the answer.

use hubless_transfer::{Stall, State};
use serde::{Deserialize, Serialize};

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
