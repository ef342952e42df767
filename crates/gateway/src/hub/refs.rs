//! Branches, tags and other refs.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use hubless_content::{CommitId, RefName, RepoId};
use serde_json::{Value, json};

use crate::http::{context::RequestContext, error::ApiError};

pub(crate) async fn refs(cx: &RequestContext, repo: &RepoId) -> Result<Response, ApiError> {
    let refs = cx.repos.refs(repo, &cx.caller).await?;
    let below = |prefix: &str| -> Vec<Value> {
        let of_kind = refs.iter().filter_map(|(name, commit)| {
            let short = name.as_str().strip_prefix(prefix)?;
            Some(shown(short, name, *commit))
        });
        of_kind.collect()
    };
    let mut answer = json!({
        "branches": below("refs/heads/"),
        "tags": below("refs/tags/"),
        "converts": below("refs/convert/"),
    });
    if cx.query.is_on("include_prs") {
        answer["pullRequests"] = below("refs/pr/").into();
    }
    Ok(Json(answer).into_response())
}

fn shown(short: &str, name: &RefName, commit: CommitId) -> Value {
    json!({ "name": short, "ref": name, "targetCommit": commit })
}
