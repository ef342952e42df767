//! What a command is about, as people write it: a hash, a ticket or a name.

use std::{fmt, path::Path, time::Duration};

use hubless_content::{ContentHash, RepoId, RepoIdError};
use hubless_node::{
    NameAt, Ticket,
    api::{FailureKind, Multiaddr, Sources},
};

use crate::{
    failure::{Failure, with_causes},
    parse::{not_a_name, parse_hash, parse_repo, parse_ticket},
};

/// Prefix that marks what follows as a name.
const NAME_PREFIX: &str = "hf:";

/// Prefix that marks the namespace of a name as a domain: only the DNS says which publisher it is.
const DOMAIN_PREFIX: char = '@';

/// Digits of a hash's beginning: fewer would mean another model soon.
const BEGINNING_MIN: usize = 4;

/// The scheme of tickets.
const SCHEME: &str = "hubless:";

/// The branch that a name without a revision means.
pub(crate) const MAIN: &str = "main";

/// Digits of a whole hash.
const HASH_DIGITS: usize = 64;

/// A model: by its address, or by a name that this node knows.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// Its address, and perhaps where to ask.
    Ticket(Ticket),
    /// The beginning of the address of a model that is here, in lower case.
    Beginning(String),
    /// A name.
    Name(Name),
}

/// A name, and a branch, tag or commit id of it.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    /// The repo.
    pub(crate) repo: RepoId,
    /// Behind the `@`, or main.
    pub(crate) revision: String,
    /// What may say which publisher the namespace is.
    pub(crate) sources: Sources,
    /// Where a ticket says that it is.
    pub(crate) peers: Vec<Multiaddr>,
    /// States that the publisher confirmed longer ago are refused.
    pub(crate) max_age: Option<Duration>,
}

impl What {
    /// Reads `HASH` or its beginning, a ticket of a hash or a name, `ORG/NAME[@REV]`,
    /// `hf:ORG/NAME[@REV]` or `@DOMAIN/NAME[@REV]`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        if let Some(failure) = misread(text) {
            return Err(failure);
        }
        if is_beginning(text) {
            return Ok(Self::Beginning(text.to_ascii_lowercase()));
        }
        if is_name(text) {
            return Name::parse(text).map(Self::Name);
        }
        parse_ticket(text).map(Self::Ticket)
    }

    /// The same; a name is asked of these peers too, and refused if it was confirmed longer ago than
    /// `max_age`.
    pub(crate) fn asked(&self, peers: Vec<Multiaddr>, max_age: Option<Duration>) -> Self {
        let mut what = self.clone();
        if let Self::Name(name) = &mut what {
            name.peers.extend(peers);
            name.max_age = max_age;
        }
        what
    }

    /// Reads `HASH` or its beginning.
    pub(crate) fn parse_hash(text: &str) -> Result<Self, Failure> {
        match is_beginning(text) {
            true => Ok(Self::Beginning(text.to_ascii_lowercase())),
            false => parse_hash(text).map(|hash| Self::Ticket(hash.into())),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ticket(ticket) => write!(f, "{}", ticket.hash()),
            Self::Beginning(beginning) => f.write_str(beginning),
            Self::Name(Name { repo, revision, .. }) => write!(f, "{repo}@{revision}"),
        }
    }
}

impl Name {
    /// Reads `ORG/NAME[@REV]`, `hf:ORG/NAME[@REV]`, `@DOMAIN/NAME[@REV]` or the ticket of a name.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        if let Some(ticket) = ticket_of_name(text) {
            return ticket.map(Self::from);
        }
        let text = text.strip_prefix(NAME_PREFIX).unwrap_or(text);
        let (sources, name) = match text.strip_prefix(DOMAIN_PREFIX) {
            Some(name) => (Sources::Dns, name),
            None => (Sources::All, text),
        };
        let (repo, revision) = name.split_once('@').unwrap_or((name, MAIN));
        let repo = parse_repo(repo)?;
        if sources == Sources::Dns && repo.namespace().is_none() {
            return Err(not_a_name(&RepoIdError::Segments));
        }
        Ok(Self {
            repo,
            revision: revision.to_owned(),
            sources,
            peers: Vec::new(),
            max_age: None,
        })
    }
}

