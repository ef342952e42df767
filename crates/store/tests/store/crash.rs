//! Disks fail: whatever was acknowledged is there afterwards, and nothing half-written is claimed.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::common::sim_disk::{SimDisk, Survivors};
use crate::common::workloads::{Journal, TARGET, WORKLOADS, open_on};
use crate::common::*;
use hubless_store::{ExportOptions, StoreErrorKind};

/// Crashes of a run in CI; `scripts/soak crash` asks for more.
const STATES: u64 = 5_000;

/// States between two lines that say how many a run has checked: an interrupted one has said something.
const STATES_PER_LINE: usize = 1_000;

/// How far a run is.
struct Run {
    states: usize,
    seed: u64,
    checked: AtomicUsize,
}

impl Run {
    fn note_checked(&self) {
        let checked = self.checked.fetch_add(1, Ordering::Relaxed) + 1;
        if checked.is_multiple_of(STATES_PER_LINE) {
            println!("{checked} of {} crashes checked", self.states);
        }
    }
}

/// A crash at `position` of the log, of which chance decides what survives.
fn check(journal: &Journal, disk: &SimDisk, position: usize, case: &str) {
    let exported = disk
        .paths()
        .into_iter()
        .filter(|path| path.starts_with(TARGET));
    for path in exported.filter(|path| !path.to_string_lossy().contains("/.hubless-")) {
        let found = disk.read(&path);
        let mut allowed = journal.exported.iter().filter(|(name, _)| *name == path);
        assert!(
            allowed.any(|(_, data)| found.as_deref() == Some(&data[..])),
            "{case}: {} has other bytes than any that were exported",
            path.display()
        );
    }
    let store = open_on(disk);
    for holds in journal.promised(position) {
        holds.check(&store, disk, case);
    }
    for data in &journal.known {
        store.recover(list_of(data).file()).unwrap();
    }
    for damaged in store.verify(None, &()).unwrap().damaged {
        for chunk in damaged.chunks {
            let rotten = journal.rotten.contains(&(damaged.file, chunk));
            assert!(rotten, "{case}: chunk {chunk} is claimed, but not there");
        }
    }
    for data in &journal.known {
        put_all(&store, data);
    }
    store.flush().unwrap();
    for data in &journal.known {
        let range = store.read_range(list_of(data).file(), 0, data.len() as u64);
        assert_eq!(range.unwrap(), data[..], "{case}: the fetch goes on");
    }
    assert_eq!(store.verify(None, &()).unwrap().damaged, [], "{case}");
}

/// Runs a workload once, and crashes it `states` times.
fn crash(number: usize, states: usize, whole: &Run) {
    let seed = whole.seed;
    let (name, run) = WORKLOADS[number];
    let mut journal = Journal::new();
    let mut durable = journal.disk.durable();
    run(&mut journal);
    let log = journal.disk.log();
    assert!(log.len() > 50, "{name}: {} changes", log.len());
    let mut position = 0;
    for state in 0..states {
        let next = state * log.len() / states.max(2).saturating_sub(1);
        for op in &log[position..next.min(log.len())] {
            durable.apply(op);
        }
        position = next.min(log.len());
        let mut rng = Rng::new(seed ^ ((number as u64) << 32) ^ state as u64);
        let mut survivors = match rng.below(10) {
            0 => Survivors::All,
            1 | 2 => Survivors::None,
            _ => Survivors::Some(rng),
        };
        let case = format!(
            "{name}, seed {seed}, crash after change {position} of {}, {survivors:?}",
            log.len()
        );
        check(&journal, &durable.crash(&mut survivors), position, &case);
        whole.note_checked();
    }
}

#[test]
fn after_any_crash_all_that_was_acknowledged_is_there_and_nothing_else_is_claimed() {
    let whole = Run {
        states: number("HUBLESS_CRASH_STATES", STATES) as usize,
        seed: number("HUBLESS_CRASH_SEED", 1),
        checked: AtomicUsize::new(0),
    };
    println!(
        "{} crashes, HUBLESS_CRASH_SEED={}",
        whole.states, whole.seed
    );
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let work = || {
            while let number @ 0.. = next.fetch_add(1, Ordering::Relaxed)
                && number < WORKLOADS.len()
            {
                crash(number, whole.states.div_ceil(WORKLOADS.len()), &whole);
            }
        };
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    assert!(whole.checked.into_inner() >= whole.states);
}

