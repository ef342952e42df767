use std::fs;

use hubless_content::{
    CommitId, ContentHash, DOMAINS_MAX, ProfileError, RefName, RepoId, Revision, SecretKey,
    Subject, Tree,
};
use hubless_network::Identity;
use hubless_store::{Namespace, NamespaceSource, RefChange, Repo, RepoOrigin, StoreOptions};

use super::*;
use hubless_names::keys::SigningError;

/// A node with its home directory.
struct Machine {
    home: tempfile::TempDir,
    store: Store,
    publishers: Publishers,
    watchers: Watchers,
}

impl Machine {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path(), StoreOptions::default()).unwrap();
        let peer = Identity::generate().peer_id();
        let cx = Context::new(store.clone(), peer);
        let watchers = Watchers::default();
        Self {
            publishers: Publishers::new(cx, home.path(), watchers.clone()),
            watchers,
            home,
            store,
        }
    }

    async fn begin(&self, handle: &str) -> Begun {
        let begin = Begin {
            handle: handle.into(),
            ..Begin::default()
        };
        self.publishers.begin(begin).await.unwrap()
    }

    /// Gives content a name on this node.
    fn name(&self, text: &str) -> (RepoId, CommitId) {
        let repo = Repo {
            id: text.parse().unwrap(),
            created: 5,
            origin: RepoOrigin::Local,
            private: false,
            gated: false,
        };
        let revision = Revision {
            tree: Tree::Content(ContentHash::new([7; 32])),
            parents: Vec::new(),
            time: 5,
            title: text.into(),
            message: String::new(),
            author: String::new(),
        };
        let commit = revision.commit_id().unwrap();
        let refs = [RefChange::set(RefName::main(), commit)];
        let put = self
            .store
            .put_repo_and_revision(&repo, commit, &revision, &refs);
        put.unwrap();
        (repo.id, commit)
    }

    /// Has this node know what another one knows of a publisher, as if it had been fetched.
    fn learn(&self, publisher: PublisherId, from: &Self) {
        let key = Subject::profile(publisher).key();
        let record = from.store.head(key).unwrap().unwrap();
        let head = record.verify(u64::MAX).unwrap();
        let profile = from.store.profile(publisher).unwrap().unwrap();
        let known = self.store.head(key).unwrap();
        let known = known.map(|record| record.head().state);
        self.store.put_profile(&head, &profile, known).unwrap();
    }

    fn sign(&self, begun: &Begun, changes: Changes) -> Sign {
        Sign {
            publisher: Some(begun.handle.clone()),
            proposal: None,
            changes,
            root: Some(begun.root_key.clone()),
            output: self.home.path().join("proposal"),
        }
    }
}

fn adding(key: PublicKey) -> Changes {
    Changes {
        add: vec![key],
        ..Changes::default()
    }
}

fn removing(key: PublicKey) -> Changes {
    Changes {
        remove: vec![key],
        ..Changes::default()
    }
}

#[tokio::test]
async fn a_new_publisher_signs_its_profile_and_the_names_that_it_takes_over() {
    let machine = Machine::new();
    let (from, commit) = machine.name("Acme/mini");
    machine.name("acme-2/other");
    let mut reports = machine.watchers.subscribe();
    let begun = machine.begin("acme").await;
    let reported = [reports.try_recv().unwrap(), reports.try_recv().unwrap()];
    assert!(
        reported
            .iter()
            .all(|head| head.head().subject.publisher() == begun.id)
    );
    assert_eq!(begun.names, std::slice::from_ref(&from));
    let id: RepoId = format!("{}/mini", begun.id).parse().unwrap();
    let main = machine.store.get_ref(&id, &RefName::main()).unwrap();
    assert_eq!(main, Some(commit));
    assert_eq!(machine.store.repo(&from).unwrap(), None);
    let profile = machine.store.profile(begun.id).unwrap().unwrap();
    assert_eq!(profile.handle, "acme");
    assert_eq!(profile.repos, ["mini".parse().unwrap()]);
    assert_eq!(profile.peers.len(), 1);
    let heads = machine.store.heads_of(begun.id).unwrap();
    assert_eq!(heads.len(), 2);
    for head in heads {
        let head = head.verify(u64::MAX).unwrap();
        assert_eq!(head.signer(), begun.signer);
    }
    let shown = machine.publishers.show().await.unwrap().publishers;
    assert_eq!(
        (shown.len(), shown[0].id, shown[0].number),
        (1, begun.id, 0)
    );
    assert!(shown[0].signs);
    assert_eq!(machine.publishers.root_keys(), [begun.root_key]);
}

