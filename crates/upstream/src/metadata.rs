//! Metadata of an upstream's repos: info, files, refs. All sizes are bounded, and entries that
//! break a rule of this node are dropped or refused.

use hubless_content::{
    CommitId, FileHash, GitBlobId, Lfs, MANIFEST_FILES_MAX, ModelPath, RefName, RepoId, Sha256,
    Tree, TreeEntry,
};
use hubless_store::{HISTORY_MAX, PastCommit, REFS_MAX};
use serde::Deserialize;

use crate::{client::Client, error::UpstreamError};

/// Pages of one listing: a million files in pages of 1,000, and some room for directories.
const PAGES_MAX: usize = 4000;

/// Pages of one history: hubs have 50 commits on each, or the 100 that are asked for.
const HISTORY_PAGES_MAX: usize = 20;

/// Bytes of a commit's title, and of an author's name, that are kept: lines for people.
const TITLE_SHOWN_MAX: usize = 256;

/// Bytes of a commit's message that are kept.
const MESSAGE_SHOWN_MAX: usize = 2048;

/// A repo at a revision.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Info {
    /// Its name in the upstream's spelling.
    pub(super) id: String,
    /// The commit; none of a repo that is empty.
    sha: Option<CommitId>,
    #[serde(default)]
    private: Option<bool>,
    /// False, or the kind of approval that access needs.
    #[serde(default)]
    gated: serde_json::Value,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    last_modified: Option<String>,
}

impl Info {
    pub(super) fn commit(&self) -> Option<CommitId> {
        self.sha
    }

    pub(super) fn is_private(&self) -> bool {
        self.private == Some(true)
    }

    pub(super) fn is_gated(&self) -> bool {
        !matches!(
            self.gated,
            serde_json::Value::Null | serde_json::Value::Bool(false)
        )
    }

    /// When the repo was made: milliseconds since 1970.
    pub(super) fn created(&self) -> u64 {
        milliseconds(self.created_at.as_deref().or(self.last_modified.as_deref()))
    }

    /// When its newest revision was.
    pub(super) fn modified(&self) -> u64 {
        milliseconds(self.last_modified.as_deref().or(self.created_at.as_deref()))
    }
}

/// 0 for an invalid time: it is only displayed.
fn milliseconds(text: Option<&str>) -> u64 {
    let time = text.and_then(|text| text.parse::<jiff::Timestamp>().ok());
    time.and_then(|time| u64::try_from(time.as_millisecond()).ok())
        .unwrap_or(0)
}

/// An entry of a listing.
#[derive(Debug, Deserialize)]
struct Listed {
    r#type: String,
    path: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    oid: String,
    lfs: Option<ListedLfs>,
    /// The file's BLAKE3, which another hubless gateway lists.
    blake3: Option<FileHash>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedLfs {
    oid: Sha256,
    size: u64,
    #[serde(default)]
    pointer_size: u32,
}

impl Listed {
    /// As a stored entry; `None` if it is not a file, or its path breaks a rule.
    fn entry(self) -> Option<TreeEntry> {
        if self.r#type != "file" {
            return None;
        }
        let path = match ModelPath::new(&self.path) {
            Ok(path) => path,
            Err(error) => {
                tracing::warn!(path = ?self.path, %error, "a file of the upstream is left out");
                return None;
            }
        };
        // Other gateways that do not know an id list zeros or digits of the hash instead.
        let is_made_up = |oid: &str| {
            let from_hash = self.blake3.map(|hash| hash.to_string());
            oid.bytes().all(|digit| digit == b'0')
                || from_hash.is_some_and(|hash| hash.starts_with(oid))
        };
        Some(TreeEntry {
            path,
            size: self.lfs.as_ref().map_or(self.size, |lfs| lfs.size),
            git_blob: (!is_made_up(&self.oid))
                .then(|| self.oid.parse::<GitBlobId>().ok())
                .flatten(),
            lfs: self.lfs.map(|lfs| Lfs {
                sha256: lfs.oid,
                pointer_size: lfs.pointer_size,
            }),
            file: self.blake3,
        })
    }
}

