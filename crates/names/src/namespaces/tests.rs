use std::{collections::HashMap, fs};

use hubless_network::{Identity as NodeIdentity, MemoryDb, Network, NetworkConfig, TxtResolver};
use hubless_store::{ImportOptions, Publication, Repo, StoreOptions};
use hubless_testkit::{author::Author, dns::DnsServer};
use hubless_transfer::{Digester, Fetches, KnownPeers, Service, Withheld};
use tempfile::TempDir;

use super::*;
use crate::directory::ReadError;

const TIME: u64 = 1_800_000_000_000;

/// Keeps the profile of a publisher that claims these domains.
fn claims(author: &mut Author, store: &Store, domains: &[&str]) {
    let (head, profile) = author.profile("acme", "", domains, TIME);
    store.put_profile(&head, &profile, None).unwrap();
}

/// Publishes a directory with these lines.
fn lists(keeper: &mut Author, store: &Store, lines: &str) -> RepoId {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("names.txt"), lines).unwrap();
    let added = store.import(folder.path(), &ImportOptions::default(), &());
    let step = keeper.step(RepoKind::Dataset, "names", added.unwrap().hash, TIME);
    store
        .publish(&Publication {
            head: &step.head,
            state: &step.state,
            revisions: &[step.revision],
            after: step.head.head().previous,
        })
        .unwrap();
    step.state.subject.repo_id().unwrap()
}

/// A node with a DNS server.
struct Here {
    _home: TempDir,
    fetches: Arc<Fetches>,
    server: DnsServer,
}

impl Here {
    async fn new() -> Self {
        let home = TempDir::new().unwrap();
        let store = Store::open(home.path(), StoreOptions::default()).unwrap();
        let identity = NodeIdentity::load_or_create(&home.path().join("identity.key")).unwrap();
        let cx = Context::new(store, identity.peer_id());
        let fetches = Fetches::new(cx.clone(), KnownPeers::default());
        let queue = Digester::new(fetches.clone()).queue();
        let service = Service::new(&fetches, Withheld::new(false), queue);
        let config = NetworkConfig {
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
            mdns: false,
            upnp: false,
            ..NetworkConfig::default()
        };
        let records = Arc::new(MemoryDb::default());
        let network = Network::start(config, identity, records, Arc::new(service)).await;
        cx.set_network(network.unwrap());
        Self {
            _home: home,
            fetches,
            server: DnsServer::start(),
        }
    }

    fn store(&self) -> &Store {
        &self.fetches.cx.store
    }

    /// The views with these directories, as after a start: nothing of the DNS is kept.
    fn views(&self, directories: &[&RepoId]) -> Namespaces {
        let resolver = TxtResolver::at(self.server.address());
        self.views_with(directories, Some(Dns::new(resolver)), false)
    }

    fn views_with(
        &self,
        directories: &[&RepoId],
        dns: Option<Dns>,
        has_upstream: bool,
    ) -> Namespaces {
        let cx = self.fetches.cx.clone();
        let directories = directories.iter().map(|&repo| repo.clone()).collect();
        Namespaces::new(
            cx.clone(),
            Directories::new(self.fetches.clone(), directories),
            dns,
            Arc::new(StoredProfiles(cx)),
            has_upstream,
        )
    }

    fn names(&self, domain: &str, publisher: PublisherId) {
        let record = format!("publisher={publisher}");
        self.server.set(&format!("_hubless.{domain}"), &[&record]);
    }
}

async fn translated(views: &Namespaces, name: &str) -> Result<String, NamespaceError> {
    let translated = views
        .translate(&name.parse().unwrap(), Sources::All)
        .await?;
    assert_eq!(translated.written.to_string(), name);
    Ok(translated.repo.to_string())
}

