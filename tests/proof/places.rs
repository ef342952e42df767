//! Storage locations of a file, and home directories that use them.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use hubless_testkit::{
    model::{self, CHUNK},
    process::{Machine, text},
};

use super::{Scene, damage::Damage};

/// A large file, and one that is small enough for the index.
pub(crate) const MODEL: [(&str, u64); 2] =
    [("weights.bin", 6 * CHUNK + 1000), ("small.bin", 100_000)];

/// The name under which gateways serve it.
pub(crate) const NAME: &str = "acme/mini";

/// Held bytes of a partial file: its first chunks.
const HELD_BYTES: u64 = 4 * CHUNK;

/// The storage location of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a file of the store.
    Owned,
    /// In the index.
    Inline,
    /// In a partial file of the store.
    Partial,
    /// In the user's own file.
    External,
}

impl Place {
    pub(crate) fn damages(self) -> &'static [Damage] {
        match self {
            Self::Inline => Damage::INSIDE_THE_INDEX,
            Self::Owned | Self::Partial | Self::External => Damage::ALL,
        }
    }

    /// The file of the model that is stored there.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Inline => "small.bin",
            Self::Owned | Self::Partial | Self::External => "weights.bin",
        }
    }
}

/// The machine with the damaged copy.
pub(crate) struct Victim {
    pub(crate) machine: Machine,
    pub(crate) hash: String,
    pub(crate) place: Place,
    /// The right bytes of the file.
    pub(crate) truth: Vec<u8>,
    /// A directory beside the home directory, on the same file system.
    pub(crate) beside: PathBuf,
    /// The file that holds the bytes, and the offset of a held chunk in it.
    stored: PathBuf,
    offset: u64,
}

impl Victim {
    /// A new home directory with the model, complete or in part.
    pub(crate) fn new(scene: &Scene, place: Place, on_reflinks: bool) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("victim-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let beside = if on_reflinks {
            scene.reflinks.path().join(name)
        } else {
            scene.lab.path(&name)
        };
        fs::create_dir(&beside).expect("an own directory");
        let machine = scene.lab.machine_in(beside.join("home"));
        let source = scene.source.join(place.file());
        let truth = fs::read(&source).expect("the model");
        let hash = scene.good.hash.clone();
        let stored = fill(scene, place, &machine, &beside, &hash);
        machine.run(["name", "set", "model", NAME, &hash]).ok();
        let offset = find_held(&stored, &truth, place);
        Self {
            machine,
            hash,
            place,
            truth,
            beside,
            stored,
            offset,
        }
    }

    /// Damages one held chunk.
    pub(crate) fn harm(&self, damage: Damage) {
        let len = self.chunk().len();
        damage.inflict(&self.stored, self.offset, len);
    }

    /// The bytes of the damaged file.
    pub(crate) fn chunk(&self) -> std::ops::Range<usize> {
        match self.place {
            Place::Inline => 0..self.truth.len(),
            _ => self.offset as usize..self.offset as usize + CHUNK as usize,
        }
    }
}

/// Puts the model into a home directory. Returns the file that holds the bytes.
fn fill(scene: &Scene, place: Place, machine: &Machine, beside: &Path, hash: &str) -> PathBuf {
    let file_hash = model::file_hash(&scene.source.join(place.file()));
    let (shard, home) = (&file_hash[..2], &machine.home);
    match place {
        Place::Owned => {
            machine.add(&scene.source, &[]);
            home.join("files").join(shard).join(&file_hash)
        }
        Place::Inline => {
            machine.add(&scene.source, &[]);
            home.join("store.redb")
        }
        Place::External => {
            let own = beside.join("own");
            fs::create_dir(&own).expect("an own directory");
            for (name, _) in MODEL {
                fs::copy(scene.source.join(name), own.join(name)).expect("an own directory");
            }
            machine.add(&own, &["--in-place"]);
            own.join(place.file())
        }
        Place::Partial => {
            let range = format!("0-{}", HELD_BYTES - 1);
            let args = ["cat", hash, place.file(), "--range", &range];
            machine
                .run([&args[..], &["--peer", &scene.good.address]].concat())
                .ok();
            home.join("partial").join(&file_hash)
        }
    }
}

/// The offset of the damage: the first held chunk, or the payload within the index.
fn find_held(stored: &Path, truth: &[u8], place: Place) -> u64 {
    let bytes = fs::read(stored).unwrap_or_else(|error| panic!("{}: {error}", text(stored)));
    let chunk = CHUNK as usize;
    let found = match place {
        Place::Inline => bytes.windows(64).position(|window| window == &truth[..64]),
        _ => (0..truth.len() / chunk)
            .map(|index| index * chunk)
            .find(|at| bytes.get(*at..at + chunk) == truth.get(*at..at + chunk)),
    };
    found.unwrap_or_else(|| panic!("no chunk is held in {}", text(stored))) as u64
}
