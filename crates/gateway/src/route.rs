//! From a raw path to one of the hub's calls.
//!
//! The path is split before it is decoded, because revisions hold `%2F`. Names have one or two
//! segments: the second is a name unless it is one of the hub's verbs.

use std::borrow::Cow;

use hubless_content::RepoKind;
use percent_encoding::percent_decode_str;

/// What can follow the name of a repository below `/api`.
const API_VERBS: [&str; 24] = [
    "auth-check",
    "branch",
    "commit",
    "commits",
    "compare",
    "discussions",
    "duplicate",
    "lfs-files",
    "like",
    "likers",
    "paths-info",
    "preupload",
    "raw",
    "refs",
    "resolve",
    "revision",
    "safetensors-metadata",
    "settings",
    "super-squash",
    "tag",
    "tree",
    "user-access-request",
    "xet-read-token",
    "xet-write-token",
];

/// Of them, what changes a repository, or is about people: a gateway that only reads has none of it.
const WRITING_VERBS: [&str; 12] = [
    "branch",
    "commit",
    "discussions",
    "duplicate",
    "lfs-files",
    "like",
    "preupload",
    "settings",
    "super-squash",
    "tag",
    "user-access-request",
    "xet-write-token",
];

/// What can follow the name of a repository in a path for people and downloads.
const PAGE_VERBS: [&str; 7] = [
    "blob",
    "commit",
    "commits",
    "discussions",
    "raw",
    "resolve",
    "tree",
];

/// What stands in the labels of metrics for what is no path of this gateway.
pub(crate) const OTHER: &str = "other";

/// What a path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/api/whoami-v2`.
    WhoAmI,
    /// `/api/settings/repositories`, and those of an organization.
    OwnRepos,
    /// `/api/users/{name}/likes`.
    OwnLikes,
    /// `/api/{kind}s`.
    List(RepoKind),
    /// `/api/{kind}s/{repo}/...`.
    Api(RepoKind, String, ApiCall),
    /// `/[{kind}s/]{repo}/resolve/{revision}/{path}`, or `raw`.
    File {
        kind: RepoKind,
        repo: String,
        revision: String,
        path: String,
        /// Pointers of large files instead of their bytes.
        raw: bool,
    },
    /// A page of a repository.
    Page(RepoKind, String, PageCall),
    /// What a hub has where people write, and this gateway has not.
    Writing,
    /// Nothing.
    None,
}

impl Route {
    /// The repository that it is about, as the client names it.
    pub(crate) fn repo(&self) -> Option<(RepoKind, &str)> {
        match self {
            Self::Api(kind, repo, _) | Self::File { kind, repo, .. } => Some((*kind, repo)),
            // Pages say by themselves what is missing.
            Self::WhoAmI
            | Self::OwnRepos
            | Self::OwnLikes
            | Self::List(_)
            | Self::Page(..)
            | Self::Writing
            | Self::None => None,
        }
    }

    /// What stands for it in the labels of metrics: never a word that a client wrote.
    pub(crate) fn template(&self) -> &'static str {
        match self {
            Self::None | Self::Writing => OTHER,
            Self::OwnRepos => "/api/settings/repositories",
            Self::OwnLikes => "/api/users/{name}/likes",
            Self::WhoAmI => "/api/whoami-v2",
            Self::Page(_, _, call) => match call {
                PageCall::Card => "/{repo}",
                PageCall::Tree(..) => "/{repo}/tree/{revision}",
                PageCall::Blob(..) => "/{repo}/blob/{revision}/{path}",
                PageCall::Commits(_) => "/{repo}/commits/{revision}",
            },
            Self::List(kind) => match kind {
                RepoKind::Model => "/api/models",
                RepoKind::Dataset => "/api/datasets",
                RepoKind::Space => "/api/spaces",
            },
            Self::File { raw: false, .. } => "/{repo}/resolve/{revision}/{path}",
            Self::File { raw: true, .. } => "/{repo}/raw/{revision}/{path}",
            Self::Api(_, _, call) => match call {
                ApiCall::Info(_) => "/api/{kind}/{repo}",
                ApiCall::Tree(..) => "/api/{kind}/{repo}/tree/{revision}",
                ApiCall::PathsInfo(_) => "/api/{kind}/{repo}/paths-info/{revision}",
                ApiCall::Refs => "/api/{kind}/{repo}/refs",
                ApiCall::Commits(_) => "/api/{kind}/{repo}/commits/{revision}",
                ApiCall::AuthCheck => "/api/{kind}/{repo}/auth-check",
                ApiCall::Likers => "/api/{kind}/{repo}/likers",
            },
        }
    }
}

/// What is asked of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ApiCall {
    /// `[/revision/{revision}]`
    Info(Option<String>),
    /// `/tree/{revision}[/{path}]`; the root has an empty path.
    Tree(String, String),
    /// `/paths-info/{revision}`
    PathsInfo(String),
    /// `/refs`
    Refs,
    /// `/commits/{revision}`
    Commits(String),
    /// `/auth-check`
    AuthCheck,
    /// `/likers`, and lists of what people did to a repository: empty here.
    Likers,
}

