//! Which holders a follower watches, polls and searches for: a state machine, without network and clock.
//!
//! Of each followed publisher, up to [`WATCHES_OF_ONE`] holders are watched: any of them reports what is
//! new within a second, and one that hides it is outdone by the others. A publisher without a watch is
//! polled each hour. Those with one are polled now and then as well: holders that only watch each other
//! would not notice that they are cut off.
//!
//! Times are since the start of the follower. Waits are jittered, so that followers of a publisher that
//! comes back do not return at the same moment.

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};

use hubless_content::PublisherId;
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

/// Holders that are watched of one publisher.
pub(super) const WATCHES_OF_ONE: usize = 3;

/// Peers that are watched for all publishers: connections that are kept for following.
pub(super) const PEERS_MAX: usize = 50;

/// Watches at one peer: as many as a holder gives to one peer.
const WATCHES_AT_ONE: usize = 64;

/// Holders that are known of one publisher.
const HOLDERS_MAX: usize = 32;

/// Time between polls of a publisher that no holder watches for this node.
const POLL_EVERY: Duration = Duration::from_secs(3600);

/// Time between polls of a publisher that is watched.
const POLL_WATCHED_EVERY: Duration = Duration::from_secs(6 * 3600);

/// The first wait after a failure; it doubles with each further one.
const BACKOFF: Duration = Duration::from_secs(60);

/// The longest wait after failures.
const BACKOFF_MAX: Duration = Duration::from_secs(3600);

/// A watch that lasted so long did not fail.
const LASTED: Duration = Duration::from_secs(600);

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input<P> {
    /// These publishers are followed, and no others.
    Following(Vec<PublisherId>),
    /// A search came upon these holders, the best first.
    Found(PublisherId, Vec<P>),
    /// A search ended.
    Searched(PublisherId),
    /// A watch of a publisher ended.
    Ended(P, PublisherId, End),
    /// A poll of a publisher ended.
    Polled(PublisherId),
    /// Time passed.
    Tick,
}

/// Why a watch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The peer was not reached, or left.
    Gone,
    /// It has no place for the watch, or holds nothing of the publisher.
    Refused,
    /// It gave a wrong answer.
    Lied,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Output<P> {
    /// Search for holders of a publisher.
    Find(PublisherId),
    /// Watch a publisher at a peer.
    Watch(P, PublisherId),
    /// End such a watch.
    Unwatch(P, PublisherId),
    /// Ask these peers for all heads of a publisher.
    Poll(PublisherId, Vec<P>),
}

/// The followed publishers and their holders.
pub(super) struct Plan<P> {
    now: Duration,
    random: SmallRng,
    /// Ordered, so that one seed gives one history.
    followed: BTreeMap<PublisherId, Followed<P>>,
    /// How many watches each watched peer has.
    peers: HashMap<P, usize>,
    outputs: VecDeque<Output<P>>,
}

struct Followed<P> {
    /// The best first.
    holders: Vec<Holder<P>>,
    find: Repeated,
    /// Searches in a row that found no holder.
    found_none: u32,
    poll: Repeated,
}

/// Work that is done again and again.
struct Repeated {
    due: Duration,
    is_running: bool,
}

struct Holder<P> {
    peer: P,
    phase: Phase,
    failures: u32,
}

enum Phase {
    /// Not watched; may be tried from this time on.
    Free { again: Duration },
    /// Watched since this time.
    Watched { since: Duration },
}

impl<P: Clone + Eq + Hash> Followed<P> {
    fn new(now: Duration) -> Self {
        let soon = || Repeated {
            due: now,
            is_running: false,
        };
        Self {
            holders: Vec::new(),
            find: soon(),
            found_none: 0,
            poll: soon(),
        }
    }

    fn watches(&self) -> usize {
        let is_watched = |holder: &&Holder<P>| matches!(holder.phase, Phase::Watched { .. });
        self.holders.iter().filter(is_watched).count()
    }

    fn holder(&mut self, peer: &P) -> Option<&mut Holder<P>> {
        self.holders.iter_mut().find(|holder| holder.peer == *peer)
    }
}

