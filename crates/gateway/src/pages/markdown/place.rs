//! Where a card's links lead: elsewhere on the web, or into the repo it is of.

use hubless_content::RepoId;
use percent_encoding::percent_decode_str;

use crate::pages::urls;

/// The hub whose addresses cards use for their own images.
const HUB: &str = "https://huggingface.co/";

/// Where a card is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// In a revision of a repo.
    Repo {
        /// The repo.
        repo: RepoId,
        /// The revision, as its reader names it.
        revision: String,
    },
    /// In content without a name: nothing in it has an address to lead to.
    Content,
}

impl Place {
    /// Where a link leads; `None` if it must not.
    pub(super) fn link(&self, url: &str) -> Option<String> {
        let url = clean(url);
        if let Some(heading) = url.strip_prefix('#') {
            return Some(format!("#readme-{}", anchor(&decoded(heading))));
        }
        match scheme(&url) {
            Some(scheme) => ["http", "https", "mailto"]
                .iter()
                .any(|allowed| scheme.eq_ignore_ascii_case(allowed))
                .then_some(url),
            None => self.inside(&url, "blob"),
        }
    }

    /// Where an image comes from; `None` if not from the repo.
    pub(super) fn image(&self, url: &str) -> Option<String> {
        let url = clean(url);
        match scheme(&url) {
            None => self.inside(&url, "resolve"),
            Some(_) => self.of_the_hub(&url),
        }
    }

    fn inside(&self, url: &str, verb: &str) -> Option<String> {
        let Self::Repo { repo, revision } = self else {
            return None;
        };
        // What begins so names a host, or is meant for the root of another site.
        if url.starts_with(['/', '\\']) {
            return None;
        }
        let path = url.split(['?', '#']).next().unwrap_or_default();
        let mut segments: Vec<String> = Vec::new();
        for segment in path.split('/').map(decoded) {
            match segment.as_str() {
                "" | "." => {}
                ".." => drop(segments.pop()),
                _ => segments.push(segment),
            }
        }
        if segments.is_empty() {
            return None;
        }
        Some(urls::revision(repo, verb, revision, &segments.join("/")))
    }

    /// The hub's address of a file of this repo.
    fn of_the_hub(&self, url: &str) -> Option<String> {
        let Self::Repo { repo, .. } = self else {
            return None;
        };
        let path = url.strip_prefix(HUB)?.strip_prefix(&repo.to_string())?;
        let mut parts = path.strip_prefix('/')?.splitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("resolve" | "raw" | "blob"), Some(_), Some(path)) => self.inside(path, "resolve"),
            _ => None,
        }
    }
}

/// Without what browsers drop, so that both see the same.
fn clean(url: &str) -> String {
    let kept = url.chars().filter(|char| !char.is_control());
    kept.collect::<String>().trim().to_owned()
}

/// What stands before the first colon, if it can be a scheme.
fn scheme(url: &str) -> Option<&str> {
    let at = url.find([':', '/', '\\', '?', '#'])?;
    url[at..].starts_with(':').then(|| &url[..at])
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// A heading as links name it.
pub(super) fn anchor(heading: &str) -> String {
    let chars = heading.trim().chars().flat_map(char::to_lowercase);
    let kept = chars.filter_map(|char| match char {
        ' ' => Some('-'),
        char if char.is_alphanumeric() || "-_".contains(char) => Some(char),
        _ => None,
    });
    kept.take(super::ANCHOR_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use hubless_content::RepoKind;

    use super::*;

    fn place() -> Place {
        Place::Repo {
            repo: RepoId::new(RepoKind::Model, "o/n").unwrap(),
            revision: "refs/pr/1".into(),
        }
    }

    #[test]
    fn links_lead_where_they_may() {
        for (url, target) in [
            ("https://a.example/?q=1", Some("https://a.example/?q=1")),
            ("MAILTO:a@b.example", Some("MAILTO:a@b.example")),
            ("#A Heading!", Some("#readme-a-heading")),
            (
                "docs/a%20b.md",
                Some("/o/n/blob/refs%2Fpr%2F1/docs/a%20b.md"),
            ),
            ("./x.md#y", Some("/o/n/blob/refs%2Fpr%2F1/x.md")),
            ("../../../../etc", Some("/o/n/blob/refs%2Fpr%2F1/etc")),
            ("a?b:c", Some("/o/n/blob/refs%2Fpr%2F1/a")),
            ("javascript:alert(1)", None),
            ("JaVaScRiPt:alert(1)", None),
            (" java\nscript:alert(1)", None),
            ("\u{1}javascript:alert(1)", None),
            ("data:text/html,x", None),
            ("vbscript:x", None),
            ("file:///etc/passwd", None),
            ("//evil.example/", None),
            ("\\\\evil.example", None),
            ("/\\evil.example", None),
            ("/o/other", None),
            ("", None),
        ] {
            assert_eq!(place().link(url).as_deref(), target, "{url:?}");
        }
        assert_eq!(Place::Content.link("a.md"), None);
        assert!(Place::Content.link("https://a.example").is_some());
    }

    #[test]
    fn images_come_from_the_repo() {
        for (url, source) in [
            ("a.png", Some("/o/n/resolve/refs%2Fpr%2F1/a.png")),
            (
                "https://huggingface.co/o/n/resolve/main/img/a.png?download=true",
                Some("/o/n/resolve/refs%2Fpr%2F1/img/a.png"),
            ),
            ("https://huggingface.co/o/other/resolve/main/a.png", None),
            ("https://a.example/a.png", None),
            ("data:image/png;base64,AAAA", None),
            ("//a.example/a.png", None),
        ] {
            assert_eq!(place().image(url).as_deref(), source, "{url:?}");
        }
    }
}
