//! TXT records of the DNS: texts that the owner of a domain publishes.
//!
//! A lookup is a question to the resolver that the system or the configuration names, and opens no
//! connection to the domain itself: a name that a stranger wrote lets this node call no host of the
//! stranger's choice.
//!
//! # Not here
//! What the texts mean, and how long an answer holds (see `names`).

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{Name, RData, RecordType},
};

/// How long a lookup takes at most: a client of the gateway waits 10 s for all of an answer.
const WITHIN: Duration = Duration::from_secs(3);

/// How long the resolver waits for one server, so that a second attempt is possible in time.
const ATTEMPT_WITHIN: Duration = Duration::from_millis(1_400);

/// Attempts of one lookup.
const ATTEMPTS: usize = 1;

/// Texts of one domain that are read; a domain has a few for each service that it uses.
const TEXTS_MAX: usize = 256;

/// Looks up texts.
pub struct TxtResolver {
    /// `None` for the resolvers of the system.
    server: Option<SocketAddr>,
    /// Made for the first lookup: most processes need none.
    made: OnceLock<Result<TokioResolver, TxtError>>,
}

impl std::fmt::Debug for TxtResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TxtResolver")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// Why the texts of a domain are not known.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TxtError {
    /// The resolvers that the system is configured with could not be read.
    #[error("the DNS resolvers of this system are not known")]
    System(#[source] Arc<NetError>),
    /// No resolver answered in time.
    #[error("no DNS resolver answered within {} s", WITHIN.as_secs())]
    Silent,
    /// A resolver answered with an error, or could not be asked.
    #[error("the DNS resolver failed")]
    Failed(#[source] Arc<NetError>),
}

impl TxtResolver {
    /// Asks the resolvers that the system is configured with.
    pub fn of_system() -> Self {
        Self {
            server: None,
            made: OnceLock::new(),
        }
    }

    /// Asks the resolver at an address, over UDP, and over TCP if an answer is long.
    pub fn at(server: SocketAddr) -> Self {
        Self {
            server: Some(server),
            made: OnceLock::new(),
        }
    }

    /// The texts of a domain; none if the domain has none or does not exist.
    ///
    /// # Errors
    /// If no resolver answers within three seconds, or one answers with an error.
    pub async fn texts(&self, domain: &str) -> Result<Vec<Vec<u8>>, TxtError> {
        let failed = |error| TxtError::Failed(Arc::new(error));
        // The dot at the end keeps the system's search domains away.
        let name = Name::from_ascii(format!("{domain}.")).map_err(|error| failed(error.into()))?;
        let resolver = self.made.get_or_init(|| make(self.server)).as_ref();
        let lookup = resolver
            .map_err(Clone::clone)?
            .lookup(name, RecordType::TXT);
        let found = match tokio::time::timeout(WITHIN, lookup).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) if error.is_no_records_found() => return Ok(Vec::new()),
            Ok(Err(NetError::Timeout)) | Err(_) => return Err(TxtError::Silent),
            Ok(Err(error)) => return Err(failed(error)),
        };
        let texts = found
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::TXT(text) => Some(text.txt_data.concat()),
                _ => None,
            });
        Ok(texts.take(TEXTS_MAX).collect())
    }
}

fn make(server: Option<SocketAddr>) -> Result<TokioResolver, TxtError> {
    let system = |error| TxtError::System(Arc::new(error));
    let mut builder = match server {
        None => TokioResolver::builder_tokio().map_err(system)?,
        Some(server) => {
            let provider = TokioRuntimeProvider::default();
            TokioResolver::builder_with_config(only(server), provider)
        }
    };
    let options = builder.options_mut();
    options.timeout = ATTEMPT_WITHIN;
    options.attempts = ATTEMPTS;
    options.use_hosts_file = ResolveHosts::Never;
    // Callers keep answers, failures too.
    options.cache_size = 0;
    builder.build().map_err(system)
}

/// The configuration with one server.
fn only(server: SocketAddr) -> ResolverConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    let server = NameServerConfig::new(server.ip(), true, connections.into());
    ResolverConfig::from_name_servers(vec![server])
}