impl Repeated {
    /// When it is to be begun; `None` while it runs.
    fn due(&self) -> Option<Duration> {
        (!self.is_running).then_some(self.due)
    }
}

impl<P: Clone + Eq + Hash> Plan<P> {
    /// Follows nothing yet.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            now: Duration::ZERO,
            random: SmallRng::seed_from_u64(seed),
            followed: BTreeMap::new(),
            peers: HashMap::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Reports what happened at this time.
    pub(super) fn handle(&mut self, now: Duration, input: Input<P>) {
        self.now = self.now.max(now);
        match input {
            Input::Following(publishers) => {
                self.on_following(&publishers);
                self.advance_all();
            }
            Input::Found(publisher, holders) => {
                self.on_found(publisher, holders);
                self.advance(publisher);
            }
            Input::Searched(publisher) => self.on_searched(publisher),
            Input::Ended(peer, publisher, end) => {
                self.on_ended(&peer, publisher, end);
                self.advance_all();
            }
            Input::Polled(publisher) => self.on_polled(publisher),
            Input::Tick => self.advance_all(),
        }
    }

    /// What is to be done next.
    pub(super) fn poll_output(&mut self) -> Option<Output<P>> {
        self.outputs.pop_front()
    }

    /// When [`Input::Tick`] is to be reported at the latest.
    pub(super) fn wake(&self) -> Option<Duration> {
        let due = self.followed.values().flat_map(|followed| {
            let is_missing = followed.watches() < WATCHES_OF_ONE;
            let again = followed
                .holders
                .iter()
                .filter_map(move |holder| match holder.phase {
                    Phase::Free { again } if is_missing => Some(again),
                    _ => None,
                });
            let poll = followed.poll.due().filter(|_| !followed.holders.is_empty());
            let find = followed.find.due().filter(|_| is_missing);
            again
                .filter(|again| *again > self.now)
                .chain(poll)
                .chain(find)
        });
        due.min()
    }

    /// Whether a peer is a holder of a publisher that is followed.
    pub(super) fn is_holder(&self, peer: &P) -> bool {
        let mut holders = self
            .followed
            .values()
            .flat_map(|followed| &followed.holders);
        holders.any(|holder| holder.peer == *peer)
    }

    /// The peers that are watched, by publisher.
    pub(super) fn all_watched(&self) -> HashMap<PublisherId, Vec<P>> {
        let publishers = self.followed.keys();
        publishers.map(|of| (*of, self.watched(*of))).collect()
    }

    /// The peers that are watched for a publisher.
    fn watched(&self, publisher: PublisherId) -> Vec<P> {
        let holders = self
            .followed
            .get(&publisher)
            .map(|followed| &followed.holders);
        let holders = holders.into_iter().flatten();
        let watched = holders.filter(|holder| matches!(holder.phase, Phase::Watched { .. }));
        watched.map(|holder| holder.peer.clone()).collect()
    }

    fn on_following(&mut self, publishers: &[PublisherId]) {
        let gone: Vec<PublisherId> = self.followed.keys().copied().collect();
        for publisher in gone.iter().filter(|gone| !publishers.contains(gone)) {
            for peer in self.watched(*publisher) {
                self.outputs
                    .push_back(Output::Unwatch(peer.clone(), *publisher));
                self.release(&peer);
            }
            self.followed.remove(publisher);
        }
        for publisher in publishers {
            let new = Followed::new(self.now);
            self.followed.entry(*publisher).or_insert(new);
        }
    }

    fn on_found(&mut self, publisher: PublisherId, found: Vec<P>) {
        let again = self.now;
        let Some(followed) = self.followed.get_mut(&publisher) else {
            return;
        };
        for peer in found {
            if followed.holder(&peer).is_some() || followed.holders.len() == HOLDERS_MAX {
                continue;
            }
            followed.holders.push(Holder {
                peer,
                phase: Phase::Free { again },
                failures: 0,
            });
        }
    }

