//! Six clients work on one home directory at once, and record every acknowledged operation.
//!
//! They add, fetch, read, name, pin, remove, collect and verify models that share files. Each model
//! has one owner, so its acknowledged state is known; collections and checks concern all models. At
//! the end the node is killed during work. All acknowledged content must be present and right, and no
//! check may have reported damage, since there is none.
//!
//! `HUBLESS_SOAK_SECONDS` sets the duration, `HUBLESS_SOAK_SEED` repeats a run:
//! `scripts/soak clients` runs ten minutes.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant, SystemTime},
};

use hubless_testkit::{
    model::{self, CHUNK, Noise},
    process::{Finished, Lab, Machine, Node, Signal, text},
};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

const CLIENTS: u64 = 6;
const MODELS_PER_CLIENT: u64 = 2;
const SECONDS: u64 = 60;

/// Files that all models share, and files of one model: large ones, and small ones for the index.
const SHARED: [(&str, u64); 2] = [("shared.bin", 3 * CHUNK + 5), ("tokenizer.json", 40_000)];
const OWN: [(&str, u64); 2] = [("own.bin", 2 * CHUNK + 9), ("config.json", 700)];

/// The acknowledged state of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    Held,
    Named,
}

struct Model {
    source: PathBuf,
    hash: String,
    name: String,
    state: State,
    /// A command on it was interrupted by the kill: its effect is unknown.
    in_doubt: bool,
}

struct Client<'a> {
    machine: Machine,
    /// A peer that has all models, for fetches.
    peer: &'a str,
    noise: Noise,
    models: Vec<Model>,
    out: PathBuf,
    killed: &'a AtomicBool,
    commands: u64,
}

#[test]
fn what_was_acknowledged_is_there_and_right_after_work_by_six_at_once_and_a_kill() {
    let seed = variable("HUBLESS_SOAK_SEED").unwrap_or_else(seed_of_now);
    let seconds = variable("HUBLESS_SOAK_SECONDS").unwrap_or(SECONDS);
    println!("HUBLESS_SOAK_SEED={seed} HUBLESS_SOAK_SECONDS={seconds}");
    let lab = Lab::new(HUBLESS);
    let peer = lab.machine("peer");
    let all: Vec<Vec<Model>> = (0..CLIENTS)
        .map(|client| models(&lab, &peer, client))
        .collect();
    let peer = peer.serve(&[]);
    let node = lab.machine("home").serve(&[]);
    let killed = AtomicBool::new(false);

    let end = Instant::now() + Duration::from_secs(seconds);
    let (models, commands) = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .zip(all)
            .map(|(number, models)| {
                let client = Client {
                    machine: node.machine.clone(),
                    peer: peer.address(),
                    noise: Noise::new(seed.wrapping_add(number)),
                    models,
                    out: lab.path(&format!("out-{number}")),
                    killed: &killed,
                    commands: 0,
                };
                scope.spawn(move || client.work())
            })
            .collect();
        // The node is killed while the clients work, or when the first of them fails.
        while Instant::now() < end && clients.iter().all(|client| !client.is_finished()) {
            thread::sleep(Duration::from_millis(20));
        }
        killed.store(true, Ordering::SeqCst);
        node.process.signal(Signal::KILL);
        let done = clients
            .into_iter()
            .map(|client| client.join().expect("a client"));
        done.fold((Vec::new(), 0), |(mut models, commands), (more, count)| {
            models.extend(more);
            (models, commands + count)
        })
    });
    println!("{commands} commands");
    check(&lab, node, &models);
}

/// All acknowledged content is present without any peer.
fn check(lab: &Lab, node: Node, models: &[Model]) {
    let machine = node.machine.clone();
    drop(node);
    assert_no_damage(&machine.run(["verify", "--json"]));
    for (number, model) in models
        .iter()
        .enumerate()
        .filter(|(_, model)| !model.in_doubt)
    {
        let out = lab.path(&format!("after-{number}"));
        let get = |what: &str| {
            machine
                .run(["get", what, "--timeout", "1", "-o", text(&out)])
                .ok();
            model::assert_same_tree(&model.source, &out);
        };
        match model.state {
            State::Absent => {}
            State::Held => get(&model.hash),
            State::Named => {
                get(&model.hash);
                get(&model.name);
            }
        }
    }
    let sure = models.iter().filter(|model| !model.in_doubt).count();
    println!("{sure} of {} models were in no doubt", models.len());
    assert!(
        sure as u64 >= CLIENTS,
        "each client has at most one command under way"
    );
}