#[derive(Debug, Deserialize)]
struct Refs {
    branches: Vec<Ref>,
    #[serde(default)]
    tags: Vec<Ref>,
    #[serde(default)]
    converts: Vec<Ref>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ref {
    r#ref: String,
    target_commit: CommitId,
}

/// The path of a repo's API.
fn api<'a>(repo: &'a RepoId, rest: &[&'a str]) -> Vec<&'a str> {
    let mut parts = vec!["api", repo.kind().plural()];
    parts.extend(repo.id().split('/'));
    parts.extend(rest);
    parts
}

/// Resolves a revision; `HEAD` is the default branch.
pub(super) async fn info(
    client: &Client,
    repo: &RepoId,
    revision: &str,
    token: Option<&str>,
) -> Result<Info, UpstreamError> {
    let rest: &[&str] = match revision {
        "HEAD" => &[],
        revision => &["revision", revision],
    };
    let url = client.url(api(repo, rest));
    Ok(client.json(repo, url, token).await?.0)
}

/// All files of a commit.
pub(super) async fn tree(
    client: &Client,
    repo: &RepoId,
    commit: CommitId,
    token: Option<&str>,
) -> Result<Tree, UpstreamError> {
    let commit = commit.to_string();
    let mut url = client.url(api(repo, &["tree", &commit]));
    url.set_query(Some("recursive=true&expand=false"));
    let (mut entries, mut next) = (Vec::new(), Some(url));
    for _ in 0..PAGES_MAX {
        let Some(url) = next.take() else {
            return Ok(Tree::listed(entries));
        };
        let (page, following): (Vec<Listed>, _) = client.json(repo, url, token).await?;
        entries.extend(page.into_iter().filter_map(Listed::entry));
        if entries.len() > MANIFEST_FILES_MAX {
            break;
        }
        next = following;
    }
    Err(UpstreamError::Malformed("a listing without an end".into()))
}

/// All branches, tags and conversions.
pub(super) async fn refs(
    client: &Client,
    repo: &RepoId,
    token: Option<&str>,
) -> Result<Vec<(RefName, CommitId)>, UpstreamError> {
    let url = client.url(api(repo, &["refs"]));
    let refs: Refs = client.json(repo, url, token).await?.0;
    let all = refs.branches.into_iter().chain(refs.tags);
    let all = all.chain(refs.converts).take(REFS_MAX);
    // A name that breaks git's rules cannot be a ref: it is dropped.
    let named = all.filter_map(|found| Some((found.r#ref.parse().ok()?, found.target_commit)));
    Ok(named.collect())
}

#[derive(Debug, Deserialize)]
struct Commit {
    id: CommitId,
    #[serde(default)]
    title: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    date: Option<String>,
    #[serde(default)]
    authors: Vec<Author>,
}

#[derive(Debug, Deserialize)]
struct Author {
    #[serde(default)]
    user: String,
}

impl Commit {
    fn past(self) -> PastCommit {
        let author = self.authors.into_iter().next();
        let author = author.map(|author| author.user).unwrap_or_default();
        PastCommit {
            id: self.id,
            title: shortened(self.title, TITLE_SHOWN_MAX),
            message: shortened(self.message, MESSAGE_SHOWN_MAX),
            author: shortened(author, TITLE_SHOWN_MAX),
            time: milliseconds(self.date.as_deref()),
        }
    }
}

/// A text cut to so many bytes.
fn shortened(mut text: String, max: usize) -> String {
    let mut ends = (0..=max.min(text.len())).rev();
    text.truncate(ends.find(|end| text.is_char_boundary(*end)).unwrap_or(0));
    text
}

/// A commit and its predecessors, newest first; at most [`HISTORY_MAX`] of them.
pub(super) async fn commits(
    client: &Client,
    repo: &RepoId,
    commit: CommitId,
    token: Option<&str>,
) -> Result<Vec<PastCommit>, UpstreamError> {
    let commit = commit.to_string();
    let mut url = client.url(api(repo, &["commits", &commit]));
    url.set_query(Some("limit=100"));
    let (mut commits, mut next) = (Vec::new(), Some(url));
    for _ in 0..HISTORY_PAGES_MAX {
        let Some(url) = next.take() else { break };
        let (page, following): (Vec<Commit>, _) = client.json(repo, url, token).await?;
        commits.extend(page.into_iter().map(Commit::past));
        next = following.filter(|_| commits.len() < HISTORY_MAX);
    }
    commits.truncate(HISTORY_MAX);
    Ok(commits)
}

/// Succeeds if the caller may get the files of a repo.
pub(super) async fn auth_check(
    client: &Client,
    repo: &RepoId,
    token: Option<&str>,
) -> Result<(), UpstreamError> {
    let url = client.url(api(repo, &["auth-check"]));
    client
        .json::<serde::de::IgnoredAny>(repo, url, token)
        .await?;
    Ok(())
}

/// The URL of the bytes of a file.
pub(super) fn file_url(
    client: &Client,
    repo: &RepoId,
    commit: CommitId,
    path: &ModelPath,
) -> reqwest::Url {
    let commit = commit.to_string();
    let kind = repo.kind();
    let prefix = (kind != hubless_content::RepoKind::Model).then(|| kind.plural());
    let parts = prefix.into_iter().chain(repo.id().split('/'));
    client.url(
        parts
            .chain(["resolve", commit.as_str()])
            .chain(path.segments()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(json: serde_json::Value) -> Option<TreeEntry> {
        serde_json::from_value::<Listed>(json).unwrap().entry()
    }

    #[test]
    fn files_as_hubs_list_them() {
        let (sha1, sha256, hash) = ("1".repeat(40), "2".repeat(64), "3".repeat(64));
        let small = serde_json::json!({"type":"file","path":"a/b","size":5,"oid":sha1});
        let small = entry(small).unwrap();
        assert_eq!(small.git_blob, Some(sha1.parse().unwrap()));
        assert_eq!((small.size, small.lfs, small.file), (5, None, None));
        let large = entry(serde_json::json!({
            "type":"file","path":"m","size":134,"oid":sha1,"blake3":hash,
            "lfs":{"oid":sha256,"size":9,"pointerSize":134}
        }));
        let large = large.unwrap();
        assert_eq!(large.size, 9);
        assert_eq!(large.lfs.unwrap().sha256, sha256.parse().unwrap());
        assert_eq!(large.file, Some(hash.parse().unwrap()));
        let unread = serde_json::json!({"type":"file","path":"m","oid":hash[..40],"blake3":hash});
        assert_eq!(entry(unread).unwrap().git_blob, None);
    }

    #[test]
    fn what_is_no_file_is_left_out() {
        for (kind, path) in [
            ("directory", "a"),
            ("file", "../a"),
            ("file", "/a"),
            ("file", "a\\b"),
        ] {
            assert_eq!(
                entry(serde_json::json!({"type":kind,"path":path})),
                None,
                "{path}"
            );
        }
    }

    #[test]
    fn how_access_is_given() {
        let info = |gated: &str| -> Info {
            let text = format!(
                r#"{{"id":"a/b","sha":"{}","gated":{gated},"lastModified":"2024-01-31T12:00:00.000Z"}}"#,
                "0".repeat(40)
            );
            serde_json::from_str(&text).unwrap()
        };
        assert!(info("\"auto\"").is_gated() && !info("false").is_gated());
        assert_eq!(info("null").modified(), 1_706_702_400_000);
    }
}