/// A page of a repo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PageCall {
    /// What it is.
    Card,
    /// `/tree/{revision}[/{path}]`; the root has an empty path.
    Tree(String, String),
    /// `/blob/{revision}/{path}`
    Blob(String, String),
    /// `/commits/{revision}`
    Commits(String),
}

/// A path that is no text when it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotText;

/// Reads a path as it was sent, without the query.
pub(crate) fn route(path: &str) -> Result<Route, NotText> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let segments = path.split('/').map(decode);
    let segments = segments.collect::<Result<Vec<_>, _>>()?;
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    let found = match segments.as_slice() {
        ["api", "whoami-v2"] => Some(Route::WhoAmI),
        ["api", "settings", "repositories"]
        | ["api", "organizations", _, "settings", "repositories"] => Some(Route::OwnRepos),
        ["api", "users", _, "likes"] => Some(Route::OwnLikes),
        ["api", "repos", ..] | ["api", "validate-yaml"] => Some(Route::Writing),
        ["api", kind] => plural(kind).map(Route::List),
        ["api", kind, rest @ ..] => plural(kind).and_then(|kind| api(kind, rest)),
        [kind @ ("datasets" | "spaces"), rest @ ..] => {
            plural(kind).and_then(|kind| file(kind, rest))
        }
        rest => file(RepoKind::Model, rest),
    };
    Ok(found.unwrap_or(Route::None))
}

fn decode(segment: &str) -> Result<Cow<'_, str>, NotText> {
    percent_decode_str(segment)
        .decode_utf8()
        .map_err(|_| NotText)
}

fn plural(text: &str) -> Option<RepoKind> {
    match text {
        "models" => Some(RepoKind::Model),
        "datasets" => Some(RepoKind::Dataset),
        "spaces" => Some(RepoKind::Space),
        _ => None,
    }
}

/// Divides a path into the name of a repository and what follows it.
fn split_name<'a, 's>(segments: &'a [&'s str], verbs: &[&str]) -> Option<(String, &'a [&'s str])> {
    match segments {
        [] | [""] | ["", ..] => None,
        [name] | [name, ""] => Some(((*name).to_owned(), &[])),
        [name, verb, ..] if verbs.contains(verb) => Some(((*name).to_owned(), &segments[1..])),
        [namespace, name, rest @ ..] => Some((format!("{namespace}/{name}"), rest)),
    }
}

fn api(kind: RepoKind, segments: &[&str]) -> Option<Route> {
    let (repo, rest) = split_name(segments, &API_VERBS)?;
    let call = match rest {
        [] => ApiCall::Info(None),
        ["revision", revision] => ApiCall::Info(Some((*revision).to_owned())),
        ["tree", revision, path @ ..] => {
            let path = path.join("/");
            ApiCall::Tree(
                (*revision).to_owned(),
                path.trim_end_matches('/').to_owned(),
            )
        }
        ["paths-info", revision] => ApiCall::PathsInfo((*revision).to_owned()),
        ["refs"] => ApiCall::Refs,
        ["commits", revision] => ApiCall::Commits((*revision).to_owned()),
        ["auth-check"] => ApiCall::AuthCheck,
        ["likers"] => ApiCall::Likers,
        [verb, ..] if WRITING_VERBS.contains(verb) => return Some(Route::Writing),
        _ => return None,
    };
    Some(Route::Api(kind, repo, call))
}

fn file(kind: RepoKind, segments: &[&str]) -> Option<Route> {
    let (repo, rest) = split_name(segments, &PAGE_VERBS)?;
    match rest {
        [verb @ ("resolve" | "raw"), revision, path @ ..] if !path.is_empty() => {
            Some(Route::File {
                kind,
                repo,
                revision: (*revision).to_owned(),
                path: path.join("/"),
                raw: *verb == "raw",
            })
        }
        // Git's own protocol, and the one for large files beside it.
        [_, ..] if repo.ends_with(".git") => Some(Route::Writing),
        ["discussions", ..] => Some(Route::Writing),
        _ => page(rest).map(|call| Route::Page(kind, repo, call)),
    }
}

