//! Domains that name a publisher: a TXT record at `_hubless.DOMAIN` with `publisher=<id>`.
//!
//! The owner of a domain may claim any publisher, so the claim counts only if the publisher's
//! profile lists the domain too; that is checked where both are known (see `namespaces`).
//!
//! Answers are kept for a minute, failures and absences as well: a client that asks for many files of a
//! repo causes one lookup. The count of kept answers and of lookups at once is bounded, because clients
//! choose the domains.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use hubless_content::{PublisherId, is_domain};
use hubless_network::{TxtError, TxtResolver};
use hubless_sync::lock;
use tokio::sync::Semaphore;

/// How long an answer, a failure or an absence is used again.
const KEPT: Duration = Duration::from_secs(60);

/// Answers that are kept: about 100 bytes each. Further ones displace all that are older.
const KEPT_MAX: usize = 4_096;

/// Lookups at once.
const LOOKUPS_MAX: usize = 32;

/// The label below which a domain names its publisher.
const LABEL: &str = "_hubless";

/// What a record begins with.
const KEY: &[u8] = b"publisher=";

/// Why a domain names no publisher, though it may have one.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DnsError {
    /// The DNS gave no answer.
    #[error("{LABEL}.{domain} could not be looked up")]
    Lookup {
        /// The domain.
        domain: String,
        /// Why.
        source: TxtError,
    },
    /// A record that begins as one of ours, but has no id.
    #[error("the TXT record of {LABEL}.{domain} has no id of a publisher")]
    Malformed {
        /// The domain.
        domain: String,
    },
    /// Records that name different publishers.
    #[error("the TXT records of {LABEL}.{domain} name several publishers")]
    Several {
        /// The domain.
        domain: String,
    },
}

impl DnsError {
    /// Whether the same lookup may succeed a little later.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Lookup { .. } => true,
            Self::Malformed { .. } | Self::Several { .. } => false,
        }
    }
}

type Answer = Result<Option<PublisherId>, DnsError>;

/// Asks the DNS for publishers.
#[derive(Debug)]
pub struct Dns {
    resolver: TxtResolver,
    kept: Mutex<HashMap<String, (Instant, Answer)>>,
    lookups: Semaphore,
}

impl Dns {
    /// Asks through `resolver`.
    pub fn new(resolver: TxtResolver) -> Self {
        Self {
            resolver,
            kept: Mutex::default(),
            lookups: Semaphore::new(LOOKUPS_MAX),
        }
    }

    /// The publisher that a domain names; `None` if it names none.
    ///
    /// # Errors
    /// If the lookup fails, or the records are contradictory.
    pub async fn publisher(&self, domain: &str) -> Answer {
        if let Some(answer) = self.kept(domain) {
            return answer;
        }
        let _place = self.lookups.acquire().await;
        // Another caller may have asked meanwhile.
        if let Some(answer) = self.kept(domain) {
            return answer;
        }
        let texts = self.resolver.texts(&format!("{LABEL}.{domain}")).await;
        let answer = texts
            .map_err(|source| DnsError::Lookup {
                domain: domain.to_owned(),
                source,
            })
            .and_then(|texts| read(domain, &texts));
        self.keep(domain, answer.clone());
        answer
    }

    fn kept(&self, domain: &str) -> Option<Answer> {
        let kept = lock(&self.kept);
        let (since, answer) = kept.get(domain)?;
        (since.elapsed() < KEPT).then(|| answer.clone())
    }

    fn keep(&self, domain: &str, answer: Answer) {
        let mut kept = lock(&self.kept);
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, (since, _)| since.elapsed() < KEPT);
        }
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(domain.to_owned(), (Instant::now(), answer));
    }
}

/// The domain that a folded namespace may be: one with a dot whose last label is no number, as that of
/// every top-level domain (RFC 3696, 2). `v1.0` is a namespace and no domain.
pub fn domain_of(folded: &str) -> Option<&str> {
    let (_, last) = folded.rsplit_once('.')?;
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
    (is_domain(folded) && !is_number).then_some(folded)
}

