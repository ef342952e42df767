//! The scheduler keeps its invariants, whatever sources do.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    time::Duration,
};

use hubless_content::{CHUNK_SIZE, ChunkSet, ModelChunk};
use hubless_scheduler::{Input, Order, Output, Refusal, Scheduler, SchedulerConfig, SourceId};
use proptest::prelude::*;

/// Chunks of the model.
const CHUNKS: u32 = 40;

const MODEL: Range<ModelChunk> = ModelChunk(0)..ModelChunk(CHUNKS);

fn range(start: u32, end: u32) -> Range<ModelChunk> {
    ModelChunk(start)..ModelChunk(end)
}

/// Sources that join and leave; the one after them completes the fetch at the end.
const SOURCES: u32 = 5;
const LAST_SOURCE: SourceId = SourceId(SOURCES);

/// Limits small enough to be reached.
const REQUESTS_MAX: usize = 12;
const PER_SOURCE_MAX: usize = 6;

#[derive(Clone, Debug)]
enum Step {
    Join(u32),
    SamePeer(u32, u32),
    Has(u32, Vec<bool>),
    Gain(u32, u32),
    Complete(u32),
    Gone(u32),
    /// The end of one of the open requests.
    End(usize, End),
    /// The end of a request that may not exist.
    Stray(u32, u32, End),
    Prioritize(u32, u32),
    Want(u32, u32),
    Unwanted(u32, u32),
    Pass(u64),
}

#[derive(Clone, Copy, Debug)]
enum End {
    Received,
    Wrong,
    NotHere,
    Busy(u64),
    Failed,
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        8 => Just(End::Received),
        1 => Just(End::Wrong),
        1 => Just(End::NotHere),
        1 => (0u64..3_000).prop_map(End::Busy),
        1 => Just(End::Failed),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    // Some chunks beyond the end of the model.
    let (source, chunk) = (0..SOURCES, 0..CHUNKS + 3);
    prop_oneof![
        3 => source.clone().prop_map(Step::Join),
        1 => (source.clone(), source.clone()).prop_map(|(id, of)| Step::SamePeer(id, of)),
        2 => (source.clone(), prop::collection::vec(any::<bool>(), CHUNKS as usize))
            .prop_map(|(source, has)| Step::Has(source, has)),
        4 => (source.clone(), chunk.clone()).prop_map(|(source, chunk)| Step::Gain(source, chunk)),
        1 => source.clone().prop_map(Step::Complete),
        1 => source.clone().prop_map(Step::Gone),
        12 => (any::<usize>(), end()).prop_map(|(request, end)| Step::End(request, end)),
        1 => (source, chunk.clone(), end()).prop_map(|(s, c, end)| Step::Stray(s, c, end)),
        1 => (chunk.clone(), chunk.clone()).prop_map(|(a, b)| Step::Prioritize(a, b)),
        1 => (chunk.clone(), chunk.clone()).prop_map(|(a, b)| Step::Want(a, b)),
        1 => (chunk.clone(), chunk).prop_map(|(a, b)| Step::Unwanted(a, b)),
        4 => (0u64..20_000).prop_map(Step::Pass),
    ]
}

/// A caller that checks the scheduler: it keeps its own account of the outputs that are allowed.
struct Caller {
    scheduler: Scheduler,
    now: Duration,
    /// The chunks that each source announced.
    has: BTreeMap<SourceId, BTreeSet<ModelChunk>>,
    banned: BTreeSet<SourceId>,
    /// The wrong chunks of each source.
    wrong: Vec<(SourceId, ModelChunk)>,
    /// Sources that were said to be of the same peer as another.
    sharing: BTreeSet<SourceId>,
    wrong_ever: u32,
    missing: BTreeSet<ModelChunk>,
    open: BTreeSet<(SourceId, ModelChunk)>,
    wake_at: Option<Duration>,
    /// `Done`s that are due and were not emitted yet.
    dones_due: u32,
}

impl Caller {
    fn new(order: Order, seed: u64, wanted: &ChunkSet) -> Self {
        let config = SchedulerConfig {
            order,
            seed,
            requests_per_source_max: PER_SOURCE_MAX,
            in_flight_bytes_max: REQUESTS_MAX * CHUNK_SIZE,
            ..SchedulerConfig::default()
        };
        let mut caller = Self {
            scheduler: Scheduler::new(config, wanted),
            now: Duration::ZERO,
            has: BTreeMap::new(),
            banned: BTreeSet::new(),
            wrong: Vec::new(),
            sharing: BTreeSet::new(),
            wrong_ever: 0,
            missing: wanted.iter().map(ModelChunk).collect(),
            open: BTreeSet::new(),
            wake_at: None,
            dones_due: u32::from(wanted.is_empty()),
        };
        caller.drain();
        caller
    }