fn page(rest: &[&str]) -> Option<PageCall> {
    let below = |path: &[&str]| path.join("/").trim_end_matches('/').to_owned();
    Some(match rest {
        [] | [""] => PageCall::Card,
        ["tree", revision, path @ ..] => PageCall::Tree((*revision).to_owned(), below(path)),
        ["blob", revision, path @ ..] if !path.is_empty() => {
            PageCall::Blob((*revision).to_owned(), path.join("/"))
        }
        ["commits", revision] => PageCall::Commits((*revision).to_owned()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(kind: RepoKind, repo: &str, revision: &str, path: &str, raw: bool) -> Route {
        Route::File {
            kind,
            repo: repo.into(),
            revision: revision.into(),
            path: path.into(),
            raw,
        }
    }

    #[test]
    fn as_clients_send_it() {
        use ApiCall::*;
        use PageCall as Call;
        use RepoKind::*;
        let api = |kind, repo: &str, call| Route::Api(kind, repo.into(), call);
        let page = |kind, repo: &str, call| Route::Page(kind, repo.into(), call);
        for (path, expected) in [
            ("/api/models", Route::List(Model)),
            ("/api/whoami-v2", Route::WhoAmI),
            ("/api/models/gpt2", api(Model, "gpt2", Info(None))),
            ("/api/models/o/n", api(Model, "o/n", Info(None))),
            (
                "/api/spaces/o/n/revision/refs%2Fpr%2F1",
                api(Space, "o/n", Info(Some("refs/pr/1".into()))),
            ),
            (
                "/api/models/gpt2/tree/main",
                api(Model, "gpt2", Tree("main".into(), "".into())),
            ),
            (
                "/api/datasets/o/n/tree/main/a%2Fb",
                api(Dataset, "o/n", Tree("main".into(), "a/b".into())),
            ),
            (
                "/api/datasets/o/n/tree/main/a/b/",
                api(Dataset, "o/n", Tree("main".into(), "a/b".into())),
            ),
            ("/api/models/o/n/refs", api(Model, "o/n", Refs)),
            ("/api/models/refs/refs", api(Model, "refs", Refs)),
            (
                "/o/n/resolve/main/subfolder/to%3F/awful%3Ffilename%25you%3Ashould%2Cnever.give",
                file(
                    Model,
                    "o/n",
                    "main",
                    "subfolder/to?/awful?filename%you:should,never.give",
                    false,
                ),
            ),
            (
                "/datasets/o/n/raw/refs%2Fconvert%2Fparquet/a%20b",
                file(Dataset, "o/n", "refs/convert/parquet", "a b", true),
            ),
            ("/gpt2/resolve/v1/x", file(Model, "gpt2", "v1", "x", false)),
            ("/o/n/resolve/main", Route::None),
            ("/o/n", page(Model, "o/n", Call::Card)),
            ("/gpt2/", page(Model, "gpt2", Call::Card)),
            (
                "/spaces/o/n/tree/refs%2Fpr%2F1/a/b/",
                page(Space, "o/n", Call::Tree("refs/pr/1".into(), "a/b".into())),
            ),
            (
                "/o/n/blob/main/a%20b/c",
                page(Model, "o/n", Call::Blob("main".into(), "a b/c".into())),
            ),
            (
                "/datasets/o/n/commits/v1",
                page(Dataset, "o/n", Call::Commits("v1".into())),
            ),
            ("/o/n/blob/main", Route::None),
            ("/o/n/discussions", Route::Writing),
            ("/o/n.git/info/lfs/objects/batch", Route::Writing),
            ("/api/repos/create", Route::Writing),
            ("/api/validate-yaml", Route::Writing),
            ("/api/models/o/n/commit/main", Route::Writing),
            ("/api/datasets/o/n/preupload/main", Route::Writing),
            ("/api/models/gpt2/discussions/1/comment", Route::Writing),
            ("/api/spaces/o/n/settings", Route::Writing),
            ("/api/models/o/n/xet-read-token/main", Route::None),
            ("/api/settings/repositories", Route::OwnRepos),
            (
                "/api/organizations/o/settings/repositories",
                Route::OwnRepos,
            ),
            ("/api/users/me/likes", Route::OwnLikes),
            ("/api/o/n", Route::None),
            ("/", Route::None),
            ("//x/resolve/main/y", Route::None),
            ("", Route::None),
        ] {
            assert_eq!(route(path), Ok(expected), "{path}");
        }
        assert_eq!(route("/o/n/resolve/main/%ff"), Err(NotText));
    }

    #[test]
    fn a_label_is_the_template_of_a_path() {
        for (path, expected) in [
            ("/a/b/resolve/main/c", "/{repo}/resolve/{revision}/{path}"),
            ("/api/models/a/b/refs", "/api/{kind}/{repo}/refs"),
            ("/wp-login.php", "/{repo}"),
            ("//x/y", OTHER),
        ] {
            assert_eq!(route(path).unwrap().template(), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn a_label_never_holds_what_was_sent(path in "(/(api|models|resolve|raw|tree|refs|main|%2F|Q[a-z]{3})){0,8}") {
            let template = route(&path).map_or(OTHER, |route| route.template());
            prop_assert!(!template.contains('Q'));
        }

        #[test]
        fn any_path_is_read(path in "(/|api|models|datasets|o|resolve|tree|revision|%2F|%ff|\\PC){0,12}") {
            let _ = route(&path);
        }
    }
}