#[tokio::test]
async fn a_handle_that_is_taken_or_wrong_leaves_no_key_behind() {
    let machine = Machine::new();
    let petname = Namespace {
        spelled: "Acme".into(),
        publisher: PublisherId::new([9; 32]),
        source: NamespaceSource::Petname,
        since: 1,
    };
    machine.store.put_namespace(&petname).unwrap();
    let begin = |handle: &str, domains: usize, owner: Option<&str>| {
        let begin = Begin {
            handle: handle.into(),
            domains: vec!["acme.com".into(); domains],
            owner: owner.map(Into::into),
            ..Begin::default()
        };
        machine.publishers.begin(begin)
    };
    let taken = begin("acme", 0, None).await.unwrap_err();
    assert!(
        matches!(taken, PublisherError::HandleTaken { .. }),
        "{taken}"
    );
    let wrong = begin("a/b", 0, None).await.unwrap_err();
    assert!(
        matches!(wrong, PublisherError::Profile(ProfileError::Handle(_))),
        "{wrong}"
    );
    let wrong = begin("free", DOMAINS_MAX + 1, None).await.unwrap_err();
    assert!(
        matches!(wrong, PublisherError::Profile(ProfileError::Domain)),
        "{wrong}"
    );
    let no_owner = begin("free", 0, Some("alice")).await.unwrap_err();
    assert!(matches!(no_owner, PublisherError::Unknown(_)), "{no_owner}");
    assert_eq!(machine.publishers.root_keys(), [] as [PathBuf; 0]);
    assert!(!machine.home.path().join("signing.key").exists());
    begin("free", 1, None).await.unwrap();
    let again = begin("Free", 0, None).await.unwrap_err();
    assert!(
        matches!(again, PublisherError::HandleTaken { .. }),
        "{again}"
    );
    assert_eq!(machine.publishers.root_keys().len(), 1);
}

#[tokio::test]
async fn a_name_with_a_ref_that_cannot_travel_stays_as_it_is() {
    let machine = Machine::new();
    let (repo, commit) = machine.name("acme/mini");
    let pull_request: RefName = "refs/pr/1".parse().unwrap();
    let change = RefChange::set(pull_request.clone(), commit);
    machine.store.set_refs(&repo, &[change]).unwrap();
    let begin = || Begin {
        handle: "acme".into(),
        ..Begin::default()
    };
    let refused = machine.publishers.begin(begin()).await.unwrap_err();
    assert!(matches!(refused, PublisherError::Ref { .. }), "{refused}");
    assert_eq!(machine.publishers.root_keys(), [] as [PathBuf; 0]);
    let change = RefChange::remove(pull_request);
    machine.store.set_refs(&repo, &[change]).unwrap();
    machine.publishers.begin(begin()).await.unwrap();
}

