//! How a fetch fails, in words.

use std::{error::Error, time::Duration};

use hubless_fetch::{FetchError, Target};
use hubless_store::StoreError;

use crate::{
    failure::{Failure, FailureKind},
    remedy::Remedy,
    text::size,
};

/// Why a fetch of this ended.
pub(super) fn failure(error: &FetchError, what: &Target) -> Failure {
    match error {
        FetchError::BadManifest(error) => bad_manifest(what, error),
        FetchError::Partial { held, total } => partial(what, *held, *total),
        FetchError::NoNetwork => no_network(what),
        FetchError::Alone => alone(what),
        FetchError::NoProvider { candidates } => no_provider(what, *candidates),
    }
}

/// The manifest has the right hash, but cannot be used.
pub(super) fn bad_manifest(what: &Target, error: &dyn Error) -> Failure {
    Failure::new(
        FailureKind::Integrity,
        format!("{what} is not a model that can be kept: {error}"),
    )
    .remedy(Remedy::AskPublisher)
}

/// The store could not take a chunk.
pub(super) fn store(error: StoreError, what: &Target) -> Failure {
    let failure = Failure::from(error);
    match (&failure.remedy, what) {
        (None, Target::Model(hash)) => failure.remedy(Remedy::Resume { model: *hash }),
        _ => failure,
    }
}

/// Some of it came, and then nothing more.
fn partial(what: &Target, held: u64, total: u64) -> Failure {
    let (held, total) = (size(held), size(total));
    let message = format!("{held} of {total} are here; no node that has the rest answers");
    let failure = Failure::new(FailureKind::Partial, message);
    match what {
        Target::Model(hash) => failure.remedy(Remedy::ResumeWithProviders { model: *hash }),
        Target::File(_) => failure,
    }
}

/// None of the peers that were to be there could be reached.
fn no_network(what: &Target) -> Failure {
    let message = format!("cannot look for {what}: none of the named peers could be reached");
    Failure::new(FailureKind::Network, message).remedy(Remedy::CheckNetwork)
}

/// There was no node to ask.
fn alone(what: &Target) -> Failure {
    let message = format!(
        "cannot look for {what}: not connected to any other node, so no node could be asked"
    );
    Failure::new(FailureKind::Network, message).remedy(Remedy::NamePeer)
}

/// No node was found that has it.
fn no_provider(what: &Target, candidates: usize) -> Failure {
    let asked = match candidates {
        0 => "no node announces it".to_owned(),
        1 => "asked 1 node, which does not have it".to_owned(),
        asked => format!("asked {asked} nodes; none has it"),
    };
    Failure::new(
        FailureKind::NotFound,
        format!("no provider of {what} was found: {asked}"),
    )
    .remedy(Remedy::FindProvider)
}

/// No node that has it answered in the time that a question waits.
pub(super) fn no_holder(what: &Target, candidates: usize, within: Duration) -> Failure {
    let tried = match candidates {
        0 => "no node announces it".to_owned(),
        1 => "the 1 node that may have it does not answer".to_owned(),
        tried => format!("none of the {tried} nodes that may have it answers"),
    };
    let message = format!("no provider of {what} was found in {within:?}: {tried}");
    Failure::new(FailureKind::NotFound, message).remedy(Remedy::WaitForProviders)
}
