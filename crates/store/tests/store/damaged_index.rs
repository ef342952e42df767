//! An index that was altered on the disk, and files that the index does not know: a stored file is
//! never removed for that.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::LazyLock,
};

use crate::common::*;
use hubless_content::{FileHash, RefName, Revision, Tree};
use hubless_store::{
    FilePlace, ModelInfo, RefChange, Repo, RepoOrigin, Store, StoreError, StoreErrorKind,
    StoreOptions,
};

/// Images with one altered bit or byte, unless [`IMAGES_VARIABLE`] says how many.
const IMAGES: u64 = 300;
const IMAGES_VARIABLE: &str = "HUBLESS_INDEX_IMAGES";

fn images() -> u64 {
    std::env::var(IMAGES_VARIABLE).map_or(IMAGES, |number| number.parse().unwrap())
}

/// The files that are checked, made once: there are many images.
static FILES: LazyLock<Vec<(FileHash, Vec<u8>)>> = LazyLock::new(|| {
    let files = a_model().into_values();
    files.map(|data| (list_of(&data).file(), data)).collect()
});

static PARTIAL: LazyLock<Vec<u8>> = LazyLock::new(|| bytes(9, 3 * CHUNK));
static PARTIAL_FILE: LazyLock<FileHash> = LazyLock::new(|| list_of(&PARTIAL).file());

/// A home with a bit of everything.
fn fill(home: &Path, tree: &Path) {
    write_files(tree, &a_model());
    let store = open(home);
    let model = import(&store, tree).hash;
    for (file, _) in FILES.iter() {
        store.compute_digests(*file, &()).unwrap();
    }
    store.put_chunk_list(&list_of(&PARTIAL)).unwrap();
    store.put(&chunk_of(&PARTIAL, 1)).unwrap();
    let repo = Repo {
        id: "org/name".parse().unwrap(),
        created: 1,
        origin: RepoOrigin::Local,
        private: false,
        gated: false,
    };
    store.put_repo(&repo).unwrap();
    let revision = Revision {
        tree: Tree::Content(model),
        parents: Vec::new(),
        time: 1,
        title: "first".into(),
        message: String::new(),
        author: String::new(),
    };
    let commit = revision.commit_id().unwrap();
    store
        .put_revision(
            &repo.id,
            commit,
            &revision,
            &[RefChange::set(RefName::main(), commit)],
        )
        .unwrap();
    store.close().unwrap();
}

/// What a user sees of the store.
#[derive(Debug, PartialEq)]
struct Seen {
    models: Vec<ModelInfo>,
    files: Vec<Option<Vec<u8>>>,
    digests: usize,
    refs: usize,
    revisions: usize,
    partial: Option<Vec<u32>>,
}

fn observe(store: &Store) -> Result<Seen, StoreError> {
    let repo = "org/name".parse().unwrap();
    let mut seen = Seen {
        models: store.models()?,
        files: Vec::new(),
        digests: 0,
        refs: store.refs(&repo)?.len(),
        revisions: store.revisions(&repo)?.len(),
        partial: (store.held(*PARTIAL_FILE)?).map(|held| held.iter().collect()),
    };
    for (file, data) in FILES.iter() {
        match store.read_range(*file, 0, data.len() as u64) {
            Ok(bytes) => seen.files.push(Some(bytes.to_vec())),
            Err(StoreError::Incomplete { .. }) => seen.files.push(None),
            Err(error) => return Err(error),
        }
        seen.digests += usize::from(store.digests(*file)?.is_some());
    }
    store.announce_keys()?;
    store.records_read_all()?;
    Ok(seen)
}

/// What became of a damaged index.
#[derive(Debug, PartialEq)]
enum Outcome {
    Refused,
    MadeAnew,
    Found,
    Harmless,
}

