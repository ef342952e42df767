//! `hubless peers`: the connected peers.

use hubless_node::api::{ListPeers, Peers};

use crate::{
    failure::Error,
    text::{Align, Table, joined},
    work::Context,
};

/// List the peers that the running node is connected to
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: &Args, context: &Context<'_>) -> Result<(), Error> {
    let output = context.output;
    let mut connected = context.ask(ListPeers {}).await?;
    connected
        .peers
        .sort_by_cached_key(|peer| peer.peer_id.to_string());
    if output.json {
        return output.json(&connected);
    }
    if connected.peers.is_empty() {
        output.note("no peers are connected");
        return Ok(());
    }
    output.lines(&table(connected))
}

fn table(connected: Peers) -> Vec<String> {
    let mut table = Table::new([
        ("PEER", Align::Left),
        ("RTT", Align::Right),
        ("LANES", Align::Right),
        ("AGENT", Align::Left),
        ("ADDRESSES", Align::Left),
    ]);
    for peer in connected.peers {
        table.row([
            peer.peer_id.to_string(),
            peer.rtt_ms
                .map(|rtt| format!("{rtt:.1} ms"))
                .unwrap_or_default(),
            peer.lanes.to_string(),
            peer.agent.unwrap_or_default(),
            joined(&peer.addresses),
        ]);
    }
    table.lines()
}

#[cfg(test)]
mod tests {
    use hubless_node::api::PeerDetails;

    use super::*;

    #[test]
    fn what_a_peer_says_of_itself_cannot_steer_the_terminal() {
        let peer = PeerDetails {
            peer_id: "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"
                .parse()
                .unwrap(),
            addresses: vec!["/dns4/\u{9b}2J.example/tcp/1".parse().unwrap()],
            agent: Some("\u{1b}]0;owned\u{7}\nfake line".into()),
            rtt_ms: None,
            lanes: 0,
        };
        let lines = table(Peers { peers: vec![peer] });
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            !lines[1].contains(|char: char| char.is_control()),
            "{lines:?}"
        );
        assert!(
            lines[1].contains(r"\u{1b}]0;owned\u{7}\u{a}fake line"),
            "{lines:?}"
        );
    }
}
