//! What a repository is: info, with all or some of its fields.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use hubless_content::{CommitId, FileHasher, GitBlobId, ModelPath, RepoId, RepoKind, Sha256};
use hubless_node::repos::{FileIds, RepoFile, RepoTree, Resolved};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    card::Card,
    http::{context::RequestContext, error::ApiError},
};

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
    pub(crate) fn new(cx: &RequestContext, kind: RepoKind) -> Result<Self, ApiError> {
        let expand: Vec<String> = cx.query.all("expand").map(str::to_owned).collect();
        let known = expandable(kind);
        if expand.iter().any(|name| !known.contains(&name.as_str())) {
            let message = format!("\"expand\" must be one of [{}]", known.join(", "));
            return Err(ApiError::bad_request(message));
        }
        let names = |name: &str| expand.iter().any(|expand| expand == name);
        Ok(Self {
            siblings: names("siblings"),
            card: names("cardData"),
            blobs: cx.query.is_on("blobs"),
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

    /// Of everything that is known of a repository, what was asked for.
    fn of(&self, info: &RepoInfo) -> Map<String, Value> {
        let Ok(Value::Object(mut object)) = serde_json::to_value(info) else {
            unreachable!("a struct with named fields is an object");
        };
        if !self.expand.is_empty() {
            object.retain(|key, _| {
                key == "id" || key == "_id" || self.expand.iter().any(|name| name == key)
            });
        }
        object
    }
}

pub(crate) async fn info(
    cx: &RequestContext,
    repo: &RepoId,
    revision: Option<&str>,
) -> Result<Response, ApiError> {
    let mut fields = Fields::new(cx, repo.kind())?;
    let resolved = cx.resolve(repo, revision.unwrap_or("HEAD")).await?;
    if fields.expand.is_empty() {
        (fields.siblings, fields.card) = (true, true);
    }
    let tree = cx.repos.tree(&resolved).await?;
    let card = Card::read(&cx.repos, &resolved, &tree).await;
    let object = object(cx, &resolved, Some(&tree), &card, &fields).await?;
    Ok(Json(object).into_response())
}

/// A repository as clients read it. Optional fields are left out where there is nothing to say.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RepoInfo {
    /// An id that clients take for opaque.
    #[serde(rename = "_id")]
    internal_id: String,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_id: Option<String>,
    author: Option<String>,
    sha: CommitId,
    private: bool,
    disabled: bool,
    gated: Gated,
    created_at: String,
    last_modified: String,
    // A node knows only the downloads that it serves itself, and there are no accounts that could
    // like something.
    downloads: u64,
    downloads_all_time: u64,
    likes: u64,
    trending_score: u64,
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_storage: Option<u64>,
    #[serde(rename = "pipeline_tag", skip_serializing_if = "Option::is_none")]
    pipeline_tag: Option<String>,
    #[serde(rename = "library_name", skip_serializing_if = "Option::is_none")]
    library_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sdk: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    card_data: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    siblings: Option<Vec<Sibling>>,
}

/// `false`, or how access is granted: the hub has two ways, and which one it is stays there.
#[derive(Serialize)]
#[serde(untagged)]
enum Gated {
    Not(bool),
    By(&'static str),
}

/// A file of a repository.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    #[serde(rename = "rfilename")]
    path: ModelPath,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    // Rather none than one that is not true.
    #[serde(skip_serializing_if = "Option::is_none")]
    blob_id: Option<GitBlobId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lfs: Option<Lfs>,
}

/// What git holds in place of a large file.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Lfs {
    sha256: Sha256,
    size: u64,
    pointer_size: u32,
}

impl RepoInfo {
    fn new(cx: &RequestContext, resolved: &Resolved, card: &Card) -> Self {
        let repo = &resolved.repo;
        let spelled = cx.spelled(&repo.id);
        let (id, kind) = (spelled.id(), repo.id.kind());
        let text = |key: &str, of: RepoKind| {
            let text = if kind == of { card.text(key) } else { None };
            text.map(str::to_owned)
        };
        Self {
            internal_id: internal_id(&repo.id),
            id: id.to_owned(),
            model_id: (kind == RepoKind::Model).then(|| id.to_owned()),
            author: spelled.namespace().map(str::to_owned),
            sha: resolved.commit,
            private: repo.private,
            disabled: false,
            gated: if repo.gated {
                Gated::By("auto")
            } else {
                Gated::Not(false)
            },
            created_at: date(repo.created),
            last_modified: date(resolved.revision.time),
            downloads: 0,
            downloads_all_time: 0,
            likes: 0,
            trending_score: 0,
            tags: card.tags(),
            used_storage: None,
            pipeline_tag: text("pipeline_tag", RepoKind::Model),
            library_name: text("library_name", RepoKind::Model),
            sdk: text("sdk", RepoKind::Space),
            card_data: None,
            siblings: None,
        }
    }
}

/// The answer's object for one repository. Without the list of files, which only peers have, what
/// depends on it is left out.
pub(crate) async fn object(
    cx: &RequestContext,
    resolved: &Resolved,
    tree: Option<&RepoTree>,
    card: &Card,
    fields: &Fields,
) -> Result<Map<String, Value>, ApiError> {
    let mut info = RepoInfo::new(cx, resolved, card);
    if fields.card {
        info.card_data = card.data();
    }
    if let Some(tree) = tree {
        info.used_storage = Some(tree.files().map(|file| file.size).sum());
        if fields.siblings {
            info.siblings = Some(siblings(cx, resolved, tree, fields.blobs).await?);
        }
    }
    Ok(fields.of(&info))
}

async fn siblings(
    cx: &RequestContext,
    resolved: &Resolved,
    tree: &RepoTree,
    blobs: bool,
) -> Result<Vec<Sibling>, ApiError> {
    let files: Vec<RepoFile> = tree.files().collect();
    if !blobs {
        let names = files.into_iter().map(|file| Sibling {
            path: file.path,
            size: None,
            blob_id: None,
            lfs: None,
        });
        return Ok(names.collect());
    }
    let ids = cx.repos.ids_of(resolved, &files).await?;
    let siblings = files.into_iter().zip(ids).map(|(file, ids)| Sibling {
        path: file.path,
        size: Some(file.size),
        blob_id: ids.oid(),
        lfs: match ids {
            FileIds::Large {
                sha256,
                pointer_size,
                ..
            } => Some(Lfs {
                sha256,
                size: file.size,
                pointer_size,
            }),
            FileIds::Regular(_) | FileIds::Unknown(_) => None,
        },
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
