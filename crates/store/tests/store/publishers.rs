//! Publishers in the store: a head is taken with all that it says, or not at all.

use crate::common::{
    author::{Author, NOW, revision_of},
    *,
};
use hubless_content::{
    CommitId, ContentHash, DocumentHash, RefName, RepoId, RepoKind, Revision, State, Status,
    SubjectKey, Tree, TreeEntry, VerifiedHead,
};
use hubless_store::{
    Follow, IndexError, Mirror, Namespace, NamespaceSource, NewPublisher, OwnPublisher,
    Publication, RefChange, Repo, RepoOrigin, Store, StoreError, StoreErrorKind, TakenOver,
};

fn content(fill: u8) -> ContentHash {
    ContentHash::new([fill; 32])
}

fn tag(name: &str) -> RefName {
    RefName::tag(name).unwrap()
}

/// All rows of the store about a subject, for comparing before with after.
fn rows(store: &Store, state: &State) -> impl PartialEq + std::fmt::Debug + use<> {
    let (key, repo) = (state.subject.key(), state.subject.repo_id().unwrap());
    (
        store.head(key).unwrap(),
        store.state(key).unwrap(),
        store.repo(&repo).unwrap(),
        store.refs(&repo).unwrap(),
        store.revisions(&repo).unwrap(),
        store.chain(state.subject.publisher()).unwrap(),
        store.heads_of(state.subject.publisher()).unwrap(),
    )
}

fn publish(
    store: &Store,
    head: &VerifiedHead,
    state: &State,
    revisions: &[Revision],
    after: Option<DocumentHash>,
) -> Result<(), StoreError> {
    store.publish(&Publication {
        head,
        state,
        revisions,
        after,
    })
}

fn unpublishable(outcome: Result<(), StoreError>) -> &'static str {
    match outcome {
        Err(StoreError::Index(IndexError::Unpublishable { reason, .. })) => reason,
        other => panic!("{other:?}"),
    }
}

fn assert_head_moved(outcome: Result<(), StoreError>, expected: Option<DocumentHash>) {
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Conflict, "{error}");
    match error {
        StoreError::Index(IndexError::HeadMoved { found, .. }) => assert_eq!(found, expected),
        other => panic!("{other}"),
    }
}

#[test]
fn the_refs_of_a_published_repo_are_those_of_its_state() {
    let home = tempfile::tempdir().unwrap();
    let alice = Author::new(1);
    let [first, second] = [1, 2].map(|fill| revision_of(content(fill)));
    let [first_id, second_id] = [&first, &second].map(|one| one.commit_id().unwrap());
    let mut state = alice.state("Mini");
    state.set(RefName::main(), first.hash().unwrap());
    state.set(tag("v1"), first.hash().unwrap());
    state.set(tag("old"), first.hash().unwrap());
    let repo = state.subject.repo_id().unwrap();
    let one = alice.head(&state, None);
    {
        let store = open(home.path());
        publish(&store, &one, &state, std::slice::from_ref(&first), None).unwrap();
        let refs = store.refs(&repo).unwrap();
        assert_eq!(refs.len(), 3);
        assert!(refs.iter().all(|(_, commit)| *commit == first_id));
        let known = store.repo(&repo).unwrap().unwrap();
        assert_eq!((known.origin, known.created), (RepoOrigin::Publisher, NOW));
        state.set(RefName::main(), second.hash().unwrap());
        assert!(state.delete(&tag("old"), NOW));
        let two = alice.head(&state, Some(&one));
        publish(&store, &two, &state, &[second], Some(one.head().state)).unwrap();
        let old = store.document(state.subject.key(), one.head().state);
        assert_eq!(old.unwrap(), None, "one state is kept");
    }
    let store = open(home.path());
    assert_eq!(
        store.refs(&repo).unwrap(),
        [(RefName::main(), second_id), (tag("v1"), first_id)]
    );
    assert_eq!(store.revisions(&repo).unwrap().len(), 2);
    assert_eq!(
        store.state(state.subject.key()).unwrap(),
        Some(state.clone())
    );
    let heads = store.heads_of(alice.id()).unwrap();
    assert_eq!(heads.len(), 1);
    assert_eq!(heads[0].head().seq, 2);
    assert_eq!(store.chain(alice.id()).unwrap(), Some(alice.chain));
    let bytes = store.document(state.subject.key(), state.hash().unwrap());
    assert_eq!(bytes.unwrap(), Some(state.encode().unwrap()));
}

