//! Machines with a home directory each, and `hubless` processes on them.
//!
//! Nothing here sleeps for a fixed time: each wait is for a line, an end or a condition, with a limit
//! after which the test fails and shows the output of the process. Nodes listen on 127.0.0.1 (or on
//! the address of a [`Host`]) with ports the system chooses; multicast DNS and UPnP are off. Dropping
//! a process value ends the process, dropping the [`Lab`] removes all files.

mod running;

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

pub use rustix::process::Signal;
use serde_json::Value;

pub use self::running::{Finished, Process, Usage};
use crate::net::{self, Host};

/// Limit of waits without a limit of their own: long enough for slow machines, and it ends hangs.
pub const LIMIT: Duration = Duration::from_secs(120);

/// The log filter of all processes, whose logs are shown when a test fails.
const LOG_VARIABLE: &str = "LAB_LOG";

/// Interval at which conditions without a notification are polled.
const POLL: Duration = Duration::from_millis(50);

/// A directory for one test, on disk, with the machines in it.
pub struct Lab {
    binary: PathBuf,
    directory: tempfile::TempDir,
}

impl Lab {
    /// A new one for `binary`, which tests know as `env!("CARGO_BIN_EXE_hubless")`.
    pub fn new(binary: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("hubless-lab-").tempdir();
        let directory = directory.expect("a temporary directory");
        // Some machines run as another user.
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(directory.path(), open).expect("own directory");
        Self {
            binary: binary.into(),
            directory,
        }
    }

    /// A path in the lab's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A machine with the home directory `<name>` in the lab.
    pub fn machine(&self, name: &str) -> Machine {
        self.machine_in(self.path(name))
    }

    /// A machine with its home directory elsewhere.
    pub fn machine_in(&self, home: PathBuf) -> Machine {
        Machine {
            binary: self.binary.clone(),
            home,
            namespace: None,
            descriptors: None,
            environment: Vec::new(),
        }
    }
}

/// A computer: a home directory and its settings.
#[derive(Clone)]
pub struct Machine {
    binary: PathBuf,
    /// The home directory.
    pub home: PathBuf,
    /// The network namespace, if it differs from the test's.
    namespace: Option<String>,
    /// The limit of file descriptors of each process, if it differs from the test's.
    descriptors: Option<u64>,
    /// Environment variables in addition to the common ones, or replacing them.
    environment: Vec<(&'static str, String)>,
}

impl Machine {
    /// The same machine on a host, where it listens over TCP and QUIC.
    pub fn on(mut self, host: &Host) -> Self {
        self.namespace = Some(host.namespace().name().to_owned());
        let ip = host.address();
        let listen = format!("/ip4/{ip}/tcp/0,/ip4/{ip}/udp/0/quic-v1");
        self.with("HUBLESS_LISTEN", listen)
    }

    /// The same machine with a variable in the environment.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// The same machine with this hard limit of file descriptors for each process.
    pub fn with_descriptors(mut self, limit: u64) -> Self {
        self.descriptors = Some(limit);
        self
    }

