//! One getter fetches from several seeders at once, from each its share.

use hubless_testkit::{model, process::Lab};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

/// Enough for 15 seconds, so that the time before the first byte and after the last one counts little.
const SIZE: u64 = 300_000_000;

/// Least rate of four seeders of 5 MB/s each.
const BYTES_PER_SECOND_MIN: f64 = 17e6;

/// 20 MB/s and the burst that the seeders may send at the beginning: beyond it their limit does not
/// hold, and the test proves nothing.
const BYTES_PER_SECOND_MAX: f64 = 25e6;

#[test]
fn four_seeders_of_5_mb_per_second_give_17() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    model::write_file(&source.join("weights.bin"), SIZE, 4);
    let seeders = ["a", "b", "c", "d"].map(|name| {
        lab.machine(name)
            .seed(&source, &["--in-place", "--limit-up", "5MB"])
    });

    let hash = seeders[0].hash();
    let mut args = vec![hash];
    for seeder in &seeders {
        assert_eq!(seeder.hash(), hash);
        args.extend(["--peer", seeder.address()]);
    }
    let fetched = lab.machine("getter").get(&args);
    model::assert_same_tree(&source, &fetched.path);

    let sent = seeders.each_ref().map(|seeder| seeder.count("bytes_sent"));
    let rate = SIZE as f64 / fetched.took.as_secs_f64();
    println!("{:.1} MB/s, sent {sent:?}", rate / 1e6);
    assert!(
        rate >= BYTES_PER_SECOND_MIN,
        "{rate} bytes/s, sent {sent:?}"
    );
    assert!(
        rate <= BYTES_PER_SECOND_MAX,
        "{rate} bytes/s, sent {sent:?}"
    );
    for one in sent {
        assert!(one >= SIZE / 10, "a seeder gave less than 10 %: {sent:?}");
    }
}