fn is_refused(outcome: Result<String, NamespaceError>, was: PublisherId, is: PublisherId) {
    match outcome {
        Err(NamespaceError::Changed(change)) if (change.bound, change.named) == (was, is) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_domain_stands_for_a_publisher_that_claims_it_back() {
    let here = Here::new().await;
    let (mut acme, mut other, unknown) = (Author::new(1), Author::new(2), Author::new(3));
    claims(&mut acme, here.store(), &["acme.com"]);
    claims(&mut other, here.store(), &["other.example"]);
    here.names("acme.com", acme.id());
    here.names("thief.example", other.id());
    here.names("new.example", unknown.id());
    let views = here.views(&[]);
    let id = acme.id();
    assert_eq!(
        translated(&views, "datasets/Acme.com/Mini").await.unwrap(),
        format!("datasets/{id}/Mini")
    );
    assert!(matches!(
        translated(&views, "thief.example/m").await,
        Err(NamespaceError::NotClaimed { .. })
    ));
    assert!(matches!(
        translated(&views, "new.example/m").await,
        Err(NamespaceError::NoProfile { .. })
    ));
    assert_eq!(
        translated(&views, "none.example/m").await.unwrap(),
        "none.example/m"
    );
    let all = views.all().await.unwrap();
    let bound = |namespace: &Namespace| (namespace.spelled.clone(), namespace.source.clone());
    assert_eq!(
        all.iter().map(bound).collect::<Vec<_>>(),
        [("Acme.com".to_owned(), NamespaceSource::Dns)],
        "what is refused binds nothing"
    );
}

#[tokio::test]
async fn a_domain_that_changes_after_its_first_use_is_refused_with_both_ids() {
    let here = Here::new().await;
    let (mut first, mut second) = (Author::new(1), Author::new(2));
    claims(&mut first, here.store(), &["acme.com"]);
    claims(&mut second, here.store(), &["acme.com"]);
    here.names("acme.com", first.id());
    translated(&here.views(&[]), "acme.com/m").await.unwrap();
    here.names("acme.com", second.id());
    let views = here.views(&[]);
    is_refused(
        translated(&views, "acme.com/m").await,
        first.id(),
        second.id(),
    );
    let text = translated(&views, "acme.com/m")
        .await
        .unwrap_err()
        .to_string();
    assert!(text.contains(&first.id().to_string()), "{text}");
    assert!(text.contains(&second.id().to_string()), "{text}");
    // A record that is gone, and a server that is silent, change nothing.
    here.server.set("_hubless.acme.com", &[]);
    let expected = format!("{}/m", first.id());
    assert_eq!(
        translated(&here.views(&[]), "acme.com/m").await.unwrap(),
        expected
    );
    here.server.be_silent(true);
    assert_eq!(
        translated(&here.views(&[]), "acme.com/m").await.unwrap(),
        expected
    );
    here.server.be_silent(false);
    here.names("acme.com", second.id());
    // A person decides.
    let views = here.views(&[]);
    views.trust("acme.com", second.id()).await.unwrap();
    let expected = format!("{}/m", second.id());
    assert_eq!(translated(&views, "acme.com/m").await.unwrap(), expected);
}

#[tokio::test]
async fn a_directory_that_changes_after_its_first_use_is_refused_with_both_ids() {
    let here = Here::new().await;
    let mut keeper = Author::new(9);
    let (first, second) = (Author::new(1).id(), Author::new(2).id());
    let directory = lists(&mut keeper, here.store(), &format!("acme {first}\n"));
    let views = here.views(&[&directory]);
    assert_eq!(
        translated(&views, "ACME/m").await.unwrap(),
        format!("{first}/m")
    );
    assert_eq!(translated(&views, "other/m").await.unwrap(), "other/m");
    lists(
        &mut keeper,
        here.store(),
        &format!("acme {second}\nnew {second}\n"),
    );
    is_refused(translated(&views, "acme/m").await, first, second);
    assert_eq!(
        translated(&views, "new/m").await.unwrap(),
        format!("{second}/m")
    );
    views.untrust("acme").await.unwrap();
    assert_eq!(
        translated(&views, "acme/m").await.unwrap(),
        format!("{second}/m")
    );
    lists(&mut keeper, here.store(), "not a directory\n");
    assert_eq!(
        translated(&views, "acme/m").await.unwrap(),
        format!("{second}/m"),
        "what is bound needs no directory"
    );
    let error = translated(&views, "unbound/m").await.unwrap_err();
    assert!(matches!(
        error,
        NamespaceError::Directory(ReadError::Wrong { .. })
    ));
}

#[tokio::test]
async fn the_first_source_that_knows_a_name_decides() {
    let here = Here::new().await;
    let (mut a, mut b) = (Author::new(8), Author::new(9));
    let ids: HashMap<&str, PublisherId> = ["petname", "first", "second", "dns"]
        .into_iter()
        .zip((1..).map(|seed| Author::new(seed).id()))
        .collect();
    claims(&mut Author::new(4), here.store(), &["acme.com", "b.com"]);
    let first = lists(
        &mut a,
        here.store(),
        &format!("acme.com {}\n", ids["first"]),
    );
    let second = lists(
        &mut b,
        here.store(),
        &format!("acme.com {0}\nb.com {0}\nacme {0}\n", ids["second"]),
    );
    for domain in ["acme.com", "b.com", "c.com"] {
        here.names(domain, ids["dns"]);
    }
    let views = here.views(&[&first, &second]);
    views.trust("acme", ids["petname"]).await.unwrap();
    let of = |source: &str| format!("{}/m", ids[source]);
    assert_eq!(translated(&views, "acme/m").await.unwrap(), of("petname"));
    assert_eq!(translated(&views, "acme.com/m").await.unwrap(), of("first"));
    assert_eq!(translated(&views, "b.com/m").await.unwrap(), of("second"));
    assert_eq!(here.server.asked(), Vec::<String>::new());
    // A caller that asks the DNS alone is not answered by other sources.
    let repo = "acme.com/m".parse().unwrap();
    match views.translate(&repo, Sources::Dns).await {
        Err(NamespaceError::Changed(change)) => assert_eq!(change.named, ids["dns"]),
        other => panic!("{other:?}"),
    }
    let repo = "acme/m".parse().unwrap();
    let error = views.translate(&repo, Sources::Dns).await.unwrap_err();
    assert!(matches!(error, NamespaceError::NotInDns { .. }), "{error}");
}

#[tokio::test]
async fn a_directory_that_is_not_here_lets_no_other_source_answer() {
    let here = Here::new().await;
    let mut acme = Author::new(1);
    claims(&mut acme, here.store(), &["acme.com"]);
    here.names("acme.com", acme.id());
    let directory: RepoId = format!("datasets/{}/names", Author::new(9).id())
        .parse()
        .unwrap();
    let dns = Dns::new(TxtResolver::at(here.server.address()));
    let views = here.views_with(&[&directory], Some(dns), true);
    for name in ["acme.com/m", "acme/m"] {
        let error = translated(&views, name).await.unwrap_err();
        assert!(matches!(
            error,
            NamespaceError::Directory(ReadError::NotHere { .. })
        ));
    }
    let id = acme.id();
    assert_eq!(
        translated(&views, &format!("{id}/m")).await.unwrap(),
        format!("{id}/m")
    );
}

#[tokio::test]
async fn names_of_this_node_and_ids_are_bound_to_no_other_publisher() {
    let here = Here::new().await;
    let mut keeper = Author::new(9);
    let id = Author::new(1).id();
    let directory = lists(&mut keeper, here.store(), &format!("lab {id}\n"));
    let local = Repo {
        id: "lab/m".parse().unwrap(),
        created: TIME,
        origin: RepoOrigin::Local,
        private: false,
        gated: false,
    };
    here.store().put_repo(&local).unwrap();
    let own = Namespace {
        spelled: "alice".into(),
        publisher: keeper.id(),
        source: NamespaceSource::Own,
        since: TIME,
    };
    here.store().put_namespace(&own).unwrap();
    let views = here.views(&[&directory]);
    for name in ["lab/m", "lab/other", "datasets/Lab/m"] {
        assert_eq!(translated(&views, name).await.unwrap(), name);
    }
    let refused = async |name: &str| views.trust(name, id).await.unwrap_err();
    assert!(matches!(refused("LAB").await, NamespaceError::Local { .. }));
    assert!(matches!(refused("Alice").await, NamespaceError::Own { .. }));
    assert!(matches!(
        views.untrust("alice").await,
        Err(NamespaceError::Own { .. })
    ));
    let not_canonical = format!("{}r", &id.to_string()[..51]);
    for name in [
        &keeper.id().to_string(),
        &not_canonical,
        "a/b",
        "",
        "models",
        "a b",
    ] {
        let error = refused(name).await;
        assert!(
            matches!(error, NamespaceError::NotNamespace { .. }),
            "{name}: {error}"
        );
    }
    // Not even a row that should not be there changes what an id means.
    let other = keeper.id().to_string();
    let row = Namespace {
        spelled: other.clone(),
        publisher: id,
        ..own
    };
    here.store().put_namespace(&row).unwrap();
    let name = format!("{}/m", other.to_uppercase());
    assert_eq!(
        translated(&views, &name).await.unwrap(),
        format!("{other}/m")
    );
    let unknown = views.untrust("nothing").await;
    assert!(matches!(unknown, Err(NamespaceError::Unbound { .. })));
}

#[tokio::test]
async fn without_dns_no_question_is_asked() {
    let here = Here::new().await;
    let mut acme = Author::new(1);
    claims(&mut acme, here.store(), &["acme.com"]);
    here.names("acme.com", acme.id());
    let views = here.views_with(&[], None, false);
    assert_eq!(
        translated(&views, "acme.com/m").await.unwrap(),
        "acme.com/m"
    );
    let repo = "acme.com/m".parse().unwrap();
    let error = views.translate(&repo, Sources::Dns).await.unwrap_err();
    assert!(matches!(error, NamespaceError::NoDns { .. }));
    assert_eq!(here.server.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn an_upstream_answers_while_the_dns_is_silent() {
    let here = Here::new().await;
    here.server.be_silent(true);
    let dns = || Some(Dns::new(TxtResolver::at(here.server.address())));
    let mirror = here.views_with(&[], dns(), true);
    assert_eq!(translated(&mirror, "01.ai/yi").await.unwrap(), "01.ai/yi");
    let alone = here.views_with(&[], dns(), false);
    let error = translated(&alone, "01.ai/yi").await.unwrap_err();
    assert!(matches!(error, NamespaceError::Dns(_)), "{error}");
}