    fn handle(&mut self, input: Input) {
        let was_missing = !self.missing.is_empty();
        self.account(&input);
        if was_missing && self.missing.is_empty() {
            self.dones_due += 1;
        }
        self.scheduler.handle(self.now, input);
        self.drain();
        assert_eq!(self.scheduler.missing() as usize, self.missing.len());
        assert_eq!(self.scheduler.in_flight(), self.open.len());
    }

    /// Updates the account for an input.
    fn account(&mut self, input: &Input) {
        match input {
            Input::SourceJoined(id) if !self.banned.contains(id) => {
                self.has.entry(*id).or_default();
            }
            Input::SourceHas(id, set) => self.set_has(*id, set.iter().map(ModelChunk).collect()),
            Input::SourceComplete(id) => self.set_has(*id, ModelChunk::each(MODEL).collect()),
            Input::SourceGained(id, ranges) => {
                let gained = ranges
                    .iter()
                    .flat_map(|range| ModelChunk::each(range.clone()))
                    .filter(|chunk| MODEL.contains(chunk));
                if let Some(has) = self.has.get_mut(id) {
                    has.extend(gained);
                }
            }
            Input::SourceGone(id) => self.drop_source(*id),
            Input::Received { source, chunk, .. } => {
                self.open.remove(&(*source, *chunk));
                self.missing.remove(chunk);
            }
            Input::Wrong { source, chunk } => {
                self.open.remove(&(*source, *chunk));
                if let Some(has) = self.has.get_mut(source) {
                    has.remove(chunk);
                    self.wrong.push((*source, *chunk));
                    self.wrong_ever += 1;
                }
            }
            // The account of its wrong chunks as another peer is dropped.
            Input::SourceSharesPeer(id, of) => {
                self.wrong.retain(|(source, _)| source != id);
                if id != of {
                    self.sharing.insert(*id);
                }
            }
            Input::Refused {
                source,
                chunk,
                refusal,
            } => {
                self.open.remove(&(*source, *chunk));
                if let (Refusal::NotHere, Some(has)) = (refusal, self.has.get_mut(source)) {
                    has.remove(chunk);
                }
            }
            Input::Failed { source, chunk } => {
                self.open.remove(&(*source, *chunk));
            }
            Input::Want(range) => {
                let new = ModelChunk::each(range.clone()).filter(|chunk| MODEL.contains(chunk));
                self.missing.extend(new);
            }
            Input::Unwanted(range) => self.missing.retain(|chunk| !range.contains(chunk)),
            _ => {}
        }
    }

    fn set_has(&mut self, id: SourceId, chunks: BTreeSet<ModelChunk>) {
        if let Some(has) = self.has.get_mut(&id) {
            *has = chunks;
        }
    }

