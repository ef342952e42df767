//! Names for models, and what other hubs call files.

use crate::common::*;
use hubless_content::{
    CommitId, ContentHash, FileHash, Lfs, RefName, RepoId, RepoKind, Revision, Tree, TreeEntry,
};
use hubless_store::{
    Digests, IndexError, REFS_MAX, RefChange, Repo, RepoOrigin, Store, StoreError, StoreErrorKind,
};

fn id(text: &str) -> RepoId {
    text.parse().unwrap()
}

fn repo(text: &str) -> Repo {
    Repo {
        id: id(text),
        created: 1,
        origin: RepoOrigin::Local,
        private: false,
        gated: false,
    }
}

fn make_repo(store: &Store, text: &str) -> RepoId {
    let repo = repo(text);
    store.put_repo(&repo).unwrap();
    repo.id
}

fn revision(tree: Tree) -> Revision {
    Revision {
        tree,
        parents: Vec::new(),
        time: 1,
        title: "first".into(),
        message: String::new(),
        author: "me".into(),
    }
}

fn commit(first: u8, last: u8) -> CommitId {
    let mut bytes = [0x11; 20];
    (bytes[0], bytes[19]) = (first, last);
    CommitId::new(bytes)
}

#[test]
fn what_a_hub_says_does_not_replace_a_repo_that_was_made_here() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let own = repo("org/model");
    store.put_repo(&own).unwrap();
    let of_hub = Repo {
        id: id("Org/Model"),
        origin: RepoOrigin::Upstream("https://hub.example".into()),
        ..own.clone()
    };
    let refused = store.put_repo(&of_hub).unwrap_err();
    assert!(
        matches!(refused, StoreError::Index(IndexError::RepoExists { .. })),
        "{refused}"
    );
    assert_eq!(store.repo(&own.id).unwrap().as_ref(), Some(&own));
    assert!(store.remove_repo(&own.id).unwrap());
    for private in [false, true] {
        let of_hub = Repo {
            private,
            ..of_hub.clone()
        };
        store.put_repo(&of_hub).unwrap();
        assert_eq!(store.repo(&own.id).unwrap(), Some(of_hub));
    }
}

#[test]
fn digests_come_from_the_bytes_and_go_with_them() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let files = [bytes(1, 100), bytes(2, 2 * CHUNK + 9)];
    for (before, data) in files.iter().enumerate() {
        let file = list_of(data).file();
        let expected = Digests::of(data);
        assert_eq!(store.digests(file).unwrap(), None);
        let early = store.put_digests(file, expected);
        assert!(matches!(early, Err(StoreError::Incomplete { .. })));
        let early = store.compute_digests(file, &());
        assert!(matches!(early, Err(StoreError::Incomplete { .. })));
        put_all(&store, data);
        assert_eq!(store.announce_keys().unwrap().sha256s.len(), before);
        assert_eq!(store.compute_digests(file, &()).unwrap(), expected);
        for _ in 0..2 {
            assert_eq!(store.digests(file).unwrap(), Some(expected));
            assert_eq!(store.file_by_sha256(expected.sha256).unwrap(), Some(file));
            let by_git = store.file_by_git_blob(expected.git_blob).unwrap();
            assert_eq!(by_git, Some(file));
            let announced = store.announce_keys().unwrap().sha256s;
            assert!(announced.contains(&expected.sha256) && announced.len() == before + 1);
            store.flush().unwrap();
        }
    }
    store.close().unwrap();
    let store = open(home.path());
    let expected = Digests::of(&files[1]);
    let file = list_of(&files[1]).file();
    assert_eq!(store.digests(file).unwrap(), Some(expected));
    assert_eq!(store.announce_keys().unwrap().sha256s.len(), 2);
    assert_eq!(store.gc().unwrap().files, 2);
    assert_eq!(store.announce_keys().unwrap().sha256s, []);
    assert_eq!(store.digests(file).unwrap(), None);
    assert_eq!(store.file_by_sha256(expected.sha256).unwrap(), None);
    assert_eq!(store.file_by_git_blob(expected.git_blob).unwrap(), None);
}