#[test]
fn a_head_that_was_made_from_another_one_than_the_one_here_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let alice = Author::new(1);
    let head = alice.publish(&store, "Mini", content(1), None).unwrap();
    let state = store.state(head.head().subject.key()).unwrap().unwrap();
    let before = rows(&store, &state);
    let mut next = state.clone();
    next.set(tag("v1"), state.refs[0].revision);
    let next_head = alice.head(&next, Some(&head));
    for after in [None, Some(DocumentHash::new([9; 32]))] {
        let outcome = publish(&store, &next_head, &next, &[], after);
        assert_head_moved(outcome, Some(head.head().state));
    }
    // A head of another repo is not taken for one of this.
    let other = alice.state("Other");
    let first = alice.head(&other, None);
    let outcome = publish(&store, &first, &other, &[], Some(head.head().state));
    assert_head_moved(outcome, None);
    assert_eq!(rows(&store, &state), before);
    publish(&store, &next_head, &next, &[], Some(head.head().state)).unwrap();
}

#[test]
fn a_head_that_the_one_here_outranks_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let alice = Author::new(1);
    let head = alice.publish(&store, "Mini", content(1), None).unwrap();
    let later = alice.with_document(50);
    let renewed = later.confirm(&head, 0);
    store
        .renew(&later.chain, std::slice::from_ref(&renewed))
        .unwrap();
    // Signed before the new document was known, from the state that is here.
    let late = alice.publish(&store, "Mini", content(2), Some(&head));
    assert_head_moved(late.map(drop), Some(head.head().state));
    later
        .publish(&store, "Mini", content(2), Some(&renewed))
        .unwrap();
}

#[test]
fn what_does_not_fit_together_is_refused_and_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let alice = Author::new(1);
    let revision = revision_of(content(1));
    let mut state = alice.state("Mini");
    state.set(RefName::main(), revision.hash().unwrap());
    let head = alice.head(&state, None);
    let before = rows(&store, &state);
    let refused = |state: &State, head: &VerifiedHead, revisions: &[Revision]| {
        let reason = unpublishable(publish(&store, head, state, revisions, None));
        assert_eq!(rows(&store, state), before, "{reason}");
        reason
    };
    let mut other = state.clone();
    other.set(tag("v1"), revision.hash().unwrap());
    let not_named = "its state is not the one that the head names";
    assert_eq!(refused(&other, &head, &[]), not_named);
    let grafted = State {
        subject: alice.subject("Other"),
        ..state.clone()
    };
    assert_eq!(refused(&grafted, &head, &[]), not_named);
    let not_here = "a ref leads to a revision that is not here";
    assert_eq!(refused(&state, &head, &[]), not_here);
    assert_eq!(refused(&state, &head, &[revision_of(content(2))]), not_here);
    let listed = Revision {
        tree: Tree::listed(vec![TreeEntry {
            path: "a".parse().unwrap(),
            size: 1,
            git_blob: None,
            lfs: None,
            file: None,
        }]),
        ..revision.clone()
    };
    assert_eq!(
        refused(&state, &head, &[revision.clone(), listed]),
        "a revision has only the list of another hub"
    );
    let empty = Revision {
        tree: Tree::listed(Vec::new()),
        ..revision.clone()
    };
    publish(&store, &head, &state, &[revision, empty], None).unwrap();
}

#[test]
fn a_repo_that_is_gone_or_moved_has_its_head_alone_until_it_is_made_again() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let alice = Author::new(1);
    let mut last = None;
    for status in [Status::Gone, Status::Moved(RepoKind::Model, "Other".into())] {
        let head = alice.publish(&store, "Mini", content(1), last.as_ref());
        let head = head.unwrap();
        let closed = State {
            status,
            ..alice.state("Mini")
        };
        let repo = closed.subject.repo_id().unwrap();
        assert_eq!(store.refs(&repo).unwrap().len(), 1);
        let end = alice.head(&closed, Some(&head));
        publish(&store, &end, &closed, &[], Some(head.head().state)).unwrap();
        assert_eq!(store.repo(&repo).unwrap(), None);
        assert_eq!(store.refs(&repo).unwrap(), []);
        assert_eq!(store.revisions(&repo).unwrap(), []);
        assert_eq!(store.state(closed.subject.key()).unwrap(), Some(closed));
        last = Some(end);
    }
}

