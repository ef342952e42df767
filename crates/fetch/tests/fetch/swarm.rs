//! Whole swarms of schedulers in virtual time. A failing test prints its seed.

use std::time::Duration;

use hubless_testkit::swarm::{
    Happened, Leave, LeaveWhen, PeerSpec, Purpose, Run, Seed, Swarm, What, swarm,
};

/// Upload rate of a peer unless a test says otherwise, in bytes per second.
const RATE: f64 = 5e6;

/// The shortest possible time until all of `peers` have all of `chunks` that one had at first, if
/// all send at the same rate: `(F/C)(1 + floor(log2 N)/M)`.
fn shortest_time(run: &Run, peers: usize, chunks: u32) -> Duration {
    let rounds = f64::from(peers.ilog2());
    run.upload_time(RATE)
        .mul_f64(1.0 + rounds / f64::from(chunks))
}

fn ratio(run: &Run, to: Duration) -> f64 {
    let last = run.last_finished_at().expect("a peer finished");
    last.as_secs_f64() / to.as_secs_f64()
}

#[test]
fn one_seed_has_one_history() {
    let run = |seed| {
        swarm(Seed(seed))
            .peers(20)
            .chunks(64)
            .change(0, 2, |peer| peer.lies = true)
            .change(2, 2, |peer| {
                peer.leaves = leave(LeaveWhen::At(Duration::from_secs(1)));
            })
            .run()
    };
    assert_eq!(run(42).history(), run(42).history());
    assert_ne!(run(42).history(), run(43).history());
}

#[test]
fn a_swarm_is_nearly_as_fast_as_its_uploads_allow() {
    let (peers, chunks) = (64, 256);
    for seed in [1, 2] {
        let run = swarm(Seed(seed)).peers(peers).chunks(chunks).run();
        assert_eq!(run.finished(), peers, "seed {seed}");
        let ratio = ratio(&run, shortest_time(&run, peers, chunks));
        println!(
            "seed {seed}: {ratio:.3} of the shortest time, wasted {:.4}",
            run.wasted_ratio()
        );
        assert!(ratio < 1.12, "seed {seed}: {ratio:.3} of the shortest time");
        assert!(
            run.wasted_ratio() < 0.05,
            "seed {seed}: wasted {:.4}",
            run.wasted_ratio()
        );
    }
}

/// Half a minute in release, far more without.
#[test]
fn a_large_swarm_is_nearly_as_fast_as_its_uploads_allow() {
    let (peers, chunks) = (256, 1024);
    for seed in 1..=3 {
        let run = large(seed, peers, chunks).run();
        let ratio = ratio(&run, shortest_time(&run, peers, chunks));
        println!(
            "seed {seed}: {ratio:.4} of the shortest time, wasted {:.4}",
            run.wasted_ratio()
        );
        assert_eq!(run.finished(), peers, "seed {seed}");
        assert!(ratio < 1.05, "seed {seed}: {ratio:.4} of the shortest time");
    }
}

/// A minute in release.
#[test]
fn a_thousand_peers_are_nearly_as_fast_as_their_uploads_allow() {
    let (peers, chunks) = (1000, 1024);
    let run = large(1, peers, chunks).run();
    let ratio = ratio(&run, shortest_time(&run, peers, chunks));
    println!("{ratio:.4} of the shortest time");
    assert_eq!(run.finished(), peers);
    assert!(ratio < 1.08, "{ratio:.4} of the shortest time");
}

fn large(seed: u64, peers: usize, chunks: u32) -> Swarm {
    swarm(Seed(seed)).peers(peers).chunks(chunks).neighbours(20)
}

/// Of 256 peers, 26 have a tenth of the speed, 13 leave at random times, half of them silently, and
/// 5 lie.
#[test]
fn slow_leaving_and_lying_peers_hurt_only_themselves() {
    let (peers, chunks) = (256, 1024);
    for seed in 1..=3 {
        let run = large(seed, peers, chunks)
            .change(0, 26, |slow| {
                (slow.upload, slow.download) = (slow.upload / 10.0, slow.download / 10.0);
            })
            .change(26, 5, |liar| liar.lies = true);
        let run = (0..13u64)
            .fold(run, |run, leaver| {
                // Anywhere in the first 50 s, nearly as long as all takes.
                let millis = (seed * 7919 + leaver * 104_729) % 50_000;
                let leave = Leave {
                    when: LeaveWhen::At(Duration::from_millis(millis)),
                    silent: leaver % 2 == 0,
                };
                run.change(31 + leaver as usize, 1, |peer| peer.leaves = Some(leave))
            })
            .run();
        let usual = |peer: &PeerSpec| peer.upload == RATE && peer.leaves.is_none() && !peer.lies;
        let last = run.last_finished_of(usual).expect("a peer finished");
        let ratio = last.as_secs_f64() / shortest_time(&run, peers, chunks).as_secs_f64();
        let wasted = run.wasted_ratio();
        println!(
            "seed {seed}: {ratio:.4} of the shortest time, wasted {wasted:.4}, {} bans",
            run.bans()
        );
        let staying = (1..=peers).filter(|peer| !(27..=44).contains(peer));
        assert!(
            staying
                .into_iter()
                .all(|peer| run.finished_at(peer).is_some()),
            "seed {seed}"
        );
        assert_eq!(run.poisoned(), 0, "seed {seed}");
        assert!(run.bans() > 0, "seed {seed}");
        assert!(ratio < 1.25, "seed {seed}: {ratio:.4} of the shortest time");
        assert!(wasted < 0.05, "seed {seed}: wasted {wasted:.4}");
    }
}

