//! Names protect their content from garbage collection.

use hubless_content::{ContentHash, RefName, RepoId, TITLE_BYTES_MAX};
use hubless_node::api::{
    Add, FailureKind, Gc, NameList, NameRemove, NameSet, NameShow, Remedy, Remove, RevisionRemove,
    Sources,
};

use hubless_node::repos::Caller;

use crate::common::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_model_with_names_is_not_removed_and_the_failure_says_which() {
    let (home, directory) = (home(), home());
    std::fs::write(directory.path().join("config.json"), "{}").unwrap();
    let node = node(&home, config(&[])).await;
    let add = Add {
        path: directory.path().to_owned(),
        in_place: false,
        follow_links: false,
    };
    let hash = call(&node, add).await.hash;
    let repo: RepoId = "datasets/acme/corpus".parse().unwrap();
    let name = NameSet {
        repo: repo.clone(),
        branch: RefName::main(),
        tags: Vec::new(),
        hash,
        message: None,
    };
    try_call(&node, name).await.unwrap();

    let remove = Remove { hash };
    let failure = try_call(&node, remove.clone()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Usage);
    assert!(failure.message.contains("of datasets/acme/corpus"));
    let Some(Remedy::RemoveName { name }) = failure.remedy else {
        panic!("{failure:?}");
    };
    assert_eq!(name.to_string(), "datasets/acme/corpus");

    // The remedy helps.
    let forget = NameRemove { repo, name: None };
    try_call(&node, forget).await.unwrap();
    try_call(&node, remove).await.unwrap();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_refused_leaves_nothing_behind() {
    let home = home();
    let node = node(&home, config(&[])).await;
    let too_long = NameSet {
        repo: "acme/model".parse().unwrap(),
        branch: RefName::main(),
        tags: Vec::new(),
        hash: ContentHash::new([1; 32]),
        message: Some("x".repeat(TITLE_BYTES_MAX + 1)),
    };
    let refused = try_call(&node, too_long).await;
    assert_eq!(refused.unwrap_err().kind, FailureKind::Usage);
    assert!(call(&node, NameList {}).await.names.is_empty());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_set_at_once_all_come_into_the_history_of_the_branch() {
    const WRITERS: u8 = 24;
    let home = home();
    let node = node(&home, config(&[])).await;
    let repo: RepoId = "acme/model".parse().unwrap();
    let set = |fill| {
        let name = NameSet {
            repo: repo.clone(),
            branch: RefName::main(),
            tags: Vec::new(),
            hash: ContentHash::new([fill; 32]),
            message: None,
        };
        call(&node, name)
    };
    let named = futures::future::join_all((0..WRITERS).map(set)).await;

    let show = NameShow {
        repo: repo.clone(),
        sources: Sources::All,
    };
    let details = call(&node, show).await;
    let head = details.refs[&RefName::main()].to_string();
    let (repos, caller) = (node.handle().repos(), Caller::default());
    let head = repos.resolve(&repo, &head, &caller).await.unwrap();
    let history = repos.history(&head).await.unwrap();
    for one in &named {
        let reached = history.iter().any(|(commit, _)| *commit == one.commit);
        assert!(reached, "{} of {} is lost", one.commit, one.hash);
    }
    assert_eq!(history.len(), usize::from(WRITERS));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_content_of_an_old_revision_is_freed_and_the_history_says_so() {
    let home = home();
    let node = node(&home, config(&[])).await;
    let repo: RepoId = "acme/model".parse().unwrap();
    let mut named = Vec::new();
    for content in ["first", "second"] {
        let directory = self::home();
        std::fs::write(directory.path().join("weights"), content).unwrap();
        let add = Add {
            path: directory.path().to_owned(),
            in_place: false,
            follow_links: false,
        };
        let set = NameSet {
            repo: repo.clone(),
            branch: RefName::main(),
            tags: vec![RefName::tag(content).unwrap()],
            hash: call(&node, add).await.hash,
            message: None,
        };
        named.push(call(&node, set).await);
    }
    let remove = |revision: String| RevisionRemove {
        repo: repo.clone(),
        revision,
    };
    let [old, new] = [0, 1].map(|at: usize| named[at].commit.to_string());
    for (revision, what) in [(&new, "main"), (&old, "first")] {
        let refused = try_call(&node, remove(revision.clone())).await.unwrap_err();
        assert_eq!(refused.kind, FailureKind::Usage);
        assert!(refused.message.contains(what), "{}", refused.message);
        let remedy = refused.remedy.unwrap();
        assert!(
            matches!(&remedy, Remedy::MoveRef { name, of } if *name == repo && of.short() == what),
            "{remedy:?}"
        );
    }
    let unknown = try_call(&node, remove("99999".into())).await;
    assert_eq!(unknown.unwrap_err().kind, FailureKind::NotFound);

    let tag = NameRemove {
        repo: repo.clone(),
        name: Some(RefName::tag("first").unwrap()),
    };
    try_call(&node, tag).await.unwrap();
    let removed = call(&node, remove(old[..7].to_owned())).await;
    assert_eq!(
        (removed.commit, removed.hash),
        (named[0].commit, Some(named[0].hash))
    );
    assert_eq!(call(&node, Gc {}).await.files, 1);

    let (repos, caller) = (node.handle().repos(), Caller::default());
    let gone = repos.resolve(&repo, &old, &caller).await.unwrap_err();
    assert!(gone.to_string().contains("was removed"), "{gone}");
    let head = repos.resolve(&repo, "main", &caller).await.unwrap();
    let history = repos.history(&head).await.unwrap();
    assert_eq!(history.len(), 2);
    assert!(history[1].1.message.contains("removed"));
    let show = NameShow {
        repo,
        sources: Sources::All,
    };
    let details = call(&node, show).await;
    let is_removed = details.revisions.iter().find(|one| one.removed);
    assert_eq!(is_removed.map(|one| one.commit), Some(named[0].commit));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_for_content_that_is_not_here_is_given_with_a_warning() {
    let home = home();
    let node = node(&home, config(&[])).await;
    let set = |name: &str| NameSet {
        repo: name.parse().unwrap(),
        branch: RefName::main(),
        tags: Vec::new(),
        hash: ContentHash::new([1; 32]),
        message: None,
    };
    let named = call(&node, set("acme/ghost")).await;
    assert!(named.warning.unwrap().contains("nothing of 0101"));
    let refused = try_call(&node, set("acmemy-model")).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Usage);
    assert_eq!(refused.remedy, Some(Remedy::WriteOrgName));
    node.stop().await;
}
