//! The scheduler: the cost of an input that reports a chunk and of the next request.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use criterion::{Criterion, SamplingMode, Throughput};
use hubless_content::{CHUNK_SIZE, ChunkSet, ModelChunk};
use hubless_scheduler::{Input, Output, Scheduler, SchedulerConfig, SourceId};

/// Virtual time between two responses, of all sources together.
const BETWEEN_ANSWERS: Duration = Duration::from_micros(100);

/// A model and its sources.
#[derive(Clone, Copy)]
struct Case {
    chunks: u32,
    sources: u32,
    /// Each source has all chunks if this is 0, else all but one in so many.
    lacks_one_in: u32,
}

/// One turn is a whole fetch, since the cost of a chunk depends on the others; joining sources is not
/// measured. 2^20 chunks are 256 GiB; a node uses at most 48 sources, and the scheduler accepts 1,024.
pub fn step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scheduler");
    let seconds = Duration::from_secs(6);
    group
        .measurement_time(seconds)
        .sampling_mode(SamplingMode::Flat)
        .sample_size(10);
    let cases = [
        ("8 sources", 1 << 20, 8, 0),
        ("48 sources", 1 << 20, 48, 0),
        ("48 sources that lack a third", 1 << 20, 48, 3),
        ("8 sources, 1 TiB", 1 << 22, 8, 0),
        ("1,024 sources, 64 GiB", 1 << 18, 1024, 0),
        ("1,024 sources that lack a third, 64 GiB", 1 << 18, 1024, 3),
    ];
    for (name, chunks, sources, lacks_one_in) in cases {
        let case = Case {
            chunks,
            sources,
            lacks_one_in,
        };
        group.throughput(Throughput::Elements(u64::from(chunks)));
        group.bench_function(format!("a fetch from {name}"), |bencher| {
            bencher.iter_custom(|turns| (0..turns).map(|_| Fetch::begin(case).run()).sum());
        });
    }
}

/// A fetch whose requests are all answered, in order.
struct Fetch {
    scheduler: Scheduler,
    asks: VecDeque<(SourceId, ModelChunk)>,
    now: Duration,
    done: bool,
}

impl Fetch {
    fn begin(case: Case) -> Self {
        let Case {
            chunks,
            sources,
            lacks_one_in,
        } = case;
        let scheduler = Scheduler::new(SchedulerConfig::default(), &ChunkSet::full(chunks));
        let mut fetch = Self {
            scheduler,
            asks: VecDeque::new(),
            now: Duration::ZERO,
            done: false,
        };
        for id in 0..sources {
            let mut has = ChunkSet::full(chunks);
            if lacks_one_in > 0 {
                let first = id % lacks_one_in;
                for chunk in (first..chunks).step_by(lacks_one_in as usize) {
                    has.remove(chunk);
                }
            }
            fetch.hear(Input::SourceJoined(SourceId(id)));
            fetch.hear(Input::SourceHas(SourceId(id), has));
        }
        fetch
    }

    /// The time until it is done.
    fn run(mut self) -> Duration {
        let started = Instant::now();
        while !self.done {
            self.answer_one();
        }
        started.elapsed()
    }

    fn answer_one(&mut self) {
        let (source, chunk) = self.asks.pop_front().expect("an open ask");
        self.now += BETWEEN_ANSWERS;
        self.hear(Input::Received {
            source,
            chunk,
            bytes: CHUNK_SIZE as u32,
        });
    }

    fn hear(&mut self, input: Input) {
        self.scheduler.handle(self.now, input);
        while let Some(output) = self.scheduler.poll_output() {
            match output {
                Output::Request(source, chunk) => self.asks.push_back((source, chunk)),
                Output::Done => self.done = true,
                _ => {}
            }
        }
    }
}
