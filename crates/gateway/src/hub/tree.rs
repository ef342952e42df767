//! Files and directories: `tree` and `paths-info`.

use axum::{
    Json,
    body::Body,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use hubless_content::{FileHasher, RepoId};
use hubless_node::repos::{FileIds, RepoFile, RepoTree, Resolved};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    info::date,
    last_commit::{Changed, last_commits},
};
use crate::http::{
    context::{Query, RequestContext},
    error::ApiError,
};

/// Entries of one page; clients follow links to the next.
const PAGE_MAX: usize = 1000;

/// Paths asked for at once; clients send up to 1,000.
const PATHS_MAX: usize = 10_000;

/// Bytes of a list of paths.
const PATHS_BYTES_MAX: usize = 8 * 1024 * 1024;

/// An entry of a listing, by its path: the position of a file, or a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    File(usize),
    Directory(String),
}

pub(crate) async fn tree(
    cx: &RequestContext,
    repo: &RepoId,
    revision: &str,
    path: &str,
) -> Result<Response, ApiError> {
    let resolved = cx.resolve(repo, revision).await?;
    let tree = cx.repos.tree(&resolved).await?;
    if !path.is_empty() && !is_directory(&tree, path) {
        return Err(ApiError::entry_not_found(path));
    }
    let (limit, recursive) = (
        cx.query.limit(PAGE_MAX, PAGE_MAX),
        cx.query.is_on("recursive"),
    );
    let after = cx.query.get("cursor");
    let mut page = list(&tree, path, recursive, after, limit + 1);
    let more = page.len() > limit;
    page.truncate(limit);
    let last = page.last().map(|entry| path_of(&tree, entry));
    let entries = shown(cx, &resolved, &tree, page, cx.query.is_on("expand")).await?;
    let mut response = Json(entries).into_response();
    if let Some(last) = last.filter(|_| more) {
        let (name, value) = cx.next_link("cursor", &last);
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

pub(crate) fn is_directory(tree: &RepoTree, path: &str) -> bool {
    let below = format!("{path}/");
    let first = tree.path(tree.position(&below));
    first.is_some_and(|first| first.starts_with(&below))
}

pub(crate) fn path_of(tree: &RepoTree, entry: &Entry) -> String {
    match entry {
        Entry::File(position) => tree.path(*position).unwrap_or_default().to_owned(),
        Entry::Directory(path) => path.clone(),
    }
}

/// Up to `max` entries below a directory after the one at `after`. A directory comes where its
/// first file would.
pub(crate) fn list(
    tree: &RepoTree,
    directory: &str,
    recursive: bool,
    after: Option<&str>,
    max: usize,
) -> Vec<Entry> {
    let below = match directory {
        "" => String::new(),
        path => format!("{path}/"),
    };
    let mut position = tree.position(&below);
    let mut seen = String::new();
    if let Some(after) = after.filter(|after| after.starts_with(&below)) {
        let is_directory = is_directory(tree, after);
        position = match (is_directory, recursive) {
            // All below it was left out, so the next is what comes behind.
            (true, false) => tree.position(&format!("{after}0")),
            (true, true) => tree.position(&format!("{after}/")),
            (false, _) => tree.position(after) + 1,
        };
        seen = match is_directory {
            true => format!("{after}/"),
            false => after
                .rsplit_once('/')
                .map_or(String::new(), |(dir, _)| format!("{dir}/")),
        };
    }
    let mut entries = Vec::new();
    while entries.len() < max
        && let Some(path) = tree.path(position)
        && let Some(rest) = path.strip_prefix(&below)
    {
        for (slash, _) in rest.match_indices('/') {
            let end = below.len() + slash;
            let is_new = !seen.starts_with(&path[..=end]);
            if is_new {
                entries.push(Entry::Directory(path[..end].to_owned()));
            }
            if !recursive {
                break;
            }
        }
        match rest.find('/') {
            Some(slash) if !recursive => {
                let directory = &path[..below.len() + slash];
                seen = format!("{directory}/");
                // `0` is the character behind `/`.
                position = tree.position(&format!("{directory}0"));
            }
            _ => {
                entries.push(Entry::File(position));
                seen = path[..path.rfind('/').map_or(0, |slash| slash + 1)].to_owned();
                position += 1;
            }
        }
    }
    entries.truncate(max);
    entries
}

/// Entries as clients read them.
async fn shown(
    cx: &RequestContext,
    resolved: &Resolved,
    tree: &RepoTree,
    entries: Vec<Entry>,
    expand: bool,
) -> Result<Vec<Value>, ApiError> {
    let files: Vec<RepoFile> = entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::File(position) => tree.file(*position),
            Entry::Directory(_) => None,
        })
        .collect();
    let ids = cx.repos.ids_of(resolved, &files).await?;
    let commits = match expand {
        true => last_commits(cx, resolved, tree, changed(tree, &entries)).await?,
        false => Vec::new(),
    };
    let mut commits = commits.into_iter();
    let mut files = files.iter().zip(ids);
    let shown = entries.into_iter().filter_map(|entry| {
        let mut value = match entry {
            Entry::File(_) => {
                let (file, ids) = files.next()?;
                file_entry(file, &ids)
            }
            Entry::Directory(path) => json!({
                "type": "directory",
                "oid": directory_id(&path, resolved),
                "size": 0,
                "path": path,
            }),
        };
        if let Some((id, revision)) = commits.next() {
            value["lastCommit"] =
                json!({ "id": id, "title": revision.title, "date": date(revision.time) });
        }
        Some(value)
    });
    Ok(shown.collect())
}

