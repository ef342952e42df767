//! Hubs that misbehave: they ignore ranges, are slow or silent, refuse files, or list nonsense.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use hubless_testkit::{
    http::{begin, get},
    process::{LIMIT, Lab, until},
};

use super::{
    HUBLESS, MIB, file, gateway, hub,
    hub::{Hub, REPO},
    mirror, noise, weights,
};

/// Limit of a node's concurrent pulls of large files.
const LONG_PULLS: usize = 32;

#[test]
fn a_part_that_was_kept_is_of_use_beside_a_hub_that_sends_only_whole_files() {
    let lab = Lab::new(HUBLESS);
    let large = noise(2, 9 * MIB);
    let hub = Hub::start(&[("large.bin", large.clone())]);
    let node = mirror(&lab, "mirror", &hub.url, &[]);
    hub.is(|manners| {
        manners.ignores_range = true;
        manners.cut_after = Some(5 * MIB);
        manners.refuse_files = (1, 40);
    });
    let answer = get(gateway(&node), &file("large.bin"));
    assert!(!answer.whole, "it broke off, and the hub refuses the rest");
    hub.is(|manners| manners.refuse_files = (0, 0));
    let answer = get(gateway(&node), &file("large.bin"));
    assert!(answer.whole && answer.body == large);
    let requests = hub.requests("/resolve/");
    let last = requests.last().and_then(|last| last.header("range"));
    assert!(last.is_some(), "the part was kept");
}

#[test]
fn a_broken_connection_goes_on_beside_a_hub_that_sends_only_whole_files() {
    let (lab, hub) = (Lab::new(HUBLESS), hub());
    let node = mirror(&lab, "mirror", &hub.url, &[]);
    hub.is(|manners| {
        manners.ignores_range = true;
        manners.cut_after = Some(2 * MIB);
    });
    let answer = get(gateway(&node), &file("weights.bin"));
    assert!(answer.whole && answer.body == weights());
}

#[test]
fn large_files_on_a_slow_line_do_not_hold_up_a_small_one() {
    let lab = Lab::new(HUBLESS);
    let hub = hub();
    let names = ["a", "b", "c", "d", "e"].map(|name| format!("Org/Slow-{name}"));
    let paths: Vec<String> = (0..8).map(|number| format!("{number}.bin")).collect();
    for (seed, name) in names.iter().enumerate() {
        let content = |number: usize| noise((100 * seed + number) as u64, 2 * MIB + 1);
        let files = paths.iter().enumerate();
        let files: Vec<_> = files
            .map(|(number, path)| (path.as_str(), content(number)))
            .collect();
        hub.add(name, &files);
    }
    hub.is(|manners| manners.bytes_per_second = Some(32 * 1024));
    let node = mirror(&lab, "mirror", &hub.url, &[]);
    let _clients: Vec<TcpStream> = names
        .iter()
        .flat_map(|name| paths.iter().map(move |path| (name, path)))
        .map(|(name, path)| {
            let path = format!("/{name}/resolve/main/{path}");
            begin(gateway(&node), &path, &[])
        })
        .collect();
    let under_way = || hub.requests(".bin").len();
    until(
        "all places for large files are taken",
        LIMIT,
        || match under_way() {
            LONG_PULLS.. => Ok(()),
            fewer => Err(fewer.to_string()),
        },
    );
    let small = get(gateway(&node), &file("config.json"));
    assert_eq!((small.status, small.whole), (200, true));
    assert_eq!(under_way(), LONG_PULLS, "none of the large ones has ended");
}

#[test]
fn questions_about_one_repo_that_hang_do_not_hold_up_another() {
    let (lab, hub) = (Lab::new(HUBLESS), hub());
    hub.is(|manners| manners.silent_about = Some("Org/Silent"));
    let node = mirror(&lab, "mirror", &hub.url, &[]);
    let _clients: Vec<TcpStream> = (0..40)
        .map(|number| {
            let path = format!("/api/models/Org/Silent/revision/{number}");
            begin(gateway(&node), &path, &[])
        })
        .collect();
    until("half of the places are taken", LIMIT, || {
        match hub.requests("Org/Silent").len() {
            8.. => Ok(()),
            fewer => Err(fewer.to_string()),
        }
    });
    let other = get(gateway(&node), &file("config.json"));
    assert_eq!((other.status, other.whole), (200, true));
}

#[test]
fn a_pull_that_is_refused_does_not_wait_for_peers_where_there_are_none() {
    let (lab, hub) = (Lab::new(HUBLESS), hub());
    let node = mirror(&lab, "mirror", &hub.url, &[]);
    get(gateway(&node), &format!("/api/models/{REPO}"));
    hub.is(|manners| manners.refuse_files = (1000, 40));
    let begun = Instant::now();
    assert!(get(gateway(&node), &file("config.json")).status >= 400);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn errors_of_a_hub_are_reported_as_its_own() {
    let (lab, hub) = (Lab::new(HUBLESS), hub());
    hub.is(|manners| manners.wrong_byte = Some(0));
    let node = mirror(&lab, "mirror", &hub.url, &[]);
    let answer = get(gateway(&node), &file("config.json"));
    assert_eq!(answer.status, 502);
    let message = answer.header("x-error-message").to_owned();
    assert!(message.contains("other bytes"), "{message}");

    hub.add("Org/Twice", &[("config.json", b"{}".to_vec())]);
    hub.is(|manners| manners.lists_twice = true);
    for path in [
        "/api/models/Org/Twice",
        "/Org/Twice/resolve/main/config.json",
    ] {
        assert_eq!(get(gateway(&node), path).status, 502, "{path}");
    }
}
