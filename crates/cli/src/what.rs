//! What a command is about, as people write it: a hash, a ticket or a name.

use std::fmt;

use hubless_content::RepoId;
use hubless_node::{
    Session, Ticket,
    api::{Failure, Request, ResolvedName},
};

use crate::{
    cli::parse_ticket,
    commands::name::parse_repo,
    failure::Error,
    work::{Context, Events},
};

/// Before a name, for those who want to be sure that it is taken for one.
const NAME_PREFIX: &str = "hf:";

/// A model: by its address, or by a name that this node knows.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// Its address, and perhaps where to ask.
    Ticket(Ticket),
    /// A name and a branch, tag or commit id of it.
    Name {
        /// The repo.
        repo: RepoId,
        /// Behind the `@`, or main.
        revision: String,
    },
}

impl What {
    /// Reads `HASH`, a ticket, `ORG/NAME[@REV]` or `hf:ORG/NAME[@REV]`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let name = text.strip_prefix(NAME_PREFIX);
        // Tickets have a colon, hashes have no slash.
        let name = name.or_else(|| (text.contains('/') && !text.contains(':')).then_some(text));
        let Some(name) = name else {
            return parse_ticket(text).map(Self::Ticket);
        };
        let (repo, revision) = name.split_once('@').unwrap_or((name, "main"));
        Ok(Self::Name {
            repo: parse_repo(repo)?,
            revision: revision.to_owned(),
        })
    }

    /// The address, which the node looks up for a name.
    pub(crate) async fn find(
        &self,
        session: &Session,
        context: &Context<'_>,
    ) -> Result<Ticket, Error> {
        let (repo, revision) = match self {
            Self::Ticket(ticket) => return Ok(ticket.clone()),
            Self::Name { repo, revision } => (repo.clone(), revision.clone()),
        };
        let call = session.call(Request::NameResolve { repo, revision });
        let found: ResolvedName = context
            .finish(call, &mut Events::silent(context.output))
            .await?;
        Ok(found.hash.into())
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ticket(ticket) => write!(f, "{}", ticket.hash()),
            Self::Name { repo, revision } => write!(f, "{repo}@{revision}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant() {
        let name = |text: &str| match What::parse(text).unwrap() {
            What::Name { repo, revision } => (repo.to_string(), revision),
            What::Ticket(ticket) => panic!("{text} was taken for the ticket {ticket}"),
        };
        let expected = |repo: &str, revision: &str| (repo.to_owned(), revision.to_owned());
        assert_eq!(name("acme/m"), expected("acme/m", "main"));
        assert_eq!(name("hf:acme/m@v1"), expected("acme/m", "v1"));
        assert_eq!(name("hf:gpt2"), expected("gpt2", "main"));
        assert_eq!(name("datasets/acme/d@x"), expected("datasets/acme/d", "x"));
        let hash = "ab".repeat(32);
        let ticket = format!("hubless:{hash}");
        for text in [&hash, &ticket] {
            assert!(matches!(What::parse(text).unwrap(), What::Ticket(_)));
        }
        for text in ["", "acme", "hf:", "acme/../m", "hubless:acme/m"] {
            assert!(What::parse(text).is_err(), "{text}");
        }
    }
}