    /// `hubless` with arguments, and nothing from the environment of the test.
    pub fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = match (&self.namespace, self.descriptors) {
            (Some(namespace), _) => net::command_in(namespace, &self.binary),
            (None, Some(limit)) => {
                let mut shell = Command::new("sh");
                let script = format!("ulimit -n {limit} && exec \"$0\" \"$@\"");
                shell.args(["-c", &script]).arg(&self.binary);
                shell
            }
            (None, None) => Command::new(&self.binary),
        };
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy().to_ascii_uppercase();
            let of_manager = ["NOTIFY_SOCKET", "WATCHDOG_USEC"].contains(&text.as_str());
            if text.starts_with("HUBLESS_") || text.ends_with("_PROXY") || of_manager {
                command.env_remove(name);
            }
        }
        command
            .env("HUBLESS_HOME", &self.home)
            .env("HUBLESS_LISTEN", "/ip4/127.0.0.1/tcp/0")
            .env("HUBLESS_GATEWAY", "off")
            .env("HUBLESS_MDNS", "false")
            .env("HUBLESS_UPNP", "false")
            .envs(std::env::var_os(LOG_VARIABLE).map(|filter| ("HUBLESS_LOG", filter)))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .args(args);
        command
    }

    /// Starts `hubless` with arguments.
    pub fn start<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Process {
        Process::start(self.command(args))
    }

    /// Runs `hubless` with arguments to its end.
    pub fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Finished {
        self.start(args).wait(LIMIT)
    }

    /// Runs `hubless` with arguments and `--json`; it must succeed and print one object.
    pub fn json<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Value {
        let mut command = self.command(args);
        command.arg("--json");
        Process::start(command).wait(LIMIT).ok().last_object()
    }

    /// Adds a directory and returns the content hash.
    pub fn add(&self, path: &Path, args: &[&str]) -> String {
        let added = self.json([&["add", text(path)], args].concat());
        field(&added, "hash")
    }

    /// Starts an empty node.
    pub fn serve(&self, args: &[&str]) -> Node {
        self.node(&[&["serve", "--json"], args].concat(), 0)
    }

    /// Starts a node that seeds a directory.
    pub fn seed(&self, path: &Path, args: &[&str]) -> Node {
        self.node(&[&["seed", "--json", text(path)], args].concat(), 1)
    }

    /// Starts a node that adds so many directories, and waits until it listens, all are added, and
    /// all requested names are set.
    pub fn node(&self, args: &[&str], paths: usize) -> Node {
        let mut process = self.start(args);
        let (mut hashes, mut listening) = (Vec::new(), None);
        let mut unnamed = args.contains(&"--name");
        while listening.is_none() || hashes.len() < paths || unnamed {
            let event = process.next_event(LIMIT);
            match event["event"].as_str() {
                Some("added") => hashes.push(field(&event, "hash")),
                Some("named") => unnamed = false,
                Some("listening") => listening = Some(event),
                _ => {}
            }
        }
        let listening = listening.unwrap_or_default();
        let addresses = listening["addresses"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let addresses = addresses
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        let gateway = listening["gateway"].as_str().map(str::to_owned);
        let peer_id = field(&listening, "peer_id");
        Node {
            machine: self.clone(),
            process,
            peer_id,
            addresses,
            gateway,
            hashes,
        }
    }

    /// Starts `get --json`.
    pub fn start_get(&self, args: &[&str]) -> Process {
        self.start([&["get", "--json"], args].concat())
    }

    /// Fetches; it must work.
    pub fn get(&self, args: &[&str]) -> Fetched {
        self.get_within(LIMIT, args)
    }

    /// [`Self::get`] with a longer limit.
    pub fn get_within(&self, limit: Duration, args: &[&str]) -> Fetched {
        let started = Instant::now();
        let done = self.start_get(args).wait(limit).ok().last_object();
        let took = started.elapsed();
        assert_eq!(
            done["event"], "done",
            "the last line of `get --json`: {done}"
        );
        Fetched {
            path: field(&done, "path").into(),
            bytes_total: number(&done, "bytes_total"),
            bytes_fetched: number(&done, "bytes_fetched"),
            bytes_present: number(&done, "bytes_present"),
            took,
        }
    }
}

/// The last line of `get --json`.
#[derive(Debug)]
pub struct Fetched {
    /// The directory of the files.
    pub path: PathBuf,
    /// Bytes of the wanted files.
    pub bytes_total: u64,
    /// Chunk payload received over the network.
    pub bytes_fetched: u64,
    /// Bytes that were stored before.
    pub bytes_present: u64,
    /// Time from the start of the process to its end.
    pub took: Duration,
}

/// A running `serve` or `seed`.
pub struct Node {
    /// Its machine.
    pub machine: Machine,
    /// Its process.
    pub process: Process,
    /// Its peer id.
    pub peer_id: String,
    /// The addresses on which it can be dialled.
    pub addresses: Vec<String>,
    /// The URL of its gateway.
    pub gateway: Option<String>,
    /// Content hashes of the directories that it seeds, as printed at its start.
    pub hashes: Vec<String>,
}

impl Node {
    /// An address that other nodes can dial.
    pub fn address(&self) -> &str {
        self.addresses
            .first()
            .expect("a node that listens has an address")
    }

    /// The hash of the one directory it seeds.
    pub fn hash(&self) -> &str {
        self.hashes.first().expect("a seeder has a hash")
    }

    /// `hubless status --json`.
    pub fn status(&self) -> Value {
        self.machine.json(["status"])
    }

    /// One number of [`Self::status`], such as `bytes_sent` or `dht/announced`.
    pub fn count(&self, path: &str) -> u64 {
        let status = self.status();
        let found = status.pointer(&format!("/{path}")).and_then(Value::as_u64);
        found.unwrap_or_else(|| panic!("no number {path} in {status}"))
    }

    /// Waits until at least so many keys are announced, and no announcement is due.
    pub fn wait_until_announced(&self, keys: u64) {
        until("all keys are announced", LIMIT, || {
            let dht = self.status()["dht"].clone();
            let announced = number(&dht, "announced") >= keys && number(&dht, "backlog") == 0;
            if announced {
                Ok(())
            } else {
                Err(dht.to_string())
            }
        });
    }

    /// Stops it with SIGTERM, which must succeed.
    pub fn stop(self) {
        self.process.signal(Signal::TERM);
        self.process.wait(LIMIT).ok();
    }
}

/// Polls until a condition holds. An `Err` describes the current state.
pub fn until<T>(what: &str, limit: Duration, mut check: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + limit;
    loop {
        match check() {
            Ok(found) => return found,
            Err(instead) if Instant::now() > end => panic!("not in {limit:?}: {what}: {instead}"),
            Err(_) => thread::sleep(POLL),
        }
    }
}

/// A text field of a JSON object.
pub fn field(object: &Value, name: &str) -> String {
    let text = object[name].as_str();
    text.unwrap_or_else(|| panic!("no text {name:?} in {object}"))
        .to_owned()
}

/// A number of a JSON object.
pub fn number(object: &Value, name: &str) -> u64 {
    object[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no number {name:?} in {object}"))
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}
