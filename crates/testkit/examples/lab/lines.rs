//! One peer at the other end of a long line.

use std::{
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use hubless_testkit::{
    model,
    net::{INTERNET, LineSpec, LongLine},
    process::{Lab, until},
};
use serde_json::Value;

use crate::report::{Aim, Report};

const ROUND_TRIP: Duration = Duration::from_millis(100);

/// Time for TCP and the scheduler to reach the full rate.
const WARM_UP: Duration = Duration::from_secs(5);

/// A fetch that takes longer is ended: its rate is known by then.
const LONG_ENOUGH: Duration = Duration::from_secs(30);

const MIB: u64 = 1 << 20;

/// A name, and the filter of the seeder's addresses.
const TRANSPORTS: [(&str, Option<&str>); 3] = [
    ("as it comes", None),
    ("TCP", Some("/tcp/")),
    ("QUIC", Some("/quic-v1")),
];

pub(crate) fn line300(lab: &Lab, report: &mut Report) {
    let spec = LineSpec::new(300_000_000, ROUND_TRIP);
    let line = LongLine::new(INTERNET, spec, spec);
    report.add(
        "emulator: iperf3, share of the line",
        iperf3(&line) / 300e6,
        Aim::None,
    );
    for (name, only) in TRANSPORTS {
        let aim = only.map_or(Aim::AtLeast(0.85), |_| Aim::None);
        let share = fetch(lab, &line, 512 * MIB, name, only) / 300e6;
        report.add(format!("{name}, share of the line"), share, aim);
    }
}

pub(crate) fn line300_loss(lab: &Lab, report: &mut Report) {
    let spec = LineSpec::new(300_000_000, ROUND_TRIP);
    let line = LongLine::new(INTERNET, spec.loses(0.001, 1), spec.loses(0.001, 2));
    let tcp = iperf3(&line);
    report.add(
        "emulator: iperf3, share of the line",
        tcp / 300e6,
        Aim::None,
    );
    for (name, only) in TRANSPORTS {
        let aim = only.map_or(Aim::AtLeast(0.8), |_| Aim::None);
        let share = fetch(lab, &line, 512 * MIB, name, only) / tcp;
        report.add(format!("{name}, share of iperf3"), share, aim);
    }
}

pub(crate) fn line1000(lab: &Lab, report: &mut Report) {
    let spec = LineSpec::new(1_000_000_000, ROUND_TRIP);
    let line = LongLine::new(INTERNET, spec, spec);
    report.add(
        "emulator: iperf3, share of the line",
        iperf3(&line) / 1e9,
        Aim::None,
    );
    for (name, only) in TRANSPORTS {
        let share = fetch(lab, &line, 1024 * MIB, name, only) / 1e9;
        report.add(format!("{name}, share of the line"), share, Aim::None);
    }
}

/// Bits per second of payload after the warm-up.
fn fetch(lab: &Lab, line: &LongLine, size: u64, name: &str, only: Option<&str>) -> f64 {
    let source = model_of(lab, size);
    let [near, far] = line.hosts();
    let seeder = lab.machine("seeder").on(near);
    let seeder = seeder.seed(&source, &["--in-place"]);
    let wanted = seeder
        .addresses
        .iter()
        .filter(|address| only.is_none_or(|part| address.contains(part)));
    let mut args = vec![seeder.hash()];
    wanted.for_each(|address| args.extend(["--peer", address]));
    let getter = lab.machine(&format!("getter {name} {size}")).on(far);
    let started = Instant::now();
    let mut process = getter.start_get(&args);
    let (mut first, mut last) = (None, (Duration::ZERO, 0));
    loop {
        let event = process.event(|_| true);
        let at = started.elapsed();
        if event["event"] == "done" || at > LONG_ENOUGH {
            break;
        }
        let Some(bytes) = event["bytes_verified"].as_u64() else {
            continue;
        };
        if bytes > last.1 {
            last = (at, bytes);
        }
        if at >= WARM_UP && first.is_none() {
            first = Some(last);
        }
    }
    drop(process);
    let whole = last.1 as f64 * 8.0 / last.0.as_secs_f64() / 1e6;
    let usage = seeder.process.usage();
    eprintln!(
        "  {name}: {:.1} s, {whole:.0} Mbit/s over all; seeder {:.1} CPU-s, {} MB; line {:?}",
        last.0.as_secs_f64(),
        usage.cpu.as_secs_f64(),
        usage.rss_peak / 1_000_000,
        line.counts(),
    );
    std::fs::remove_dir_all(&getter.home).expect("own directory");
    let from = first.unwrap_or((Duration::ZERO, 0));
    (last.1 - from.1) as f64 * 8.0 / (last.0 - from.0).as_secs_f64()
}

/// A model of one file of this size.
pub(crate) fn model_of(lab: &Lab, size: u64) -> PathBuf {
    let source = lab.path(&format!("model-{size}"));
    if !source.exists() {
        model::write_file(&source.join("weights.bin"), size, size);
    }
    source
}

/// Bits per second of a TCP connection after the warm-up, from the first host to the second.
fn iperf3(line: &LongLine) -> f64 {
    let [near, far] = line.hosts();
    let server = far
        .command("iperf3")
        .args(["-s", "-1"])
        .stdout(Stdio::null())
        .spawn();
    let mut server = server.expect("iperf3");
    let to = far.address().to_string();
    let result = until("iperf3", Duration::from_secs(60), || {
        let output = near
            .command("iperf3")
            .args(["-c", &to, "-t", "12", "-O", "5", "-J"])
            .output()
            .expect("iperf3");
        let result: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let rate = result.pointer("/end/sum_received/bits_per_second");
        rate.and_then(Value::as_f64)
            .ok_or_else(|| result["error"].to_string())
    });
    server.wait().expect("own child");
    result
}
