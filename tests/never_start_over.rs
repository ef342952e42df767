//! A killed fetch continues where it stopped.

use hubless_testkit::{
    model::{self, Noise},
    process::{LIMIT, Lab, Signal},
};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

const SIZE: u64 = 1 << 30;
const KILLS: u64 = 20;

/// Average bytes of a run before it is killed, so that the last run has some left.
const STEP: u64 = SIZE / (KILLS + 4);

/// Rate at which each run takes about a second.
const LIMIT_UP: &str = "40MB";

/// Cost of a kill: 0.2 s of uncommitted bytes, and the chunks that are requested or in transit. Less
/// than the 45 MB of an average run, so starting over would fail the test.
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
        // The store opens, and complete files are held.
        getter.run(["ls"]).ok();
    }
    let sent_before = seeder.count("bytes_sent");

    let last = getter.get(&args);
    assert_eq!(model::tree(&last.path)["weights.bin"], (SIZE, expected));
    assert_eq!(
        (last.bytes_total, last.bytes_present),
        (SIZE, SIZE - last.bytes_fetched)
    );

    // Only bytes in flight were lost. The seeder counts the bytes that it sent to the killed runs.
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
