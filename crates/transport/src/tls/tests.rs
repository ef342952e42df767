use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use rustls::CipherSuite;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

use super::*;

type Socket = Compat<tokio::io::DuplexStream>;

fn sockets() -> (Socket, Socket) {
    let (a, b) = tokio::io::duplex(64 * 1024);
    (a.compat(), b.compat())
}

/// Upgrades both ends, sends a byte each way, and returns the peer id that each side saw.
async fn handshake<C, S>(client: C, server: S) -> (PeerId, PeerId, TlsStream<Socket>)
where
    C: OutboundConnectionUpgrade<Socket, Output = (PeerId, TlsStream<Socket>), Info = &'static str>,
    S: InboundConnectionUpgrade<Socket, Output = (PeerId, TlsStream<Socket>), Info = &'static str>,
    C::Error: std::fmt::Debug,
    S::Error: std::fmt::Debug,
{
    let (near, far) = sockets();
    let (client_side, server_side) = tokio::join!(
        client.upgrade_outbound(near, "/tls/1.0.0"),
        server.upgrade_inbound(far, "/tls/1.0.0"),
    );
    let ((server_id, mut near), (client_id, mut far)) =
        (client_side.unwrap(), server_side.unwrap());
    for (from, to) in [(0, 1), (1, 0)] {
        let (ends, mut byte) = ([&mut near, &mut far], [0]);
        ends[from].write_all(b"x").await.unwrap();
        ends[from].flush().await.unwrap();
        ends[to].read_exact(&mut byte).await.unwrap();
        assert_eq!(byte, *b"x");
    }
    (server_id, client_id, near)
}

fn suite(stream: &TlsStream<Socket>) -> CipherSuite {
    stream
        .get_ref()
        .1
        .negotiated_cipher_suite()
        .unwrap()
        .suite()
}

#[tokio::test]
async fn talks_to_libp2p_in_both_directions() {
    let (ours, theirs) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let ids = |client: &Keypair, server: &Keypair| {
        (server.public().to_peer_id(), client.public().to_peer_id())
    };
    for aes in [true, false] {
        let our_config = Config::with_aes(&ours, LIBP2P_ALPN, aes).unwrap();
        let their_config = libp2p_tls::Config::new(&theirs).unwrap();
        let (server, client, _) = handshake(our_config.clone(), their_config.clone()).await;
        assert_eq!((server, client), ids(&ours, &theirs));
        let (server, client, _) = handshake(their_config, our_config).await;
        assert_eq!((server, client), ids(&theirs, &ours));
    }
}

#[tokio::test]
async fn aes_is_used_if_and_only_if_both_sides_have_it() {
    let keypair = Keypair::generate_ed25519();
    for (client, server) in [(true, true), (true, false), (false, true), (false, false)] {
        let client_config = Config::with_aes(&keypair, LIBP2P_ALPN, client).unwrap();
        let server_config = Config::with_aes(&keypair, LIBP2P_ALPN, server).unwrap();
        let (_, _, stream) = handshake(client_config, server_config).await;
        let expected = if client && server {
            CipherSuite::TLS13_AES_128_GCM_SHA256
        } else {
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
        };
        assert_eq!(
            suite(&stream),
            expected,
            "client: {client}, server: {server}"
        );
    }
}

#[tokio::test]
async fn this_machine_uses_what_it_has() {
    let keypair = Keypair::generate_ed25519();
    let config = Config::new(&keypair, LIBP2P_ALPN).unwrap();
    let (_, _, stream) = handshake(config.clone(), config).await;
    let is_aes = suite(&stream) == CipherSuite::TLS13_AES_128_GCM_SHA256;
    assert_eq!(is_aes, cpu_has_aes());
}

/// A client or server that proves nothing.
fn strange(resolver: Arc<SingleCertAndKey>, verifies: bool) -> Config {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier));
    let mut client = if verifies {
        client.with_client_cert_resolver(resolver.clone())
    } else {
        client.with_no_client_auth()
    };
    client.alpn_protocols = vec![LIBP2P_ALPN.to_vec()];
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(Arc::new(Verifier))
        .with_cert_resolver(resolver);
    server.alpn_protocols = vec![LIBP2P_ALPN.to_vec()];
    Config {
        client: Arc::new(client),
        server: Arc::new(server),
    }
}

fn certified(keypair: &Keypair, certificates: usize) -> Arc<SingleCertAndKey> {
    let (certificate, key) = certificate::generate(keypair).unwrap();
    let key = aws_lc_rs::sign::any_ecdsa_type(&key).unwrap();
    Arc::new(CertifiedKey::new(vec![certificate; certificates], key).into())
}

/// Whether our side refuses, as a server and as a client. It must not panic.
async fn is_refused(strange: Config, as_server_too: bool) -> bool {
    let ours = Config::new(&Keypair::generate_ed25519(), LIBP2P_ALPN).unwrap();
    let (near, far) = sockets();
    let (_, inbound) = tokio::join!(
        strange.clone().upgrade_outbound(near, "/tls/1.0.0"),
        ours.clone().upgrade_inbound(far, "/tls/1.0.0"),
    );
    let (near, far) = sockets();
    let (outbound, _) = tokio::join!(
        ours.upgrade_outbound(near, "/tls/1.0.0"),
        strange.upgrade_inbound(far, "/tls/1.0.0"),
    );
    inbound.is_err() && (outbound.is_err() || !as_server_too)
}

#[tokio::test]
async fn strange_certificates_are_refused() {
    let keypair = Keypair::generate_ed25519();
    assert!(
        !is_refused(strange(certified(&keypair, 1), true), true).await,
        "the control"
    );
    assert!(
        is_refused(strange(certified(&keypair, 2), true), true).await,
        "two certificates"
    );
    assert!(
        is_refused(strange(certified(&keypair, 1), false), false).await,
        "no certificate"
    );

    // The certificate of another node, with an own key.
    let (stolen, _) = certificate::generate(&Keypair::generate_ed25519()).unwrap();
    let (_, key) = certificate::generate(&keypair).unwrap();
    let key = aws_lc_rs::sign::any_ecdsa_type(&key).unwrap();
    let stolen = Arc::new(CertifiedKey::new(vec![stolen], key).into());
    assert!(
        is_refused(strange(stolen, true), true).await,
        "a stolen certificate"
    );

    let (_, key) = certificate::generate(&keypair).unwrap();
    let key = aws_lc_rs::sign::any_ecdsa_type(&key).unwrap();
    let garbage = CertificateDer::from(vec![0x30, 0x82, 0xff, 0xff, 0, 1, 2, 3]);
    let garbage = Arc::new(CertifiedKey::new(vec![garbage], key).into());
    assert!(is_refused(strange(garbage, true), true).await, "garbage");
}

#[tokio::test]
async fn garbage_instead_of_a_handshake_is_an_error() {
    for garbage in [
        &b""[..],
        b"GET / HTTP/1.1\r\n\r\n",
        &[0x16, 3, 3, 0xff, 0xff, 1, 0xff],
    ] {
        let config = Config::new(&Keypair::generate_ed25519(), LIBP2P_ALPN).unwrap();
        let (mut near, far) = sockets();
        near.write_all(garbage).await.unwrap();
        near.close().await.unwrap();
        assert!(config.upgrade_inbound(far, "/tls/1.0.0").await.is_err());
    }
}
