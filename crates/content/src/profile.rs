//! Profiles: what a publisher says of itself, and the list of its repos.
//!
//! A [head](crate::Head) whose subject is a profile names its hash. Domains in it answer the claim of a
//! DNS record: only a domain that both name counts.
//!
//! Source: `proto/head.proto`.

use crate::{
    encoding::{NotCanonical, Reader, bytes_tag, number_tag, put_bytes, put_number, put_text},
    hash::DocumentHash,
    identity::PublisherId,
    repo::{RepoId, RepoIdError, RepoKind},
};

/// Bytes of an encoded profile.
pub const PROFILE_BYTES_MAX: usize = 1024 * 1024;

/// Repos of a profile.
pub const PROFILE_REPOS_MAX: usize = 10_000;

/// Domains of a profile.
pub const DOMAINS_MAX: usize = 4;

/// Bytes of a domain (RFC 1035, 2.3.4).
pub const DOMAIN_BYTES_MAX: usize = 253;

/// Peers of a profile.
pub const PROFILE_PEERS_MAX: usize = 16;

/// Bytes of the id of a peer: those of an RSA key, the longest, are a multihash of 34 bytes; those of an
/// Ed25519 key have 38.
pub const PEER_ID_BYTES_MAX: usize = 64;

/// Bytes of a full name.
pub const FULL_NAME_BYTES_MAX: usize = 256;

/// The only version of the encoding.
const VERSION: u64 = 1;

const TAG_VERSION: u8 = number_tag(1);
const TAG_PUBLISHER: u8 = bytes_tag(2);
const TAG_HANDLE: u8 = bytes_tag(3);
const TAG_FULL_NAME: u8 = bytes_tag(4);
const TAG_DOMAIN: u8 = bytes_tag(5);
const TAG_PEER: u8 = bytes_tag(6);
const TAG_REPO: u8 = bytes_tag(7);

const TAG_REPO_KIND: u8 = number_tag(1);
const TAG_REPO_NAME: u8 = bytes_tag(2);

/// Why bytes or values are not a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// More than [`PROFILE_BYTES_MAX`] bytes.
    #[error("a profile has at most {PROFILE_BYTES_MAX} bytes")]
    TooLarge,
    /// The handle breaks a rule of namespaces.
    #[error("the handle: {0}")]
    Handle(#[source] RepoIdError),
    /// A full name of more than [`FULL_NAME_BYTES_MAX`] bytes, or with a control character.
    #[error("a full name has at most {FULL_NAME_BYTES_MAX} bytes and no control characters")]
    FullName,
    /// More than [`DOMAINS_MAX`] domains, or one that is none.
    #[error("a profile has at most {DOMAINS_MAX} domains, in lower case, such as \"acme.com\"")]
    Domain,
    /// More than [`PROFILE_PEERS_MAX`] peers, or one that is empty or too long.
    #[error("a profile has at most {PROFILE_PEERS_MAX} peers")]
    Peer,
    /// More than [`PROFILE_REPOS_MAX`] repos, or one with a namespace or twice.
    #[error("a profile has at most {PROFILE_REPOS_MAX} repos, sorted, each of them once")]
    Repos,
    /// The bytes are not in the canonical encoding; holds the offset of the first deviation.
    #[error("not a profile in canonical encoding (at byte {0})")]
    Encoding(usize),
}

impl From<NotCanonical> for ProfileError {
    fn from(NotCanonical(at): NotCanonical) -> Self {
        Self::Encoding(at)
    }
}

/// What a publisher says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The publisher.
    pub publisher: PublisherId,
    /// The namespace that it proposes for itself. Readers decide what they call it.
    pub handle: String,
    /// A name for people; may be empty.
    pub full_name: String,
    /// Domains whose DNS may name it, in lower case.
    pub domains: Vec<String>,
    /// Ids of peers that hold its repos, as bytes.
    pub peers: Vec<Vec<u8>>,
    /// Its public repos, without a namespace, sorted.
    pub repos: Vec<RepoId>,
}