impl From<Ticket<NameAt>> for Name {
    fn from(ticket: Ticket<NameAt>) -> Self {
        Self {
            repo: ticket.name().repo().clone(),
            revision: ticket.name().revision().unwrap_or(MAIN).to_owned(),
            sources: Sources::All,
            peers: ticket.peers().to_vec(),
            max_age: None,
        }
    }
}

/// Whether a text names a repo, whatever else it may be.
fn is_name(text: &str) -> bool {
    // Tickets have a colon, hashes have no slash.
    text.starts_with(NAME_PREFIX)
        || text.starts_with(DOMAIN_PREFIX)
        || (text.contains('/') && !text.contains(':'))
        || ticket_of_name(text).is_some()
}

/// Reads a ticket whose part before the addresses has a slash: a hash has none.
fn ticket_of_name(text: &str) -> Option<Result<Ticket<NameAt>, Failure>> {
    let (of, _) = text.split_once('?').unwrap_or((text, ""));
    let is_ticket = of
        .trim_start()
        .get(..SCHEME.len())
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME));
    if !is_ticket || !of.contains('/') {
        return None;
    }
    Some(text.parse().map_err(|error| {
        Failure::new(FailureKind::Usage, with_causes(&error)).hint(
            "a ticket of a name is `hubless:ID/NAME?peer=...`, with the id of the publisher: `hubless \
             ticket NAME` prints it where the name is known",
        )
    }))
}