#[tokio::test]
async fn a_second_node_signs_after_a_root_key_has_added_its_key_and_until_it_was_removed() {
    let (first, second) = (Machine::new(), Machine::new());
    first.name("acme/mini");
    let begun = first.begin("acme").await;
    let joined = second.publishers.join(Join::default()).await.unwrap();
    let join = || {
        second.publishers.join(Join {
            publisher: Some(begun.id),
            root: None,
        })
    };
    let unknown = join().await.unwrap_err();
    assert!(matches!(unknown, PublisherError::NoChain(_)), "{unknown}");
    second.learn(begun.id, &first);
    let early = join().await.unwrap_err();
    let is_no_signer = |error: &PublisherError| {
        matches!(error, PublisherError::Signing(SigningError::NoSigner(_)))
    };
    assert!(is_no_signer(&early), "{early}");

    let sign = first.sign(&begun, adding(joined.signer));
    let signed = first.publishers.sign(sign).await.unwrap();
    assert_eq!((signed.state, signed.number), (SignState::Published, 1));
    assert_eq!(signed.heads, 2, "the profile and the repo");
    let heads = first.store.heads_of(begun.id).unwrap();
    assert!(heads.iter().all(|head| head.head().number == 1));

    second.learn(begun.id, &first);
    join().await.unwrap();
    let namespace = second.store.namespace("acme").unwrap().unwrap();
    assert_eq!(namespace.publisher, begun.id);
    let keys = Keys::new(second.home.path());
    keys.signing(&second.store, begun.id).unwrap();
    // Its profile names both nodes, and is signed by the new one.
    let profile = second.store.profile(begun.id).unwrap().unwrap();
    assert_eq!(profile.peers.len(), 2);

    first.learn(begun.id, &second);
    let sign = first.sign(&begun, removing(joined.signer));
    let signed = first.publishers.sign(sign).await.unwrap();
    assert_eq!((signed.state, signed.number), (SignState::Published, 2));
    second.learn(begun.id, &first);
    let removed = keys.signing(&second.store, begun.id).unwrap_err();
    assert!(matches!(removed, SigningError::NoSigner(_)), "{removed}");
    let shown = second.publishers.show().await.unwrap().publishers;
    assert!(!shown[0].signs);
}

#[tokio::test]
async fn a_thief_with_the_highest_number_of_all_loses_when_its_key_is_removed() {
    let machine = Machine::new();
    machine.name("acme/mini");
    let begun = machine.begin("acme").await;
    let thief = SecretKey::new(&[66; 32]);
    let sign = machine.sign(&begun, adding(thief.public()));
    machine.publishers.sign(sign).await.unwrap();
    let subject = Subject::repo(begun.id, hubless_content::RepoKind::Model, "mini").unwrap();
    let chain = machine.store.chain(begun.id).unwrap().unwrap();
    let record = machine.store.head(subject.key()).unwrap().unwrap();
    let stolen = hubless_content::Head {
        seq: u64::MAX,
        previous: Some(record.head().state),
        ..record.head().clone()
    };
    let stolen = hubless_content::HeadRecord::sign(&stolen, &chain, &thief).unwrap();
    let sign = machine.sign(&begun, removing(thief.public()));
    machine.publishers.sign(sign).await.unwrap();
    let renewed = machine.store.head(subject.key()).unwrap().unwrap();
    let renewed = renewed.verify(u64::MAX).unwrap();
    assert!(renewed.replaces(&stolen) && !stolen.replaces(&renewed));
    assert!(!machine.store.put_head(&stolen).unwrap());
}

#[tokio::test]
async fn a_lost_key_is_replaced_by_a_root_key() {
    let machine = Machine::new();
    let begun = machine.begin("acme").await;
    let path = machine.home.path().join("signing.key");
    fs::remove_file(&path).unwrap();
    let keys = Keys::new(machine.home.path());
    let lost = keys.signing(&machine.store, begun.id).unwrap_err();
    assert!(matches!(lost, SigningError::Lost { .. }), "{lost}");
    let joined = machine.publishers.join(Join::default()).await.unwrap();
    let changes = Changes {
        add: vec![joined.signer],
        remove: vec![begun.signer],
        ..Changes::default()
    };
    let signed = machine.publishers.sign(machine.sign(&begun, changes)).await;
    assert_eq!(signed.unwrap().state, SignState::Published);
    keys.signing(&machine.store, begun.id).unwrap();
}

