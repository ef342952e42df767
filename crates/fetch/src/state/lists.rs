//! Which chunk lists are missing, and from which source each is requested.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use hubless_scheduler::SourceId;

use crate::layout::FileNumber;

/// Chunk lists requested from one source at once.
pub const LISTS_PER_SOURCE_MAX: usize = 4;

/// How long a source may send no page of a chunk list before it is requested from another.
const PAGE_WITHIN: Duration = Duration::from_secs(10);

/// The chunk lists of one fetch.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    /// Files whose lists were ever missing: each is requested by one reader only.
    known: BTreeSet<FileNumber>,
    /// Those that are still missing.
    missing: BTreeSet<FileNumber>,
    /// Those of them that are requested from no source, in the order of their requests.
    waiting: VecDeque<FileNumber>,
    /// Open requests, and when the last page of each came.
    open: BTreeMap<(SourceId, FileNumber), Duration>,
    /// Sources do not have these lists, until they report to have more.
    refused: BTreeSet<(SourceId, FileNumber)>,
    /// Whether [`Lists::assign`] may find something since its last call.
    has_changed: bool,
}

impl Lists {
    /// These lists are missing.
    pub(crate) fn add(&mut self, files: impl IntoIterator<Item = FileNumber>) {
        for file in files {
            if self.known.insert(file) {
                self.missing.insert(file);
                self.wait(file);
            }
        }
    }

    /// Whether no list is missing.
    pub(crate) fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// Requests to send now: each list that waits goes to the source with the fewest open ones.
    pub(crate) fn assign(
        &mut self,
        sources: impl Iterator<Item = SourceId> + Clone,
        now: Duration,
    ) -> Vec<(SourceId, FileNumber)> {
        let mut assigned = Vec::new();
        if !std::mem::take(&mut self.has_changed) || self.waiting.is_empty() {
            return assigned;
        }
        let mut loads: BTreeMap<SourceId, usize> = sources.map(|source| (source, 0)).collect();
        for (source, _) in self.open.keys() {
            *loads.entry(*source).or_default() += 1;
        }
        for file in std::mem::take(&mut self.waiting) {
            let may = |(source, load): &(&SourceId, &mut usize)| {
                **load < LISTS_PER_SOURCE_MAX && !self.refused.contains(&(**source, file))
            };
            let best = loads.iter_mut().filter(may).min_by_key(|(_, load)| **load);
            let Some((source, load)) = best else {
                self.waiting.push_back(file);
                continue;
            };
            *load += 1;
            self.open.insert((*source, file), now);
            assigned.push((*source, file));
        }
        assigned
    }

    /// A source may get requests from now on.
    pub(crate) fn source_joined(&mut self) {
        self.has_changed = true;
    }

    /// A source has more than before, perhaps also lists.
    pub(crate) fn source_has_more(&mut self, source: SourceId) {
        let before = self.refused.len();
        self.refused.retain(|(refusing, _)| *refusing != source);
        self.has_changed |= self.refused.len() != before;
    }

    /// A source is gone: its lists are requested from others.
    pub(crate) fn source_gone(&mut self, source: SourceId) {
        let open: Vec<FileNumber> = self.of(source).map(|(_, file)| file).collect();
        for file in open {
            self.open.remove(&(source, file));
            self.wait(file);
        }
        self.refused.retain(|(refusing, _)| *refusing != source);
    }

    /// A page came.
    pub(crate) fn page(&mut self, source: SourceId, file: FileNumber, now: Duration) {
        if let Some(last) = self.open.get_mut(&(source, file)) {
            *last = now;
        }
    }

    /// A source does not give a list: it is requested from another.
    pub(crate) fn refused(&mut self, source: SourceId, file: FileNumber) {
        if self.open.remove(&(source, file)).is_some() {
            self.refused.insert((source, file));
            self.wait(file);
        }
    }

    /// A list is proven and stored; whether it was missing.
    pub(crate) fn stored(&mut self, file: FileNumber) -> bool {
        self.open.retain(|(_, open), _| *open != file);
        self.waiting.retain(|waiting| *waiting != file);
        self.has_changed = true; // the source has room for another one
        self.missing.remove(&file)
    }

