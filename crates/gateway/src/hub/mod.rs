//! The hub's API: what Hugging Face clients ask, and how it is answered.

pub(crate) mod ask;
pub(crate) mod card;
mod commits;
mod file;
mod info;
mod last_commit;
mod list;
mod order;
mod refs;
pub(crate) mod route;
pub(crate) mod tree;
mod whoami;

use axum::{
    Json,
    extract::{Request, State},
    http::Method,
    response::{IntoResponse, Response},
};

use serde_json::json;

pub(crate) use self::ask::Query;
use self::{
    ask::Ask,
    route::{ApiCall, NotText, Route},
};
use crate::{Shared, http::error::ApiError, pages};

/// Answers what no fixed route of the router does.
pub(crate) async fn answer(State(app): State<Shared>, request: Request) -> Response {
    let answered = match route::route(request.uri().path()) {
        Ok(route) => {
            let named = route.repo().map(|(kind, name)| (kind, name.to_owned()));
            let answered = dispatch(app, route, request).await;
            answered.map_err(|error| match &named {
                Some((kind, name)) => error.of_repo(*kind, name),
                None => error,
            })
        }
        Err(NotText) => Err(ApiError::bad_request("The path is not UTF-8.")),
    };
    answered.unwrap_or_else(IntoResponse::into_response)
}

async fn dispatch(app: Shared, route: Route, request: Request) -> Result<Response, ApiError> {
    let is_post = matches!(&route, Route::Api(_, _, ApiCall::PathsInfo(_)));
    let (parts, body) = request.into_parts();
    match &parts.method {
        &Method::POST if is_post => {}
        _ if is_post => return Err(ApiError::method_not_allowed("POST")),
        &Method::GET | &Method::HEAD => {}
        _ if route == Route::None => return Err(ApiError::not_found()),
        _ if route == Route::Writing => return Err(ApiError::read_only()),
        _ => return Err(ApiError::method_not_allowed("GET, HEAD")),
    }
    let ask = Ask::new(app, &parts);
    match route {
        Route::WhoAmI => whoami::whoami(&ask),
        // The one account here owns no repositories and likes none.
        Route::OwnRepos | Route::OwnLikes => Ok(Json(json!([])).into_response()),
        Route::List(kind) => list::list(&ask, kind).await,
        Route::File {
            kind,
            repo,
            revision,
            path,
            raw,
        } => {
            let repo = ask::repo_id(kind, &repo)?;
            let wanted = file::Wanted {
                repo,
                revision,
                path,
                raw,
            };
            file::file(&ask, &parts.method, &parts.headers, &wanted).await
        }
        Route::Api(kind, repo, call) => {
            let repo = ask::repo_id(kind, &repo)?;
            match call {
                ApiCall::Info(revision) => info::info(&ask, &repo, revision.as_deref()).await,
                ApiCall::Tree(revision, path) => tree::tree(&ask, &repo, &revision, &path).await,
                ApiCall::PathsInfo(revision) => {
                    tree::paths_info(&ask, &repo, &revision, &parts.headers, body).await
                }
                ApiCall::Refs => refs::refs(&ask, &repo).await,
                ApiCall::Commits(revision) => commits::commits(&ask, &repo, &revision).await,
                ApiCall::AuthCheck => whoami::auth_check(&ask, &repo).await,
                ApiCall::Likers => whoami::likers(&ask, &repo).await,
            }
        }
        Route::Page(kind, repo, call) => Ok(pages::answer(&ask, kind, &repo, &call).await),
        Route::Writing => Err(ApiError::read_only()),
        Route::None => Err(ApiError::not_found()),
    }
}
