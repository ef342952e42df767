//! Swarms, and slow or failing sources.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use hubless_testkit::{
    model,
    net::{Host, LOCAL, Switch},
    process::{Fetched, Lab, Node, Signal},
};

use crate::{
    lines::model_of,
    report::{Aim, Report},
};

const MIB: u64 = 1 << 20;

/// Bits per second that each host sends at most.
const UPLOAD: u64 = 40_000_000;

const SWARM_SIZE: u64 = 256 * MIB;

/// Longer than any of these fetches takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// One seed, sixteen getters, all starting at once.
pub(crate) fn swarm(lab: &Lab, report: &mut Report) {
    swarm_of(lab, report, 16, SWARM_SIZE);
}

/// Half of that, for a quick run.
pub(crate) fn small_swarm(lab: &Lab, report: &mut Report) {
    swarm_of(lab, report, 8, SWARM_SIZE / 4);
}

fn swarm_of(lab: &Lab, report: &mut Report, getters: usize, size: u64) {
    let source = model_of(lab, size);
    let mut switch = Switch::new(LOCAL);
    let seed_host = host(&mut switch, "seed", UPLOAD);
    let seed = lab.machine("seed").on(&seed_host);
    let seed = seed.seed(&source, &["--in-place"]);
    let hosts: Vec<Host> = (0..getters)
        .map(|_| host(&mut switch, "getter", UPLOAD))
        .collect();
    let nodes: Vec<Node> = hosts
        .iter()
        .enumerate()
        .map(|(index, host)| {
            let machine = lab.machine(&format!("getter{index}")).on(host);
            machine.serve(&["--bootstrap", seed.address()])
        })
        .collect();
    let sent_before = seed.count("bytes_sent");
    let fetched: Vec<Fetched> = thread::scope(|scope| {
        let fetches: Vec<_> = nodes
            .iter()
            .map(|node| {
                let args = [seed.hash(), "--peer", seed.address()];
                let machine = node.machine.clone();
                scope.spawn(move || machine.get_within(PATIENCE, &args))
            })
            .collect();
        fetches
            .into_iter()
            .map(|fetch| fetch.join().expect("a fetch"))
            .collect()
    });
    let times = fetched.iter().map(|fetched| fetched.took.as_secs_f64());
    let last = times.clone().fold(0.0, f64::max);
    let first = times.fold(f64::MAX, f64::min);
    let chunks = (size / model::CHUNK) as f64;
    let bound = size as f64 * 8.0 / UPLOAD as f64 * (1.0 + f64::from(getters.ilog2()) / chunks);
    let share = |bytes: u64| bytes as f64 / size as f64;
    let cpu: f64 = nodes
        .iter()
        .map(|node| node.process.usage().cpu.as_secs_f64())
        .sum();
    eprintln!("  bound {bound:.1} s, first {first:.1} s, last {last:.1} s; getters {cpu:.1} CPU-s");
    report.add(
        format!("last of {getters}, share of the bound"),
        last / bound,
        Aim::AtMost(1.15),
    );
    report.add(
        "the seed's upload, share of the file",
        share(seed.count("bytes_sent") - sent_before),
        Aim::AtMost(1.5),
    );
    let received: u64 = fetched.iter().map(|fetched| fetched.bytes_fetched).sum();
    report.add(
        "received in all, share of what is needed",
        share(received) / getters as f64,
        Aim::None,
    );
    let sent: Vec<u64> = nodes
        .iter()
        .map(|node| node.count("bytes_sent") / MIB)
        .collect();
    eprintln!("  MiB sent by the getters: {sent:?}");
}

/// Four sources, one of them at 1 % of the others' speed, against the three others alone.
pub(crate) fn slow_source(lab: &Lab, report: &mut Report) {
    let source = model_of(lab, SWARM_SIZE);
    let mut switch = Switch::new(LOCAL);
    let speeds = [UPLOAD, UPLOAD, UPLOAD, UPLOAD / 100];
    let hosts = speeds.map(|speed| host(&mut switch, "source", speed));
    let sources = seeders(lab, &source, &hosts);
    let getter = switch.host("getter");
    let fetch = |name: &str, sources: &[Node]| {
        let machine = lab.machine(name).on(&getter);
        machine
            .get_within(PATIENCE, &args(sources))
            .took
            .as_secs_f64()
    };
    let without = fetch("without", &sources[..3]);
    let with = fetch("with", &sources);
    eprintln!("  without {without:.1} s, with {with:.1} s");
    report.add(
        "with a source at 1 %, share of the time without",
        with / without,
        Aim::AtMost(1.05),
    );
}

/// A source that dies in the last 5 %: frozen, and disconnected from the network.
pub(crate) fn dying_source(lab: &Lab, report: &mut Report) {
    for (name, way) in [("frozen", Death::Frozen), ("unplugged", Death::Unplugged)] {
        let stall = stall_at_a_death(lab, name, way);
        report.add(
            format!("longest stall, {name}, seconds"),
            stall,
            Aim::AtMost(3.0),
        );
    }
}

#[derive(Clone, Copy)]
enum Death {
    Frozen,
    Unplugged,
}

fn stall_at_a_death(lab: &Lab, name: &str, death: Death) -> f64 {
    let source = model_of(lab, SWARM_SIZE / 2);
    let mut switch = Switch::new(LOCAL);
    let hosts = [0, 1, 2].map(|_| host(&mut switch, "source", UPLOAD));
    let sources = seeders(lab, &source, &hosts);
    let getter_host = switch.host("getter");
    let getter = lab.machine(&format!("getter {name}")).on(&getter_host);
    let mut fetch = getter.start_get(&args(&sources));
    fetch.progress(SWARM_SIZE / 2 / 100 * 95);
    match death {
        Death::Frozen => sources[0].process.signal(Signal::STOP),
        Death::Unplugged => hosts[0].unplug(),
    }
    let (mut bytes, mut moved, mut longest) = (0, Instant::now(), Duration::ZERO);
    loop {
        let event = fetch.event(|_| true);
        let done = event["event"] == "done";
        let now = event["bytes_verified"].as_u64().unwrap_or(bytes);
        if done || now > bytes {
            longest = longest.max(moved.elapsed());
            (bytes, moved) = (now, Instant::now());
        }
        if done {
            break;
        }
    }
    if matches!(death, Death::Frozen) {
        sources[0].process.signal(Signal::CONT);
    }
    fetch.wait(PATIENCE).ok();
    longest.as_secs_f64()
}

fn host(switch: &mut Switch, label: &str, upload: u64) -> Host {
    let host = switch.host(label);
    host.limit_upload(upload);
    host
}

fn seeders(lab: &Lab, source: &Path, hosts: &[Host]) -> Vec<Node> {
    let hosts = hosts.iter().enumerate();
    let seeders = hosts.map(|(index, host)| {
        let name = format!("source{index}-{}", host.namespace().name());
        lab.machine(&name).on(host).seed(source, &["--in-place"])
    });
    seeders.collect()
}

fn args(sources: &[Node]) -> Vec<&str> {
    let peers = sources.iter().flat_map(|node| ["--peer", node.address()]);
    [sources[0].hash()].into_iter().chain(peers).collect()
}
