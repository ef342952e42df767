//! The identity of the caller, and what it may see.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use hubless_content::RepoId;
use serde_json::json;

use crate::http::{context::RequestContext, error::ApiError};

/// Every client that reaches the gateway is its one user: the guard has checked the gateway's token, and a
/// token for another hub says nothing here.
pub(crate) fn whoami(cx: &RequestContext) -> Result<Response, ApiError> {
    if !cx.has_credentials {
        let message = "Invalid username or password.";
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, message));
    }
    let answer = json!({
        "type": "user",
        "id": "hubless",
        "name": "hubless",
        "fullname": "This hubless node",
        "email": null,
        "emailVerified": false,
        "isPro": false,
        "canPay": false,
        "periodEnd": null,
        "avatarUrl": "",
        "orgs": [],
        "auth": {
            "type": "access_token",
            "accessToken": { "displayName": "hubless", "role": "read" },
        },
    });
    Ok(Json(answer).into_response())
}

/// Succeeds if the caller may read the repository.
pub(crate) async fn auth_check(cx: &RequestContext, repo: &RepoId) -> Result<Response, ApiError> {
    let resolved = cx.resolve(repo, "HEAD").await?;
    cx.repos.permit(&resolved).await?;
    Ok(Json(json!({})).into_response())
}

/// An empty list: likes belong to accounts, and there are none.
pub(crate) async fn likers(cx: &RequestContext, repo: &RepoId) -> Result<Response, ApiError> {
    cx.repos.repo(repo, &cx.caller).await?;
    Ok(Json(json!([])).into_response())
}