#[test]
fn a_confirmation_is_taken_if_it_is_later_and_of_the_state_that_is_here() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let alice = Author::new(1);
    let state = alice.state("Mini");
    let head = alice.head(&state, None);
    assert!(!store.put_head(&head).unwrap(), "its state is not here");
    publish(&store, &head, &state, &[], None).unwrap();
    assert!(!store.put_head(&head).unwrap());
    let later = alice.confirm(&head, 5);
    assert!(store.put_head(&later).unwrap());
    assert!(!store.put_head(&head).unwrap(), "an earlier time");
    let mut other = state.clone();
    other.created += 1;
    let other = alice.head(&other, Some(&head));
    assert!(!store.put_head(&other).unwrap(), "another state");
    let renewed = alice.with_document(50).confirm(&head, 0);
    assert!(
        store.put_head(&renewed).unwrap(),
        "a later document counts more than the time"
    );
    let known = store.head(state.subject.key()).unwrap().unwrap();
    assert_eq!(known.as_bytes(), renewed.record());
    let chain = store.chain(alice.id()).unwrap().unwrap();
    assert_eq!(&chain, renewed.chain());
}

#[test]
fn a_chain_gives_way_to_a_newer_one_and_to_no_other() {
    let home = tempfile::tempdir().unwrap();
    let alice = Author::new(1);
    let changed = alice.with_root(2).with_document(50);
    let forged = alice.with_root(3);
    {
        let store = open(home.path());
        assert!(store.put_chain(&alice.chain).unwrap());
        assert!(!store.put_chain(&alice.chain).unwrap());
        assert!(store.put_chain(&changed.chain).unwrap());
        assert!(!store.put_chain(&alice.chain).unwrap(), "an older one");
    }
    let store = open(home.path());
    let refused = store.put_chain(&forged.chain).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Integrity, "{refused}");
    let refused = forged.publish(&store, "Mini", content(1), None);
    assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::Integrity);
    assert_eq!(store.chain(alice.id()).unwrap(), Some(changed.chain));
    assert_eq!(store.heads_of(alice.id()).unwrap(), []);
}

#[test]
fn all_heads_of_a_publisher_are_renewed_or_none() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let (alice, bob) = (Author::new(1), Author::new(2));
    let [a, b] = ["a", "b"].map(|name| alice.publish(&store, name, content(1), None).unwrap());
    bob.publish(&store, "a", content(1), None).unwrap();
    let later = alice.with_document(50);
    let renewed = [&a, &b].map(|head| later.confirm(head, 0));
    let next = alice.publish(&store, "b", content(2), Some(&b)).unwrap();
    assert_head_moved(store.renew(&later.chain, &renewed), Some(next.head().state));
    assert_head_moved(
        store.renew(&later.chain, &renewed[..1]),
        Some(next.head().state),
    );
    assert_eq!(
        store.chain(alice.id()).unwrap().as_ref(),
        Some(&alice.chain)
    );
    let numbers = || {
        let heads = store.heads_of(alice.id()).unwrap();
        heads
            .iter()
            .map(|head| head.head().number)
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers(), [0, 0]);
    let renewed = [&a, &next].map(|head| later.confirm(head, 0));
    store.renew(&later.chain, &renewed).unwrap();
    assert_eq!(numbers(), [1, 1]);
    assert_eq!(store.chain(alice.id()).unwrap(), Some(later.chain));
}

