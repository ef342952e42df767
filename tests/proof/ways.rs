//! The output paths of a node.

use std::{fs, path::Path};

use hubless_testkit::{
    http,
    process::{Machine, Node, text},
};

use super::{
    Others, Scene,
    places::{NAME, Victim},
};

/// An output path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The whole file over HTTP.
    Http200,
    /// The damaged chunk over HTTP.
    Http206,
    /// `hubless cat`.
    Cat,
    /// `get -o` on a file system with hard links.
    Link,
    /// `get -o` on a file system with reflinks.
    Clone,
    /// `get -o` onto another file system.
    Copy,
    /// `get` into the home directory.
    Here,
    /// Another node fetches.
    Peer,
    /// Another node pulls through.
    PullThrough,
}

/// The result of a reader.
pub(crate) struct Outcome {
    /// The reader received a success status.
    pub(crate) success: bool,
    bytes: Vec<u8>,
    truth: Vec<u8>,
    /// Output of the commands, for messages.
    pub(crate) report: String,
}

impl Outcome {
    /// The bytes may end early, but none of them is wrong.
    pub(crate) fn holds_no_wrong_byte(&self, cell: &str) {
        let wrong = self.bytes.iter().zip(&self.truth).position(|(a, b)| a != b);
        assert_eq!(
            wrong, None,
            "{cell}: a wrong byte was given: {}",
            self.report
        );
        assert!(
            self.bytes.len() <= self.truth.len(),
            "{cell}: too many bytes"
        );
    }

    /// All bytes arrived, and the reader received a success status.
    pub(crate) fn is_right(&self, cell: &str) {
        self.holds_no_wrong_byte(cell);
        assert!(self.success, "{cell}: a peer has it, but: {}", self.report);
        assert_eq!(
            self.bytes.len(),
            self.truth.len(),
            "{cell}: a success with fewer bytes"
        );
    }
}

impl Way {
    pub(crate) const ALL: [Self; 9] = [
        Self::Http200,
        Self::Http206,
        Self::Cat,
        Self::Link,
        Self::Clone,
        Self::Copy,
        Self::Here,
        Self::Peer,
        Self::PullThrough,
    ];

    pub(crate) fn needs_reflinks(self) -> bool {
        self == Self::Clone
    }

    /// Requests the damaged file.
    pub(crate) fn take(self, scene: &Scene, victim: &Victim, others: Others) -> Outcome {
        let elsewhere = tempfile::tempdir_in("/dev/shm").expect("a directory in memory");
        match self {
            Self::Http200 => over_http(scene, victim, others, None),
            Self::Http206 => over_http(scene, victim, others, Some(victim.chunk())),
            Self::Cat => cat(scene, victim, others),
            Self::Link | Self::Clone => {
                let place = victim.beside.join(format!("out-{others:?}"));
                get(scene, victim, others, Some(&place))
            }
            Self::Copy => get(scene, victim, others, Some(&elsewhere.path().join("out"))),
            Self::Here => get(scene, victim, others, None),
            Self::Peer => through_a_peer(scene, victim, others),
            Self::PullThrough => pulled_through(scene, victim, others),
        }
    }
}

/// Arguments by which a command knows the good node.
fn known(scene: &Scene, others: Others) -> Vec<&str> {
    match others {
        Others::None => Vec::new(),
        Others::Peer => vec!["--peer", &scene.good.address],
    }
}

/// As [`known`], for a command that waits for peers: with a short limit if no peer exists.
fn patient(scene: &Scene, others: Others) -> Vec<&str> {
    let timeout = match others {
        Others::None => "1",
        Others::Peer => "30",
    };
    [known(scene, others), vec!["--timeout", timeout]].concat()
}

fn serve(scene: &Scene, machine: &Machine, others: Others, args: &[&str]) -> Node {
    let machine = machine.clone().with("HUBLESS_GATEWAY", "127.0.0.1:0");
    let machine = machine.with("NO_PROXY", "*");
    machine.serve(&[args, &known(scene, others)].concat())
}

fn over_http(
    scene: &Scene,
    victim: &Victim,
    others: Others,
    range: Option<std::ops::Range<usize>>,
) -> Outcome {
    let node = serve(scene, &victim.machine, others, &[]);
    ask_gateway(&node, victim, range)
}

fn ask_gateway(node: &Node, victim: &Victim, range: Option<std::ops::Range<usize>>) -> Outcome {
    let path = format!("/{NAME}/resolve/main/{}", victim.place.file());
    let header = range
        .as_ref()
        .map(|range| format!("bytes={}-{}", range.start, range.end - 1));
    let headers: Vec<(&str, &str)> = header
        .iter()
        .map(|value| ("Range", value.as_str()))
        .collect();
    let answer = http::get_with(node.gateway.as_deref().expect("a gateway"), &path, &headers);
    let is_answer = [200, 206].contains(&answer.status);
    Outcome {
        success: is_answer && answer.whole,
        report: format!("status {}, {} bytes", answer.status, answer.body.len()),
        bytes: if is_answer { answer.body } else { Vec::new() },
        truth: victim.truth[range.unwrap_or(0..victim.truth.len())].to_vec(),
    }
}

fn cat(scene: &Scene, victim: &Victim, others: Others) -> Outcome {
    let args = ["cat", &victim.hash, victim.place.file()];
    let args = [&args[..], &patient(scene, others)].concat();
    // Not through `run`, which decodes output as text.
    let output = victim.machine.command(args).output().expect("hubless runs");
    Outcome {
        success: output.status.success(),
        bytes: output.stdout,
        truth: victim.truth.clone(),
        report: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// `get` on the damaged machine; without a directory, where the home directory keeps models.
fn get(scene: &Scene, victim: &Victim, others: Others, to: Option<&Path>) -> Outcome {
    let default = victim.machine.home.join("models").join(&victim.hash);
    let mut args = patient(scene, others);
    if let Some(to) = to {
        args.extend(["-o", text(to)]);
    }
    fetch(&victim.machine, victim, &args, to.unwrap_or(&default))
}

fn fetch(machine: &Machine, victim: &Victim, args: &[&str], to: &Path) -> Outcome {
    let finished = machine.run([&["get", &victim.hash], args].concat());
    assert!(!finished.stderr.contains("panicked"), "{finished:#?}");
    Outcome {
        success: finished.is_code(0),
        // An empty result has no wrong byte.
        bytes: fs::read(to.join(victim.place.file())).unwrap_or_default(),
        truth: victim.truth.clone(),
        report: format!("{finished:#?}"),
    }
}

/// Another node fetches from the damaged one, and from the good one if it knows it.
fn through_a_peer(scene: &Scene, victim: &Victim, others: Others) -> Outcome {
    let node = serve(scene, &victim.machine, others, &[]);
    let place = tempfile::tempdir_in(&victim.beside).expect("an own directory");
    let getter = scene.lab.machine_in(place.path().join("home"));
    let out = place.path().join("out");
    let mut args = vec!["--peer", node.address(), "-o", text(&out)];
    args.extend(patient(scene, others));
    fetch(&getter, victim, &args, &out)
}

/// Another node pulls through the damaged one's gateway for its own client.
fn pulled_through(scene: &Scene, victim: &Victim, others: Others) -> Outcome {
    let node = serve(scene, &victim.machine, others, &[]);
    let place = tempfile::tempdir_in(&victim.beside).expect("an own directory");
    let mirror = scene.lab.machine_in(place.path().join("home"));
    let upstream = ["--upstream", node.gateway.as_deref().expect("a gateway")];
    let mirror = serve(scene, &mirror, Others::None, &upstream);
    ask_gateway(&mirror, victim, None)
}