#[test]
fn files_without_digests_are_found_page_by_page() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let mut files: Vec<FileHash> = (0..5)
        .map(|seed| {
            let data = bytes(seed, 1_000);
            put_all(&store, &data);
            list_of(&data).file()
        })
        .collect();
    let partial = bytes(9, 2 * CHUNK);
    store.put(&chunk_of(&partial, 0)).unwrap();
    store.compute_digests(files[2], &()).unwrap();
    files.remove(2);
    files.sort_unstable();
    let (mut found, mut after) = (Vec::<FileHash>::new(), None);
    loop {
        let page = store.files_without_digests(after, 3).unwrap();
        found.extend(&page);
        if page.len() < 3 {
            break;
        }
        after = page.last().copied();
    }
    assert_eq!(found, files);
}

#[test]
fn damaged_bytes_give_no_digests() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let tree = tempfile::tempdir().unwrap();
    write_files(tree.path(), &[("a".into(), bytes(1, 2 * CHUNK))].into());
    import(&store, tree.path());
    let file = list_of(&bytes(1, 2 * CHUNK)).file();
    let name = file.to_string();
    let path = home.path().join("files").join(&name[..2]).join(&name);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes(2, 2 * CHUNK)).unwrap();
    let error = store.compute_digests(file, &()).unwrap_err();
    assert!(matches!(error, StoreError::Incomplete { .. }), "{error}");
    assert_eq!(store.digests(file).unwrap(), None);
}

#[test]
fn repos_are_found_in_any_case_and_by_their_beginning() {
    let home = tempfile::tempdir().unwrap();
    {
        let store = open(home.path());
        for text in ["Org/B", "org/a", "other/x", "datasets/org/a", "org"] {
            make_repo(&store, text);
        }
    }
    let store = open(home.path());
    let found = store.repo(&id("oRG/b")).unwrap().unwrap();
    assert_eq!(found.id.id(), "Org/B", "as it was spelled");
    assert_eq!(store.repo(&id("org/c")).unwrap(), None);
    let names = |kind, prefix, after, max| {
        let repos = store.repos(kind, prefix, after, max).unwrap();
        let names = repos.iter().map(|repo| repo.id.id().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(RepoKind::Model, "ORG/", None, 9), ["org/a", "Org/B"]);
    assert_eq!(names(RepoKind::Dataset, "", None, 9), ["org/a"]);
    assert_eq!(names(RepoKind::Model, "", None, 2), ["org", "org/a"]);
    let after = id("ORG/A");
    assert_eq!(
        names(RepoKind::Model, "", Some(&after), 9),
        ["Org/B", "other/x"]
    );
}

#[test]
fn refs_lead_to_revisions() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let (repo, other) = (make_repo(&store, "org/a"), make_repo(&store, "org/a-b"));
    let (main, v1) = (RefName::main(), RefName::tag("v1").unwrap());
    let state = revision(Tree::Content(ContentHash::new([1; 32])));
    let first = state.commit_id().unwrap();
    store
        .put_revision(
            &repo,
            first,
            &state,
            &[main.clone(), v1.clone()].map(|name| RefChange::set(name, first)),
        )
        .unwrap();
    store
        .put_revision(
            &other,
            first,
            &state,
            &[RefChange::set(main.clone(), first)],
        )
        .unwrap();
    assert_eq!(store.get_ref(&id("ORG/A"), &main).unwrap(), Some(first));
    store
        .set_refs(
            &repo,
            &[
                RefChange::set(main.clone(), commit(1, 1)),
                RefChange::remove(v1.clone()),
            ],
        )
        .unwrap();
    assert_eq!(
        store.refs(&repo).unwrap(),
        [(main.clone(), commit(1, 1))],
        "not those of the other repo"
    );
    assert_eq!(store.revision(&repo, first).unwrap(), Some(state.clone()));
    let unknown = store.put_revision(&id("org/none"), first, &state, &[]);
    assert!(matches!(
        unknown,
        Err(StoreError::Index(IndexError::UnknownRepo { .. }))
    ));
    assert!(store.remove_repo(&repo).unwrap());
    assert!(!store.remove_repo(&repo).unwrap());
    assert_eq!(store.refs(&repo).unwrap(), []);
    assert_eq!(store.revisions(&repo).unwrap(), []);
    assert_eq!(store.get_ref(&other, &main).unwrap(), Some(first));
    assert_eq!(store.revisions(&other).unwrap(), [first]);
}