#[tokio::test]
async fn a_proposal_waits_for_its_signatures_and_not_for_ever() {
    let machine = Machine::new();
    let begun = machine.begin("acme").await;
    let roots = ["b.key", "c.key"].map(|name| machine.home.path().join(name));
    let mut keys = vec![read_root(&begun.root_key)];
    for path in &roots {
        let joined = machine.publishers.join(Join {
            publisher: None,
            root: Some(path.clone()),
        });
        keys.push(joined.await.unwrap().root.unwrap());
    }
    let changes = Changes {
        keys,
        threshold: Some(2),
        ..Changes::default()
    };
    let sign = machine.sign(&begun, changes);
    let proposal = sign.output.clone();
    let signed = machine.publishers.sign(sign).await.unwrap();
    assert_eq!((signed.state, signed.missing_new), (SignState::Proposed, 1));
    assert_eq!(signed.proposal.as_ref(), Some(&proposal));
    let next = |root: Option<&PathBuf>| {
        machine.publishers.sign(Sign {
            proposal: Some(proposal.clone()),
            root: root.cloned(),
            output: proposal.clone(),
            ..Sign::default()
        })
    };
    let twice = next(Some(&begun.root_key)).await.unwrap_err();
    assert!(matches!(twice, PublisherError::NotARoot(_)), "{twice}");
    let stale = fs::read(&proposal).unwrap();
    let signed = next(Some(&roots[1])).await.unwrap();
    assert_eq!(signed.state, SignState::Published);

    // Signed by another root key it is the same document.
    fs::write(&proposal, &stale).unwrap();
    let signed = next(Some(&roots[0])).await.unwrap();
    assert_eq!((signed.state, signed.number), (SignState::Published, 1));

    // Of two proposals that were made at once, one takes effect.
    let propose = |signer: u8| {
        let key = SecretKey::new(&[signer; 32]);
        let sign = machine.sign(&begun, adding(key.public()));
        machine.publishers.sign(sign)
    };
    propose(50).await.unwrap();
    let first = fs::read(&proposal).unwrap();
    propose(51).await.unwrap();
    let signed = next(Some(&roots[0])).await.unwrap();
    assert_eq!((signed.state, signed.number), (SignState::Published, 2));
    fs::write(&proposal, &first).unwrap();
    let outdated = next(Some(&roots[1])).await.unwrap_err();
    assert!(matches!(outdated, PublisherError::Outdated), "{outdated}");
}

fn read_root(path: &Path) -> PublicKey {
    hubless_names::keys::read_key(path, KeyKind::Root)
        .unwrap()
        .public()
}

#[tokio::test]
async fn an_organization_belongs_to_a_person_of_this_node() {
    let machine = Machine::new();
    let alice = machine.begin("alice").await;
    let org = |handle: &str, owner: &str| Begin {
        handle: handle.into(),
        org: true,
        owner: Some(owner.into()),
        ..Begin::default()
    };
    let acme = machine
        .publishers
        .begin(org("acme", "Alice"))
        .await
        .unwrap();
    assert_eq!(acme.root_key, machine.home.path().join("root-acme.key"));
    assert_eq!(acme.signer, alice.signer, "one key of the node for both");
    let own = machine.store.own_publisher(acme.id).unwrap().unwrap();
    assert_eq!(own.owner, Some(alice.id));
    let refused = machine.publishers.begin(org("sub", "acme")).await;
    let refused = refused.unwrap_err();
    assert!(
        matches!(refused, PublisherError::OwnerIsOrg(_)),
        "{refused}"
    );
    let several = machine.publishers.sign(Sign::default()).await.unwrap_err();
    assert!(matches!(several, PublisherError::Several(_)), "{several}");
}

#[tokio::test]
async fn a_profile_that_is_in_step_is_not_signed_again() {
    let machine = Machine::new();
    let begun = machine.begin("acme").await;
    let refreshed = machine.publishers.refresh_profile(begun.id).await.unwrap();
    assert!(refreshed.is_none());
    let stranger = PublisherId::new([3; 32]);
    let refused = machine.publishers.refresh_profile(stranger).await;
    assert!(matches!(
        refused.unwrap_err(),
        PublisherError::Signing(SigningError::NotOwn(_))
    ));
}
