//! Measures hubless on simulated networks: long lines, swarms, bad sources.
//!
//! Run as root; needs iproute2 and iperf3:
//! ```text
//! cargo build --release --package hubless
//! cargo run --release --package hubless-testkit --example lab -- [--json] [SCENE]...
//! ```
//! Without scenes it runs all. `HUBLESS` names another binary than `target/release/hubless`. Each
//! figure is printed beside its aim; on slow machines compare with iperf3 on the same line instead.

mod limits;
mod lines;
mod report;
mod swarms;

use std::path::PathBuf;

use hubless_testkit::process::Lab;
use report::Report;

/// Name, purpose, function.
type Scene = (&'static str, fn(&Lab, &mut Report));

const SCENES: [Scene; 8] = [
    ("line300", lines::line300),
    ("line300-loss", lines::line300_loss),
    ("line1000", lines::line1000),
    ("swarm", swarms::swarm),
    ("small-swarm", swarms::small_swarm),
    ("slow-source", swarms::slow_source),
    ("dying-source", swarms::dying_source),
    ("limits", limits::limits),
];

fn main() {
    let (options, names): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|arg| arg.starts_with("--"));
    let known = |name: &String| SCENES.iter().any(|(known, _)| known == name);
    if options.iter().any(|option| option != "--json") || !names.iter().all(known) {
        let scenes = SCENES.map(|(name, _)| name).join(" ");
        eprintln!("usage: lab [--json] [SCENE]...\nscenes: {scenes}");
        std::process::exit(2);
    }
    let binary = std::env::var_os("HUBLESS").map(PathBuf::from);
    let binary = binary.unwrap_or_else(|| "target/release/hubless".into());
    let binary = std::path::absolute(&binary).expect("a path");
    assert!(
        binary.exists(),
        "{} is missing: cargo build --release --package hubless",
        binary.display()
    );
    let mut report = Report::new(!options.is_empty());
    for (name, run) in SCENES {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            let lab = Lab::new(binary.to_str().expect("a path in UTF-8"));
            run(&lab, report.scene(name));
        }
    }
    report.print();
}