#[test]
fn a_new_repo_is_found_with_its_first_revision_or_not_at_all() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let repo = repo("org/new");
    let state = revision(Tree::Content(ContentHash::new([1; 32])));
    let commit = state.commit_id().unwrap();
    let put = |refs: &[RefName]| {
        let refs = refs.iter().map(|name| RefChange::set(name.clone(), commit));
        store.put_repo_and_revision(&repo, commit, &state, &refs.collect::<Vec<_>>())
    };
    // The last thing that is checked is too much: what was written before it is not there.
    let tags = (0..=REFS_MAX).map(|number| RefName::tag(&format!("v{number}")).unwrap());
    let refused = put(&tags.collect::<Vec<_>>());
    assert!(matches!(
        refused,
        Err(StoreError::Index(IndexError::TooMany { .. }))
    ));
    assert_eq!(store.repo(&repo.id).unwrap(), None);
    assert_eq!(store.refs(&repo.id).unwrap(), []);
    assert_eq!(store.revisions(&repo.id).unwrap(), []);

    std::thread::scope(|scope| {
        let putting = scope.spawn(|| put(&[RefName::main()]).unwrap());
        while store.repo(&repo.id).unwrap().is_none() && !putting.is_finished() {}
        let head = store.get_ref(&repo.id, &RefName::main()).unwrap();
        let found = head.and_then(|head| store.revision(&repo.id, head).unwrap());
        assert_eq!(found, Some(state.clone()));
    });
    let again = put(&[RefName::main()]).unwrap_err();
    assert!(matches!(
        again,
        StoreError::Index(IndexError::RepoExists { .. })
    ));
    assert_eq!(again.kind(), StoreErrorKind::Conflict);
}

#[test]
fn a_ref_that_moved_meanwhile_is_not_moved_and_its_revision_not_kept() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let (repo, main) = (make_repo(&store, "org/a"), RefName::main());
    let [first, second, third] = [1, 2, 3].map(|fill| {
        let state = revision(Tree::Content(ContentHash::new([fill; 32])));
        (state.commit_id().unwrap(), state)
    });
    let put = |(commit, state): &(CommitId, Revision), seen| {
        let change = RefChange::set(RefName::main(), *commit).if_at(seen);
        store.put_revision(&repo, *commit, state, &[change])
    };
    put(&first, None).unwrap();
    put(&second, Some(first.0)).unwrap();
    for seen in [None, Some(first.0)] {
        let late = put(&third, seen).unwrap_err();
        assert_eq!(late.kind(), StoreErrorKind::Conflict);
        let found = match late {
            StoreError::Index(IndexError::RefMoved { name, found, .. }) if name == main => found,
            other => panic!("{other}"),
        };
        assert_eq!(found, Some(second.0));
        assert_eq!(store.get_ref(&repo, &main).unwrap(), Some(second.0));
        assert_eq!(store.revision(&repo, third.0).unwrap(), None);
    }
    let gone = RefChange::remove(main.clone()).if_at(Some(first.0));
    assert!(store.set_refs(&repo, &[gone]).is_err());
    put(&third, Some(second.0)).unwrap();
    assert_eq!(store.get_ref(&repo, &main).unwrap(), Some(third.0));
}

#[test]
fn a_beginning_of_an_id_is_enough_if_it_is_the_only_one() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let repo = make_repo(&store, "org/a");
    let state = revision(Tree::Listed(Vec::new()));
    for commit in [commit(0xa0, 1), commit(0xa0, 2), commit(0xff, 0xff)] {
        store.put_revision(&repo, commit, &state, &[]).unwrap();
    }
    let by_prefix = |digits: &str| store.revision_by_prefix(&repo, digits).unwrap();
    assert_eq!(by_prefix("ff111"), Some(commit(0xff, 0xff)));
    assert_eq!(by_prefix("FF1111"), Some(commit(0xff, 0xff)));
    assert_eq!(by_prefix("a0111"), None, "two of them");
    let whole = commit(0xa0, 1).to_string();
    assert_eq!(by_prefix(&whole), Some(commit(0xa0, 1)));
    for digits in ["ff11", "", "ff11g", "ääää1", &"f".repeat(41), "b0000"] {
        assert_eq!(by_prefix(digits), None, "{digits:?}");
    }
}

