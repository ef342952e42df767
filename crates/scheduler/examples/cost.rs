//! What a chunk costs: `cargo run --release -p hubless-scheduler --example cost`.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use hubless_content::{CHUNK_SIZE, ChunkSet};
use hubless_scheduler::{Input, Output, Scheduler, SchedulerConfig, SourceId};

/// Virtual time between two answers, of all sources together.
const BETWEEN_ANSWERS: Duration = Duration::from_micros(100);

/// Nanoseconds per chunk for a whole fetch, joins excluded: every ask is answered in order, 100 us
/// of virtual time after the one before. Each source has every chunk if `partial` is 0, else all
/// but one in `partial`.
fn nanoseconds_per_chunk(chunks: u32, sources: u32, partial: u32) -> f64 {
    let mut scheduler = Scheduler::new(SchedulerConfig::default(), &ChunkSet::full(chunks));
    let (mut asks, mut now) = (VecDeque::new(), Duration::ZERO);
    let drain = |scheduler: &mut Scheduler, asks: &mut VecDeque<_>| {
        let mut done = false;
        while let Some(output) = scheduler.poll_output() {
            match output {
                Output::Request(source, chunk) => asks.push_back((source, chunk)),
                Output::Done => done = true,
                _ => {}
            }
        }
        done
    };
    for id in (0..sources).map(SourceId) {
        scheduler.handle(now, Input::SourceJoined(id));
        let mut has = ChunkSet::full(chunks);
        if partial > 0 {
            (0..chunks)
                .filter(|chunk| (chunk + id.0) % partial == 0)
                .for_each(|chunk| {
                    has.remove(chunk);
                });
        }
        scheduler.handle(now, Input::SourceHas(id, has));
        drain(&mut scheduler, &mut asks);
    }
    let (start, bytes) = (Instant::now(), CHUNK_SIZE as u32);
    while let Some((source, chunk)) = asks.pop_front() {
        now += BETWEEN_ANSWERS;
        scheduler.handle(
            now,
            Input::Received {
                source,
                chunk,
                bytes,
            },
        );
        if drain(&mut scheduler, &mut asks) {
            return start.elapsed().as_nanos() as f64 / f64::from(chunks);
        }
    }
    panic!("the fetch did not end: {} missing", scheduler.missing());
}

fn main() {
    for (chunks, sources, partial) in [
        (1 << 20, 8, 0),
        (1 << 20, 50, 0),
        (1 << 20, 50, 3),
        (1 << 20, 1000, 0),
        (1 << 22, 8, 0),
    ] {
        let cost = nanoseconds_per_chunk(chunks, sources, partial);
        let kind = if partial == 0 { "complete" } else { "partial" };
        println!("{chunks} chunks, {sources} {kind} sources: {cost:.0} ns per chunk");
    }
}
