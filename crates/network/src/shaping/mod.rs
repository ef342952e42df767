//! Limits of bandwidth: how many payload bytes may pass now, and of which peer.
//!
//! ```text
//! shaper   counts what passes in one direction and gives out turns when there is a limit
//! fair     which peer comes next: round robin over peers; pure
//! bucket   how many bytes may pass by now: a token bucket; pure
//! ```

mod bucket;
mod fair;
pub(crate) mod shaper;