    /// Requests whose sources were silent for too long. They are sent to others from now on.
    pub(crate) fn take_overdue(&mut self, now: Duration) -> Vec<(SourceId, FileNumber)> {
        let is_late = |last: &Duration| now.saturating_sub(*last) > PAGE_WITHIN;
        let late = self.open.iter().filter(|(_, last)| is_late(last));
        let late: Vec<_> = late.map(|(request, _)| *request).collect();
        for (source, file) in &late {
            self.refused(*source, *file);
        }
        late
    }

    fn wait(&mut self, file: FileNumber) {
        let is_open = self.open.keys().any(|(_, open)| *open == file);
        if self.missing.contains(&file) && !is_open {
            self.waiting.push_back(file);
            self.has_changed = true;
        }
    }

    fn of(&self, source: SourceId) -> impl Iterator<Item = (SourceId, FileNumber)> + '_ {
        self.open
            .range((source, FileNumber(0))..=(source, FileNumber(usize::MAX)))
            .map(|(request, _)| *request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: SourceId = SourceId(1);
    const BOB: SourceId = SourceId(2);
    const START: Duration = Duration::ZERO;

    const FILE: FileNumber = FileNumber(3);

    fn lists(files: impl IntoIterator<Item = usize>) -> Lists {
        let mut lists = Lists::default();
        lists.add(files.into_iter().map(FileNumber));
        lists
    }

    #[test]
    fn lists_are_spread_over_the_sources_and_each_gets_a_few() {
        let mut lists = lists(0..10);
        let assigned = lists.assign([ALICE, BOB].into_iter(), START);
        assert_eq!(assigned.len(), 2 * LISTS_PER_SOURCE_MAX);
        assert_eq!(
            assigned[..2],
            [(ALICE, FileNumber(0)), (BOB, FileNumber(1))]
        );
        assert!(lists.assign([ALICE, BOB].into_iter(), START).is_empty());
        assert!(lists.stored(FileNumber(0)));
        let assigned = lists.assign([ALICE, BOB].into_iter(), START);
        assert_eq!(
            assigned,
            [(ALICE, FileNumber(8))],
            "in the place of the one that came"
        );
    }

    #[test]
    fn a_list_is_asked_for_once_however_many_readers_want_it() {
        let mut lists = lists([3]);
        lists.add([FILE]);
        assert_eq!(lists.assign([ALICE, BOB].into_iter(), START).len(), 1);
        assert!(lists.stored(FILE));
        assert!(!lists.stored(FILE), "counted once");
        lists.add([FILE]);
        assert!(lists.is_complete());
    }

    #[test]
    fn a_refused_list_goes_to_another_source_until_the_first_has_more() {
        let mut lists = lists([3]);
        assert_eq!(lists.assign([ALICE].into_iter(), START), [(ALICE, FILE)]);
        lists.refused(ALICE, FILE);
        assert!(lists.assign([ALICE].into_iter(), START).is_empty());
        lists.source_joined();
        let assigned = lists.assign([ALICE, BOB].into_iter(), START);
        assert_eq!(assigned, [(BOB, FILE)]);
        lists.refused(BOB, FILE);
        lists.source_has_more(ALICE);
        let assigned = lists.assign([ALICE, BOB].into_iter(), START);
        assert_eq!(assigned, [(ALICE, FILE)]);
    }

    #[test]
    fn the_lists_of_a_source_that_left_are_asked_of_others() {
        let mut lists = lists([3, 5]);
        lists.assign([ALICE].into_iter(), START);
        lists.source_gone(ALICE);
        let assigned = lists.assign([BOB].into_iter(), START);
        assert_eq!(assigned, [(BOB, FILE), (BOB, FileNumber(5))]);
    }

    #[test]
    fn a_source_that_sends_no_page_for_long_loses_the_list() {
        let mut lists = lists([3]);
        lists.assign([ALICE, BOB].into_iter(), START);
        let page = Duration::from_secs(7);
        lists.page(ALICE, FILE, page);
        assert!(lists.take_overdue(START + PAGE_WITHIN * 3 / 2).is_empty());
        let late = page + PAGE_WITHIN + Duration::from_millis(1);
        assert_eq!(lists.take_overdue(late), [(ALICE, FILE)]);
        let assigned = lists.assign([ALICE, BOB].into_iter(), late);
        assert_eq!(assigned, [(BOB, FILE)]);
    }
}
