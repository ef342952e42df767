//! Which sources get requests next.

use std::collections::VecDeque;

use hubless_content::ModelChunk;

use crate::types::SourceId;

/// Sources and chunks for which something changed, until the end of the input.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Sources that get requests at the end of this input.
    some: Vec<SourceId>,
    /// All sources get requests at the end of this input.
    all: bool,
    /// Chunks that a partial source just gained.
    to_trade: Vec<ModelChunk>,
    /// Sources with less than their share of requests when the limit was reached; they get the next.
    hungry: VecDeque<SourceId>,
}

impl Turns {
    /// A source gets requests at the end of this input.
    pub(super) fn add(&mut self, id: SourceId) {
        self.some.push(id);
    }

    /// All sources get requests at the end of this input.
    pub(super) fn add_all(&mut self) {
        self.all = true;
    }

    /// The next source that gets requests.
    pub(super) fn next_source(&mut self) -> Option<SourceId> {
        self.some.pop()
    }

    /// Whether all sources get requests; once. Those that were added one by one are among them.
    pub(super) fn take_all(&mut self, or: bool) -> bool {
        let all = std::mem::take(&mut self.all) || or;
        if all {
            self.some.clear();
        }
        all
    }

    /// There is nothing to request.
    pub(super) fn clear(&mut self) {
        self.some.clear();
        self.all = false;
    }

    /// A partial source has this chunk now, or soon will.
    pub(super) fn add_trade(&mut self, chunk: ModelChunk) {
        self.to_trade.push(chunk);
    }

    pub(super) fn take_trades(&mut self) -> Vec<ModelChunk> {
        std::mem::take(&mut self.to_trade)
    }

    /// A source has less than its share, and the limit of all requests is reached.
    pub(super) fn add_hungry(&mut self, id: SourceId) {
        self.hungry.push_back(id);
    }

    pub(super) fn next_hungry(&mut self) -> Option<SourceId> {
        self.hungry.pop_front()
    }

    /// A source has left.
    pub(super) fn forget(&mut self, id: SourceId) {
        self.hungry.retain(|&hungry| hungry != id);
    }
}
