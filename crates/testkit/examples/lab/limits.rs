//! Limits, from the start and changed on a running node.

use std::time::{Duration, Instant};

use hubless_testkit::process::{Lab, Node};

use crate::{
    lines::model_of,
    report::{Aim, Report},
};

/// Seconds over which limits are measured.
const LIMIT_SECONDS: u64 = 10;

/// Bytes per second; twice the other after the change.
const LIMITS: [(&str, f64); 2] = [("10MB", 10e6), ("20MB", 20e6)];

pub(crate) fn limits(lab: &Lab, report: &mut Report) {
    let source = model_of(lab, 1 << 30);
    for (key, flag, counter, limited) in [
        ("limit_up", "--limit-up", "bytes_sent", "seeder"),
        ("limit_down", "--limit-down", "bytes_received", "getter"),
    ] {
        let [(first, first_rate), (second, second_rate)] = LIMITS;
        let flags = |name| {
            if name == limited {
                vec![flag, first]
            } else {
                vec![]
            }
        };
        let seeder = [vec!["--in-place"], flags("seeder")].concat();
        let seeder = lab.machine(&format!("seeder {key}")).seed(&source, &seeder);
        let getter = lab
            .machine(&format!("getter {key}"))
            .serve(&flags("getter"));
        let node = if limited == "seeder" {
            &seeder
        } else {
            &getter
        };
        let fetch = getter
            .machine
            .start_get(&[seeder.hash(), "--peer", seeder.address()]);
        let share = rate(node, counter) / first_rate;
        report.add(format!("{flag} {first}, share"), share, Aim::AtMost(1.03));
        report.add(format!("{flag} {first}, share"), share, Aim::AtLeast(0.97));
        node.machine.run(["config", "set", key, second]).ok();
        let share = rate(node, counter) / second_rate;
        report.add(
            format!("{key} set to {second} while it runs, share"),
            share,
            Aim::AtMost(1.03),
        );
        report.add(
            format!("{key} set to {second} while it runs, share"),
            share,
            Aim::AtLeast(0.97),
        );
        drop(fetch);
    }
}

/// Bytes per second of a node's counter, from one second from now.
fn rate(node: &Node, counter: &str) -> f64 {
    std::thread::sleep(Duration::from_secs(1));
    let (from, started) = (node.count(counter), Instant::now());
    std::thread::sleep(Duration::from_secs(LIMIT_SECONDS));
    let (to, took) = (node.count(counter), started.elapsed());
    (to - from) as f64 / took.as_secs_f64()
}
