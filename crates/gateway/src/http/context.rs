//! What the handlers know of the request that they answer.

use axum::http::{HeaderName, HeaderValue, header, request::Parts, uri::Authority};
use hubless_content::{CommitId, RepoId, RepoKind};
use hubless_node::{
    NodeHandle,
    api::{Failure, Sources},
    names::namespaces::Bound,
    repos::{Caller, Repos, Resolved},
};

use super::{error::ApiError, guard::is_configured, metrics::HttpMetrics};
use crate::{
    config::GatewayConfig,
    token::{Token, bearer},
};

pub(crate) const REPO_COMMIT: HeaderName = HeaderName::from_static("x-repo-commit");

/// One request of a client.
pub(crate) struct RequestContext {
    pub(crate) node: NodeHandle,
    pub(crate) repos: Repos,
    /// The namespace in the client's spelling, and the publisher that it stands for here.
    spelling: Option<Spelling>,
    pub(crate) caller: Caller,
    /// Whether it sent any token.
    pub(crate) has_credentials: bool,
    pub(crate) query: Query,
    pub(crate) http: HttpMetrics,
    /// Scheme and host of the URL that the client used.
    origin: String,
    /// Its path.
    path: String,
}

impl RequestContext {
    pub(crate) fn new(
        node: &NodeHandle,
        config: &GatewayConfig,
        http: HttpMetrics,
        parts: &Parts,
    ) -> Self {
        let sent = bearer(&parts.headers);
        let token = match &config.token {
            // The guard let only the gateway's own token through, which is not for the upstream.
            Some(_) => config.upstream_token.as_ref().map(Token::text),
            None => sent.map(Into::into),
        };
        Self {
            node: node.clone(),
            repos: node.repos(),
            spelling: None,
            has_credentials: sent.is_some(),
            caller: Caller { token },
            query: Query::new(parts.uri.query()),
            http,
            origin: origin(config, parts),
            path: parts.uri.path().to_owned(),
        }
    }

    /// How the client reaches this gateway: what it would set `HF_ENDPOINT` to.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// The repo that a client names: the only place where the client's name for a publisher becomes
    /// the publisher's id. Answers have the client's spelling again ([`RequestContext::spelled`]).
    pub(crate) async fn repo(&mut self, kind: RepoKind, id: &str) -> Result<RepoId, ApiError> {
        let written = RepoId::new(kind, id).map_err(|_| ApiError::repo_not_found())?;
        let translated = self.node.namespaces().translate(&written, Sources::All);
        let translated = translated.await.map_err(Failure::from)?;
        self.spelling = Spelling::new(translated.bound, written.namespace());
        Ok(translated.repo)
    }

    /// The namespace as repos of this node have it, for one that a client asks about.
    pub(crate) async fn author(&mut self, namespace: &str) -> Result<String, ApiError> {
        let bound = self.node.namespaces().publisher(namespace, Sources::All);
        let bound = bound.await.map_err(Failure::from)?;
        let known = bound.as_ref().map(|bound| bound.publisher.to_string());
        self.spelling = Spelling::new(bound, Some(namespace));
        Ok(known.unwrap_or_else(|| namespace.to_owned()))
    }

    /// A repo in the spelling of the client.
    pub(crate) fn spelled(&self, repo: &RepoId) -> RepoId {
        let spelled = self.spelling.as_ref().and_then(|by| by.spelled(repo));
        spelled.unwrap_or_else(|| repo.clone())
    }

    /// What says which publisher the namespace of the client is; `None` if it is that of no publisher.
    pub(crate) fn bound(&self) -> Option<&Bound> {
        self.spelling.as_ref().map(|spelling| &spelling.bound)
    }

    /// The state of a repo that a client names.
    pub(crate) async fn resolve(
        &self,
        repo: &RepoId,
        revision: &str,
    ) -> Result<Resolved, ApiError> {
        Ok(self.repos.resolve(repo, revision, &self.caller).await?)
    }

    /// The header that leads a client to the next page: the URL it used, with another query.
    pub(crate) fn next_link(&self, key: &str, value: &str) -> (HeaderName, HeaderValue) {
        let others = self.query.0.iter().filter(|(name, _)| name != key);
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(others)
            .append_pair(key, value)
            .finish();
        let link = format!("<{}{}?{query}>; rel=\"next\"", self.origin, self.path);
        let value = HeaderValue::from_str(&link);
        // All of it was a header or a URL before, so it can be one again.
        (header::LINK, value.unwrap_or(HeaderValue::from_static("")))
    }
}

/// From the name by which the client came, which the guard has checked; without the path.
fn origin(config: &GatewayConfig, parts: &Parts) -> String {
    let text = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let host = text("host").or(parts.uri.authority().map(|authority| authority.as_str()));
    let host = host.unwrap_or("localhost");
    // Only a proxy that is configured may say how it was reached.
    let name = host.parse::<Authority>();
    let is_proxied = name.is_ok_and(|name| is_configured(config, name.host()));
    let scheme = match text("x-forwarded-proto") {
        Some("https") if is_proxied => "https",
        _ => "http",
    };
    format!("{scheme}://{host}")
}

/// A namespace as a client wrote it, and the publisher that it stands for.
struct Spelling {
    bound: Bound,
    written: String,
}

impl Spelling {
    fn new(bound: Option<Bound>, written: Option<&str>) -> Option<Self> {
        Some(Self {
            bound: bound?,
            written: written?.to_owned(),
        })
    }

    fn spelled(&self, repo: &RepoId) -> Option<RepoId> {
        let publisher = repo.namespace()?.parse().ok()?;
        if self.bound.publisher != publisher {
            return None;
        }
        RepoId::new(repo.kind(), &format!("{}/{}", self.written, repo.name())).ok()
    }
}

pub(crate) fn commit_header(commit: CommitId) -> HeaderValue {
    HeaderValue::from_str(&commit.to_string()).unwrap_or(HeaderValue::from_static(""))
}

/// The keys and values of a query or a form, in their order.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn new(text: Option<&str>) -> Self {
        Self::from_form(text.unwrap_or_default().as_bytes())
    }

    pub(crate) fn from_form(bytes: &[u8]) -> Self {
        Self(form_urlencoded::parse(bytes).into_owned().collect())
    }

    pub(crate) fn get<'a>(&'a self, key: &'a str) -> Option<&'a str> {
        self.all(key).next()
    }

    /// All keys and values, in their order.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// All values of a key, also where it is written as a list.
    pub(crate) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let fits = move |name: &str| name == key || name.strip_suffix("[]") == Some(key);
        self.0
            .iter()
            .filter(move |(name, _)| fits(name))
            .map(|(_, value)| value.as_str())
    }

    /// Whether a switch is on, in any client's spelling.
    pub(crate) fn is_on(&self, key: &str) -> bool {
        matches!(self.get(key), Some("true" | "True" | "1"))
    }

    /// A page size: `default` without one, at most `max`.
    pub(crate) fn limit(&self, default: usize, max: usize) -> usize {
        let asked = self.get("limit").and_then(|limit| limit.parse().ok());
        asked.unwrap_or(default).clamp(1, max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_switches_in_all_spellings() {
        let query = Query::new(Some("expand=a&expand[]=b&full=True&x=1&limit=5000&y"));
        assert_eq!(query.all("expand").collect::<Vec<_>>(), ["a", "b"]);
        assert!(query.is_on("full") && query.is_on("x") && !query.is_on("y"));
        assert_eq!(query.limit(10, 1000), 1000);
        assert_eq!(Query::new(None).limit(10, 1000), 10);
    }
}