impl Profile {
    /// The hash that a head names.
    ///
    /// # Errors
    /// As [`Profile::encode`].
    pub fn hash(&self) -> Result<DocumentHash, ProfileError> {
        Ok(DocumentHash::of(&self.encode()?))
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// If a rule or limit is broken.
    pub fn encode(&self) -> Result<Vec<u8>, ProfileError> {
        self.check()?;
        let mut out = Vec::new();
        put_number(&mut out, TAG_VERSION, VERSION);
        put_bytes(&mut out, TAG_PUBLISHER, self.publisher.as_bytes());
        put_text(&mut out, TAG_HANDLE, &self.handle);
        put_text(&mut out, TAG_FULL_NAME, &self.full_name);
        for domain in &self.domains {
            put_text(&mut out, TAG_DOMAIN, domain);
        }
        for peer in &self.peers {
            put_bytes(&mut out, TAG_PEER, peer);
        }
        let mut buffer = Vec::new();
        for repo in &self.repos {
            buffer.clear();
            put_number(&mut buffer, TAG_REPO_KIND, repo.kind().number());
            put_text(&mut buffer, TAG_REPO_NAME, repo.name());
            put_bytes(&mut out, TAG_REPO, &buffer);
        }
        if out.len() > PROFILE_BYTES_MAX {
            return Err(ProfileError::TooLarge);
        }
        Ok(out)
    }

    /// Decodes the output of [`Profile::encode`], and refuses every other encoding.
    ///
    /// # Errors
    /// If a rule or limit is broken; nothing is allocated from declared lengths.
    pub fn decode(bytes: &[u8]) -> Result<Self, ProfileError> {
        if bytes.len() > PROFILE_BYTES_MAX {
            return Err(ProfileError::TooLarge);
        }
        let mut reader = Reader::new(bytes);
        if reader.number(TAG_VERSION)? != VERSION {
            return Err(ProfileError::Encoding(0));
        }
        let publisher = reader.fixed(TAG_PUBLISHER, PublisherId::from_slice)?;
        let publisher = publisher.ok_or(ProfileError::Encoding(reader.at()))?;
        let handle = reader.text(TAG_HANDLE)?.to_owned();
        let full_name = reader.text(TAG_FULL_NAME)?.to_owned();
        let mut domains = Vec::new();
        while reader.peek() == Some(TAG_DOMAIN) {
            if domains.len() == DOMAINS_MAX {
                return Err(ProfileError::Domain);
            }
            domains.push(reader.text(TAG_DOMAIN)?.to_owned());
        }
        let mut peers = Vec::new();
        while let Some(peer) = reader.field(TAG_PEER)? {
            if peers.len() == PROFILE_PEERS_MAX {
                return Err(ProfileError::Peer);
            }
            peers.push(peer.to_vec());
        }
        let mut repos = Vec::new();
        while let Some(bytes) = reader.field(TAG_REPO)? {
            if repos.len() == PROFILE_REPOS_MAX {
                return Err(ProfileError::Repos);
            }
            repos.push(decode_repo(bytes).ok_or(ProfileError::Encoding(reader.at()))?);
        }
        reader.end()?;
        let profile = Self {
            publisher,
            handle,
            full_name,
            domains,
            peers,
            repos,
        };
        profile.check()?;
        Ok(profile)
    }

    fn check(&self) -> Result<(), ProfileError> {
        check_handle(&self.handle)?;
        if self.full_name.len() > FULL_NAME_BYTES_MAX || self.full_name.contains(char::is_control) {
            return Err(ProfileError::FullName);
        }
        if self.domains.len() > DOMAINS_MAX || !self.domains.iter().all(|name| is_domain(name)) {
            return Err(ProfileError::Domain);
        }
        let is_peer = |peer: &Vec<u8>| (1..=PEER_ID_BYTES_MAX).contains(&peer.len());
        if self.peers.len() > PROFILE_PEERS_MAX || !self.peers.iter().all(is_peer) {
            return Err(ProfileError::Peer);
        }
        let is_bare = |repo: &RepoId| repo.namespace().is_none();
        if self.repos.len() > PROFILE_REPOS_MAX
            || !self.repos.is_sorted_by(|a, b| a < b)
            || !self.repos.iter().all(is_bare)
        {
            return Err(ProfileError::Repos);
        }
        Ok(())
    }
}

/// A handle has to work as a namespace, and must not look like the id of a publisher.
fn check_handle(handle: &str) -> Result<(), ProfileError> {
    RepoId::new(RepoKind::Model, &format!("{handle}/x")).map_err(ProfileError::Handle)?;
    if handle.parse::<PublisherId>().is_ok() {
        return Err(ProfileError::Handle(RepoIdError::Reserved));
    }
    Ok(())
}

/// Whether a text is a domain in lower case, with at least one dot (RFC 1035, 2.3.1; digits may begin a
/// label, RFC 1123, 2.1).
pub fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(is_allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= DOMAIN_BYTES_MAX && text.contains('.') && text.split('.').all(is_label)
}

fn decode_repo(bytes: &[u8]) -> Option<RepoId> {
    let mut reader = Reader::new(bytes);
    let kind = RepoKind::from_number(reader.number(TAG_REPO_KIND).ok()?)?;
    let name = reader.text(TAG_REPO_NAME).ok()?;
    reader.end().ok()?;
    RepoId::new(kind, name).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Profile {
        let repo = |text: &str| text.parse::<RepoId>().unwrap();
        Profile {
            publisher: PublisherId::new([1; 32]),
            handle: "acme".into(),
            full_name: "Ácme & Co".into(),
            domains: vec!["acme.com".into()],
            peers: vec![vec![2; 38]],
            repos: vec![repo("Mini"), repo("x"), repo("datasets/x")],
        }
    }

    #[test]
    fn bytes_and_back() {
        let bare = Profile {
            full_name: String::new(),
            domains: Vec::new(),
            peers: Vec::new(),
            repos: Vec::new(),
            ..sample()
        };
        for profile in [sample(), bare] {
            let bytes = profile.encode().unwrap();
            assert_eq!(Profile::decode(&bytes), Ok(profile));
        }
    }

    #[test]
    fn limits_and_rules() {
        let refused = |change: fn(&mut Profile)| {
            let mut profile = sample();
            change(&mut profile);
            profile.encode().unwrap_err()
        };
        assert_eq!(
            refused(|profile| profile.handle = "a/b".into()),
            ProfileError::Handle(RepoIdError::Segments)
        );
        assert_eq!(
            refused(|profile| profile.handle = PublisherId::new([3; 32]).to_string()),
            ProfileError::Handle(RepoIdError::Reserved)
        );
        assert_eq!(
            refused(|profile| profile.handle.clear()),
            ProfileError::Handle(RepoIdError::Length)
        );
        assert_eq!(
            refused(|profile| profile.full_name = "a\u{1b}[2J".into()),
            ProfileError::FullName
        );
        assert_eq!(
            refused(|profile| profile.repos.reverse()),
            ProfileError::Repos
        );
        assert_eq!(
            refused(|profile| profile.repos = vec!["a/b".parse().unwrap()]),
            ProfileError::Repos
        );
        assert_eq!(
            refused(|profile| profile.peers = vec![Vec::new()]),
            ProfileError::Peer
        );
        assert_eq!(
            refused(|profile| profile.peers = vec![vec![1]; 17]),
            ProfileError::Peer
        );
        assert_eq!(
            refused(|profile| profile.domains = vec!["a.b".into(); 5]),
            ProfileError::Domain
        );
    }

    #[test]
    fn domains() {
        for right in ["acme.com", "a-b.c0.example", "1.2"] {
            assert!(is_domain(right), "{right}");
        }
        let long = format!("{}.com", "a".repeat(64));
        for wrong in [
            "", "acme", "Acme.com", ".com", "a..b", "-a.b", "a-.b", "a_b.c", "a.b.", "ä.de", &long,
        ] {
            assert!(!is_domain(wrong), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_accepted_encoding_is_the_canonical_one(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let mut bytes = sample().encode().unwrap();
            for (at, value) in edits {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if let Ok(profile) = Profile::decode(&bytes) {
                prop_assert_eq!(profile.encode(), Ok(bytes));
            }
        }
    }
}
