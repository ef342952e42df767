//! The history of a repo of a hub.

use hubless_testkit::{http::get, process::Lab};
use serde_json::Value;

use super::{
    HUBLESS, gateway, hub,
    hub::{COMMIT, REPO},
    mirror,
};

fn titles(history: &Value) -> Vec<&str> {
    let commits = history.as_array().expect("a list of commits");
    let titles = commits.iter().map(|commit| commit["title"].as_str());
    titles.map(Option::unwrap_or_default).collect()
}

#[test]
fn the_history_of_the_hub_is_shown_also_when_the_hub_is_gone() {
    let (lab, hub) = (Lab::new(HUBLESS), hub());
    let first = "f".repeat(40);
    hub.is(|manners| {
        manners.history = vec![
            (COMMIT.to_owned(), "Better weights"),
            (first.clone(), "initial commit"),
        ];
    });
    let node = mirror(&lab, "mirror", &hub.url, &[]);
    let path = format!("/api/models/{REPO}/commits/main");
    for _ in 0..2 {
        let answer = get(gateway(&node), &path);
        assert_eq!(answer.header("x-total-count"), "2");
        let history = answer.json();
        assert_eq!(titles(&history), ["Better weights", "initial commit"]);
        assert_eq!(
            (&history[1]["id"], &history[1]["authors"][0]["user"]),
            (&first.as_str().into(), &"lab".into())
        );
    }
    assert_eq!(hub.requests("/commits/").len(), 1, "asked once");

    hub.is(|manners| manners.gone = true);
    node.stop();
    let node = mirror(&lab, "mirror", &hub.url, &[]);
    let seen = get(gateway(&node), &path).json();
    assert_eq!(titles(&seen), ["Better weights", "initial commit"]);
    let page = get(gateway(&node), &format!("/{REPO}/commits/main")).body;
    let page = String::from_utf8(page).expect("text");
    assert!(page.contains("Better weights"), "{page}");
}

#[test]
fn a_hub_without_a_history_leaves_a_commit_with_a_title() {
    let (lab, hub) = (Lab::new(HUBLESS), hub());
    let node = mirror(&lab, "mirror", &hub.url, &[]);
    let history = get(gateway(&node), &format!("/api/models/{REPO}/commits/main"));
    assert_eq!(titles(&history.json()), ["commit 0123456"]);
}