/// The publisher that the texts of a domain name. Texts of others are left alone.
fn read(domain: &str, texts: &[Vec<u8>]) -> Answer {
    let mut found = None;
    for value in texts.iter().filter_map(|text| text.strip_prefix(KEY)) {
        let text = std::str::from_utf8(value).unwrap_or_default();
        let publisher = text.trim().parse::<PublisherId>().map_err(|_| {
            let domain = domain.to_owned();
            DnsError::Malformed { domain }
        })?;
        match found {
            Some(other) if other != publisher => {
                let domain = domain.to_owned();
                return Err(DnsError::Several { domain });
            }
            _ => found = Some(publisher),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use hubless_testkit::dns::DnsServer;

    use super::*;

    #[test]
    fn the_record_of_a_domain_among_others() {
        let id = |seed: u8| PublisherId::new([seed; 32]);
        let read = |texts: &[String]| {
            let texts: Vec<_> = texts.iter().map(|text| text.clone().into_bytes()).collect();
            super::read("acme.com", &texts)
        };
        let ours = |seed| format!("publisher={}", id(seed));
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&["v=spf1 -all".into()]).unwrap(), None);
        assert_eq!(
            read(&["v=spf1 -all".into(), ours(1), ours(1)]).unwrap(),
            Some(id(1))
        );
        assert!(matches!(
            read(&[ours(1), ours(2)]),
            Err(DnsError::Several { .. })
        ));
        assert!(matches!(
            read(&[ours(1), "publisher=acme".into()]),
            Err(DnsError::Malformed { .. })
        ));
    }

    #[tokio::test]
    async fn a_domain_is_looked_up_once_a_minute_at_most() {
        let server = DnsServer::start();
        let id = PublisherId::new([1; 32]);
        let record = format!("publisher={id}");
        server.set("_hubless.acme.com", &["v=spf1 -all", &record]);
        let dns = Dns::new(TxtResolver::at(server.address()));
        assert_eq!(dns.publisher("acme.com").await.unwrap(), Some(id));
        assert_eq!(dns.publisher("none.example").await.unwrap(), None);
        let asked = server.asked();
        server.set("_hubless.acme.com", &[]);
        for _ in 0..3 {
            assert_eq!(dns.publisher("acme.com").await.unwrap(), Some(id));
            assert_eq!(dns.publisher("none.example").await.unwrap(), None);
        }
        assert_eq!(server.asked(), asked, "answers and absences are kept");
        assert!(asked.contains(&"_hubless.acme.com".to_owned()), "{asked:?}");
    }

    #[tokio::test]
    async fn a_silent_resolver_is_waited_for_once() {
        let server = DnsServer::start();
        server.be_silent(true);
        let dns = Dns::new(TxtResolver::at(server.address()));
        let begin = Instant::now();
        let error = dns.publisher("acme.com").await.unwrap_err();
        assert!(error.is_temporary(), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(6));
        let asked = server.asked().len();
        dns.publisher("acme.com").await.unwrap_err();
        assert_eq!(server.asked().len(), asked);
    }

    #[tokio::test]
    async fn kept_answers_are_bounded() {
        let dns = Dns::new(TxtResolver::of_system());
        for at in 0..=KEPT_MAX {
            dns.keep(&format!("{at}.example"), Ok(None));
        }
        assert!(lock(&dns.kept).len() <= KEPT_MAX);
    }

    #[test]
    fn namespaces_that_may_be_domains() {
        for domain in ["acme.com", "a.b.example", "a-1.example"] {
            assert_eq!(domain_of(domain), Some(domain));
        }
        for namespace in ["acme", "v1.0", "1.2.3.4", "a_b.com", "a.-b"] {
            assert_eq!(domain_of(namespace), None, "{namespace}");
        }
    }
}
