//! Where a gateway listens, and which requests it answers.

use std::net::SocketAddr;

use crate::token::Token;

/// Where a gateway listens, and which requests it answers.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// The address to listen on.
    pub address: SocketAddr,
    /// The token that requests must carry. Without one, every client that can reach the address is
    /// answered, and the address must be a loopback address.
    pub token: Option<Token>,
    /// Names and addresses by which the gateway is reached beside the loopback ones and its own,
    /// such as those of a proxy in front of it; without port.
    pub names: Vec<String>,
    /// The token that is sent to the upstream for callers that have `token`: their one header for a
    /// token is taken.
    pub upstream_token: Option<Token>,
}
