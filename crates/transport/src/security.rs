//! TLS or, for peers that do not speak it, Noise.

use futures::{AsyncRead, AsyncWrite, FutureExt as _, future::BoxFuture, future::Either};
use futures_rustls::TlsStream;
use libp2p::{
    PeerId,
    core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo},
    noise,
};

use crate::{
    identity::Identity,
    tls::{self, TlsError, TlsSetupError},
};

/// Why there is no transport.
#[derive(Debug, thiserror::Error)]
pub enum TransportSetupError {
    /// TLS could not be set up.
    #[error(transparent)]
    Tls(#[from] TlsSetupError),
    /// Noise could not be set up.
    #[error("cannot set up Noise")]
    Noise(#[from] noise::Error),
}

const TLS: &str = "/tls/1.0.0";
const NOISE: &str = "/noise";

/// Offers both, TLS first. Cheap to clone.
#[derive(Clone)]
pub(super) struct Security {
    tls: tls::Config,
    noise: noise::Config,
}

/// Why a connection could not be encrypted.
#[derive(Debug, thiserror::Error)]
pub(super) enum SecurityError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the Noise handshake failed")]
    Noise(#[from] noise::Error),
}

/// An encrypted byte stream and the peer id of its other end.
type Secured<C> = (PeerId, Either<TlsStream<C>, noise::Output<C>>);

impl Security {
    pub(super) fn new(identity: &Identity) -> Result<Self, TransportSetupError> {
        let keypair = identity.keypair();
        Ok(Self {
            tls: tls::Config::new(keypair, tls::LIBP2P_ALPN)?,
            noise: noise::Config::new(keypair)?,
        })
    }
}

impl UpgradeInfo for Security {
    type Info = &'static str;
    type InfoIter = std::array::IntoIter<&'static str, 2>;

    fn protocol_info(&self) -> Self::InfoIter {
        [TLS, NOISE].into_iter()
    }
}

impl<C> InboundConnectionUpgrade<C> for Security
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Secured<C>;
    type Error = SecurityError;
    type Future = BoxFuture<'static, Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, socket: C, protocol: Self::Info) -> Self::Future {
        async move {
            if protocol == TLS {
                let (peer, stream) = self.tls.upgrade_inbound(socket, TLS).await?;
                Ok((peer, Either::Left(stream)))
            } else {
                let (peer, stream) = self.noise.upgrade_inbound(socket, NOISE).await?;
                Ok((peer, Either::Right(stream)))
            }
        }
        .boxed()
    }
}

impl<C> OutboundConnectionUpgrade<C> for Security
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Secured<C>;
    type Error = SecurityError;
    type Future = BoxFuture<'static, Result<Self::Output, Self::Error>>;

    fn upgrade_outbound(self, socket: C, protocol: Self::Info) -> Self::Future {
        async move {
            if protocol == TLS {
                let (peer, stream) = self.tls.upgrade_outbound(socket, TLS).await?;
                Ok((peer, Either::Left(stream)))
            } else {
                let (peer, stream) = self.noise.upgrade_outbound(socket, NOISE).await?;
                Ok((peer, Either::Right(stream)))
            }
        }
        .boxed()
    }
}
