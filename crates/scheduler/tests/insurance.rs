//! What insurance may cost: chunks that come twice because a second source was asked for them.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    time::Duration,
};

use hubless_content::{CHUNK_SIZE, ChunkSet};
use hubless_scheduler::{Input, Output, Scheduler, SchedulerConfig, SourceId};

const ALICE: SourceId = SourceId(1);
const BOB: SourceId = SourceId(2);

/// One chunk after the other from each source, in milliseconds: a fast network of one machine.
const BETWEEN_ANSWERS: u64 = 2;

/// Alice says nothing for so long, again and again, in milliseconds.
const PAUSE: u64 = 200;

/// Chunks of the model.
const CHUNKS: u32 = 350;

/// What insurance may cost of them: one in 32.
const TWICE_MAX: usize = CHUNKS as usize / 32;

/// What is on its way, in the order in which it comes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Begins(SourceId, u32),
    Answer(SourceId, u32),
    Wake,
}

/// Two sources that have everything and answer all that they are asked for, cancelled or not: each
/// cancel comes too late.
struct Fetch {
    scheduler: Scheduler,
    now: Duration,
    events: BinaryHeap<Reverse<(Duration, Event)>>,
    /// When the last answer of each source is here.
    busy_until: [Duration; 2],
    /// Whether the caller hears when answers begin.
    hears_begins: bool,
    here: BTreeSet<u32>,
    twice: usize,
}

impl Fetch {
    fn new(hears_begins: bool) -> Self {
        let config = SchedulerConfig::default();
        Self {
            scheduler: Scheduler::new(config, &ChunkSet::empty(CHUNKS)),
            now: Duration::ZERO,
            events: BinaryHeap::new(),
            busy_until: [Duration::ZERO; 2],
            hears_begins,
            here: BTreeSet::new(),
            twice: 0,
        }
    }

    /// Fetches the whole model, of which so many chunks at a time are wanted: the last of them are
    /// insured each time.
    fn run(mut self, at_a_time: u32) -> Self {
        for id in [ALICE, BOB] {
            self.tell(Input::SourceJoined(id));
            self.tell(Input::SourceComplete(id));
        }
        for first in (0..CHUNKS).step_by(at_a_time as usize) {
            self.tell(Input::Want(first..first + at_a_time));
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
        let Reverse((at, event)) = self.events.pop().expect("something is on its way");
        self.now = at;
        match event {
            Event::Begins(source, chunk) => self.tell(Input::Started { source, chunk }),
            Event::Answer(source, chunk) => self.answer(source, chunk),
            Event::Wake => self.tell(Input::Tick),
        }
    }

    fn answer(&mut self, source: SourceId, chunk: u32) {
        if !self.here.insert(chunk) {
            self.twice += 1;
        }
        let bytes = CHUNK_SIZE as u32;
        self.tell(Input::Received {
            source,
            chunk,
            bytes,
        });
    }

    fn tell(&mut self, input: Input) {
        self.scheduler.handle(self.now, input);
        while let Some(output) = self.scheduler.poll_output() {
            match output {
                Output::Request(source, chunk) => self.asked(source, chunk),
                Output::WakeAt(at) => self.events.push(Reverse((at, Event::Wake))),
                _ => {}
            }
        }
    }

    fn asked(&mut self, source: SourceId, chunk: u32) {
        let busy = &mut self.busy_until[usize::from(source == BOB)];
        *busy = (*busy).max(self.now) + Duration::from_millis(BETWEEN_ANSWERS);
        let arrives = if source == ALICE {
            after_pause(*busy)
        } else {
            *busy
        };
        if self.hears_begins {
            self.events
                .push(Reverse((arrives, Event::Begins(source, chunk))));
        }
        self.events
            .push(Reverse((arrives, Event::Answer(source, chunk))));
    }
}

/// What would come during one of Alice's pauses comes at its end.
fn after_pause(at: Duration) -> Duration {
    let in_turn = at.as_millis() as u64 % (2 * PAUSE);
    at + Duration::from_millis(PAUSE.saturating_sub(in_turn))
}

#[test]
fn a_source_that_pauses_costs_no_more_than_insurance_may() {
    for hears_begins in [true, false] {
        for at_a_time in [CHUNKS, 100, 50, 35] {
            let twice = Fetch::new(hears_begins).run(at_a_time).twice;
            assert!(
                twice <= TWICE_MAX,
                "{at_a_time} at a time, begins heard {hears_begins}: {twice} twice"
            );
        }
    }
}
