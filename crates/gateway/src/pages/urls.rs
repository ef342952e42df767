//! Addresses of pages and files.

use hubless_content::{ContentHash, RepoId};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What is written as it is in a segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'@')
    .remove(b'+')
    .remove(b',')
    .remove(b'=');

fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

fn segments(path: &str) -> String {
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// A repo's page.
pub(crate) fn repo(repo: &RepoId) -> String {
    format!("/{}", segments(&repo.to_string()))
}

/// The page of a publisher, by its id or the namespace that stands for it.
pub(crate) fn publisher(namespace: &str) -> String {
    format!("/{}", segment(namespace))
}

/// A page of a revision, or of a path in it.
pub(crate) fn revision(of: &RepoId, verb: &str, revision: &str, path: &str) -> String {
    let base = format!("{}/{verb}/{}", repo(of), segment(revision));
    match path {
        "" => base,
        path => format!("{base}/{}", segments(path)),
    }
}

/// The page of content.
pub(crate) fn content(hash: ContentHash) -> String {
    format!("/content/{hash}")
}
