//! The card of a repository: the YAML at the beginning of its README.

use std::time::Duration;

use hubless_content::ContentHash;
use hubless_node::repos::{RepoError, RepoFile, RepoTree, Repos, Resolved};
use serde_json::{Map, Value};

/// Bytes of a README that is read. Longer ones are not cards.
const README_BYTES_MAX: u64 = 1024 * 1024;

/// Bytes of the YAML in it.
const FRONT_MATTER_BYTES_MAX: usize = 64 * 1024;

/// How long an answer waits for a README that has to be fetched: clients wait 10 s in all.
const README_WITHIN: Duration = Duration::from_secs(3);

/// Tags of one repository.
const TAGS_MAX: usize = 1000;

/// What a card says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Card(Map<String, Value>);

impl Card {
    /// The card of a revision; an empty one if there is none, or if it cannot be had in time.
    pub(crate) async fn read(repos: &Repos, resolved: &Resolved, tree: &RepoTree) -> Self {
        let readme = readme(repos, resolved, tree).await;
        readme.as_deref().map(Self::parse).unwrap_or_default()
    }

    /// The card of a revision if it is here: nothing is fetched.
    pub(crate) async fn read_held(repos: &Repos, resolved: &Resolved, tree: &RepoTree) -> Self {
        let readme = held_readme(repos, resolved, tree).await;
        readme.as_deref().map(Self::parse).unwrap_or_default()
    }

    /// What the YAML at the beginning of a README says.
    pub(crate) fn parse(readme: &str) -> Self {
        let yaml = divide(readme).map(|(yaml, _)| yaml);
        let yaml = yaml.filter(|yaml| yaml.len() <= FRONT_MATTER_BYTES_MAX);
        let parsed = yaml.map(serde_saphyr::from_str::<Value>);
        match parsed {
            Some(Ok(Value::Object(map))) => Self(map),
            _ => Self::default(),
        }
    }

    /// All of it, as JSON; `None` if it says nothing.
    pub(crate) fn data(&self) -> Option<Value> {
        (!self.0.is_empty()).then(|| Value::Object(self.0.clone()))
    }

    /// A value that is a text.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(Value::as_str)
    }

    fn texts(&self, key: &str) -> Vec<&str> {
        match self.0.get(key) {
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// The tags by which the hub lists it.
    pub(crate) fn tags(&self) -> Vec<String> {
        let plain = ["library_name", "pipeline_tag", "tags"];
        let plain = plain.into_iter().flat_map(|key| self.texts(key));
        let marked = [
            ("license", "license"),
            ("datasets", "dataset"),
            ("base_model", "base_model"),
            ("language", "language"),
            ("task_categories", "task_categories"),
            ("size_categories", "size_categories"),
        ];
        let marked = marked.into_iter().flat_map(|(key, mark)| {
            let texts = self.texts(key).into_iter();
            texts.map(move |text| format!("{mark}:{text}"))
        });
        let mut tags: Vec<String> = Vec::new();
        for tag in plain.map(str::to_owned).chain(marked).take(TAGS_MAX) {
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        tags
    }
}

/// The README of a revision; `None` if there is none, or if it cannot be had in time.
pub(crate) async fn readme(repos: &Repos, resolved: &Resolved, tree: &RepoTree) -> Option<String> {
    let file = file_of(tree)?;
    in_time(repos.read_small(resolved, &file)).await
}

/// The README of a revision if it is here: nothing is fetched.
pub(crate) async fn held_readme(
    repos: &Repos,
    resolved: &Resolved,
    tree: &RepoTree,
) -> Option<String> {
    let is_held = repos.is_held(&file_of(tree)?).await;
    match is_held {
        true => readme(repos, resolved, tree).await,
        false => None,
    }
}

/// The README of content if it is here.
pub(crate) async fn readme_of_content(
    repos: &Repos,
    content: ContentHash,
    tree: &RepoTree,
) -> Option<String> {
    let file = file_of(tree)?;
    match repos.is_held(&file).await {
        true => in_time(repos.read_small_of(content, &file)).await,
        false => None,
    }
}

fn file_of(tree: &RepoTree) -> Option<RepoFile> {
    let readme = tree.get("README.md");
    readme.filter(|readme| readme.size <= README_BYTES_MAX)
}

async fn in_time(read: impl Future<Output = Result<Vec<u8>, RepoError>>) -> Option<String> {
    let bytes = tokio::time::timeout(README_WITHIN, read).await.ok()?.ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// What stands behind the YAML.
pub(crate) fn body(readme: &str) -> &str {
    divide(readme).map_or(readme, |(_, body)| body)
}

/// Between a first line `---` and the next one, and what stands behind that.
fn divide(readme: &str) -> Option<(&str, &str)> {
    let rest = readme.strip_prefix('\u{feff}').unwrap_or(readme);
    let rest = rest
        .strip_prefix("---\n")
        .or_else(|| rest.strip_prefix("---\r\n"))?;
    let mut end = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return Some((&rest[..end], &rest[end + line.len()..]));
        }
        end += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_card_says() {
        let card = Card::parse(
            "---\nlicense: mit\ntags:\n- a\n- b\nlanguage: [en, de]\ndate: 2024-01-31\n---\n# x\n",
        );
        assert_eq!(
            card.tags(),
            ["a", "b", "license:mit", "language:en", "language:de"]
        );
        assert_eq!(card.text("date"), Some("2024-01-31"), "dates stay text");
    }

    #[test]
    fn what_stands_behind_the_yaml() {
        for (readme, rest) in [
            ("---\nlicense: mit\n---\n# x\n", "# x\n"),
            ("\u{feff}---\r\na: b\r\n---\r\n# x", "# x"),
            ("---\na: b\n---", ""),
            ("---\n---\nx", "x"),
            ("# x\n---\n", "# x\n---\n"),
            ("---\nnever closed", "---\nnever closed"),
        ] {
            assert_eq!(body(readme), rest, "{readme:?}");
        }
    }

    #[test]
    fn what_is_no_card() {
        for readme in [
            "",
            "# x",
            "---\nlicense: mit\n",
            "---\n- a\n---\n",
            "---\n: : :\n- {\n---\n",
            "text\n---\nlicense: mit\n---\n",
        ] {
            assert!(Card::parse(readme).data().is_none(), "{readme:?}");
        }
    }

    #[test]
    fn what_refers_to_itself_many_times_is_refused() {
        let mut yaml = "---\na: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 0..12u8 {
            let (from, to) = ((b'a' + level) as char, (b'b' + level) as char);
            let items = vec![format!("*{from}"); 9].join(", ");
            yaml.push_str(&format!("{to}: &{to} [{items}]\n"));
        }
        yaml.push_str("---\n");
        assert!(Card::parse(&yaml).data().is_none());
    }
}
