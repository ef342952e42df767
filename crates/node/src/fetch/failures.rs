//! How a fetch fails, in words.

use std::error::Error;

use hubless_store::StoreError;

use super::target::Target;
use crate::api::{Failure, FailureKind};

/// The manifest has the right hash, but cannot be used.
pub(super) fn bad_manifest(what: &Target, error: &dyn Error) -> Failure {
    Failure::new(
        FailureKind::Integrity,
        format!("{what} is not a model that can be kept: {error}"),
    )
    .hint("whoever published it made it so; ask them for another content hash")
}

/// The store could not take a chunk.
pub(super) fn store(error: StoreError, what: &Target) -> Failure {
    let failure = Failure::from(error);
    match (&failure.hint, what) {
        (None, Target::Model(hash)) => {
            failure.hint(format!("`hubless get {hash}` resumes when that is mended"))
        }
        _ => failure,
    }
}

/// Some of it came, and then nothing more.
pub(super) fn partial(what: &Target, held: u64, total: u64) -> Failure {
    let message = format!("{held} of {total} bytes are here; nobody who has the rest answers");
    let failure = Failure::new(FailureKind::Partial, message);
    match what {
        Target::Model(hash) => failure.hint(format!(
            "what is here is kept: `hubless get {hash}` resumes when its providers are back"
        )),
        Target::File(_) => failure,
    }
}

/// None of the peers that were to be there could be reached.
pub(super) fn no_network(what: &Target) -> Failure {
    let message = format!("cannot look for {what}: none of the named peers could be reached");
    Failure::new(FailureKind::Network, message).hint(
        "check the network, and `bootstrap` and `peers` in `hubless config show`; `hubless serve` \
         prints the addresses of a node",
    )
}

/// Nobody was found who has it.
pub(super) fn nobody(what: &Target, candidates: usize, walks: u32) -> Failure {
    let asked = match candidates {
        0 => format!("searched the DHT {walks} times"),
        asked => format!("searched the DHT {walks} times, asked {asked} peers"),
    };
    Failure::new(
        FailureKind::NotFound,
        format!("no provider of {what} was found ({asked})"),
    )
    .hint(
        "check the hash; ask its publisher for a ticket (`hubless ticket`), or join their network \
         with `--bootstrap`",
    )
}