/// The models of one client, which the peer has.
fn models(lab: &Lab, peer: &Machine, client: u64) -> Vec<Model> {
    (0..MODELS_PER_CLIENT)
        .map(|number| {
            let source = lab.path(&format!("source-{client}-{number}"));
            model::write_tree(&source, &SHARED, 1);
            model::write_tree(&source, &OWN, 100 + client * MODELS_PER_CLIENT + number);
            let hash = peer.add(&source, &["--in-place"]);
            Model {
                source,
                hash,
                name: format!("acme/model-{client}-{number}"),
                state: State::Absent,
                in_doubt: false,
            }
        })
        .collect()
}

impl Client<'_> {
    fn work(mut self) -> (Vec<Model>, u64) {
        while !self.killed.load(Ordering::SeqCst) {
            let which = self.noise.below(MODELS_PER_CLIENT) as usize;
            self.step(which);
        }
        (self.models, self.commands)
    }

    fn step(&mut self, which: usize) {
        match (self.noise.below(16), self.models[which].state) {
            (0 | 1, _) => self.collect(),
            (2..=5, _) => self.verify(),
            (6..=10, State::Absent) => self.add(which),
            (_, State::Absent) => self.fetch(which),
            (6..=9, State::Held) => self.remove(which),
            (10, State::Held) => self.name(which),
            (6..=10, State::Named) => self.forget_name(which),
            (11, _) => self.pin(which),
            _ => self.read(which),
        }
    }

    fn add(&mut self, which: usize) {
        let source = text(&self.models[which].source).to_owned();
        self.changes(which, &["add", &source], State::Held);
    }

    fn fetch(&mut self, which: usize) {
        let hash = self.models[which].hash.clone();
        let peer = self.peer;
        if self.changes(which, &["get", &hash, "--peer", peer], State::Held) {
            let fetched = self.machine.home.join("models").join(&hash);
            model::assert_same_tree(&self.models[which].source, &fetched);
        }
    }

    fn remove(&mut self, which: usize) {
        let hash = self.models[which].hash.clone();
        self.changes(which, &["rm", &hash], State::Absent);
    }

    fn name(&mut self, which: usize) {
        let Model { name, hash, .. } = &self.models[which];
        let (name, hash) = (name.clone(), hash.clone());
        self.changes(which, &["name", "set", "model", &name, &hash], State::Named);
    }

    fn forget_name(&mut self, which: usize) {
        let name = self.models[which].name.clone();
        self.changes(which, &["name", "rm", &name], State::Held);
    }

    fn pin(&mut self, which: usize) {
        let (hash, state) = (self.models[which].hash.clone(), self.models[which].state);
        self.changes(which, &["pin", &hash], state);
    }

    /// Held content is read without any peer.
    fn read(&mut self, which: usize) {
        let (out, hash) = (text(&self.out).to_owned(), self.models[which].hash.clone());
        let source = self.models[which].source.clone();
        if self
            .run(&["get", &hash, "--timeout", "1", "-o", &out])
            .is_some()
        {
            model::assert_same_tree(&source, &self.out);
            fs::remove_dir_all(&self.out).expect("an own directory");
        }
    }

    fn collect(&mut self) {
        self.run(&["gc"]);
    }

    fn verify(&mut self) {
        let finished = self.machine.run(["verify", "--json"]);
        if !self.killed.load(Ordering::SeqCst) {
            assert_no_damage(&finished);
        }
        self.commands += 1;
    }

    /// Runs a command that changes the state of a model. False if the kill interrupted it.
    fn changes(&mut self, which: usize, args: &[&str], to: State) -> bool {
        self.models[which].in_doubt = true;
        let worked = self.run(args).is_some();
        if worked {
            self.models[which].state = to;
            self.models[which].in_doubt = false;
        }
        worked
    }

    /// Runs a command, which must succeed unless the node is killed meanwhile.
    fn run(&mut self, args: &[&str]) -> Option<Finished> {
        let finished = self.machine.run(args);
        self.commands += 1;
        if finished.is_code(0) {
            return Some(finished);
        }
        let killed = self.killed.load(Ordering::SeqCst);
        assert!(killed, "{args:?} failed: {finished:#?}");
        None
    }
}

/// Models that are being fetched may lack files; none may be wrong.
fn assert_no_damage(finished: &Finished) {
    let works = finished.is_code(0) || finished.is_code(7);
    assert!(works, "a check reports damage: {finished:#?}");
    let damaged = finished.last_object()["damaged"].clone();
    assert_eq!(damaged, serde_json::json!([]), "{finished:#?}");
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    )
}

fn seed_of_now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| u64::from(now.subsec_nanos()))
}