#[test]
fn an_export_to_a_full_disk_leaves_nothing_half_written() {
    for files in [3, 40] {
        let disk = SimDisk::new();
        let store = open_on(&disk);
        let model: Files = (0..files)
            .map(|n| (format!("part-{n}"), bytes(n, 90_000)))
            .collect();
        let hash = store.put_manifest(&manifest_of(&model)).unwrap();
        model.values().for_each(|data| put_all(&store, data));
        store.flush().unwrap();
        let export = || store.export(hash, Path::new(TARGET), &ExportOptions::default(), &());
        disk.set_room(Some(disk.used() + 200_000));
        let error = export().unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::NoSpace, "{error}");
        let paths = disk.paths();
        let exported = paths.iter().filter(|path| path.starts_with(TARGET));
        for path in exported {
            let name = path.file_name().unwrap().to_str().unwrap();
            assert_eq!(disk.read(path).as_ref(), model.get(name), "{name}");
        }
        disk.set_room(None);
        assert_eq!(export().unwrap().files, files);
    }
}

#[test]
fn a_full_disk_leaves_the_store_readable_and_the_fetch_goes_on_when_there_is_room() {
    let disk = SimDisk::new();
    let store = open_on(&disk);
    let [large, small, other] = &[
        bytes(1, 3 * CHUNK + 5),
        bytes(2, 1_000),
        bytes(3, 2 * CHUNK),
    ];
    put_all(&store, large);
    put_all(&store, small);
    store.flush().unwrap();
    let readable = |data: &[u8]| {
        let range = store
            .read_range(list_of(data).file(), 0, data.len() as u64)
            .unwrap();
        assert_eq!(range, data);
    };

    disk.set_room(Some(disk.used()));
    let error = store.put(&chunk_of(other, 0)).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::NoSpace, "{error}");
    readable(large);
    // Small files fill what room the index has left, until it must grow.
    let mut put = Vec::new();
    let error = (0..)
        .find_map(|seed| {
            let data = bytes(1_000 + seed, CHUNK);
            let outcome = store.put(&chunk_of(&data, 0)).and_then(|_| store.flush());
            put.push(data);
            outcome.err()
        })
        .unwrap();
    assert_eq!(error.kind(), StoreErrorKind::NoSpace, "{error}");
    readable(large);
    put.iter().for_each(|data| readable(data));
    assert_eq!(store.flush().unwrap_err().kind(), StoreErrorKind::NoSpace);

    disk.set_room(None);
    put_all(&store, other);
    store.close().unwrap();
    let store = open_on(&disk);
    for data in put.iter().chain([large, small, other]) {
        let range = store
            .read_range(list_of(data).file(), 0, data.len() as u64)
            .unwrap();
        assert_eq!(range, *data);
    }
}

#[test]
fn chunks_that_a_killed_process_had_written_are_found_again() {
    // Chunks are committed 200 ms after the first of them: the kill must come before.
    const COMMIT_AFTER: Duration = Duration::from_millis(200);
    let data = bytes(1, 6 * CHUNK);
    let file = list_of(&data).file();
    let killed = loop {
        let disk = SimDisk::new();
        let store = open_on(&disk);
        store.put_chunk_list(&list_of(&data)).unwrap();
        store.put(&chunk_of(&data, 1)).unwrap();
        store.flush().unwrap();
        let began = Instant::now();
        store.put(&chunk_of(&data, 4)).unwrap();
        store.put(&chunk_of(&data, 5)).unwrap();
        let killed = disk.after_crash(Survivors::All);
        if began.elapsed() < COMMIT_AFTER {
            break killed;
        }
    };
    let store = open_on(&killed);
    assert_eq!(
        store
            .held(file)
            .unwrap()
            .unwrap()
            .iter()
            .collect::<Vec<_>>(),
        [1]
    );
    assert_eq!(store.recover(file).unwrap(), 2);
    assert_eq!(store.recover(file).unwrap(), 0);
    assert_eq!(
        store
            .held(file)
            .unwrap()
            .unwrap()
            .iter()
            .collect::<Vec<_>>(),
        [1, 4, 5]
    );
}