fn changed(tree: &RepoTree, entries: &[Entry]) -> Vec<Changed> {
    let changed = |entry: &Entry| match entry {
        Entry::File(_) => Changed::File(path_of(tree, entry)),
        Entry::Directory(path) => Changed::Directory(path.clone()),
    };
    entries.iter().map(changed).collect()
}

fn file_entry(file: &RepoFile, ids: &FileIds) -> Value {
    let mut value = json!({
        "type": "file",
        "oid": ids.oid_or_zeros(),
        "size": file.size,
        "path": file.path,
    });
    if let FileIds::Large {
        sha256,
        pointer_size,
        ..
    } = ids
    {
        value["lfs"] = json!({ "oid": sha256, "size": file.size, "pointerSize": pointer_size });
    }
    if let Some(hash) = file.hash {
        value["blake3"] = json!(hash);
    }
    value
}

/// Clients take any 40 digits that stay the same.
fn directory_id(path: &str, resolved: &Resolved) -> String {
    let mut hasher = FileHasher::new();
    hasher.update(format!("{}/{path}", resolved.commit).as_bytes());
    hasher.finish().file().to_string()[..40].to_owned()
}

/// What clients send as JSON.
#[derive(Deserialize)]
struct Paths {
    paths: Vec<String>,
    #[serde(default)]
    expand: bool,
}

pub(crate) async fn paths_info(
    cx: &RequestContext,
    repo: &RepoId,
    revision: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let bytes = axum::body::to_bytes(body, PATHS_BYTES_MAX).await;
    let bytes = bytes.map_err(|_| ApiError::bad_request("The body is too large or broken."))?;
    let wanted = read_paths(headers, &bytes)?;
    let resolved = cx.resolve(repo, revision).await?;
    let tree = cx.repos.tree(&resolved).await?;
    let found = wanted.paths.iter().filter_map(|path| {
        let path = path.trim_end_matches('/');
        let position = tree.position(path);
        if tree.path(position) == Some(path) {
            return Some(Entry::File(position));
        }
        let is_directory = !path.is_empty() && is_directory(&tree, path);
        is_directory.then(|| Entry::Directory(path.to_owned()))
    });
    let entries = shown(cx, &resolved, &tree, found.collect(), wanted.expand).await?;
    Ok(Json(entries).into_response())
}

fn read_paths(headers: &HeaderMap, bytes: &[u8]) -> Result<Paths, ApiError> {
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/json"));
    let paths = if is_json {
        serde_json::from_slice(bytes)
            .map_err(|error| ApiError::bad_request(format!("The body is malformed: {error}")))?
    } else {
        let form = Query::from_form(bytes);
        Paths {
            paths: form.all("paths").map(str::to_owned).collect(),
            expand: form.is_on("expand"),
        }
    };
    if paths.paths.len() > PATHS_MAX {
        return Err(ApiError::bad_request("There are too many paths."));
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc};

    use hubless_content::{FileHash, Manifest, ManifestEntry};
    use proptest::prelude::*;

    use super::*;

    fn tree(paths: &BTreeSet<String>) -> RepoTree {
        let entry = |path: &String| ManifestEntry {
            path: path.parse().unwrap(),
            size: 1,
            hash: FileHash::new([1; 32]),
        };
        RepoTree::Manifest(Arc::new(
            Manifest::new(paths.iter().map(entry).collect()).unwrap(),
        ))
    }

    fn names(tree: &RepoTree, entries: &[Entry]) -> Vec<String> {
        let name = |entry: &Entry| match entry {
            Entry::File(_) => path_of(tree, entry),
            Entry::Directory(path) => format!("{path}/"),
        };
        entries.iter().map(name).collect()
    }

    #[test]
    fn directories_are_listed_with_their_files() {
        let paths = ["a", "b-x", "b/c", "b/d/e", "b/d/f", "b0", "z"].map(str::to_owned);
        let tree = tree(&paths.into());
        let all = list(&tree, "", true, None, 100);
        assert_eq!(
            names(&tree, &all),
            ["a", "b-x", "b/", "b/c", "b/d/", "b/d/e", "b/d/f", "b0", "z"]
        );
        let top = list(&tree, "", false, None, 100);
        assert_eq!(names(&tree, &top), ["a", "b-x", "b/", "b0", "z"]);
        let below = list(&tree, "b", false, None, 100);
        assert_eq!(names(&tree, &below), ["b/c", "b/d/"]);
        assert!(is_directory(&tree, "b/d") && !is_directory(&tree, "b0"));
    }

    /// No path is the directory of another.
    fn paths() -> impl Strategy<Value = BTreeSet<String>> {
        prop::collection::btree_set("[a-c0-]{1,2}(/[a-c0-]{1,2}){0,3}", 1..30).prop_map(|paths| {
            let is_directory = |path: &String| {
                let below = format!("{path}/");
                paths.iter().any(|other| other.starts_with(&below))
            };
            paths
                .iter()
                .filter(|path| !is_directory(path))
                .cloned()
                .collect()
        })
    }

    proptest! {
        #[test]
        fn pages_are_the_listing_in_pieces(paths in paths(), recursive: bool, limit in 1usize..5) {
            let tree = tree(&paths);
            let whole = list(&tree, "", recursive, None, usize::MAX);
            let (mut pieces, mut after): (Vec<Entry>, Option<String>) = (Vec::new(), None);
            loop {
                let page = list(&tree, "", recursive, after.as_deref(), limit);
                prop_assert!(pieces.len() + page.len() <= whole.len());
                let is_last = page.len() < limit;
                after = page.last().map(|entry| path_of(&tree, entry));
                pieces.extend(page);
                if is_last { break; }
            }
            prop_assert_eq!(pieces, whole);
        }
    }
}