    fn drop_source(&mut self, id: SourceId) {
        self.has.remove(&id);
        self.open.retain(|&(source, _)| source != id);
        // Its wrong chunks count for the other peer; when it joins again, it stands for itself.
        if self.sharing.remove(&id) {
            self.wrong.retain(|(source, _)| *source != id);
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.scheduler.poll_output() {
            match output {
                Output::Request(id, chunk) => self.requested(id, chunk),
                Output::Cancel(id, chunk) => {
                    assert!(
                        self.open.remove(&(id, chunk)),
                        "cancelled a chunk that was not requested"
                    );
                }
                Output::Ban(id, _) => {
                    assert!(self.wrong_ever > 3, "banned {id} without a reason");
                    self.banned.insert(id);
                    self.drop_source(id);
                }
                Output::WakeAt(at) => self.wake_at = Some(at),
                Output::Starved => assert!(self.open.is_empty() && !self.missing.is_empty()),
                Output::Done => {
                    assert!(self.missing.is_empty() && self.open.is_empty());
                    assert!(self.dones_due > 0, "done once too often");
                    self.dones_due -= 1;
                }
            }
        }
    }

    fn requested(&mut self, id: SourceId, chunk: ModelChunk) {
        assert!(
            self.has.get(&id).is_some_and(|has| has.contains(&chunk)),
            "{id} lacks {chunk}"
        );
        assert!(
            !self.wrong.contains(&(id, chunk)),
            "{id} sent {chunk} wrong"
        );
        assert!(self.missing.contains(&chunk), "{chunk} is not missing");
        assert!(
            self.open.insert((id, chunk)),
            "{chunk} is requested from {id} already"
        );
        assert!(self.open.len() <= REQUESTS_MAX, "too many requests");
        let of_source = self.open.iter().filter(|(source, _)| *source == id).count();
        assert!(of_source <= PER_SOURCE_MAX, "too many requests to {id}");
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Join(id) => self.handle(Input::SourceJoined(SourceId(id))),
            Step::SamePeer(id, of) => {
                self.handle(Input::SourceSharesPeer(SourceId(id), SourceId(of)));
            }
            Step::Has(id, has) => {
                let mut set = ChunkSet::empty(CHUNKS);
                (0..CHUNKS)
                    .filter(|&chunk| has[chunk as usize])
                    .for_each(|chunk| {
                        set.insert(chunk);
                    });
                self.handle(Input::SourceHas(SourceId(id), set));
            }
            Step::Gain(id, chunk) => {
                let gained = vec![range(chunk, chunk + 1), range(chunk + 1, chunk + 2)];
                self.handle(Input::SourceGained(SourceId(id), gained));
            }
            Step::Complete(id) => self.handle(Input::SourceComplete(SourceId(id))),
            Step::Gone(id) => self.handle(Input::SourceGone(SourceId(id))),
            Step::End(index, end) => {
                let request = self
                    .open
                    .iter()
                    .copied()
                    .nth(index % self.open.len().max(1));
                if let Some((source, chunk)) = request {
                    self.end(source, chunk, end);
                }
            }
            // A chunk beyond the end of the model cannot be stored.
            Step::Stray(_, chunk, End::Received) if chunk >= CHUNKS => {}
            Step::Stray(source, chunk, end) => {
                self.end(SourceId(source), ModelChunk(chunk), end);
            }
            Step::Prioritize(a, b) => self.handle(Input::Prioritize(range(a, b))),
            Step::Want(a, b) => self.handle(Input::Want(range(a, b))),
            Step::Unwanted(a, b) => self.handle(Input::Unwanted(range(a, b))),
            Step::Pass(milliseconds) => {
                self.now += Duration::from_millis(milliseconds);
                self.handle(Input::Tick);
            }
        }
    }

    fn end(&mut self, source: SourceId, chunk: ModelChunk, end: End) {
        self.now += Duration::from_millis(1);
        let wait = |milliseconds| Refusal::Busy(Duration::from_millis(milliseconds));
        self.handle(match end {
            End::Received => Input::Received {
                source,
                chunk,
                bytes: CHUNK_SIZE as u32,
            },
            End::Wrong => Input::Wrong { source, chunk },
            End::NotHere => Input::Refused {
                source,
                chunk,
                refusal: Refusal::NotHere,
            },
            End::Busy(milliseconds) => Input::Refused {
                source,
                chunk,
                refusal: wait(milliseconds),
            },
            End::Failed => Input::Failed { source, chunk },
        });
    }

    /// A complete source joins that answers all its requests; the others never answer again.
    fn complete(&mut self) {
        self.handle(Input::SourceJoined(LAST_SOURCE));
        self.handle(Input::SourceComplete(LAST_SOURCE));
        while !self.missing.is_empty() {
            let of_last = |&(id, _): &(SourceId, ModelChunk)| id == LAST_SOURCE;
            if let Some((id, chunk)) = self.open.iter().copied().find(of_last) {
                self.end(id, chunk, End::Received);
            } else {
                self.now = self.wake_at.take().expect("a wake-up is due").max(self.now);
                self.handle(Input::Tick);
            }
        }
    }
}

proptest! {
    #[test]
    fn a_fetch_keeps_its_invariants_and_ends(
        seed: u64,
        sequential: bool,
        wanted in prop::collection::vec(any::<bool>(), CHUNKS as usize),
        steps in prop::collection::vec(step(), 0..150),
    ) {
        let mut set = ChunkSet::empty(CHUNKS);
        (0..CHUNKS).filter(|&chunk| wanted[chunk as usize]).for_each(|chunk| { set.insert(chunk); });
        let order = if sequential { Order::Sequential } else { Order::RarestFirst };
        let mut caller = Caller::new(order, seed, &set);
        for step in steps {
            caller.step(step);
        }
        caller.complete();
        prop_assert_eq!(caller.dones_due, 0, "done was not reported");
        prop_assert!(caller.now < Duration::from_secs(100_000));
    }
}
