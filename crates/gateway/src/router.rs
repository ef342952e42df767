//! Which handler answers which path.

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{Method, request::Parts},
    middleware,
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{
    app::Shared,
    http::{context::RequestContext, error::ApiError, guard, metrics, request_id},
    hub::{commits, file, info, list, refs, tree, whoami},
    ops, pages,
    route::{ApiCall, NotText, Route, route},
};

/// All routes, with what holds for each of them.
pub(crate) fn router(app: Shared) -> Router {
    let guard = middleware::from_fn_with_state(app.config.clone(), guard::guard);
    let measure = middleware::from_fn_with_state(app.http.clone(), metrics::measure);
    Router::new()
        .merge(pages::routes(&app))
        .merge(ops::routes(app.clone()))
        .fallback(answer)
        .layer(guard)
        .layer(middleware::from_fn(request_id::request_id))
        .layer(measure)
        .with_state(app)
}

/// Answers what has no fixed path: what begins with the name of a repository, and the hub's API.
async fn answer(State(app): State<Shared>, request: Request) -> Response {
    let route = match route(request.uri().path()) {
        Ok(route) => route,
        Err(NotText) => return ApiError::bad_request("The path is not UTF-8.").into_response(),
    };
    let named = route.repo().map(|(kind, name)| (kind, name.to_owned()));
    let answered = dispatch(&app, route, request).await;
    let answered = answered.map_err(|error| match &named {
        Some((kind, name)) => error.of_repo(*kind, name),
        None => error,
    });
    answered.unwrap_or_else(IntoResponse::into_response)
}

fn check_method(route: &Route, method: &Method) -> Result<(), ApiError> {
    let is_post = matches!(route, Route::Api(_, _, ApiCall::PathsInfo(_)));
    match method {
        &Method::POST if is_post => Ok(()),
        _ if is_post => Err(ApiError::method_not_allowed("POST")),
        &Method::GET | &Method::HEAD => Ok(()),
        _ if *route == Route::None => Err(ApiError::not_found()),
        _ if *route == Route::Writing => Err(ApiError::read_only()),
        _ => Err(ApiError::method_not_allowed("GET, HEAD")),
    }
}

async fn dispatch(app: &Shared, route: Route, request: Request) -> Result<Response, ApiError> {
    check_method(&route, request.method())?;
    let (parts, body) = request.into_parts();
    let Parts {
        method, headers, ..
    } = &parts;
    let mut cx = RequestContext::new(&app.node, &app.config, app.http.clone(), &parts);
    match route {
        Route::WhoAmI => whoami::whoami(&cx),
        // The one account here owns no repositories and likes none.
        Route::OwnRepos | Route::OwnLikes => Ok(Json(json!([])).into_response()),
        Route::List(kind) => list::list(&mut cx, kind).await,
        Route::File {
            kind,
            repo,
            revision,
            path,
            raw,
        } => {
            let repo = cx.repo(kind, &repo).await?;
            let wanted = file::Wanted {
                repo,
                revision,
                path,
                raw,
            };
            file::file(&cx, method, headers, &wanted).await
        }
        Route::Api(kind, repo, call) => {
            let repo = cx.repo(kind, &repo).await?;
            match call {
                ApiCall::Info(revision) => info::info(&cx, &repo, revision.as_deref()).await,
                ApiCall::Tree(revision, path) => tree::tree(&cx, &repo, &revision, &path).await,
                ApiCall::PathsInfo(revision) => {
                    tree::paths_info(&cx, &repo, &revision, headers, body).await
                }
                ApiCall::Refs => refs::refs(&cx, &repo).await,
                ApiCall::Commits(revision) => commits::commits(&cx, &repo, &revision).await,
                ApiCall::AuthCheck => whoami::auth_check(&cx, &repo).await,
                ApiCall::Likers => whoami::likers(&cx, &repo).await,
            }
        }
        Route::Page(kind, repo, call) => Ok(pages::answer(&mut cx, kind, &repo, &call).await),
        Route::Writing => Err(ApiError::read_only()),
        Route::None => Err(ApiError::not_found()),
    }
}
