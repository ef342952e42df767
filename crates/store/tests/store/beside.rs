//! A check beside others that add, fetch and remove: it finds what is wrong, and only that.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
};

use crate::common::*;

/// Rounds of adding and removing: without the second check, some dozen were enough.
const ROUNDS: u32 = 60;

#[test]
fn a_check_beside_adding_and_removing_harms_no_file_and_raises_no_alarm() {
    let dir = tempfile::tempdir().unwrap();
    let model = |name: &str, seeds: std::ops::Range<u64>| {
        let files = seeds.map(|seed| (format!("{seed}.bin"), bytes(seed, 2 * CHUNK + 9)));
        let files: Files = files.collect();
        write_files(&dir.path().join(name), &files);
        files
    };
    let store = open(&dir.path().join("home"));
    // It makes a check take longer than an import of the other.
    model("stays", 100..140);
    import(&store, &dir.path().join("stays"));
    let files = model("comes-and-goes", 0..2);
    let tree = dir.path().join("comes-and-goes");
    let ended = AtomicBool::new(false);
    let checks = AtomicU32::new(0);
    let repeat = |check: &dyn Fn()| {
        while !ended.load(Ordering::Relaxed) {
            check();
            checks.fetch_add(1, Ordering::Relaxed);
        }
    };
    let verify = || {
        let report = store.verify(None, &()).unwrap();
        assert_eq!(report.damaged, [], "nothing is damaged");
    };
    let scrub = || {
        for data in files.values() {
            let scrubbed = store.scrub(list_of(data).file(), &mut |_| true);
            assert_eq!(scrubbed.unwrap().rejected, 0);
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| repeat(&verify));
        scope.spawn(|| repeat(&verify));
        scope.spawn(|| repeat(&scrub));
        let end_for_all = EndOnDrop(&ended);
        for round in 0..ROUNDS {
            let model = import(&store, &tree).hash;
            let info = store.model_info(model).unwrap().unwrap();
            assert!(info.complete, "round {round}: what was added is there");
            for data in files.values() {
                let range = store.read_range(list_of(data).file(), 0, data.len() as u64);
                assert_eq!(range.unwrap(), *data, "round {round}");
            }
            store.remove(model).unwrap();
            store.gc().unwrap();
        }
        drop(end_for_all);
    });
    assert!(checks.into_inner() > 3);
    assert_eq!(store.chunks_rejected(), 0);
}

/// Lets the other threads end also when this one panics.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
