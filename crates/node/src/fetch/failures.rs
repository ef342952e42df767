//! How a fetch fails, in words.

use std::error::Error;

use hubless_content::ContentHash;
use hubless_network::Multiaddr;
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

/// Nobody was found who has it.
pub(super) fn nobody(
    hash: ContentHash,
    named: &[Multiaddr],
    candidates: usize,
    joined: bool,
    walks: u32,
) -> Failure {
    let asked = match (candidates, named.len()) {
        (0, _) => format!("searched the DHT {walks} times"),
        (asked, _) => format!("searched the DHT {walks} times, asked {asked} peers"),
    };
    if !joined && walks == 0 && candidates == 0 {
        return Failure::new(FailureKind::Network, format!("cannot look for {hash}: no peer could be reached"))
            .hint("check the network and `bootstrap` in `hubless config show`, or name a peer with `--peer`");
    }
    Failure::new(FailureKind::NotFound, format!("no provider of {hash} was found ({asked})"))
        .hint("check the hash; ask its publisher for a ticket (`hubless ticket`), or join their network with `--bootstrap`")
}
