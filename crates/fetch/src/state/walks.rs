//! When the DHT is walked for providers.
//!
//! First the node has to know another one ([`Walks::joined`]); then one walk follows the other with
//! growing waits, as long as there are too few sources.

use std::time::Duration;

use crate::types::WalkEnded;

/// Time between the first and the second walk; doubled each time.
const AGAIN_FIRST: Duration = Duration::from_secs(1);

/// The longest time between two walks.
const AGAIN_MAX: Duration = Duration::from_secs(60);

/// No more walks while there are this many sources.
const SOURCES_ENOUGH: usize = 8;

/// Walks without a result after which no node is expected to have it: later ones find what was
/// announced while the first was under way.
const FRUITLESS_WALKS: u32 = 3;

/// Walks for the target alone; the next ones search its largest missing files too.
const TARGET_ONLY_WALKS: u32 = 2;

/// The walks of one fetch.
#[derive(Debug)]
pub(crate) struct Walks {
    state: State,
    /// Walks that were begun.
    begun: u32,
    /// Walks that began when there was a node to query.
    among_others: u32,
    /// Providers that they named.
    providers: u32,
    /// Whether there ever was a node to query.
    has_joined: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits until there is a node to query.
    Joining,
    /// The next walk is due then.
    Waiting { until: Duration },
    /// So many keys are being searched.
    Walking { open: usize },
}

/// What a due walk searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WalkFor {
    Target,
    TargetAndFiles,
}