fn is_beginning(text: &str) -> bool {
    (BEGINNING_MIN..HASH_DIGITS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The one hash that begins so.
pub(crate) fn only_one(
    beginning: &str,
    hashes: impl Iterator<Item = ContentHash>,
) -> Result<ContentHash, Failure> {
    let mut fits = hashes.filter(|hash| hash.to_string().starts_with(beginning));
    match (fits.next(), fits.count()) {
        (Some(hash), 0) => Ok(hash),
        (Some(_), others) => {
            let message = format!("the hashes of {} models begin with {beginning}", others + 1);
            Err(Failure::new(FailureKind::Usage, message)
                .hint("give more digits; see `hubless ls`"))
        }
        (None, _) => {
            let message = format!("no model that is here has a hash that begins with {beginning}");
            Err(Failure::new(FailureKind::Usage, message)
                .hint("`hubless ls` prints what is here; anything else needs all 64 digits"))
        }
    }
}

/// What people type where a model is wanted, and what they meant.
fn misread(text: &str) -> Option<Failure> {
    let usage = |message: String| Some(Failure::new(FailureKind::Usage, message));
    let scheme = ["https://", "http://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    if let Some(rest) = scheme {
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let name = match segments[..] {
            [org, name, ..] => format!("{org}/{name}"),
            _ => "ORG/NAME".to_owned(),
        };
        let hint = format!(
            "`hubless serve --upstream https://{host}` pulls from there: then run `hf download \
             {name}` with HF_ENDPOINT set to the gateway that it prints"
        );
        return usage(format!("{text} is a web address, not a model"))
            .map(|failure| failure.hint(hint));
    }
    let is_path = ["./", "../", "/", "~/"]
        .iter()
        .any(|begin| text.starts_with(begin));
    if is_path || matches!(text, "." | "..") {
        return match Path::new(text).is_dir() {
            true => usage(format!("{text} is a directory, not a model's hash or name"))
                .map(|failure| failure.hint(format!("`hubless add {text}` shares it"))),
            false => usage(format!("{text} is a path, not a model's hash or name"))
                .map(|failure| failure.hint("`hubless ls` prints the models that are here")),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use hubless_content::PublisherId;

    use super::*;

    #[test]
    fn the_beginning_of_a_hash_means_the_one_model_that_has_it() {
        let hashes = [
            "ab".repeat(32),
            format!("abab{}", "cd".repeat(30)),
            "12".repeat(32),
        ];
        let hashes = || {
            hashes
                .iter()
                .map(|hash| hash.parse::<ContentHash>().unwrap())
        };
        let found = |text: &str| only_one(text, hashes());
        assert_eq!(found("1212").unwrap().to_string(), "12".repeat(32));
        assert_eq!(found("ababcd").unwrap().to_string()[..6], *"ababcd");
        let ambiguous = found("abab").unwrap_err();
        assert!(ambiguous.message.contains("2 models"), "{ambiguous}");
        let unknown = found("ffff").unwrap_err();
        assert!(
            unknown
                .hint
                .is_some_and(|hint| hint.contains("all 64 digits"))
        );
    }

    #[test]
    fn an_argument_that_meant_something_else_fails_with_a_hint() {
        for (text, about, hint) in [
            (
                "https://huggingface.co/acme/my-model/tree/main",
                "a web address",
                "--upstream https://huggingface.co` pulls from there: then run `hf download acme/my-model`",
            ),
            ("/", "is a directory", "`hubless add /` shares it"),
            ("./no-such-model", "is a path", "hubless ls"),
        ] {
            let failure = What::parse(text).unwrap_err();
            let given = failure.hint.unwrap_or_default();
            assert!(
                failure.message.contains(about),
                "{text}: {}",
                failure.message
            );
            assert!(given.contains(hint), "{text}: {given}");
        }
    }

    #[test]
    fn what_is_meant() {
        let name = |text: &str| match What::parse(text).unwrap() {
            What::Name(name) => (name.repo.to_string(), name.revision, name.sources),
            other => panic!("{text} was taken for {other}"),
        };
        let all = |repo: &str, revision: &str| (repo.to_owned(), revision.to_owned(), Sources::All);
        assert_eq!(name("acme/m"), all("acme/m", "main"));
        assert_eq!(name("hf:acme/m@v1"), all("acme/m", "v1"));
        assert_eq!(name("hf:gpt2"), all("gpt2", "main"));
        assert_eq!(name("datasets/acme/d@x"), all("datasets/acme/d", "x"));
        assert_eq!(name("acme.com/m"), all("acme.com/m", "main"));
        let dns = ("acme.com/m".to_owned(), "v1".to_owned(), Sources::Dns);
        assert_eq!(name("@acme.com/m@v1"), dns);
        let id = PublisherId::new([7; 32]);
        assert_eq!(name(&format!("{id}/m")), all(&format!("{id}/m"), "main"));
        let hash = "ab".repeat(32);
        let ticket = format!("hubless:{hash}");
        for text in [&hash, &ticket] {
            assert!(matches!(What::parse(text).unwrap(), What::Ticket(_)));
        }
        assert!(matches!(What::parse("9F2C").unwrap(), What::Beginning(text) if text == "9f2c"));
        for text in [
            "",
            "acme",
            "9f2",
            "hf:",
            "acme/../m",
            "hubless:acme/m",
            "@",
            "@acme.com",
            "@/m",
            "@a/b/c",
        ] {
            assert!(What::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_ticket_of_a_name_has_a_name_and_peers() {
        let id = PublisherId::new([7; 32]);
        let peer = "/ip4/1.2.3.4/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
        let text = format!("hubless:datasets/{id}/d@a%26b?peer={peer}");
        let What::Name(name) = What::parse(&text).unwrap() else {
            panic!("{text} is the ticket of a name");
        };
        assert_eq!(name.repo.to_string(), format!("datasets/{id}/d"));
        assert_eq!((&*name.revision, name.sources), ("a&b", Sources::All));
        assert_eq!(name.peers, [peer.parse().unwrap()]);
        let failure = What::parse("hubless:acme/m?peer=/ip4/1.2.3.4/tcp/1").unwrap_err();
        assert!(failure.message.contains("no id"), "{failure}");
        assert!(
            failure
                .hint
                .is_some_and(|hint| hint.contains("hubless ticket"))
        );
    }
}
