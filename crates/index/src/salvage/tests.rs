use std::{fs, io::Write, path::Path};

use hubless_content::{CHUNK_SIZE, ChunkCv, ChunkList};
use hubless_disk::{Access, Disk, RealDisk};

use super::*;
use crate::{database::Database, error::IndexError, file_rows::encode_list, testing::new_index};

/// Rows of each table: some ten pages.
const ROWS: u64 = 200;

/// Bytes of a page of the index.
const PAGE: usize = 4096;

/// How a page begins that leads to others.
const BRANCH: u8 = 2;

/// A table, and how one of its rows is written.
struct Table {
    what: &'static str,
    kind: Rows,
    /// Writes the row with this number; returns its bytes in the index that no other row has.
    put: fn(&WriteTransaction, u64) -> TxResult<Vec<u8>>,
}

/// Bytes that are in one row alone.
fn bytes(table: u8, row: u64) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    *hasher
        .update(&[table])
        .update(&row.to_le_bytes())
        .finalize()
        .as_bytes()
}

fn put_sealed<K: Key + 'static>(
    write: &WriteTransaction,
    table: &Sealed<K>,
    key: K::SelfType<'_>,
    value: &[u8],
) -> TxResult<Vec<u8>> {
    table.write(write)?.insert(&key, value)?;
    let table = write.open_table(table.definition())?;
    let value = table.get(&key)?.expect("just written");
    Ok(value.value().to_vec())
}

fn put_proving(
    write: &WriteTransaction,
    table: TableDefinition<tables::Hash, &[u8]>,
    key: &[u8; 32],
    value: &[u8],
) -> TxResult<Vec<u8>> {
    write.open_table(table)?.insert(key, value)?;
    Ok(key.to_vec())
}

macro_rules! sealed {
    ($table:ident, $number:literal, $kind:ident, |$bytes:ident| $key:expr) => {
        Table {
            what: tables::$table.what(),
            kind: Rows::$kind,
            put: |write, row| {
                let $bytes = &bytes($number, row);
                put_sealed(write, &tables::$table, $key, $bytes)
            },
        }
    };
}

fn short(bytes: &[u8; 32]) -> &[u8; 20] {
    bytes.first_chunk().expect("32 are more than 20")
}

fn twice(bytes: &[u8; 32]) -> [u8; 64] {
    let mut both = [0; 64];
    both[..32].copy_from_slice(bytes);
    both[32..].copy_from_slice(bytes);
    both
}

fn all_tables() -> Vec<Table> {
    vec![
        sealed!(PINS, 1, Said, |key| key),
        sealed!(REPOS, 2, Said, |key| &key[..]),
        sealed!(REFS, 3, Said, |key| &key[..]),
        sealed!(REVISIONS, 4, Said, |key| &key[..]),
        sealed!(REMOVED, 5, Said, |key| &key[..]),
        Table {
            what: "a manifest",
            kind: Rows::Said,
            put: |write, row| {
                let value = bytes(6, row);
                let key = ContentHash::of_manifest_bytes(&value);
                put_proving(write, tables::MANIFESTS, key.as_bytes(), &value)
            },
        },
        sealed!(FILES, 7, Derived, |key| key),
        sealed!(HELD, 8, Derived, |key| key),
        Table {
            what: "a chunk list",
            kind: Rows::Derived,
            put: |write, row| {
                let cvs = [9, 0].map(|half| ChunkCv::new(bytes(half, row)));
                let list = ChunkList::from_hashed(2 * CHUNK_SIZE as u64, cvs.into());
                let list = list.expect("two chunks have two values");
                let (file, value) = (list.file(), encode_list(&list));
                put_proving(write, tables::CHUNK_LISTS, file.as_bytes(), &value)
            },
        },
        Table {
            what: "the bytes of a file",
            kind: Rows::Derived,
            put: |write, row| {
                let value = bytes(10, row);
                let key = blake3::hash(&value);
                put_proving(write, tables::INLINE, key.as_bytes(), &value)
            },
        },
        sealed!(RECORDS, 11, Derived, |key| &key[..]),
        sealed!(DIGESTS, 12, Derived, |key| key),
        sealed!(SHA256S, 13, Derived, |key| key),
        sealed!(GIT_BLOBS, 14, Derived, |key| short(key)),
        sealed!(USED, 15, Derived, |key| key),
        sealed!(HISTORIES, 16, Derived, |key| &key[..]),
        sealed!(HEADS, 17, Said, |key| key),
        sealed!(HEADS_OF, 18, Said, |key| &twice(key)),
        sealed!(DOCUMENTS, 19, Said, |key| key),
        sealed!(CHAINS, 20, Said, |key| key),
        sealed!(PUBLISHERS, 21, Said, |key| key),
        sealed!(NAMESPACES, 22, Said, |key| &key[..]),
        sealed!(FOLLOWS, 23, Said, |key| key),
    ]
}

