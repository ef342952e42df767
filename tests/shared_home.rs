//! Several commands on one home directory at once, without a node: the first opens the store, and
//! the others send their requests to it.

use std::{
    io::{Read, Write},
    os::unix::net::UnixListener,
    path::Path,
    thread::JoinHandle,
    time::Duration,
};

use hubless_testkit::{
    model,
    process::{LIMIT, Lab, Machine, Node, Process, Signal, text, until},
};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

/// A fetch of this takes longer than the commands beside it.
const LARGE: u64 = 60_000_000;

/// A fetch of this takes some seconds.
const MEDIUM: u64 = 8_000_000;

struct Scene {
    lab: Lab,
    seeder: Node,
    machine: Machine,
}

/// A seeder of two models that sends slowly, and a machine without a node.
fn scene() -> Scene {
    let lab = Lab::new(HUBLESS);
    let (large, medium) = (lab.path("large"), lab.path("medium"));
    model::write_file(&large.join("large.bin"), LARGE, 1);
    model::write_file(&medium.join("medium.bin"), MEDIUM, 2);
    let args = [
        "seed",
        "--json",
        "--limit-up",
        "2MB",
        text(&large),
        text(&medium),
    ];
    let seeder = lab.machine("seeder").node(&args, 2);
    let machine = lab.machine("machine");
    Scene {
        lab,
        seeder,
        machine,
    }
}

impl Scene {
    /// A fetch of a model, which has begun.
    fn begin_get(&self, model: usize) -> Process {
        let args = [&*self.seeder.hashes[model], "--peer", self.seeder.address()];
        let mut get = self.machine.start_get(&args);
        get.progress(1);
        get
    }
}

#[test]
fn while_a_get_runs_without_a_node_other_commands_work_on_the_same_home() {
    let scene = scene();
    let (machine, small) = (&scene.machine, scene.lab.path("small"));
    model::write_file(&small.join("config.json"), 300, 3);
    let mut large = scene.begin_get(0);
    let added = machine.add(&small, &[]);
    let listed = machine.run(["ls", "-q"]).ok().stdout;
    assert!(
        listed.contains(&added) && listed.contains(&scene.seeder.hashes[0]),
        "{listed}"
    );
    machine.run(["info", &added]).ok();
    machine.run(["verify", &added]).ok();
    assert_eq!(
        machine.json(["status"])["transfers"][0]["hash"],
        *scene.seeder.hashes[0]
    );
    machine.get(&[&scene.seeder.hashes[1], "--peer", scene.seeder.address()]);
    // A serving node needs the home directory for itself, and names the process that uses it.
    let (get, pid) = ("`hubless get` (pid", large.pid().to_string());
    machine.run(["serve"]).failed(8, &format!("{get} {pid})"));
    assert!(large.is_running(), "all of it beside the first fetch");
}

#[test]
fn a_fetch_goes_on_when_the_command_it_works_through_is_killed_or_stopped() {
    let scene = scene();
    for signal in [Signal::KILL, Signal::INT] {
        let first = scene.begin_get(0);
        let second = scene.begin_get(1);
        first.signal(signal);
        match signal {
            Signal::KILL => drop(first.wait(LIMIT).signalled(signal)),
            _ => drop(first.wait(LIMIT).code(130)),
        }
        let done = second.wait(LIMIT).ok().last_object();
        assert_eq!(
            (&done["event"], &done["bytes_total"]),
            (&"done".into(), &MEDIUM.into())
        );
        let forget = ["rm", &*scene.seeder.hashes[1]];
        scene.machine.run(forget).ok();
        scene.machine.run(["gc"]).ok();
    }
}

#[test]
fn a_command_that_is_done_does_not_wait_for_a_long_one_and_that_goes_on() {
    let scene = scene();
    let first = scene.begin_get(1);
    let mut second = scene.begin_get(0);
    let first = first.wait(LIMIT).ok();
    assert!(second.is_running());
    assert_eq!(first.last_object()["event"], "done");
    // The second command takes the home directory over; others wait until it has joined its network.
    scene.machine.run(["status"]).ok();
    second.signal(Signal::INT);
    second.wait(LIMIT).code(130);
    assert!(!scene.machine.home.join("node.sock").exists());
}

