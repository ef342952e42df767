//! A fetch that is killed goes on where it was.

use hubless_testkit::{
    model::{self, Noise},
    process::{LIMIT, Lab, Signal},
};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

const SIZE: u64 = 1 << 30;
const KILLS: u64 = 20;

/// What a run gets, on average, before it is killed: the last one has some left.
const STEP: u64 = SIZE / (KILLS + 4);

/// About a second for each run.
const LIMIT_UP: &str = "40MB";

/// What a kill may cost: 0.2 s of bytes that are not committed yet, and what is asked or on its
/// way. Less than the 45 MB that a run gets on average, so starting over would be seen.
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
        run.progress(kill * STEP + noise.below(STEP));
        run.signal(Signal::KILL);
        run.wait(LIMIT).signalled(Signal::KILL);
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
        sent <= SIZE + SIZE / 50 + KILLS * IN_FLIGHT,
        "{sent} bytes were sent in all"
    );
    let lost = sent_before.saturating_sub(last.bytes_present);
    assert!(
        lost <= KILLS * IN_FLIGHT,
        "{lost} of {sent_before} bytes were lost"
    );
}
