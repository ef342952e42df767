//! The TLS 1.3 upgrade of a connection, with the cipher that this CPU is fast at.
//!
//! On the wire it is libp2p's `/tls/1.0.0` with libp2p's certificates, and talks to every other
//! implementation of it. What differs from `libp2p-tls` is the order of ciphers: that crate prefers
//! ChaCha20-Poly1305 everywhere, which costs bulk transfers 40 % where the CPU has AES instructions.
//!
//! # Goals
//! AES-128-GCM is used if, and only if, both sides have the instructions for it. A certificate that
//! breaks a rule ends the handshake with an error, never with a panic.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use futures::{AsyncRead, AsyncWrite, FutureExt as _, future::BoxFuture};
use futures_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use libp2p::{
    PeerId,
    core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo},
    identity::Keypair,
};
use libp2p_tls::certificate;
use rustls::{
    CertificateError, ClientConfig, CommonState, DigitallySignedStruct, DistinguishedName,
    OtherError, ServerConfig, SignatureScheme, SupportedCipherSuite,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
};

/// What libp2p says in the ALPN extension.
pub(crate) const LIBP2P_ALPN: &[u8] = b"libp2p";

/// Why a node cannot offer TLS at all.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// No certificate could be made for the identity.
    #[error("cannot make a certificate")]
    Certificate(#[from] certificate::GenError),
    /// The certificate or the ciphers were refused by the TLS library.
    #[error("cannot set up TLS")]
    Rustls(#[from] rustls::Error),
}

/// Why a connection could not be upgraded.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The connection ended, or the other side broke TLS.
    #[error("the TLS handshake failed")]
    Handshake(#[from] io::Error),
    /// There has to be exactly one.
    #[error("the other side showed no certificate, or more than one")]
    CertificateCount,
    /// It does not prove a peer id.
    #[error("the other side's certificate breaks a rule of libp2p")]
    Certificate(#[from] certificate::ParseError),
}

/// The upgrade. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Config {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Config {
    /// For one protocol, which both sides name in the ALPN extension.
    pub(crate) fn new(keypair: &Keypair, alpn: &[u8]) -> Result<Self, TlsSetupError> {
        Self::with_aes(keypair, alpn, cpu_has_aes())
    }

    /// For dialling.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }

    /// For being dialled.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    fn with_aes(keypair: &Keypair, alpn: &[u8], aes: bool) -> Result<Self, TlsSetupError> {
        let (certificate, key) = certificate::generate(keypair)?;
        let key = aws_lc_rs::sign::any_ecdsa_type(&key)?;
        let certified = CertifiedKey::new(vec![certificate], key);
        let resolver = Arc::new(SingleCertAndKey::from(certified));
        let provider = Arc::new(CryptoProvider {
            cipher_suites: ciphers(aes),
            ..aws_lc_rs::default_provider()
        });

        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier))
            .with_client_cert_resolver(resolver.clone());
        client.alpn_protocols = vec![alpn.to_vec()];
        // All peers have the same (empty) server name, so a ticket of one would be shown to all.
        client.resumption = Resumption::disabled();

        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::new(Verifier))
            .with_cert_resolver(resolver);
        server.alpn_protocols = vec![alpn.to_vec()];
        server.send_tls13_tickets = 0;
        // With AES here, the client's first choice shows whether it has AES too. Without, only our
        // own order is good for us.
        server.ignore_client_order = !aes;

        Ok(Self {
            client: Arc::new(client),
            server: Arc::new(server),
        })
    }
}

fn ciphers(aes: bool) -> Vec<SupportedCipherSuite> {
    let [aes_128, aes_256, chacha] = fastest_ciphers();
    if aes {
        vec![aes_128, aes_256, chacha]
    } else {
        vec![chacha, aes_128, aes_256]
    }
}

/// From the library that is fastest here. Where the CPU encrypts several AES blocks at once (VAES) but
/// has no AVX-512, ring takes half the time of AWS-LC, which makes use of VAES with AVX-512 only.
fn fastest_ciphers() -> [SupportedCipherSuite; 3] {
    if cpu_has_vaes_alone() {
        [
            ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
            ring::cipher_suite::TLS13_AES_256_GCM_SHA384,
            ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ]
    } else {
        [
            aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
            aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
            aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ]
    }
}

fn cpu_has_vaes_alone() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::is_x86_feature_detected!("vaes")
        && std::is_x86_feature_detected!("vpclmulqdq")
        && !std::is_x86_feature_detected!("avx512f");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

fn cpu_has_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::is_x86_feature_detected!("aes") && std::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

impl UpgradeInfo for Config {
    type Info = &'static str;
    type InfoIter = std::iter::Once<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once("/tls/1.0.0")
    }
}

impl<C> InboundConnectionUpgrade<C> for Config
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = (PeerId, TlsStream<C>);
    type Error = TlsError;
    type Future = BoxFuture<'static, Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, socket: C, _: Self::Info) -> Self::Future {
        async move {
            let stream = TlsAcceptor::from(self.server).accept(socket).await?;
            let peer = peer_of(stream.get_ref().1)?;
            Ok((peer, stream.into()))
        }
        .boxed()
    }
}

impl<C> OutboundConnectionUpgrade<C> for Config
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = (PeerId, TlsStream<C>);
    type Error = TlsError;
    type Future = BoxFuture<'static, Result<Self::Output, Self::Error>>;

    fn upgrade_outbound(self, socket: C, _: Self::Info) -> Self::Future {
        async move {
            // libp2p's handshake sends no server name, and none is sent for an IP address.
            let name = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::UNSPECIFIED).into());
            let stream = TlsConnector::from(self.client)
                .connect(name, socket)
                .await?;
            let peer = peer_of(stream.get_ref().1)?;
            Ok((peer, stream.into()))
        }
        .boxed()
    }
}

/// The peer id that the other side proved. The caller has to check that it is the expected one.
pub(crate) fn peer_of(state: &CommonState) -> Result<PeerId, TlsError> {
    let Some([certificate]) = state.peer_certificates() else {
        return Err(TlsError::CertificateCount);
    };
    Ok(certificate::parse(certificate)?.peer_id())
}

/// The rules of libp2p: exactly one certificate, signed by itself, whose extension proves the
/// identity. `certificate::parse` checks all of it but the number.
#[derive(Debug)]
struct Verifier;

/// In the order of `libp2p-tls`.
const SCHEMES: &[SignatureScheme] = &[
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PKCS1_SHA512,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA256,
];

fn refused(error: impl std::error::Error + Send + Sync + 'static) -> rustls::Error {
    rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
}

fn verify_certificates(
    certificate: &CertificateDer<'_>,
    more: &[CertificateDer<'_>],
) -> Result<(), rustls::Error> {
    if !more.is_empty() {
        return Err(refused(TlsError::CertificateCount));
    }
    certificate::parse(certificate).map(|_| ()).map_err(refused)
}

fn verify_handshake(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    certificate::parse(certificate)
        .map_err(refused)?
        .verify_signature(signed.scheme, message, signed.signature())
        .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadSignature))?;
    Ok(HandshakeSignatureValid::assertion())
}

fn no_tls12() -> Result<HandshakeSignatureValid, rustls::Error> {
    Err(rustls::PeerIncompatible::Tls12NotOffered.into())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        verify_certificates(certificate, more).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_handshake(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        verify_certificates(certificate, more).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_handshake(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

#[cfg(test)]
mod tests;
