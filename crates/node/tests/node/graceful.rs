//! A stopped node has released all resources.

use hubless_node::{
    Needs, Node, Session,
    api::{FailureKind, Id, Remedy, ShowStatus},
    config::Config,
};

fn config() -> Config {
    Config {
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        mdns: false,
        upnp: false,
        ..Config::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_node_releases_its_home() {
    let home = tempfile::tempdir().unwrap();
    let first = Node::start(home.path(), &config()).await.unwrap();
    let id = first.peer_id();
    first.stop().await;
    let second = Node::start(home.path(), &config())
        .await
        .expect("the home is free at once");
    assert_eq!(second.peer_id(), id, "the identity is kept");
    second.stop().await;
    assert!(!home.path().join("node.sock").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_find_the_running_node_and_a_second_node_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::start(home.path(), &config()).await.unwrap();

    let session = Session::open(home.path(), &config(), Needs::Store, "id")
        .await
        .unwrap();
    assert!(session.is_remote());
    let identified = session.call(Id {}).await.unwrap().answer().await.unwrap();
    assert_eq!(identified.peer_id, node.peer_id());

    let refused = Node::start(home.path(), &config()).await.err().unwrap();
    assert_eq!(refused.kind, FailureKind::Busy);
    assert_eq!(refused.remedy, Some(Remedy::UseNode));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_node_a_command_opens_the_store_and_says_what_needs_a_node() {
    let home = tempfile::tempdir().unwrap();
    let session = Session::open(home.path(), &config(), Needs::Store, "id")
        .await
        .unwrap();
    assert!(!session.is_remote());
    let status = session.call(ShowStatus {}).await.unwrap();
    let failure = status.answer().await.unwrap_err();
    assert_eq!(failure.remedy, Some(Remedy::StartNode));
    session.close().await;
    let again = Session::open(home.path(), &config(), Needs::Store, "id")
        .await
        .unwrap();
    again.close().await;
}
