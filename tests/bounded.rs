//! Memory and CPU time of a node.

use std::{thread, time::Duration};

use hubless_testkit::{
    model,
    process::{LIMIT, Lab, text},
};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

const REST: Duration = Duration::from_secs(60);
const WINDOW: Duration = Duration::from_secs(20);
const REST_RSS_MAX: u64 = 60_000_000;

const FETCH_SIZE: u64 = 4 << 30;
/// Bound of each process of a large fetch; about four times the measured value.
const FETCH_RSS_MAX: u64 = 250_000_000;

#[test]
fn a_node_at_rest_takes_little() {
    let lab = Lab::new(HUBLESS);
    let bootstrap = lab.machine("bootstrap").serve(&[]);
    let others = ["a", "b", "c"].map(|name| {
        lab.machine(name)
            .serve(&["--bootstrap", bootstrap.address()])
    });
    let seeder = lab.machine("seeder");
    let seeder = seeder.seed(&model::minilm(), &["--bootstrap", others[0].address()]);
    seeder.wait_until_announced(2);

    // The only wait for a fixed time in the tests: the figure is an average over time.
    thread::sleep(REST);
    let nodes = [&seeder, &others[2]];
    let before = nodes.map(|node| node.process.usage());
    thread::sleep(WINDOW);
    for (node, before) in nodes.iter().zip(before) {
        let after = node.process.usage();
        let share = (after.cpu - before.cpu).as_secs_f64() / WINDOW.as_secs_f64();
        println!("{} bytes, {:.2} % of a core", after.rss, share * 100.0);
        assert!(after.rss < REST_RSS_MAX, "{after:?}");
        assert!(share < 0.01, "{share} of a core");
    }
}

#[test]
fn alone_a_large_fetch_takes_little_memory_on_either_side() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    model::write_file(&source.join("weights.bin"), FETCH_SIZE, 2);
    let seeder = lab.machine("seeder").seed(&source, &["--in-place"]);
    let getter = lab.machine("getter").serve(&[]);
    let output = lab.path("output");
    let args = [
        seeder.hash(),
        "--peer",
        seeder.address(),
        "-o",
        text(&output),
    ];
    let fetched = getter.machine.get_within(2 * LIMIT, &args);
    let peaks = [&seeder, &getter].map(|node| node.process.usage().rss_peak);
    let rate = FETCH_SIZE as f64 / fetched.took.as_secs_f64() / 1e6;
    println!("peaks of seeder and getter: {peaks:?} bytes, {rate:.0} MB/s");
    assert_eq!(fetched.bytes_fetched, FETCH_SIZE);
    assert!(peaks.iter().all(|peak| *peak < FETCH_RSS_MAX), "{peaks:?}");
}
