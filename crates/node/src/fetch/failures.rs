//! How a fetch fails, in words.

use std::error::Error;

use hubless_content::ContentHash;
use hubless_store::StoreError;

use crate::api::{Failure, FailureKind};

/// The manifest has the right hash, but cannot be used.
pub(super) fn bad_manifest(hash: ContentHash, error: &dyn Error) -> Failure {
    Failure::new(
        FailureKind::Integrity,
        format!("{hash} is not a model that can be kept: {error}"),
    )
    .hint("whoever published it made it so; ask them for another content hash")
}

/// The store could not take a chunk.
pub(super) fn store(error: StoreError, hash: ContentHash) -> Failure {
    let failure = Failure::from(error);
    match failure.hint {
        Some(_) => failure,
        None => failure.hint(format!("`hubless get {hash}` resumes when that is mended")),
    }
}

/// Some of it came, and then nothing more.
pub(super) fn partial(hash: ContentHash, held: u64, total: u64) -> Failure {
    let message = format!("{held} of {total} bytes are here; nobody who has the rest answers");
    Failure::new(FailureKind::Partial, message).hint(format!(
        "what is here is kept: `hubless get {hash}` resumes when its providers are back"
    ))
}

/// None of the peers that were to be there could be reached.
pub(super) fn no_network(hash: ContentHash) -> Failure {
    let message = format!("cannot look for {hash}: none of the named peers could be reached");
    Failure::new(FailureKind::Network, message).hint(
        "check the network, and `bootstrap` and `peers` in `hubless config show`; `hubless serve` \
         prints the addresses of a node",
    )
}

/// Nobody was found who has it.
pub(super) fn nobody(hash: ContentHash, candidates: usize, walks: u32) -> Failure {
    let asked = match candidates {
        0 => format!("searched the DHT {walks} times"),
        asked => format!("searched the DHT {walks} times, asked {asked} peers"),
    };
    Failure::new(
        FailureKind::NotFound,
        format!("no provider of {hash} was found ({asked})"),
    )
    .hint(
        "check the hash; ask its publisher for a ticket (`hubless ticket`), or join their network \
         with `--bootstrap`",
    )
}
