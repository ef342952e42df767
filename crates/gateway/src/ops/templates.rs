//! From a path as a client wrote it to one of a few templates, for labels of metrics.

use hubless_content::RepoKind;

use crate::{
    hub::route::{ApiCall, Route, route},
    pages::Call,
};

/// What is at fixed paths.
const FIXED: [&str; 6] = ["/", "/search", "/events", "/metrics", "/healthz", "/readyz"];

/// What begins with a word that no repository has there, and what stands for it.
const BEGINNINGS: [(&str, &str); 3] = [
    ("/api/hubless/", "/api/hubless/{call}"),
    ("/static/", "/static/{name}"),
    ("/content/", "/content/{hash}"),
];

/// All that is no path of this gateway.
const OTHER: &str = "other";

/// The template of a path.
pub(super) fn template(path: &str) -> &'static str {
    if let Some(fixed) = FIXED.into_iter().find(|fixed| *fixed == path) {
        return fixed;
    }
    let begins = |(beginning, _): &&(&str, _)| path.starts_with(beginning);
    if let Some((_, template)) = BEGINNINGS.iter().find(begins) {
        return template;
    }
    match route(path) {
        Err(_) | Ok(Route::None | Route::Writing) => OTHER,
        Ok(Route::OwnRepos) => "/api/settings/repositories",
        Ok(Route::OwnLikes) => "/api/users/{name}/likes",
        Ok(Route::WhoAmI) => "/api/whoami-v2",
        Ok(Route::Page(_, _, call)) => match call {
            Call::Card => "/{repo}",
            Call::Tree(..) => "/{repo}/tree/{revision}",
            Call::Blob(..) => "/{repo}/blob/{revision}/{path}",
            Call::Commits(_) => "/{repo}/commits/{revision}",
        },
        Ok(Route::List(kind)) => match kind {
            RepoKind::Model => "/api/models",
            RepoKind::Dataset => "/api/datasets",
            RepoKind::Space => "/api/spaces",
        },
        Ok(Route::File { raw: false, .. }) => "/{repo}/resolve/{revision}/{path}",
        Ok(Route::File { raw: true, .. }) => "/{repo}/raw/{revision}/{path}",
        Ok(Route::Api(_, _, call)) => match call {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_of_strangers_are_not_labels() {
        assert_eq!(template("/"), "/");
        assert_eq!(template("/metrics"), "/metrics");
        assert_eq!(
            template("/api/hubless/names/model/a%2Fb"),
            "/api/hubless/{call}"
        );
        assert_eq!(
            template("/a/b/resolve/main/c"),
            "/{repo}/resolve/{revision}/{path}"
        );
        assert_eq!(template("/api/models/a/b/refs"), "/api/{kind}/{repo}/refs");
        assert_eq!(template("/wp-login.php"), "/{repo}");
        assert_eq!(template("/static/x"), "/static/{name}");
        assert_eq!(template("//x/y"), OTHER);
        assert_eq!(template("/%ff"), OTHER);
    }

    proptest! {
        #[test]
        fn a_label_never_holds_what_was_sent(path in "(/(api|models|resolve|raw|tree|refs|main|%2F|Q[a-z]{3})){0,8}") {
            prop_assert!(!template(&path).contains('Q'));
        }
    }
}