#[test]
fn what_a_revision_names_is_no_garbage() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let repo = make_repo(&store, "org/a");
    let tree = tempfile::tempdir().unwrap();
    write_files(tree.path(), &a_model());
    let model = import(&store, tree.path()).hash;
    let content = revision(Tree::Content(model));
    store
        .put_revision(&repo, content.commit_id().unwrap(), &content, &[])
        .unwrap();

    let listed_data = [bytes(10, 2 * CHUNK), bytes(11, 50), bytes(12, 60)];
    let mut entries: Vec<TreeEntry> = ["large", "small", "given"]
        .map(|path| TreeEntry {
            path: path.parse().unwrap(),
            size: 50,
            git_blob: None,
            lfs: None,
            file: None,
        })
        .into();
    entries[0].lfs = Some(Lfs {
        sha256: Digests::of(&listed_data[0]).sha256,
        pointer_size: 130,
    });
    entries[1].git_blob = Some(Digests::of(&listed_data[1]).git_blob);
    entries[2].file = Some(list_of(&listed_data[2]).file());
    let listed = revision(Tree::listed(entries));
    store
        .put_revision(&repo, commit(1, 1), &listed, &[])
        .unwrap();
    for data in &listed_data {
        put_all(&store, data);
        let file = list_of(data).file();
        store.put_digests(file, Digests::of(data)).unwrap();
    }

    assert!(store.unpin(model).unwrap());
    let report = store.gc().unwrap();
    assert_eq!((report.files, report.pinned, report.named), (0, 0, 2));
    let named = store.remove(model).unwrap_err();
    assert!(matches!(named, StoreError::Named { .. }));
    assert_eq!(named.kind(), StoreErrorKind::Input);

    assert!(store.remove_revision(&repo, commit(1, 1)).unwrap());
    assert_eq!(store.gc().unwrap().files, 3);
    assert!(store.model_info(model).unwrap().unwrap().complete);
    assert!(store.remove_repo(&repo).unwrap());
    assert_eq!(store.gc().unwrap().models, 1);
    assert_eq!(store.usage().unwrap().bytes, 0);
}

#[test]
fn content_of_an_old_revision_is_collected_when_it_is_removed_and_no_ref_leads_to_it() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let (repo, main) = (make_repo(&store, "org/a"), RefName::main());
    let [old, new] = [1, 2].map(|seed| {
        let tree = tempfile::tempdir().unwrap();
        let files = [("weights".to_owned(), bytes(seed, 3 * CHUNK))].into();
        write_files(tree.path(), &files);
        let model = import(&store, tree.path()).hash;
        assert!(store.unpin(model).unwrap());
        let state = revision(Tree::Content(model));
        let commit = state.commit_id().unwrap();
        let change = RefChange::set(main.clone(), commit);
        store
            .put_revision(&repo, commit, &state, &[change])
            .unwrap();
        (commit, model, state)
    });
    let refused = store.remove_content(&repo, new.0).unwrap_err();
    assert!(
        matches!(refused, StoreError::Index(IndexError::RefLeadsThere { ref name, .. }) if *name == main)
    );
    let unknown = store.remove_content(&repo, commit(9, 9)).unwrap_err();
    assert_eq!(unknown.kind(), StoreErrorKind::NotFound);

    store.remove_content(&repo, old.0).unwrap();
    assert!(store.is_content_removed(&repo, old.0).unwrap());
    assert!(!store.is_content_removed(&repo, new.0).unwrap());
    store.remove(old.1).unwrap();
    assert_eq!(store.gc().unwrap().files, 1);
    assert!(store.model_info(new.1).unwrap().unwrap().complete);
    let known = store.revision(&repo, old.0).unwrap();
    assert_eq!(known.as_ref(), Some(&old.2), "the history has it");

    // Named again, it is kept again.
    store.put_revision(&repo, old.0, &old.2, &[]).unwrap();
    assert!(!store.is_content_removed(&repo, old.0).unwrap());
    assert!(matches!(store.remove(old.1), Err(StoreError::Named { .. })));
}