#[test]
fn a_liar_gets_no_more_requests_after_a_few_wrong_chunks() {
    let complete = PeerSpec {
        complete: true,
        ..PeerSpec::default()
    };
    let liar = PeerSpec {
        lies: true,
        ..complete
    };
    let run = swarm(Seed(1))
        .complete(vec![liar, complete, complete])
        .peers(1)
        .chunks(400)
        .run();
    assert_eq!((run.finished(), run.bans(), run.poisoned()), (1, 1, 0));
    let from_liar = |what| matches!(what, What::Kept(_, 0) | What::Wasted(_, 0));
    assert!(
        !run.history()
            .iter()
            .any(|happened| from_liar(happened.what))
    );
}

#[test]
fn one_slow_source_of_four_costs_next_to_nothing() {
    let fast = PeerSpec {
        download: 1e9,
        ..PeerSpec::default()
    };
    let slow = PeerSpec {
        upload: RATE / 100.0,
        ..fast
    };
    for (seed, purpose) in [(1, Purpose::Files), (2, Purpose::Files), (3, Purpose::File)] {
        let fetch = |sources| {
            swarm(Seed(seed))
                .complete(sources)
                .fetching(vec![PeerSpec { purpose, ..fast }])
                .chunks(1024)
                .run()
        };
        let with = fetch(vec![fast, slow, fast, fast]);
        let without = fetch(vec![fast; 3]);
        let ratio = ratio(&with, without.last_finished_at().expect("finished"));
        println!(
            "seed {seed}, {purpose:?}: {ratio:.3}, wasted {:.4}",
            with.wasted_ratio()
        );
        assert!(
            ratio < 1.05,
            "seed {seed}, {purpose:?}: {ratio:.3} of the time without it"
        );
        assert!(with.wasted_ratio() < 0.05, "seed {seed}, {purpose:?}");
    }
}

#[test]
fn sources_add_up() {
    let fast = PeerSpec {
        download: 1e9,
        ..PeerSpec::default()
    };
    for sources in [1, 2, 4, 8] {
        let run = swarm(Seed(1))
            .complete(vec![fast; sources])
            .fetching(vec![fast])
            .chunks(512)
            .run();
        let ratio = ratio(&run, run.upload_time(RATE * sources as f64));
        println!("{sources} sources: {ratio:.3} of the shortest time");
        assert!(
            ratio < 1.05,
            "{sources} sources: {ratio:.3} of the shortest time"
        );
    }
}

#[test]
fn a_long_fast_path_is_filled() {
    let far = PeerSpec {
        upload: 60e6,
        download: 125e6,
        latency: Duration::from_millis(50),
        ..PeerSpec::default()
    };
    let run = swarm(Seed(1))
        .complete(vec![far])
        .fetching(vec![far])
        .chunks(4000)
        .run();
    // Dial, manifest and chunk list take a round trip each before the first chunk is requested.
    let start = 3 * Duration::from_millis(200);
    let ratio = ratio(&run, start + run.upload_time(60e6));
    println!("{ratio:.3} of the shortest time at 60 MB/s and a round trip of 200 ms");
    assert!(ratio < 1.10, "{ratio:.3} of the shortest time");
}

#[test]
fn a_source_that_dies_near_the_end_stalls_nothing() {
    let source = PeerSpec {
        complete: true,
        ..PeerSpec::default()
    };
    for seed in 1..=3 {
        for silent in [false, true] {
            let leaves = Some(Leave {
                when: LeaveWhen::LastPeerHolds(0.96),
                silent,
            });
            let dying = PeerSpec { leaves, ..source };
            let run = swarm(Seed(seed)).complete(vec![dying, source, source, source]);
            let run = run.peers(1).chunks(256).run();
            let fetcher = 4;
            let stall = run.longest_stall(fetcher);
            println!("seed {seed}, silent {silent}: longest stall {stall:?}");
            assert!(
                run.finished_at(fetcher).is_some(),
                "seed {seed}, silent {silent}"
            );
            assert!(
                stall < Duration::from_secs(3),
                "seed {seed}, silent {silent}: {stall:?}"
            );
        }
    }
}

#[test]
fn a_source_that_goes_silent_in_the_middle_is_worked_around() {
    let source = PeerSpec {
        complete: true,
        ..PeerSpec::default()
    };
    let leaves = Some(Leave {
        when: LeaveWhen::LastPeerHolds(0.3),
        silent: true,
    });
    let run = swarm(Seed(1)).complete(vec![PeerSpec { leaves, ..source }, source]);
    let run = run.peers(1).chunks(256).run();
    // The first 30 % from two, the rest from one.
    let time = run.upload_time(RATE).mul_f64(0.15 + 0.7);
    assert!(ratio(&run, time) < 1.10, "{:.3}", ratio(&run, time));
}

