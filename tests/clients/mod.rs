//! Nodes with gateways, and the programs in this folder, which run the real clients against them.

mod cold;

use std::{
    cell::Cell,
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use hubless_testkit::process::{Lab, Node, Process};

pub(crate) const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

/// A client imports much, and downloads 92 MB.
const LIMIT: Duration = Duration::from_secs(120);

/// Content that two nodes seed, and that other nodes serve under a name.
pub(crate) struct Hub {
    pub(crate) source: PathBuf,
    /// Bytes of all its files.
    pub(crate) size: u64,
    name: [&'static str; 2],
    seeders: [Node; 2],
    /// A node that has fetched all files, and knows no other node.
    pub(crate) offline: Node,
    cold_nodes: Cell<u32>,
    lab: Lab,
}

impl Hub {
    /// Seeds a directory and names it: `["model", "org/name"]`.
    pub(crate) fn new(source: PathBuf, name: [&'static str; 2]) -> Self {
        let lab = Lab::new(HUBLESS);
        let seeders = ["alice", "bob"].map(|seeder| lab.machine(seeder).seed(&source, &[]));
        let dave = lab.machine("dave");
        dave.get(&[seeders[0].hash(), "--peer", seeders[0].address()]);
        let offline = dave.with("HUBLESS_GATEWAY", "127.0.0.1:0").serve(&[]);
        let size = files_of(&source)
            .iter()
            .map(|file| fs::metadata(source.join(file)).expect("a file").len())
            .sum();
        let hub = Self {
            source,
            size,
            name,
            seeders,
            offline,
            cold_nodes: Cell::new(0),
            lab,
        };
        hub.give_name(&hub.offline);
        hub
    }

    fn give_name(&self, node: &Node) {
        let [kind, name] = self.name;
        let hash = self.seeders[0].hash();
        let named = ["name", "set", kind, name, hash, "--tag", "v1.0"];
        node.machine.json(named);
    }

    /// Runs a client that downloads at least so many bytes: from a node that has only the name and
    /// fetches files on request, and from the offline node.
    pub(crate) fn serves(&self, bytes: u64, client: impl Fn(&Client)) {
        let number = self.cold_nodes.get();
        self.cold_nodes.set(number + 1);
        let [alice, bob] = self.seeders.each_ref().map(Node::address);
        let machine = self.lab.machine(&format!("cold-{number}"));
        let machine = machine.with("HUBLESS_GATEWAY", "127.0.0.1:0");
        let cold = machine.serve(&["--peer", alice, "--peer", bob]);
        self.give_name(&cold);
        client(&Client::of(&cold));
        let fetched = cold.count("bytes_received");
        assert!(fetched >= bytes, "{fetched} bytes came from peers");

        client(&Client::of(&self.offline));
        assert_eq!(self.offline.count("bytes_received"), 0, "it is offline");
    }

    /// Whether both seeders sent chunks.
    pub(crate) fn both_gave(&self) -> bool {
        self.seeders.iter().all(|node| node.count("bytes_sent") > 0)
    }
}

/// A client environment: an empty cache and one endpoint.
pub(crate) struct Client {
    endpoint: String,
    /// The client's files, removed when this value is dropped.
    pub(crate) home: tempfile::TempDir,
}

impl Client {
    /// A client of a node's gateway.
    pub(crate) fn of(node: &Node) -> Self {
        Self::new(node.gateway.as_deref().expect("a gateway"))
    }

    /// A client of a URL.
    pub(crate) fn new(endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            home: tempfile::tempdir().expect("a directory"),
        }
    }

    /// Runs a program of this folder.
    pub(crate) fn python(&self, python: &Path, program: &str, args: &[&str]) -> String {
        let program = root().join("tests/clients").join(program);
        self.run(python, &[&[text(&program)], args].concat())
    }

    /// Runs a command of a Python environment, such as `hf`.
    pub(crate) fn command(&self, python: &Path, command: &str, args: &[&str]) -> String {
        let command = python.with_file_name(command);
        self.run(python, &[&[text(&command)], args].concat())
    }

    /// Runs a program, which must succeed, and returns its output.
    pub(crate) fn run(&self, program: &Path, args: &[&str]) -> String {
        let mut command = Command::new(program);
        command
            .args(args)
            .env("HF_ENDPOINT", &self.endpoint)
            .env("HF_HOME", self.home.path())
            .env("HF_HUB_DISABLE_TELEMETRY", "1")
            .env("NO_PROXY", "127.0.0.1")
            .env_remove("HF_TOKEN");
        Process::start(command).wait(LIMIT).ok().stdout
    }
}

/// The output of a script of the project.
pub(crate) fn script(name: &str, args: &[&str]) -> PathBuf {
    let output = Command::new(root().join("scripts").join(name))
        .args(args)
        .output()
        .expect("the script starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "scripts/{name}: {errors}");
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// The files below a directory.
fn files_of(directory: &Path) -> BTreeSet<PathBuf> {
    let (mut files, mut left) = (BTreeSet::new(), vec![PathBuf::new()]);
    while let Some(below) = left.pop() {
        for entry in fs::read_dir(directory.join(&below)).expect("a directory") {
            let path = below.join(entry.expect("an entry").file_name());
            if directory.join(&path).is_dir() {
                left.push(path);
            } else {
                files.insert(path);
            }
        }
    }
    files
}

/// Panics unless a client's folder has the files of the source, apart from the client's own files.
pub(crate) fn assert_same(source: &Path, folder: &Path) {
    let mut files = files_of(folder);
    files.retain(|file| !file.starts_with(".cache/huggingface"));
    assert_eq!(files, files_of(source), "in {}", folder.display());
    for file in files {
        let read = |folder: &Path| fs::read(folder.join(&file)).expect("a file");
        assert!(read(source) == read(folder), "{} differs", file.display());
    }
}