/// Listens on the socket of a home directory as a command does, and ends when the first request
/// comes; gives the request.
fn ends_at_its_first_request(socket: &Path) -> JoinHandle<String> {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let greeting = br#"{"pid":1,"command":"get","serves":false}"#;
        let length = u32::try_from(greeting.len()).unwrap().to_be_bytes();
        stream
            .write_all(&[b"G", &length[..], greeting].concat())
            .unwrap();
        let mut head = [0; 5];
        stream.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes(head[1..].try_into().unwrap());
        let mut request = vec![0; length as usize];
        stream.read_exact(&mut request).unwrap();
        String::from_utf8(request).unwrap()
    })
}

#[test]
fn a_command_goes_on_when_the_process_it_found_ends_before_it_has_joined_the_network() {
    let scene = scene();
    let machine = &scene.machine;
    std::fs::create_dir_all(&machine.home).unwrap();
    let ending = ends_at_its_first_request(&machine.home.join("node.sock"));
    machine.get(&[&scene.seeder.hashes[1], "--peer", scene.seeder.address()]);
    let request = ending.join().unwrap();
    assert!(request.contains("join"), "{request}");
}

#[test]
fn commands_that_start_at_once_on_a_new_home_all_work() {
    let lab = Lab::new(HUBLESS);
    let machine = lab.machine("machine");
    let models: Vec<_> = (0..8).map(|n| lab.path(&format!("model-{n}"))).collect();
    for (n, path) in models.iter().enumerate() {
        model::write_file(&path.join("weights.bin"), 400_000, n as u64);
    }
    for _ in 0..3 {
        let adds = models.iter().map(|path| machine.start(["add", text(path)]));
        let adds: Vec<Process> = adds.collect();
        for add in adds {
            add.wait(LIMIT).ok();
        }
    }
    assert_eq!(
        machine.run(["ls", "-q"]).ok().stdout.lines().count(),
        models.len()
    );
}

#[test]
fn a_socket_that_a_killed_command_left_behind_is_in_the_way_of_no_other() {
    let scene = scene();
    let get = scene.begin_get(0);
    get.signal(Signal::KILL);
    get.wait(LIMIT).signalled(Signal::KILL);
    assert!(scene.machine.home.join("node.sock").exists(), "left behind");
    scene.machine.run(["ls"]).ok();
    assert!(!scene.machine.home.join("node.sock").exists());
}

#[test]
fn a_process_that_is_stopped_while_it_has_the_home_is_named() {
    let scene = scene();
    let get = scene.begin_get(0);
    get.signal(Signal::STOP);
    let refused = scene.machine.start(["ls"]).wait(Duration::from_secs(60));
    refused.failed(8, &format!("(pid {}) does not answer", get.pid()));
    get.signal(Signal::CONT);
    scene.machine.run(["ls"]).ok();
}

#[test]
fn a_process_that_has_the_home_and_no_socket_is_named() {
    let scene = scene();
    // The path of a socket cannot be so long.
    let machine = scene.lab.machine(&"long".repeat(30));
    let args = [&*scene.seeder.hashes[0], "--peer", scene.seeder.address()];
    let mut get = machine.start_get(&args);
    get.progress(1);
    let refused = machine.start(["ls"]).wait(LIMIT);
    refused.failed(8, &format!("another process (pid {})", get.pid()));
    get.signal(Signal::INT);
    get.wait(LIMIT).code(130);
}

#[test]
fn without_a_terminal_a_line_reports_progress_and_ctrl_c_the_next_command() {
    let scene = scene();
    let out = scene.lab.path("my models");
    let peer = scene.seeder.address();
    let args = [
        "get",
        &*scene.seeder.hashes[0],
        "-o",
        text(&out),
        "--peer",
        peer,
        "--limit-down",
        "1MB",
    ];
    let get = scene.machine.start(args);
    let line = until("a line of progress", LIMIT, || {
        let stderr = get.stderr();
        let line = stderr.lines().find(|line| line.starts_with("fetching: "));
        line.map(str::to_owned).ok_or(stderr)
    });
    for part in [" of 60.0 MB (", " %), ", " MB/s, ETA ", ", 1 source"] {
        assert!(
            line.contains(part) || line.contains("kB/s"),
            "{part:?}: {line}"
        );
    }
    get.signal(Signal::INT);
    let stopped = get.wait(LIMIT).code(130);
    let quoted = format!(" -o '{}' --peer {peer} --limit-down 1MB", text(&out));
    assert!(stopped.stderr.contains(&quoted), "{}", stopped.stderr);
}
