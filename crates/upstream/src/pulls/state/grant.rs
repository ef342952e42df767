//! What readers may have of a pull, and what is of use to the next one.

use std::{ops::Range, sync::Arc};

use hubless_content::FileHash;

use super::{Pull, State};
use crate::pulls::error::PullError;

/// A reader joins a pull that has come so near to where it begins: some seconds on a slow line.
pub(super) const AHEAD_MAX: u64 = 8 * 1024 * 1024;

/// What a reader may have now.
#[derive(Debug)]
pub(crate) enum Grant {
    /// What the upstream sent, to this offset.
    Upstream(u64),
    /// Chunks of this file to this offset, as far as they are stored.
    Chunks(FileHash, u64),
    /// Nothing until the pull changes.
    Wait,
    /// The file of the store: it is proven.
    Stored(FileHash),
    Failed(Arc<PullError>),
}

impl Pull {
    /// What a reader may have of a range.
    pub(in crate::pulls) fn grant(&self, range: &Range<u64>) -> Grant {
        match &self.state {
            State::Done(file) => return Grant::Stored(*file),
            State::Failed(error) => return Grant::Failed(error.clone()),
            _ => {}
        }
        let end = range.end.min(self.readable_end);
        let released = self.released().min(end);
        match self.trusted() {
            _ if range.start < released => Grant::Upstream(released),
            Some(file) if range.start < end => Grant::Chunks(file, end),
            _ => Grant::Wait,
        }
    }

    /// Whether a new reader may join: the outcome is open or good.
    pub(in crate::pulls) fn is_joinable(&self) -> bool {
        !matches!(
            self.state,
            State::Failed(_)
                | State::Ending {
                    outcome: Err(_),
                    ..
                }
        )
    }

    /// Whether a reader that begins at an offset gets something soon, or nowhere else.
    pub(in crate::pulls) fn is_near(&self, offset: u64) -> bool {
        match self.state {
            State::Queued
            | State::Searching { .. }
            | State::HeadStart { .. }
            | State::Both { .. } => offset <= self.released().saturating_add(AHEAD_MAX),
            // Only all of the file is proven, and the upstream does not give a part either.
            State::PeersOnly { .. } | State::Sealed { .. } => true,
            State::Ending { ref outcome, .. } => outcome.is_ok(),
            State::Done(_) => true,
            State::Failed(_) => false,
        }
    }

    /// Whether the upstream has failed and peers are asked for all of the file.
    pub(in crate::pulls) fn is_of_peers_only(&self) -> bool {
        matches!(self.state, State::PeersOnly { .. })
    }

    /// Whether what the upstream sent is of use for the next pull.
    pub(in crate::pulls) fn keeps_part(&self) -> bool {
        match &self.state {
            State::Both { .. } | State::PeersOnly { .. } => true,
            State::Ending {
                outcome: Err(error),
                ..
            }
            | State::Failed(error) => !matches!(**error, PullError::WrongBytes { .. }),
            // It has not begun, or the file comes or came another way.
            State::Queued
            | State::Searching { .. }
            | State::HeadStart { .. }
            | State::Sealed { .. }
            | State::Ending { outcome: Ok(_), .. }
            | State::Done(_) => false,
        }
    }

    /// Bytes of the upstream that readers may have.
    pub(super) fn released(&self) -> u64 {
        match self.state {
            State::Both { written } | State::PeersOnly { written, .. } => {
                written.min(self.readable_end)
            }
            State::Ending { released, .. } => released,
            State::Queued
            | State::Searching { .. }
            | State::HeadStart { .. }
            | State::Sealed { .. }
            | State::Done(_)
            | State::Failed(_) => 0,
        }
    }

    /// The file whose chunks may be read before the proof.
    pub(super) fn trusted(&self) -> Option<FileHash> {
        match self.state {
            State::Sealed { file, is_trusted } => is_trusted.then_some(file),
            _ => self.candidates.trusted(),
        }
    }
}
