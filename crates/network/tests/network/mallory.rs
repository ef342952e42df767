//! A foreign libp2p node that writes what it likes.

use futures::StreamExt as _;
use hubless_network::Network;
use libp2p::{
    Stream, StreamProtocol, Swarm, SwarmBuilder, identity::Keypair, noise, tcp, tls, yamux,
};
use libp2p_stream::Control;

use crate::common::*;

/// A node made of libp2p's own parts.
pub struct Mallory {
    pub keypair: Keypair,
    pub control: Control,
    swarm: tokio::task::JoinHandle<()>,
    pub address: libp2p::Multiaddr,
}

impl Drop for Mallory {
    fn drop(&mut self) {
        self.swarm.abort();
    }
}

fn foreign_swarm(keypair: Keypair) -> Swarm<libp2p_stream::Behaviour> {
    SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            (tls::Config::new, noise::Config::new),
            yamux::Config::default,
        )
        .unwrap()
        .with_behaviour(|_| libp2p_stream::Behaviour::new())
        .unwrap()
        .with_swarm_config(|config| {
            config.with_idle_connection_timeout(std::time::Duration::from_secs(60))
        })
        .build()
}

impl Mallory {
    pub async fn start() -> Self {
        let keypair = Keypair::generate_ed25519();
        let mut swarm = foreign_swarm(keypair.clone());
        swarm
            .listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap())
            .unwrap();
        let address = loop {
            let event = swarm.select_next_some().await;
            if let libp2p::swarm::SwarmEvent::NewListenAddr { address, .. } = event {
                break address.with_p2p(*swarm.local_peer_id()).unwrap();
            }
        };
        let control = swarm.behaviour().new_control();
        let swarm = tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        Self {
            keypair,
            control,
            swarm,
            address,
        }
    }

    /// A stream on which nothing has been said.
    pub async fn stream_to(&mut self, victim: &Network, protocol: &'static str) -> Stream {
        let protocol = StreamProtocol::new(protocol);
        within(async {
            loop {
                victim.connect_to(self.address.clone()).await.unwrap();
                // Fails until its own side has noticed the connection.
                match self
                    .control
                    .open_stream(victim.peer_id(), protocol.clone())
                    .await
                {
                    Ok(stream) => break stream,
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
                }
            }
        })
        .await
    }
}