/// An index with rows in all tables, closed: its bytes, and those of a row in the middle of each table.
fn filled() -> (Vec<u8>, Vec<Vec<u8>>) {
    let (home, index) = new_index();
    let tables = all_tables();
    let fill = |write: &WriteTransaction| {
        let mut middles = Vec::new();
        for table in &tables {
            let rows = (0..ROWS).map(|row| (table.put)(write, row));
            let rows: Vec<Vec<u8>> = rows.collect::<TxResult<_>>()?;
            middles.push(rows[rows.len() / 2].clone());
        }
        Ok(middles)
    };
    let middles = index.database.write(fill).unwrap();
    index.close();
    (fs::read(home.path().join("store.redb")).unwrap(), middles)
}

/// What is lost when a new index is made of this image.
fn salvaged(image: &[u8]) -> Result<Vec<Loss>, IndexError> {
    let home = tempfile::tempdir().unwrap();
    let damaged = home.path().join("damaged");
    fs::File::create(&damaged)
        .unwrap()
        .write_all(image)
        .unwrap();
    let open = |path: &Path| RealDisk.open(path, Access::Create).unwrap();
    let new = home.path().join("new");
    let index = Database::open(new.clone(), open(&new)).unwrap();
    let damaged = open(&damaged);
    index.write(|write| salvage(&damaged, write))
}

/// Where the index has these bytes. Pages that were freed, or are used again for less, may have them too.
fn place(image: &[u8], bytes: &[u8]) -> usize {
    let windows = image.windows(bytes.len()).enumerate();
    let found = windows.filter(|(_, window)| *window == bytes);
    let mut in_use = found.map(|(at, _)| at).filter(|at| {
        let mut altered = image.to_vec();
        altered[*at] ^= 1;
        !salvaged(&altered).is_ok_and(|losses| losses.is_empty())
    });
    in_use.next().expect("a row that is not in the index")
}

#[test]
fn of_each_table_a_row_that_can_be_had_again_may_be_lost_and_no_other() {
    let (good, middles) = filled();
    assert_eq!(salvaged(&good).unwrap(), []);
    for (table, middle) in all_tables().iter().zip(middles) {
        let mut image = good.clone();
        image[place(&good, &middle)] ^= 1;
        let what = table.what;
        match (salvaged(&image), table.kind) {
            (Ok(losses), Rows::Derived) => assert_eq!(losses, [Loss { what, rows: 1 }]),
            (Err(IndexError::Corrupt { detail, .. }), Rows::Said) => {
                assert!(detail.contains(what), "{what}: {detail}");
            }
            (outcome, _) => panic!("{what}: {outcome:?}"),
        }
    }
}

#[test]
fn rows_on_both_sides_of_a_damaged_page_are_copied() {
    let (good, middles) = filled();
    for (table, middle) in all_tables().iter().zip(middles) {
        if table.kind == Rows::Said {
            continue;
        }
        let mut image = good.clone();
        let page = place(&good, &middle) / PAGE * PAGE;
        image[page..page + PAGE].fill(0);
        let losses = salvaged(&image).unwrap();
        let [Loss { what, rows }] = losses[..] else {
            panic!("{}: {losses:?}", table.what);
        };
        assert_eq!(what, table.what);
        assert!((1..ROWS / 3).contains(&rows), "{what}: {rows}");
    }
}

#[test]
fn a_page_that_leads_to_one_above_it_is_not_followed_for_ever() {
    let (good, middles) = filled();
    let of_used = all_tables()
        .iter()
        .position(|table| table.what == tables::USED.what());
    let middle = &middles[of_used.unwrap()];
    let leaf = place(&good, middle) / PAGE * PAGE;
    let pages = (0..good.len()).step_by(PAGE);
    let mut lost = 0;
    for branch in pages.filter(|page| good[*page] == BRANCH) {
        let mut image = good.clone();
        image.copy_within(branch..branch + PAGE, leaf);
        let losses = salvaged(&image).unwrap();
        lost += losses.iter().map(|loss| loss.rows).sum::<u64>();
    }
    assert!(lost > 0, "no page leads to others");
}
