//! The cost of duplicate requests: chunks that arrive twice because they were requested from two
//! sources.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    time::Duration,
};

use hubless_content::{CHUNK_SIZE, ChunkSet, ModelChunk};
use hubless_scheduler::{Input, Output, Scheduler, SchedulerConfig, SourceId};

const ALICE: SourceId = SourceId(1);
const BOB: SourceId = SourceId(2);

/// Milliseconds between two chunks of a source: the fast network of one machine.
const BETWEEN_ANSWERS: u64 = 2;

/// Alice sends nothing for so many milliseconds, again and again.
const PAUSE: u64 = 200;

/// Chunks of the model.
const CHUNKS: u32 = 350;

/// Budget for duplicates: one in 32.
const TWICE_MAX: usize = CHUNKS as usize / 32;

/// Future events, in order of time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Starts(SourceId, ModelChunk),
    Answer(SourceId, ModelChunk),
    Wake,
}

/// Two complete sources that answer all requests, cancelled or not: each cancel arrives too late.
struct Fetch {
    scheduler: Scheduler,
    now: Duration,
    events: BinaryHeap<Reverse<(Duration, Event)>>,
    /// When the last response of each source is complete.
    busy_until: [Duration; 2],
    /// Whether the caller reports the start of responses.
    reports_starts: bool,
    here: BTreeSet<ModelChunk>,
    twice: usize,
}

impl Fetch {
    fn new(reports_starts: bool) -> Self {
        let config = SchedulerConfig::default();
        Self {
            scheduler: Scheduler::new(config, &ChunkSet::empty(CHUNKS)),
            now: Duration::ZERO,
            events: BinaryHeap::new(),
            busy_until: [Duration::ZERO; 2],
            reports_starts,
            here: BTreeSet::new(),
            twice: 0,
        }
    }

    /// Fetches the whole model, of which so many chunks at a time are wanted: the last ones are
    /// requested twice each time.
    fn run(mut self, at_a_time: u32) -> Self {
        for id in [ALICE, BOB] {
            self.handle(Input::SourceJoined(id));
            self.handle(Input::SourceComplete(id));
        }
        for first in (0..CHUNKS).step_by(at_a_time as usize) {
            let first = ModelChunk(first);
            self.handle(Input::Want(first..first.plus(at_a_time)));
            while self.scheduler.missing() > 0 {
                self.step();
            }
        }
        while !self.events.is_empty() {
            self.step();
        }
        assert_eq!(self.here.len(), CHUNKS as usize);
        self
    }

    fn step(&mut self) {
        let Reverse((at, event)) = self.events.pop().expect("an event is due");
        self.now = at;
        match event {
            Event::Starts(source, chunk) => self.handle(Input::Started { source, chunk }),
            Event::Answer(source, chunk) => self.answer(source, chunk),
            Event::Wake => self.handle(Input::Tick),
        }
    }

    fn answer(&mut self, source: SourceId, chunk: ModelChunk) {
        if !self.here.insert(chunk) {
            self.twice += 1;
        }
        let bytes = CHUNK_SIZE as u32;
        self.handle(Input::Received {
            source,
            chunk,
            bytes,
        });
    }

    fn handle(&mut self, input: Input) {
        self.scheduler.handle(self.now, input);
        while let Some(output) = self.scheduler.poll_output() {
            match output {
                Output::Request(source, chunk) => self.asked(source, chunk),
                Output::WakeAt(at) => self.events.push(Reverse((at, Event::Wake))),
                _ => {}
            }
        }
    }

    fn asked(&mut self, source: SourceId, chunk: ModelChunk) {
        let busy = &mut self.busy_until[usize::from(source == BOB)];
        *busy = (*busy).max(self.now) + Duration::from_millis(BETWEEN_ANSWERS);
        let arrives = if source == ALICE {
            after_pause(*busy)
        } else {
            *busy
        };
        if self.reports_starts {
            self.events
                .push(Reverse((arrives, Event::Starts(source, chunk))));
        }
        self.events
            .push(Reverse((arrives, Event::Answer(source, chunk))));
    }
}

/// A chunk that would arrive during one of Alice's pauses arrives at its end.
fn after_pause(at: Duration) -> Duration {
    let in_turn = at.as_millis() as u64 % (2 * PAUSE);
    at + Duration::from_millis(PAUSE.saturating_sub(in_turn))
}

#[test]
fn a_source_that_pauses_costs_no_more_than_the_duplicate_budget() {
    for reports_starts in [true, false] {
        for at_a_time in [CHUNKS, 100, 50, 35] {
            let twice = Fetch::new(reports_starts).run(at_a_time).twice;
            assert!(
                twice <= TWICE_MAX,
                "{at_a_time} at a time, starts reported {reports_starts}: {twice} twice"
            );
        }
    }
}
