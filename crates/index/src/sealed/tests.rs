use std::fmt::Debug;

use redb::ReadableDatabase;

use super::*;
use crate::tables;

/// Alters a row of a table through redb, so that the checksums of its pages are right, and reads it in
/// each way.
fn check<K: Key + 'static>(table: &Sealed<K>, keys: [K::SelfType<'_>; 2])
where
    for<'a> K::SelfType<'a>: Debug,
{
    let what = table.what();
    let memory = redb::backends::InMemoryBackend::new();
    let database = redb::Database::builder()
        .create_with_backend(memory)
        .unwrap();
    let [key, other] = &keys;
    let write = database.begin_write().unwrap();
    table.write(&write).unwrap().insert(key, b"value").unwrap();
    write.commit().unwrap();
    let read = || table.read(&database.begin_read().unwrap()).unwrap();
    assert_eq!(read().get(key).unwrap().unwrap(), b"value", "{what}");
    let sealed = read().table.get(key).unwrap().unwrap().value().to_vec();
    let put = |key: &K::SelfType<'_>, value: &[u8]| {
        let write = database.begin_write().unwrap();
        let mut rows = table.write(&write).unwrap();
        rows.table.retain(|_, _| false).unwrap();
        rows.table.insert(key, value).unwrap();
        drop(rows);
        write.commit().unwrap();
    };
    let is_refused = |key: &K::SelfType<'_>, how: &str| {
        let rows = read();
        let is_malformed = |error: TxError| matches!(error, TxError::Malformed(is) if is == what);
        let got = rows.get(key).map(drop);
        assert!(got.is_err_and(is_malformed), "{what}: {how}");
        let iterated = rows.iter().unwrap().try_for_each(|row| row.map(drop));
        assert!(
            iterated.is_err_and(is_malformed),
            "{what}: {how}, by iterating"
        );
        let ranged = rows
            .range::<K>(..)
            .unwrap()
            .try_for_each(|row| row.map(drop));
        assert!(ranged.is_err_and(is_malformed), "{what}: {how}, by a range");
    };
    for at in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[at] ^= 1;
        put(key, &altered);
        is_refused(key, &format!("byte {at}"));
    }
    put(key, &sealed[..sealed.len() - 1]);
    is_refused(key, "cut off");
    put(other, &sealed);
    is_refused(other, "under another key");
    put(key, &sealed);
    assert_eq!(read().get(key).unwrap().unwrap(), b"value", "{what}");
}

#[test]
fn an_altered_value_is_found_in_each_table_though_its_page_is_right() {
    let (one, two) = ([1; 32], [2; 32]);
    let hashes = || [&one, &two];
    for table in [
        &tables::FILES,
        &tables::HELD,
        &tables::PINS,
        &tables::DIGESTS,
        &tables::SHA256S,
        &tables::USED,
        &tables::HEADS,
        &tables::DOCUMENTS,
        &tables::CHAINS,
        &tables::PUBLISHERS,
        &tables::FOLLOWS,
    ] {
        check(table, hashes());
    }
    for table in [
        &tables::RECORDS,
        &tables::REPOS,
        &tables::REFS,
        &tables::REVISIONS,
        &tables::REMOVED,
        &tables::HISTORIES,
        &tables::NAMESPACES,
    ] {
        check(table, hashes().map(|key| &key[..]));
    }
    check(&tables::GIT_BLOBS, [&[1; 20], &[2; 20]]);
    check(&tables::HEADS_OF, [&[1; 64], &[2; 64]]);
}

#[test]
fn a_row_of_one_table_proves_nothing_in_another() {
    let mut checksums: Vec<_> = ["files.v2", "held.v2"]
        .map(|table| checksum_of(table, b"key", b"value"))
        .into();
    checksums.dedup();
    assert_eq!(checksums.len(), 2);
}