#[test]
fn a_profile_is_kept_with_its_head() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let alice = Author::new(1);
    let profile = alice.profile("alice");
    let head = alice.profile_head(&profile, None);
    let mut changed = profile.clone();
    changed.full_name = "Alice".into();
    unpublishable(store.put_profile(&head, &changed, None));
    store.put_profile(&head, &profile, None).unwrap();
    assert_head_moved(
        store.put_profile(&head, &profile, None),
        Some(head.head().state),
    );
    let next = alice.profile_head(&changed, Some(&head));
    let after = Some(head.head().state);
    store.put_profile(&next, &changed, after).unwrap();
    assert_eq!(store.profile(alice.id()).unwrap(), Some(changed));
    assert_eq!(
        store.state(Author::new(2).subject("x").key()).unwrap(),
        None
    );
}

#[test]
fn keys_of_heads_come_page_by_page() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let alice = Author::new(1);
    let heads = ["a", "b", "c", "d", "e"]
        .map(|name| alice.publish(&store, name, content(1), None).unwrap());
    let mut expected = heads.map(|head| head.head().subject.key());
    expected.sort_unstable();
    let (mut found, mut after) = (Vec::<SubjectKey>::new(), None);
    loop {
        let page = store.head_keys(after, 2).unwrap();
        found.extend(&page);
        if page.len() < 2 {
            break;
        }
        after = page.last().copied();
    }
    assert_eq!(found, expected);
}

fn repo(id: RepoId, origin: RepoOrigin) -> Repo {
    Repo {
        id,
        created: 1,
        origin,
        private: false,
        gated: false,
    }
}

#[test]
fn a_repo_of_a_publisher_changes_by_its_head_only() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let alice = Author::new(1);
    let head = alice.publish(&store, "Mini", content(1), None).unwrap();
    let state = store.state(head.head().subject.key()).unwrap().unwrap();
    let id = state.subject.repo_id().unwrap();
    let before = rows(&store, &state);
    let is_refused = |outcome: Result<(), StoreError>| {
        let error = outcome.unwrap_err();
        assert!(
            matches!(error, StoreError::Index(IndexError::OfPublisher { .. })),
            "{error}"
        );
        assert_eq!(rows(&store, &state), before);
    };
    for origin in [
        RepoOrigin::Upstream("https://hub.example".into()),
        RepoOrigin::Local,
        RepoOrigin::Publisher,
    ] {
        is_refused(store.put_repo(&repo(id.clone(), origin.clone())));
        let new = repo(alice.subject("new").repo_id().unwrap(), origin);
        is_refused(store.put_repo(&new));
        let revision = revision_of(content(2));
        let commit = revision.commit_id().unwrap();
        is_refused(store.put_repo_and_revision(&new, commit, &revision, &[]));
    }
    let commit = CommitId::new([3; 20]);
    let change = [RefChange::set(RefName::main(), commit)];
    is_refused(store.set_refs(&id, &change));
    is_refused(store.put_revision(&id, commit, &revision_of(content(2)), &[]));
    is_refused(store.remove_repo(&id).map(drop));
}

/// A name that was given on this node, with two revisions of which the first has no content any more.
fn local_name(store: &Store, text: &str) -> (RepoId, Vec<(CommitId, Revision)>) {
    let id: RepoId = text.parse().unwrap();
    let revisions = [1, 2].map(|fill| {
        let revision = revision_of(content(fill));
        (revision.commit_id().unwrap(), revision)
    });
    store
        .put_repo(&repo(id.clone(), RepoOrigin::Local))
        .unwrap();
    for (commit, revision) in &revisions {
        let change = [RefChange::set(RefName::main(), *commit)];
        store.put_revision(&id, *commit, revision, &change).unwrap();
    }
    store.remove_content(&id, revisions[0].0).unwrap();
    (id, revisions.into())
}

fn own(author: &Author, handle: &str) -> OwnPublisher {
    OwnPublisher {
        id: author.id(),
        handle: handle.into(),
        is_org: false,
        owner: None,
        private_by_default: false,
        created: NOW,
    }
}

