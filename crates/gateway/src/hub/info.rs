//! What a repository is: info, with all or some of its fields.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use hubless_content::{FileHasher, RepoId, RepoKind};
use hubless_node::repos::{FileIds, RepoFile, RepoTree, Resolved};
use serde_json::{Map, Value, json};

use super::{ask::Ask, card::Card};
use crate::http::error::ApiError;

/// Fields that `expand` may name, by kind. Those that this gateway does not know are left out.
fn expandable(kind: RepoKind) -> &'static [&'static str] {
    match kind {
        RepoKind::Model => &[
            "author",
            "baseModels",
            "cardData",
            "childrenModelCount",
            "config",
            "createdAt",
            "disabled",
            "downloads",
            "downloadsAllTime",
            "evalResults",
            "gated",
            "gguf",
            "inference",
            "inferenceProviderMapping",
            "lastModified",
            "library_name",
            "likes",
            "mask_token",
            "model-index",
            "pipeline_tag",
            "private",
            "resourceGroup",
            "safetensors",
            "sha",
            "siblings",
            "spaces",
            "tags",
            "transformersInfo",
            "trendingScore",
            "usedStorage",
            "widgetData",
            "xetEnabled",
            "gitalyUid",
        ],
        RepoKind::Dataset => &[
            "author",
            "cardData",
            "citation",
            "createdAt",
            "description",
            "disabled",
            "downloads",
            "downloadsAllTime",
            "gated",
            "lastModified",
            "likes",
            "mainSize",
            "paperswithcode_id",
            "private",
            "resourceGroup",
            "sha",
            "siblings",
            "tags",
            "trendingScore",
            "usedStorage",
            "xetEnabled",
            "gitalyUid",
        ],
        RepoKind::Space => &[
            "author",
            "cardData",
            "createdAt",
            "datasets",
            "disabled",
            "lastModified",
            "likes",
            "models",
            "private",
            "region",
            "resourceGroup",
            "runtime",
            "sdk",
            "sha",
            "siblings",
            "subdomain",
            "tags",
            "trendingScore",
            "usedStorage",
            "xetEnabled",
            "gitalyUid",
        ],
    }
}

/// Which fields are wanted beyond those that every answer has.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    /// Only these, if any are named.
    expand: Vec<String>,
    pub(crate) siblings: bool,
    pub(crate) card: bool,
    /// Sizes and ids of the files.
    blobs: bool,
}

impl Fields {
    /// Reads the query.
    pub(crate) fn new(ask: &Ask, kind: RepoKind) -> Result<Self, ApiError> {
        let expand: Vec<String> = ask.query.all("expand").map(str::to_owned).collect();
        let known = expandable(kind);
        if expand.iter().any(|name| !known.contains(&name.as_str())) {
            let message = format!("\"expand\" must be one of [{}]", known.join(", "));
            return Err(ApiError::bad_request(message));
        }
        let names = |name: &str| expand.iter().any(|expand| expand == name);
        Ok(Self {
            siblings: names("siblings"),
            card: names("cardData"),
            blobs: ask.query.is_on("blobs"),
            expand,
        })
    }

    /// The same, but nothing that files have to be read for.
    pub(crate) fn without_blobs(self) -> Self {
        Self {
            blobs: false,
            ..self
        }
    }

    fn keep(&self, object: &mut Map<String, Value>) {
        if !self.expand.is_empty() {
            object.retain(|key, _| {
                key == "id" || key == "_id" || self.expand.iter().any(|name| name == key)
            });
        }
    }
}

pub(crate) async fn info(
    ask: &Ask,
    repo: &RepoId,
    revision: Option<&str>,
) -> Result<Response, ApiError> {
    let mut fields = Fields::new(ask, repo.kind())?;
    let resolved = ask.resolve(repo, revision.unwrap_or("HEAD")).await?;
    if fields.expand.is_empty() {
        (fields.siblings, fields.card) = (true, true);
    }
    let tree = ask.repos.tree(&resolved).await?;
    let card = Card::read(&ask.repos, &resolved, &tree).await;
    let object = object(ask, &resolved, Some(&tree), &card, &fields).await?;
    Ok(Json(object).into_response())
}