fn outcome_of(home: &Path, truth: &Seen) -> Result<Outcome, StoreError> {
    let store = Store::open(home, StoreOptions::default())?;
    let seen = observe(&store)?;
    if home.join("store.redb.damaged").exists() {
        assert_only_what_can_be_had_again_is_lost(&store, &seen, truth);
        return Ok(Outcome::MadeAnew);
    }
    if seen == *truth {
        return Ok(Outcome::Harmless);
    }
    let report = store.verify(None, &())?;
    if !report.is_good() {
        return Ok(Outcome::Found);
    }
    assert_eq!(observe(&store)?, *truth, "lost, and not found");
    Ok(Outcome::Found)
}

/// Digests are computed again and chunks searched for again. Bytes that are gone are missed by a check,
/// so that they are fetched again.
fn assert_only_what_can_be_had_again_is_lost(store: &Store, seen: &Seen, truth: &Seen) {
    let names = |seen: &Seen| (seen.refs, seen.revisions, seen.models[0].hash);
    assert!(names(seen) == names(truth), "a name or a model is lost");
    let none_is_wrong = |seen: &Seen| {
        let both = seen.files.iter().zip(&truth.files);
        both.clone()
            .all(|(found, right)| found.is_none() || found == right)
    };
    assert!(none_is_wrong(seen), "wrong bytes");
    // A check takes back what was put aside, and names the rest.
    let report = store.verify(None, &()).unwrap();
    let after = observe(store).unwrap();
    assert!(none_is_wrong(&after), "wrong bytes");
    let all = after.files == truth.files;
    assert!(all || !report.is_good(), "lost, and not found: {report:?}");
}

/// The bytes of the one large file, wherever they are below `home`.
fn has_stored_file(home: &Path) -> bool {
    let large = FILES.iter().max_by_key(|(_, data)| data.len());
    let (file, data) = large.unwrap();
    let file = file.to_string();
    let places = [
        home.join("files").join(&file[..2]).join(&file),
        home.join("partial").join(&file),
        home.join("lost").join(&file),
    ];
    places
        .iter()
        .any(|path| fs::read(path).is_ok_and(|bytes| bytes == *data))
}

fn check_image(template: &Path, truth: &Seen, image: &[u8], name: &str) -> Outcome {
    let home = tempfile::tempdir().unwrap();
    copy_tree(template, home.path());
    fs::write(home.path().join("store.redb"), image).unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| outcome_of(home.path(), truth)));
    let outcome = outcome.unwrap_or_else(|_| panic!("{name} makes it panic"));
    assert!(
        has_stored_file(home.path()),
        "{name}: a stored file is gone"
    );
    outcome.unwrap_or_else(|error| {
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{name}: {error}");
        Outcome::Refused
    })
}