    fn on_searched(&mut self, publisher: PublisherId) {
        let Some(followed) = self.followed.get_mut(&publisher) else {
            return;
        };
        let wait = match followed.holders.is_empty() {
            true => backoff(followed.found_none),
            false => BACKOFF_MAX,
        };
        followed.found_none = match followed.holders.is_empty() {
            true => followed.found_none.saturating_add(1),
            false => 0,
        };
        followed.find = Repeated {
            due: self.now + jitter(&mut self.random, wait),
            is_running: false,
        };
    }

    fn on_ended(&mut self, peer: &P, publisher: PublisherId, end: End) {
        let now = self.now;
        let Some(followed) = self.followed.get_mut(&publisher) else {
            return;
        };
        let Some(holder) = followed.holder(peer) else {
            return;
        };
        let Phase::Watched { since } = holder.phase else {
            return;
        };
        if now.saturating_sub(since) >= LASTED {
            holder.failures = 0;
        }
        let wait = match end {
            End::Gone => backoff(holder.failures),
            End::Refused | End::Lied => BACKOFF_MAX,
        };
        holder.failures = holder.failures.saturating_add(1);
        holder.phase = Phase::Free {
            again: now + jitter(&mut self.random, wait),
        };
        if end == End::Lied {
            followed.holders.retain(|holder| holder.peer != *peer);
        }
        self.release(peer);
    }

    fn on_polled(&mut self, publisher: PublisherId) {
        let Some(followed) = self.followed.get_mut(&publisher) else {
            return;
        };
        let every = match followed.watches() {
            0 => POLL_EVERY,
            _ => POLL_WATCHED_EVERY,
        };
        followed.poll = Repeated {
            due: self.now + jitter(&mut self.random, every),
            is_running: false,
        };
    }

    fn advance_all(&mut self) {
        let publishers: Vec<PublisherId> = self.followed.keys().copied().collect();
        for publisher in publishers {
            self.advance(publisher);
        }
    }

    /// Begins what is due for a publisher.
    fn advance(&mut self, publisher: PublisherId) {
        self.watch_more(publisher);
        let now = self.now;
        let Some(followed) = self.followed.get_mut(&publisher) else {
            return;
        };
        let is_due = |work: &Repeated| work.due().is_some_and(|due| due <= now);
        if followed.watches() < WATCHES_OF_ONE && is_due(&followed.find) {
            followed.find.is_running = true;
            self.outputs.push_back(Output::Find(publisher));
        }
        if !followed.holders.is_empty() && is_due(&followed.poll) {
            followed.poll.is_running = true;
            let peers = followed.holders.iter().take(WATCHES_OF_ONE);
            let peers = peers.map(|holder| holder.peer.clone()).collect();
            self.outputs.push_back(Output::Poll(publisher, peers));
        }
    }

    fn watch_more(&mut self, publisher: PublisherId) {
        let now = self.now;
        let Some(followed) = self.followed.get_mut(&publisher) else {
            return;
        };
        let mut missing = WATCHES_OF_ONE.saturating_sub(followed.watches());
        for holder in &mut followed.holders {
            let Phase::Free { again } = holder.phase else {
                continue;
            };
            let of_peer = self.peers.get(&holder.peer).copied();
            let has_place = match of_peer {
                Some(watches) => watches < WATCHES_AT_ONE,
                None => self.peers.len() < PEERS_MAX,
            };
            if missing == 0 || again > now || !has_place {
                continue;
            }
            missing -= 1;
            holder.phase = Phase::Watched { since: now };
            *self.peers.entry(holder.peer.clone()).or_default() += 1;
            let watch = Output::Watch(holder.peer.clone(), publisher);
            self.outputs.push_back(watch);
        }
    }

    /// One watch at a peer less.
    fn release(&mut self, peer: &P) {
        if let Some(watches) = self.peers.get_mut(peer) {
            *watches -= 1;
            if *watches == 0 {
                self.peers.remove(peer);
            }
        }
    }
}

/// The wait after so many failures before this one.
fn backoff(failures: u32) -> Duration {
    BACKOFF
        .saturating_mul(1 << failures.min(10))
        .min(BACKOFF_MAX)
}

/// Three to five quarters of a time.
fn jitter(random: &mut SmallRng, wait: Duration) -> Duration {
    wait.mul_f64(random.random_range(0.75..1.25))
}