#[test]
fn a_new_publisher_takes_over_names_with_their_history_and_all_of_it_or_nothing() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let alice = Author::new(1);
    let (from, revisions) = local_name(&store, "Alice/Mini");
    let (first, last) = (&revisions[0], &revisions[1]);
    let mut state = alice.state("Mini");
    state.set(RefName::main(), last.1.hash().unwrap());
    let taken = TakenOver {
        from: from.clone(),
        head: alice.head(&state, None),
        state: state.clone(),
    };
    let profile = alice.profile("Alice");
    let head = alice.profile_head(&profile, None);
    let own = own(&alice, "Alice");
    let begin = |taken: &[TakenOver]| {
        store.begin_publisher(&NewPublisher {
            publisher: &own,
            head: &head,
            profile: &profile,
            taken_over: taken,
        })
    };
    let taken = [taken];
    let is_untouched = || {
        assert_eq!(store.own_publishers().unwrap(), []);
        assert_eq!(store.heads_of(alice.id()).unwrap(), []);
        assert_eq!(store.profile(alice.id()).unwrap(), None);
        assert_eq!(store.revisions(&from).unwrap().len(), 2);
        assert_eq!(store.repo(&state.subject.repo_id().unwrap()).unwrap(), None);
    };

    let petname = Namespace {
        spelled: "aLICE".into(),
        publisher: Author::new(2).id(),
        source: NamespaceSource::Petname,
        since: 1,
    };
    store.put_namespace(&petname).unwrap();
    let refused = begin(&taken).unwrap_err();
    assert!(
        matches!(
            refused,
            StoreError::Index(IndexError::NamespaceTaken { .. })
        ),
        "{refused}"
    );
    is_untouched();
    assert!(store.remove_namespace("Alice").unwrap());

    let tagged = [RefChange::set(tag("late"), first.0)];
    store.set_refs(&from, &tagged).unwrap();
    let refused = begin(&taken).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Conflict, "{refused}");
    is_untouched();
    let untagged = [RefChange::remove(tag("late"))];
    store.set_refs(&from, &untagged).unwrap();

    begin(&taken).unwrap();
    let repo = state.subject.repo_id().unwrap();
    assert_eq!(store.repo(&from).unwrap(), None);
    assert_eq!(store.revisions(&from).unwrap(), []);
    assert_eq!(store.refs(&from).unwrap(), []);
    assert_eq!(store.refs(&repo).unwrap(), [(RefName::main(), last.0)]);
    assert_eq!(
        store.revision(&repo, first.0).unwrap().as_ref(),
        Some(&first.1)
    );
    assert!(store.is_content_removed(&repo, first.0).unwrap());
    assert!(!store.is_content_removed(&repo, last.0).unwrap());
    assert_eq!(
        store.own_publisher(alice.id()).unwrap().as_ref(),
        Some(&own)
    );
    let namespace = store.namespace("ALICE").unwrap().unwrap();
    assert_eq!(
        (namespace.publisher, namespace.source),
        (alice.id(), NamespaceSource::Own)
    );
    assert_eq!(store.heads_of(alice.id()).unwrap().len(), 2);
}

#[test]
fn follows_and_namespaces_are_kept_changed_and_forgotten() {
    let home = tempfile::tempdir().unwrap();
    let alice = Author::new(1);
    let mut follow = Follow {
        publisher: alice.id(),
        mirror: Mirror::Nothing,
        since: NOW,
    };
    let mut namespace = Namespace {
        spelled: "Acme".into(),
        publisher: alice.id(),
        source: NamespaceSource::Directory("ID/names".into()),
        since: NOW,
    };
    {
        let store = open(home.path());
        store.put_follow(&follow).unwrap();
        follow.mirror = Mirror::Tags;
        store.put_follow(&follow).unwrap();
        store.put_namespace(&namespace).unwrap();
        namespace.source = NamespaceSource::Petname;
        store.put_namespace(&namespace).unwrap();
    }
    let store = open(home.path());
    assert_eq!(store.follow(alice.id()).unwrap(), Some(follow.clone()));
    assert_eq!(store.follows().unwrap(), [follow]);
    assert_eq!(
        store.namespaces().unwrap(),
        std::slice::from_ref(&namespace)
    );
    assert_eq!(store.namespace("aCME").unwrap(), Some(namespace));
    assert!(store.remove_follow(alice.id()).unwrap());
    assert!(!store.remove_follow(alice.id()).unwrap());
    assert!(store.remove_namespace("ACME").unwrap());
    assert_eq!(store.namespace("acme").unwrap(), None);
    assert_eq!(store.follows().unwrap(), []);
}
