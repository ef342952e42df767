//! `name_resolve`: the content of a name.

use std::{sync::Arc, time::Duration};

use hubless_content::{RepoId, Status, Subject};
use hubless_names::{
    ask::Source,
    namespaces::{Sources, Translated},
    resolve::Wanted,
};
use hubless_network::Multiaddr;
use hubless_repos::names::ResolvedName;
use serde::{Deserialize, Serialize};

use super::Call;
use crate::{
    core::Core,
    event::Event,
    failure::{Failure, FailureKind},
    remedy::Remedy,
    replies::ReplySink,
};

/// Finds the content of a name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NameResolve {
    /// The repo.
    pub repo: RepoId,
    /// A branch, tag, ref, commit id or the beginning of one.
    pub revision: String,
    /// What may say which publisher the namespace is.
    #[serde(default)]
    pub sources: Sources,
    /// Addresses of peers to ask for the newest head, each ending in `/p2p/<peer id>`.
    #[serde(default)]
    pub peers: Vec<Multiaddr>,
    /// Heads that a signer confirmed more seconds ago are refused.
    #[serde(default)]
    pub max_age_s: Option<u64>,
}

impl Call for NameResolve {
    type Answer = ResolvedName;

    async fn handle(self, core: &Arc<Core>, sink: &ReplySink) -> Result<ResolvedName, Failure> {
        let names = &core.names;
        let translated = names.namespaces.translate(&self.repo, self.sources).await?;
        let wanted = Wanted {
            max_age: self.max_age_s.map(Duration::from_secs),
            peers: self.peers.iter().filter_map(Source::at).collect(),
            // A person who asks wants what is newest now.
            ..Wanted::now()
        };
        read_newest(core, sink, &translated, &wanted).await?;
        let repos = core.repos();
        Ok(repos.resolve_name(translated.repo, &self.revision).await?)
    }
}

/// Brings the repo of a publisher to its newest head, and reports what a person should know of it. Other
/// repos stay as they are.
pub(super) async fn read_newest(
    core: &Arc<Core>,
    sink: &ReplySink,
    name: &Translated,
    wanted: &Wanted,
) -> Result<(), Failure> {
    let Some(subject) = Subject::of_repo(&name.repo) else {
        return Ok(());
    };
    let current = core.names.resolver.current(&subject, wanted).await?;
    for note in current.notes {
        let message = format!("{}: {note}", name.written.id());
        sink.event(Event::Warning { message });
    }
    match current.status {
        Status::Open => Ok(()),
        Status::Gone => {
            let message = format!("{} was deleted by its publisher", name.written.id());
            Err(Failure::new(FailureKind::NotFound, message).remedy(Remedy::ListNames))
        }
        Status::Moved(kind, to) => {
            let to = Subject::repo(subject.publisher(), kind, &to);
            let to = to.map_or_else(|_| String::new(), |to| to.to_string());
            let message = format!("{} is now {to}", name.written.id());
            Err(Failure::new(FailureKind::NotFound, message).remedy(Remedy::UseNewName))
        }
    }
}