fn leave(when: LeaveWhen) -> Option<Leave> {
    Some(Leave {
        when,
        silent: false,
    })
}

/// Of 256 peers, 20 send wrong chunks, 6 forge manifests and lists, 30 leave, half of them without a
/// word, 60 read in order and 40 fetch the file alone.
fn mixed(seed: u64) -> Swarm {
    let leave = |at: u64, silent| {
        let when = LeaveWhen::At(Duration::from_millis(at));
        Some(Leave { when, silent })
    };
    let swarm = swarm(Seed(seed))
        .peers(256)
        .chunks(128)
        .neighbours(20)
        .change(0, 20, |peer| peer.lies = true)
        .change(20, 6, |peer| peer.forges = true)
        .change(56, 60, |peer| peer.purpose = Purpose::Reader)
        .change(116, 40, |peer| peer.purpose = Purpose::File);
    (0..30u64).fold(swarm, |swarm, leaver| {
        let at = (seed * 7919 + leaver * 104_729) % 6000;
        swarm.change(26 + leaver as usize, 1, |peer| {
            peer.leaves = leave(at, leaver % 2 == 0);
        })
    })
}

#[test]
fn one_seed_has_one_history_for_256_peers_with_liars_stalls_departures_and_readers() {
    let (first, again) = (mixed(1).run(), mixed(1).run());
    assert!(first.history() == again.history(), "two histories");
    assert!(first.history() != mixed(2).run().history());
}

#[test]
fn every_honest_peer_that_stays_has_everything_whatever_the_others_do() {
    for seed in 1..=2 {
        let run = mixed(seed).run();
        // One complete peer, then the fetching ones: those that lie, forge or leave come first.
        let missing: Vec<usize> = (57..=256)
            .filter(|&peer| run.finished_at(peer).is_none())
            .collect();
        assert_eq!(missing, [0; 0], "seed {seed}");
        assert_eq!((run.poisoned(), run.failed()), (0, 0), "seed {seed}");
        let banned = |happened: &&Happened| matches!(happened.what, What::Banned(1..=26));
        let bans = run.history().iter().filter(banned).count();
        assert_eq!(bans, run.bans(), "seed {seed}: only liars are banned");
        assert!(bans > 26, "seed {seed}: {bans} bans");
        // Each liar costs each of its neighbours four chunks of 128 before it is banned.
        assert!(
            run.wasted_ratio() < 0.10,
            "seed {seed}: {}",
            run.wasted_ratio()
        );
    }
}

#[test]
fn a_forger_of_manifests_delays_a_fetch_by_a_moment() {
    let complete = PeerSpec::default();
    let forger = PeerSpec {
        forges: true,
        ..complete
    };
    let run = swarm(Seed(1))
        .complete(vec![forger, forger, forger, forger, complete])
        .peers(1)
        .chunks(64)
        .run();
    assert_eq!((run.finished(), run.bans()), (1, 4));
    let alone = swarm(Seed(1)).complete(vec![complete]).peers(1).chunks(64);
    let alone = alone.run().last_finished_at().expect("it finished");
    let last = run.last_finished_at().expect("it finished");
    assert!(last < alone + Duration::from_millis(200), "{last:?}");
}

#[test]
fn a_peer_that_is_alone_in_the_end_gives_up_and_keeps_what_it_has() {
    let leaves = Some(Leave {
        when: LeaveWhen::LastPeerHolds(0.5),
        silent: true,
    });
    let dying = PeerSpec {
        leaves,
        ..PeerSpec::default()
    };
    let run = swarm(Seed(1))
        .complete(vec![dying])
        .peers(1)
        .chunks(64)
        .run();
    assert_eq!((run.finished(), run.failed(), run.poisoned()), (0, 1, 0));
    let stalls = run
        .history()
        .iter()
        .filter(|happened| happened.what == What::Stalled);
    assert_eq!(stalls.count(), 1, "a stall is counted once");
}

#[test]
fn a_reader_gets_its_bytes_in_order_and_at_the_rate_of_its_source() {
    let reader = PeerSpec {
        purpose: Purpose::Reader,
        download: 1e9,
        ..PeerSpec::default()
    };
    let run = swarm(Seed(1)).fetching(vec![reader]).chunks(256).run();
    let came: Vec<u32> = run
        .history()
        .iter()
        .filter_map(|happened| match happened.what {
            What::Kept(chunk, _) => Some(chunk.0),
            _ => None,
        })
        .collect();
    let late = came
        .iter()
        .zip(0..)
        .map(|(chunk, place)| chunk.abs_diff(place))
        .max();
    assert!(late < Some(32), "{late:?} places from its own");
    let ratio = ratio(&run, run.upload_time(RATE));
    assert!(ratio < 1.05, "{ratio:.3} of the shortest time");
}
