//! Bringing one file of an upstream into the store, once for all its readers: from peers that
//! claim to have it, and from the upstream itself.
//!
//! # Where things are
//! | module | what it does |
//! |---|---|
//! | [`driver`] | the task of a pull: does what its state ([`crate::pulls`]) decides |
//! | [`download`] | the upstream's part: one GET, written aside in order |
//! | [`trial`], [`fill`] | the peers' part: the fetch of a claimed file, and the upstream's chunks in it |
//! | [`reader`] | what one client reads |

mod download;
mod driver;
mod fill;
mod reader;
mod trial;

use std::sync::Arc;

use hubless_transfer::Fetches;

use self::driver::Driver;
pub use self::reader::{Pulled, PulledStream};
use crate::{
    pulls::{Join, Listing, Origin, Reader, Shared},
    upstream::Upstream,
};

/// A reader of the pull that is under way, or of a new one if it may begin. With `near`, where its
/// range begins, only if it gets something soon.
fn join_or_begin(
    fetches: &Arc<Fetches>,
    upstream: &Arc<Upstream>,
    origin: &Origin,
    near: Option<u64>,
    may_begin: bool,
) -> Option<Reader> {
    let mut running = upstream.pulls.running();
    let key = origin.key();
    match running.get(&key).map(|shared| shared.join(near)) {
        Some(Join::Joined(reader)) => return Some(reader),
        Some(Join::Far) => return None,
        Some(Join::Over) | None if !may_begin => return None,
        Some(Join::Over) | None => {}
    }
    let shared = Shared::new(
        origin.size,
        Listing {
            file: origin.expected.file,
            has_sha256: origin.expected.sha256.is_some(),
            members_only: fetches.known_peers.is_private,
        },
    );
    let Join::Joined(reader) = shared.join(near) else {
        return None;
    };
    fetches
        .cx
        .tasks
        .spawn(Driver::new(fetches, upstream, origin, &shared).run());
    running.insert(key, shared);
    Some(reader)
}
