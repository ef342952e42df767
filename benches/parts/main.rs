//! Benchmarks of the parts of a transfer, one at a time: `just bench-parts [NAME]`.
//!
//! The figures and their aims are in `docs/benchmarks.md`.

mod content;
mod scheduler;
mod store;
mod wire;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

/// All of them take two minutes: enough to compare before and after a change, not for the last percent.
fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
}

criterion_group! {
    name = parts;
    config = criterion();
    targets = content::chunk_hash, content::chunk_list, wire::frames, store::commit, scheduler::step
}
criterion_main!(parts);
