//! Compares whole swarms with the shortest possible time, for a number of seeds:
//! `cargo run --release -p hubless-fetch --example swarm PEERS CHUNKS NEIGHBOURS SEEDS`.

use std::time::Duration;

use hubless_testkit::swarm::{PeerSpec, Seed, What, swarm};

fn main() {
    let numbers: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let [peers, chunks, neighbours, seeds] = numbers[..] else {
        eprintln!("four numbers are needed: peers, chunks, neighbours, seeds");
        std::process::exit(2);
    };
    for seed in (1..).take(seeds) {
        let run = swarm(Seed(seed))
            .peers(peers)
            .chunks(chunks as u32)
            .neighbours(neighbours)
            .run();
        let rounds = f64::from(peers.max(1).ilog2());
        let shortest = run
            .upload_time(PeerSpec::default().upload)
            .mul_f64(1.0 + rounds / chunks as f64);
        let ends: Vec<Duration> = run
            .history()
            .iter()
            .filter(|happened| happened.what == What::Finished)
            .map(|happened| happened.at)
            .collect();
        let share = |end: Option<&Duration>| {
            end.map_or(f64::NAN, |end| end.as_secs_f64() / shortest.as_secs_f64())
        };
        println!(
            "seed {seed}: first {:.4}, median {:.4}, last {:.4} of the shortest time; wasted {:.4}",
            share(ends.first()),
            share(ends.get(ends.len() / 2)),
            share(ends.last()),
            run.wasted_ratio()
        );
    }
}