impl Walks {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Joining,
            begun: 0,
            among_others: 0,
            providers: 0,
            has_joined: false,
        }
    }

    /// There is a node to query, or none was found for some seconds: a walk may show one all the same.
    pub(crate) fn joined(&mut self, is_joined: bool, now: Duration) {
        self.has_joined |= is_joined;
        if self.state == State::Joining {
            self.state = State::Waiting { until: now };
        }
    }

    /// Whether a walk is due, and for what. The caller begins it with [`Walks::begin`].
    pub(crate) fn due(&mut self, now: Duration, sources: usize) -> Option<WalkFor> {
        match self.state {
            State::Waiting { until } if until <= now => {}
            _ => return None,
        }
        if sources >= SOURCES_ENOUGH {
            let until = now + AGAIN_MAX;
            self.state = State::Waiting { until };
            return None;
        }
        Some(if self.begun < TARGET_ONLY_WALKS {
            WalkFor::Target
        } else {
            WalkFor::TargetAndFiles
        })
    }

    /// A walk for so many keys begins.
    pub(crate) fn begin(&mut self, keys: usize) {
        self.begun += 1;
        self.state = State::Walking { open: keys };
    }

    /// The walk for one key has ended.
    pub(crate) fn ended(&mut self, ended: WalkEnded, now: Duration) {
        let State::Walking { open } = &mut self.state else {
            return;
        };
        self.has_joined |= ended.among_others;
        self.among_others += u32::from(ended.among_others);
        self.providers = self.providers.saturating_add(ended.providers);
        *open -= 1;
        if *open == 0 {
            let wait = AGAIN_FIRST.saturating_mul(1 << (self.begun - 1).min(8));
            self.state = State::Waiting {
                until: now + wait.min(AGAIN_MAX),
            };
        }
    }

    /// More sources are needed now.
    pub(crate) fn hurry(&mut self, now: Duration) {
        if let State::Waiting { until } = &mut self.state {
            *until = (*until).min(now + AGAIN_FIRST);
        }
    }

    /// When [`Walks::due`] has something.
    pub(crate) fn next(&self) -> Option<Duration> {
        match self.state {
            State::Waiting { until } => Some(until),
            State::Joining | State::Walking { .. } => None,
        }
    }

    /// Whether enough walks ended without naming a provider. For a caller that may wait for
    /// neighbours, which are found later, a walk without a node to query does not count.
    pub(crate) fn is_fruitless(&self, may_wait: bool) -> bool {
        let walks = if may_wait {
            self.among_others
        } else {
            self.begun
        };
        walks >= FRUITLESS_WALKS && !self.is_walking() && self.providers == 0
    }

    /// Whether there was a node to query.
    pub(crate) fn has_joined(&self) -> bool {
        self.has_joined
    }

    /// Walks that have ended.
    pub(crate) fn finished(&self) -> u32 {
        self.begun - u32::from(self.is_walking())
    }

    fn is_walking(&self) -> bool {
        matches!(self.state, State::Walking { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: WalkEnded = WalkEnded {
        providers: 0,
        among_others: true,
    };

    fn walk(walks: &mut Walks, now: Duration) -> WalkFor {
        let due = walks.due(now, 0).expect("a walk is due");
        walks.begin(1);
        assert_eq!(walks.next(), None, "one walk at a time");
        walks.ended(NOTHING, now);
        due
    }

    #[test]
    fn the_first_walk_waits_until_there_is_a_node_to_ask() {
        let mut walks = Walks::new();
        assert_eq!((walks.due(Duration::MAX, 0), walks.next()), (None, None));
        let now = Duration::from_secs(4);
        walks.joined(false, now);
        assert!(!walks.has_joined());
        assert_eq!(walks.due(now, 0), Some(WalkFor::Target));
        assert_eq!(walks.finished(), 0, "joining is no walk");
    }

    #[test]
    fn waits_between_walks_double_and_the_third_searches_files_too() {
        let mut walks = Walks::new();
        walks.joined(true, Duration::ZERO);
        let mut now = Duration::ZERO;
        assert_eq!(walk(&mut walks, now), WalkFor::Target);
        for (wait, searched) in [
            (1, WalkFor::Target),
            (2, WalkFor::TargetAndFiles),
            (4, WalkFor::TargetAndFiles),
        ] {
            now += Duration::from_secs(wait);
            assert_eq!(walks.due(now - Duration::from_millis(1), 0), None);
            assert_eq!(walk(&mut walks, now), searched);
        }
        for _ in 0..20 {
            now = walks.next().unwrap();
            walk(&mut walks, now);
        }
        assert_eq!(walks.next(), Some(now + AGAIN_MAX));
    }

    #[test]
    fn enough_sources_delay_a_walk_and_a_lack_of_them_hurries_it() {
        let mut walks = Walks::new();
        let now = Duration::from_secs(9);
        walks.joined(true, now);
        assert_eq!(walks.due(now, SOURCES_ENOUGH), None);
        assert_eq!(walks.next(), Some(now + AGAIN_MAX));
        walks.hurry(now);
        assert_eq!(walks.next(), Some(now + AGAIN_FIRST));
        walks.hurry(now + AGAIN_FIRST);
        assert_eq!(walks.next(), Some(now + AGAIN_FIRST), "never later");
    }

    #[test]
    fn walks_without_a_node_to_ask_are_fruitless_only_for_a_caller_that_cannot_wait() {
        let alone = WalkEnded::default();
        let mut walks = Walks::new();
        walks.joined(false, Duration::ZERO);
        for _ in 0..FRUITLESS_WALKS {
            assert!(!walks.is_fruitless(false));
            let now = walks.next().unwrap();
            walks.due(now, 0).unwrap();
            walks.begin(1);
            walks.ended(alone, now);
        }
        assert!(walks.is_fruitless(false));
        assert!(!walks.is_fruitless(true));
    }

    #[test]
    fn a_walk_that_named_a_provider_is_not_fruitless() {
        let mut walks = Walks::new();
        walks.joined(true, Duration::ZERO);
        for providers in [0, 1, 0, 0] {
            let now = walks.next().unwrap();
            walks.due(now, 0).unwrap();
            walks.begin(1);
            walks.ended(
                WalkEnded {
                    providers,
                    ..NOTHING
                },
                now,
            );
        }
        assert!(!walks.is_fruitless(false));
    }
}