#[test]
fn an_altered_bit_or_byte_is_refused_found_or_harmless() {
    let (template, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(template.path(), tree.path());
    let truth = observe(&open(template.path())).unwrap();
    let good = fs::read(template.path().join("store.redb")).unwrap();
    // Most of the file is empty: half of the images are altered where it is not.
    let used: Vec<usize> = (0..good.len()).filter(|at| good[*at] != 0).collect();
    let (mut refused, mut anew) = (0, 0);
    for number in 0..images() {
        let draw = bytes(number + 1, 32);
        let draw =
            |n: usize| u64::from_le_bytes(draw[8 * n..8 * n + 8].try_into().unwrap()) as usize;
        let at = if number % 2 == 0 {
            used[draw(0) % used.len()]
        } else {
            draw(0) % good.len()
        };
        let mut image = good.clone();
        let alter = if number % 3 == 0 {
            draw(1) as u8 | 1
        } else {
            1 << (draw(1) % 8)
        };
        image[at] ^= alter;
        let name = format!("image {number} (byte {at} ^ {alter})");
        let outcome = check_image(template.path(), &truth, &image, &name);
        refused += u64::from(outcome == Outcome::Refused);
        anew += u64::from(outcome == Outcome::MadeAnew);
    }
    println!("{refused} of {} refused, {anew} made anew", images());
    assert!(anew > images() / 10, "only {anew} were made anew");
}

#[test]
fn a_cut_or_overwritten_index_is_an_error_that_names_it() {
    let (template, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(template.path(), tree.path());
    let truth = observe(&open(template.path())).unwrap();
    let good = fs::read(template.path().join("store.redb")).unwrap();
    let mut images = vec![Vec::new(), vec![0; good.len()], b"not a database".to_vec()];
    images.extend([1, 64, 4096, good.len() / 2, good.len() - 1].map(|len| good[..len].to_vec()));
    let refused = images.len();
    let zeroed = |at: usize| {
        let mut image = good.clone();
        let end = (at + 4096).min(image.len());
        image[at..end].fill(0);
        image
    };
    images.extend((0..good.len()).step_by(4096).take(64).map(zeroed));
    for (number, image) in images.iter().enumerate() {
        let outcome = check_image(template.path(), &truth, image, &format!("image {number}"));
        assert!(
            number >= refused || outcome == Outcome::Refused,
            "image {number}"
        );
    }
}

/// Takes a store's file out of its index, as damage would.
fn with_unknown_file(home: &Path) -> (FileHash, PathBuf, Vec<u8>) {
    let data = a_model()["model.safetensors"].clone();
    let file = list_of(&data).file();
    let name = file.to_string();
    let owned = home.join("files").join(&name[..2]).join(&name);
    fs::create_dir_all(owned.parent().unwrap()).unwrap();
    fs::write(&owned, &data).unwrap();
    (file, owned, data)
}

#[test]
fn a_file_that_the_index_does_not_know_is_put_aside_and_taken_back_when_a_model_wants_it() {
    let home = tempfile::tempdir().unwrap();
    open(home.path()).close().unwrap();
    let (file, owned, data) = with_unknown_file(home.path());
    let lost = home.path().join("lost").join(file.to_string());
    let store = open(home.path());
    assert!(!owned.exists());
    assert_eq!(fs::read(&lost).unwrap(), data);
    assert_eq!(store.tidy_lost().unwrap(), 0, "no model wants it");
    assert!(lost.exists());
    assert_eq!(store.file(file).unwrap(), None);
    assert_eq!(store.usage().unwrap().bytes, 0);

    store.put_manifest(&manifest_of(&a_model())).unwrap();
    assert_eq!(store.tidy_lost().unwrap(), 1);
    assert!(!lost.exists());
    assert_eq!(store.file(file).unwrap().unwrap().place, FilePlace::Owned);
    assert_eq!(store.read_range(file, 0, data.len() as u64).unwrap(), data);
    assert_eq!(store.usage().unwrap().bytes, data.len() as u64);
}

#[test]
fn a_fetch_takes_the_right_chunks_of_a_file_that_was_put_aside() {
    let home = tempfile::tempdir().unwrap();
    open(home.path()).close().unwrap();
    let (file, owned, data) = with_unknown_file(home.path());
    let mut wrong = data.clone();
    wrong[CHUNK] ^= 1;
    fs::write(&owned, &wrong).unwrap();
    let store = open(home.path());
    assert_eq!(store.recover(file).unwrap(), 0, "its list is not known");
    store.put_chunk_list(&list_of(&data)).unwrap();
    assert_eq!(store.recover(file).unwrap(), 5);
    assert!(store.put(&chunk_of(&data, 1)).unwrap().file_complete);
    store.flush().unwrap();
    assert_eq!(fs::read(&owned).unwrap(), data);
}

#[test]
fn what_is_not_the_stores_in_its_home_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let data = bytes(1, 2 * CHUNK);
    let store = open(home.path());
    put_all(&store, &data);
    store.close().unwrap();
    for file in ["files/.DS_Store", "partial/.DS_Store", "files/ab/notes"] {
        let path = home.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "mine").unwrap();
    }
    for directory in [
        "files/lost+found/x",
        "partial/directory",
        "partial/import-0",
    ] {
        fs::create_dir_all(home.path().join(directory)).unwrap();
    }
    let store = open(home.path());
    let file = list_of(&data).file();
    assert_eq!(store.read_range(file, 0, data.len() as u64).unwrap(), data);
    assert!(store.verify(None, &()).unwrap().is_good());
    store.close().unwrap();
    assert_eq!(
        fs::read(home.path().join("files/ab/notes")).unwrap(),
        b"mine"
    );
    assert!(home.path().join("files/lost+found/x").exists());
}
