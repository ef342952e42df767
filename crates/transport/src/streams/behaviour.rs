use std::{
    collections::{HashMap, VecDeque},
    task::{Context, Poll, Waker},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    swarm::{
        CloseConnection, ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm,
        NetworkBehaviour, NotifyHandler, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        behaviour::ConnectionEstablished,
    },
};

use super::{
    Inbound, Link, NoPlace, Purpose, StreamError, StreamReply, dialled_tcp,
    handler::{Command, Event, Handler},
};
use crate::places::{PlacesConfig, Prefix, SharedPlaces};

type Action = ToSwarm<Inbound, Command>;

/// Opens and accepts streams. Connections that others began have places; one on which no request came
/// for long gives way to another.
pub struct Behaviour {
    places: SharedPlaces,
    connections: HashMap<PeerId, Vec<Connection>>,
    actions: VecDeque<Action>,
    waker: Option<Waker>,
}

struct Connection {
    id: ConnectionId,
    is_relayed: bool,
    may_have_lanes: bool,
}

impl Behaviour {
    /// `inbound`: connections that others may have begun.
    pub fn new(inbound: u32) -> Self {
        Self {
            places: SharedPlaces::new(PlacesConfig::new(inbound as usize)),
            connections: HashMap::new(),
            actions: VecDeque::new(),
            waker: None,
        }
    }

    /// Opens a stream on the best connection to a peer: a direct one before a relayed one, an old
    /// one before a new one, which may be about to be closed as a duplicate. For a lane it has to be
    /// one that this side has dialled over TCP.
    pub fn open(&mut self, peer: PeerId, purpose: Purpose, reply: StreamReply) {
        let connections = self.connections.get(&peer).map_or(&[][..], Vec::as_slice);
        match connections
            .iter()
            .filter(|connection| purpose != Purpose::Lane || connection.may_have_lanes)
            .min_by_key(|connection| connection.is_relayed)
        {
            Some(connection) => self.notify(peer, connection.id, Command::Open(purpose, reply)),
            // Fails only if the caller no longer waits.
            None => drop(reply.send(Err(StreamError::NotConnected))),
        }
    }

    /// Keeps the connections to a peer open while they are idle, or no longer.
    pub fn keep(&mut self, peer: PeerId, keep: bool) {
        let connections = self.connections.get(&peer).map_or(&[][..], Vec::as_slice);
        let ids: Vec<_> = connections.iter().map(|connection| connection.id).collect();
        for id in ids {
            self.notify(peer, id, Command::Keep(keep));
        }
    }

    fn notify(&mut self, peer_id: PeerId, connection: ConnectionId, event: Command) {
        let handler = NotifyHandler::One(connection);
        self.actions.push_back(ToSwarm::NotifyHandler {
            peer_id,
            handler,
            event,
        });
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn connected(&mut self, event: ConnectionEstablished<'_>) {
        let ConnectionEstablished {
            peer_id,
            connection_id: id,
            endpoint,
            ..
        } = event;
        let connection = Connection {
            id,
            is_relayed: endpoint.is_relayed(),
            may_have_lanes: matches!(
                endpoint,
                ConnectedPoint::Dialer { address, role_override, .. }
                    if dialled_tcp(address, *role_override).is_some()
            ),
        };
        self.connections
            .entry(peer_id)
            .or_default()
            .push(connection);
    }

    fn closed(&mut self, peer: PeerId, id: ConnectionId) {
        if let Some(connections) = self.connections.get_mut(&peer) {
            connections.retain(|connection| connection.id != id);
            if connections.is_empty() {
                self.connections.remove(&peer);
            }
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Inbound;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        own: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let place = self.places.enter(Prefix::of_remote(remote));
        let place = place.ok_or_else(|| ConnectionDenied::new(NoPlace))?;
        Ok(Handler::new(Link::from(remote, own, place)))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(Link::to(address, role)))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(event) => self.connected(event),
            FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id,
                connection_id,
                ..
            }) => {
                self.closed(peer_id, connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.actions.push_back(match event {
            Event::Opened(purpose, opened) => ToSwarm::GenerateEvent(Inbound {
                peer,
                purpose,
                opened,
            }),
            Event::LostPlace => ToSwarm::CloseConnection {
                peer_id: peer,
                connection: CloseConnection::One(id),
            },
        });
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.actions.pop_front() {
            Some(action) => Poll::Ready(action),
            None => {
                self.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