/// The answer's object for one repository. Without the list of files, which only peers have, what
/// depends on it is left out.
pub(crate) async fn object(
    ask: &Ask,
    resolved: &Resolved,
    tree: Option<&RepoTree>,
    card: &Card,
    fields: &Fields,
) -> Result<Map<String, Value>, ApiError> {
    let repo = &resolved.repo;
    let (id, kind) = (repo.id.id(), repo.id.kind());
    let gated = if repo.gated {
        json!("auto")
    } else {
        json!(false)
    };
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| drop(object.insert(key.to_owned(), value));
    put("_id", json!(internal_id(&repo.id)));
    put("id", json!(id));
    put("author", json!(repo.id.namespace()));
    put("sha", json!(resolved.commit));
    put("private", json!(repo.private));
    put("disabled", json!(false));
    put("gated", gated);
    put("createdAt", json!(date(repo.created)));
    put("lastModified", json!(date(resolved.revision.time)));
    put("downloads", json!(0));
    put("downloadsAllTime", json!(0));
    put("likes", json!(0));
    put("trendingScore", json!(0));
    put("tags", json!(card.tags()));
    if let Some(tree) = tree {
        let bytes: u64 = tree.files().map(|file| file.size).sum();
        put("usedStorage", json!(bytes));
    }
    match kind {
        RepoKind::Model => {
            put("modelId", json!(id));
            for key in ["pipeline_tag", "library_name"] {
                if let Some(text) = card.text(key) {
                    put(key, json!(text));
                }
            }
        }
        RepoKind::Dataset => {}
        RepoKind::Space => {
            if let Some(sdk) = card.text("sdk") {
                put("sdk", json!(sdk));
            }
        }
    }
    if let Some(data) = card.data().filter(|_| fields.card) {
        put("cardData", data);
    }
    if let Some(tree) = tree.filter(|_| fields.siblings) {
        put(
            "siblings",
            siblings(ask, resolved, tree, fields.blobs).await?,
        );
    }
    fields.keep(&mut object);
    Ok(object)
}

async fn siblings(
    ask: &Ask,
    resolved: &Resolved,
    tree: &RepoTree,
    blobs: bool,
) -> Result<Value, ApiError> {
    let files: Vec<RepoFile> = tree.files().collect();
    if !blobs {
        let names = files.iter().map(|file| json!({ "rfilename": file.path }));
        return Ok(names.collect());
    }
    let ids = ask.repos.ids_of(resolved, &files).await?;
    let siblings = files.iter().zip(ids).map(|(file, ids)| {
        let mut sibling = json!({ "rfilename": file.path, "size": file.size });
        // Rather none than one that is not true.
        if let Some(oid) = ids.oid() {
            sibling["blobId"] = json!(oid);
        }
        if let FileIds::Large {
            sha256,
            pointer_size,
            ..
        } = ids
        {
            sibling["lfs"] =
                json!({ "sha256": sha256, "size": file.size, "pointerSize": pointer_size });
        }
        sibling
    });
    Ok(siblings.collect())
}

/// An id that clients take for opaque: 24 digits, the same on every node.
fn internal_id(repo: &RepoId) -> String {
    let mut hasher = FileHasher::new();
    hasher.update(format!("{}/{}", repo.kind().plural(), repo.folded()).as_bytes());
    hasher.finish().file().to_string()[..24].to_owned()
}

/// Milliseconds since 1970 as clients read dates.
pub(crate) fn date(milliseconds: u64) -> String {
    let milliseconds = i64::try_from(milliseconds).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or(jiff::Timestamp::MAX);
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_end_in_z() {
        assert_eq!(date(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(date(1_706_702_400_123), "2024-01-31T12:00:00.123Z");
        assert!(date(u64::MAX).starts_with("9999"));
    }
}
