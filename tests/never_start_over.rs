//! A fetch that is killed goes on where it was.

use std::{thread, time::Duration};

use hubless_testkit::{
    model::{self, Noise},
    process::{Lab, Signal},
};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

const SIZE: u64 = 1 << 30;
const KILLS: u64 = 20;

/// Slow enough that 20 kills come before the end: about 1.5 s for each run.
const LIMIT_UP: &str = "40MB";

/// What a kill may cost: 0.2 s of bytes that are not committed yet, and what is asked or on its
/// way. Less than the 32 MB that a run gets on average, so starting over would be seen.
const IN_FLIGHT: u64 = 16 << 20;

#[test]
fn a_getter_that_is_killed_20_times_fetches_little_twice() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    let expected = model::write_file(&source.join("weights.bin"), SIZE, 20);
    let seeder = lab
        .machine("seeder")
        .seed(&source, &["--in-place", "--limit-up", LIMIT_UP]);
    let getter = lab.machine("getter");
    let args = [seeder.hash(), "--peer", seeder.address()];

    let mut noise = Noise::new(20);
    for kill in 0..KILLS {
        let mut run = getter.start_get(&args);
        thread::sleep(Duration::from_millis(100 + noise.below(1400)));
        assert!(run.is_running(), "run {kill} ended before it was killed");
        run.signal(Signal::KILL);
        run.wait(Duration::from_secs(10)).signalled(Signal::KILL);
        // The store opens, and holds what is whole.
        getter.run(["ls"]).ok();
    }
    let sent_before = seeder.count("bytes_sent");

    let last = getter.get(&args);
    assert_eq!(model::tree(&last.path)["weights.bin"], (SIZE, expected));
    assert_eq!(
        (last.bytes_total, last.bytes_present),
        (SIZE, SIZE - last.bytes_fetched)
    );

    // Nothing was thrown away but what was in flight. What the killed runs fetched, the seeder
    // knows best: it counts what it sent.
    let sent = seeder.count("bytes_sent");
    println!(
        "sent {sent}, {sent_before} before the last run; present then {}",
        last.bytes_present
    );
    assert!(
        sent_before > SIZE / 4,
        "the kills came too early: {sent_before} bytes sent"
    );
    assert!(
        sent <= SIZE + SIZE / 50 + KILLS * IN_FLIGHT,
        "{sent} bytes were sent in all"
    );
    let lost = sent_before.saturating_sub(last.bytes_present);
    assert!(
        lost <= KILLS * IN_FLIGHT,
        "{lost} of {sent_before} bytes were lost"
    );
}
