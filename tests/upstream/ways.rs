//! The way to the hub: through a proxy, and to a hub whose certificate no public authority signed.

use std::{
    fs,
    io::{self, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    thread,
};

use hubless_testkit::process::{Lab, text};
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, KeyPair};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned, crypto::aws_lc_rs, pki_types::PrivatePkcs8KeyDer,
};

use super::{
    HUBLESS, file, gateway,
    http::{Answer, get, lines, pass_on},
    hub,
    hub::Hub,
    weights,
};

/// A name that no DNS server knows: only a proxy can lead to it.
const NAME: &str = "hub.example";

/// Listens in a thread that ends with the test's process; returns its address.
fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let own = listener.local_addr().expect("a bound socket");
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(client));
        }
    });
    own.to_string()
}

/// Sends a request's head to a server, and forwards the response.
fn relay(head: &[String], mut client: impl Write, server: &str) -> io::Result<()> {
    let mut server = TcpStream::connect(server)?;
    server.write_all(format!("{}\r\n\r\n", head.join("\r\n")).as_bytes())?;
    io::copy(&mut server, &mut client)?;
    client.flush()
}

fn host(hub: &Hub) -> String {
    let host = hub.url.strip_prefix("http://").expect("an HTTP URL");
    host.to_owned()
}

/// A forward proxy that leads every request to one server.
struct Proxy {
    url: String,
    asked_for: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn to(server: String) -> Self {
        let asked_for = Arc::<Mutex<Vec<String>>>::default();
        let noted = asked_for.clone();
        let own = listen(move |client| {
            let head = lines(&mut BufReader::new(&client));
            let Some(first) = head.first().cloned() else {
                return;
            };
            let is_tunnel = first.starts_with("CONNECT ");
            lock(&noted).push(first);
            // The client may disconnect.
            let _ = match is_tunnel {
                true => tunnel(&client, &server),
                false => relay(&head, &client, &server),
            };
        });
        Self {
            url: format!("http://{own}"),
            asked_for,
        }
    }

    /// The first lines of the received requests.
    fn asked_for(&self) -> Vec<String> {
        lock(&self.asked_for).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tunnel(mut client: &TcpStream, server: &str) -> io::Result<()> {
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    pass_on(client, server, &AtomicU64::new(0));
    Ok(())
}

/// A certificate authority that only the test knows.
struct Authority {
    certificate: Certificate,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut about = CertificateParams::default();
        about.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = about.self_signed(&key).expect("a certificate");
        Self { certificate, key }
    }

    /// Its certificate, in a file.
    fn file(&self, path: &Path) -> PathBuf {
        fs::write(path, self.certificate.pem()).expect("the lab's directory");
        path.to_owned()
    }

    /// The TLS configuration of a server with these names.
    fn server(&self, names: &[&str]) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let about = CertificateParams::new(names).expect("names");
        let certificate = about.signed_by(&key, &self.certificate, &self.key);
        let chain = vec![certificate.expect("a certificate").der().clone()];
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(chain, key.into());
        Arc::new(config.expect("a key that fits"))
    }
}

/// Listens with TLS in front of a hub; returns its address.
fn encrypted(hub: &Hub, config: Arc<ServerConfig>) -> String {
    let server = host(hub);
    listen(move |client| {
        let connection = ServerConnection::new(config.clone()).expect("a configuration");
        let mut client = StreamOwned::new(connection, client);
        let head = lines(&mut BufReader::new(&mut client));
        // A client that does not trust the certificate sends nothing.
        if relay(&head, &mut client, &server).is_ok() {
            client.conn.send_close_notify();
            let _ = client.flush();
        }
    })
}

/// The response of a node with this upstream URL and these variables.
fn ask(upstream: &str, variables: &[(&'static str, &str)]) -> Answer {
    let lab = Lab::new(HUBLESS);
    let machine = lab.machine("mirror").with("HUBLESS_GATEWAY", "127.0.0.1:0");
    let machine = variables
        .iter()
        .fold(machine, |machine, &(name, value)| machine.with(name, value));
    let node = machine.serve(&["--upstream", upstream]);
    get(gateway(&node), &file("weights.bin"))
}

fn assert_came(answer: &Answer) {
    let all_came = answer.whole && answer.body == weights();
    assert!(
        all_came,
        "{}: {}",
        answer.status,
        answer.header("x-error-message")
    );
}

#[test]
fn a_proxy_leads_to_the_upstream() {
    let hub = hub();
    let proxy = Proxy::to(host(&hub));
    let variables = [("HTTP_PROXY", &*proxy.url), ("NO_PROXY", "other.example")];
    assert_came(&ask(&format!("http://{NAME}"), &variables));
    let asked_for = proxy.asked_for();
    assert_eq!(asked_for.len(), hub.requests("").len());
    let through = |line: &String| line.starts_with(&format!("GET http://{NAME}/"));
    assert!(asked_for.iter().all(through), "{asked_for:?}");
}

#[test]
fn what_needs_no_proxy_is_asked_directly() {
    let hub = hub();
    let proxy = Proxy::to(host(&hub));
    let variables = [("HTTP_PROXY", &*proxy.url), ("NO_PROXY", "127.0.0.1")];
    assert_came(&ask(&hub.url, &variables));
    assert_eq!(proxy.asked_for(), [""; 0]);
}

#[test]
fn an_authority_of_ones_own_is_trusted_if_a_file_names_it() {
    let (lab, hub) = (Lab::new(HUBLESS), hub());
    let [own, other] = [Authority::new(), Authority::new()];
    let server = encrypted(&hub, own.server(&[NAME, "127.0.0.1"]));
    let own = own.file(&lab.path("own.pem"));
    let other = other.file(&lab.path("other.pem"));
    let direct = format!("https://{server}");
    let trusting = |file| [("SSL_CERT_FILE", text(file)), ("NO_PROXY", "*")];

    let refused = ask(&direct, &trusting(&other));
    assert_eq!(refused.status, 502);
    let why = String::from_utf8_lossy(&refused.body);
    assert!(why.contains("certificate"), "{why}");
    assert!(why.contains("SSL_CERT_FILE"), "what to do: {why}");
    assert_eq!(hub.requests("").len(), 0);
    assert_came(&ask(&direct, &trusting(&own)));

    // The same behind a proxy, which forwards encrypted bytes.
    let proxy = Proxy::to(server);
    let variables = [
        ("SSL_CERT_FILE", text(&own)),
        ("HTTPS_PROXY", &proxy.url),
        ("NO_PROXY", ""),
    ];
    assert_came(&ask(&format!("https://{NAME}"), &variables));
    let asked_for = proxy.asked_for();
    let tunnel = format!("CONNECT {NAME}:443 HTTP/1.1");
    assert!(!asked_for.is_empty() && asked_for.iter().all(|line| *line == tunnel));
}
