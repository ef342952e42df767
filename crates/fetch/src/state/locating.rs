//! Before the manifest is known: from which connected source it is requested.

use std::collections::{BTreeSet, VecDeque};

use hubless_scheduler::SourceId;

/// Sources that the manifest is requested from at once: one may be slow, another may send wrong bytes.
const ASKED_MAX: usize = 3;

/// The sources that the manifest is requested from, and those that wait for their turn.
#[derive(Debug, Default)]
pub(crate) struct Locating {
    asked: BTreeSet<SourceId>,
    waiting: VecDeque<SourceId>,
}

impl Locating {
    pub(crate) fn connected(&mut self, source: SourceId) {
        self.waiting.push_back(source);
    }

    pub(crate) fn ended(&mut self, source: SourceId) {
        self.asked.remove(&source);
        self.waiting.retain(|waiting| *waiting != source);
    }

    /// The next source to ask, if few enough are asked already.
    pub(crate) fn next_to_ask(&mut self) -> Option<SourceId> {
        if self.asked.len() >= ASKED_MAX {
            return None;
        }
        let source = self.waiting.pop_front()?;
        self.asked.insert(source);
        Some(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_sources_are_asked_at_once_and_the_next_one_when_one_fails() {
        let mut locating = Locating::default();
        for id in 0..6 {
            locating.connected(SourceId(id));
        }
        let asked: Vec<_> = std::iter::from_fn(|| locating.next_to_ask()).collect();
        assert_eq!(asked, [SourceId(0), SourceId(1), SourceId(2)]);
        locating.ended(SourceId(1));
        locating.ended(SourceId(3));
        assert_eq!(locating.next_to_ask(), Some(SourceId(4)), "3 has left");
        assert_eq!(locating.next_to_ask(), None);
    }
}
