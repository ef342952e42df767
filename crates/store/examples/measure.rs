//! Measures import and put on this machine: `cargo run --release --example measure [DIR] [MiB]`.

use std::{fs, path::PathBuf, thread, time::Instant};

use bytes::Bytes;
use hubless_content::{CHUNK_SIZE, ChunkIndex, VerifiedChunk, hash_reader};
use hubless_store::{ImportOptions, Store, StoreOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let base = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let mib: usize = args.next().map_or(Ok(1024), |mib| mib.parse())?;
    let dir = tempfile::tempdir_in(base)?;
    let (tree, home) = (dir.path().join("tree"), dir.path().join("home"));
    fs::create_dir_all(&tree)?;
    let mut data = vec![0u8; mib << 20];
    let mut state = 1u64;
    for word in data.chunks_mut(8) {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        word.copy_from_slice(&state.to_be_bytes()[..word.len()]);
    }
    let path = tree.join("model.bin");
    fs::write(&path, &data)?;
    let speed = |what: &str, start: Instant| {
        let seconds = start.elapsed().as_secs_f64();
        println!("{what:<28}{:>8.0} MiB/s", mib as f64 / seconds);
    };

    let start = Instant::now();
    let list = hash_reader(fs::File::open(&path)?)?;
    speed("one thread, plain BLAKE3", start);

    let store = Store::open(&home, StoreOptions::default())?;
    let start = Instant::now();
    let in_place = ImportOptions {
        in_place: true,
        ..ImportOptions::default()
    };
    store.import(&tree, &in_place, &())?;
    speed("import in place", start);
    println!(
        "{:<28}{:>8} KiB",
        "index",
        fs::metadata(home.join("store.redb"))?.len() >> 10
    );
    drop(store);
    fs::remove_dir_all(&home)?;

    // Twice: the first time the system also finds memory for its cache.
    for _ in 0..2 {
        let store = Store::open(&home, StoreOptions::default())?;
        let start = Instant::now();
        store.import(&tree, &ImportOptions::default(), &())?;
        speed("import with a copy", start);
        drop(store);
        fs::remove_dir_all(&home)?;
    }

    let bytes = Bytes::from(data);
    let chunk = |n: u32| {
        let at = n as usize * CHUNK_SIZE;
        list.verify(
            ChunkIndex(n),
            bytes.slice(at..(at + CHUNK_SIZE).min(bytes.len())),
        )
    };
    let chunks: Vec<VerifiedChunk> = (0..list.count()).map(chunk).collect::<Result<_, _>>()?;
    let store = Store::open(&home, StoreOptions::default())?;
    store.put_chunk_list(&list)?;
    let start = Instant::now();
    thread::scope(|scope| {
        for part in chunks.chunks(chunks.len().div_ceil(4)) {
            let store = &store;
            scope.spawn(move || part.iter().try_for_each(|chunk| store.put(chunk).map(drop)));
        }
    });
    speed("put, 4 threads", start);
    store.flush()?;
    speed("put and flush", start);
    let start = Instant::now();
    for n in 0..list.count() {
        store.read_chunk(list.file(), ChunkIndex(n))?;
    }
    speed("read_chunk, 1 thread", start);

    let small: Vec<Vec<u8>> = (0..10_000u32)
        .map(|n| n.to_le_bytes().repeat(500))
        .collect();
    let start = Instant::now();
    for data in &small {
        let list = hash_reader(&data[..])?;
        store.put(&list.verify(ChunkIndex(0), Bytes::copy_from_slice(data))?)?;
    }
    store.flush()?;
    println!(
        "{:<28}{:>8.2} s",
        "10,000 files of 2 kB",
        start.elapsed().as_secs_f64()
    );
    Ok(())
}
