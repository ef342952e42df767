//! Search over names, tags and cards of what this node knows. No other node is asked.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use hubless_content::{ContentHash, RepoId, RepoKind};
use hubless_node::repos::{Repos, Search};
use maud::{Markup, html};

use super::{Pages, home, layout::Page, refusal, spellings::Spellings, text, urls};
use crate::{
    card::{self, Card},
    http::{context::Query, error::ApiError},
};

/// Characters of a question.
const QUERY_CHARS_MAX: usize = 200;

/// Words of a question; more do not make it clearer.
const WORDS_MAX: usize = 8;

/// Repos whose cards one search reads.
const CARDS_MAX: usize = 5000;

/// How long a search reads cards.
const WITHIN: Duration = Duration::from_secs(2);

/// Results that are shown.
const RESULTS_SHOWN: usize = 100;

/// Characters of a card around what was found.
const EXCERPT_CHARS: usize = 160;

/// Where all the words were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Name,
    Tags,
    Card,
}

struct Found {
    place: Place,
    repo: RepoId,
    tags: Vec<String>,
    excerpt: String,
    time: u64,
}

struct Results {
    found: Vec<Found>,
    /// Whether everything known was searched.
    all: bool,
}

pub(crate) async fn search(State(pages): State<Arc<Pages>>, RawQuery(query): RawQuery) -> Response {
    let query = Query::new(query.as_deref());
    let asked: String = query
        .get("q")
        .unwrap_or_default()
        .chars()
        .take(QUERY_CHARS_MAX)
        .collect();
    if let Ok(hash) = asked.trim().parse::<ContentHash>() {
        return Redirect::to(&urls::content(hash)).into_response();
    }
    match find(&pages, &words(&asked)).await {
        Ok(results) => Page {
            title: "Search",
            query: &asked,
            body: body(&asked, results),
        }
        .respond(StatusCode::OK),
        Err(error) => refusal(error),
    }
}

fn words(asked: &str) -> Vec<String> {
    let words = asked.split_whitespace().map(str::to_lowercase);
    words.take(WORDS_MAX).collect()
}

/// All repos that are not gated and have all the words somewhere.
async fn find(pages: &Pages, words: &[String]) -> Result<Results, ApiError> {
    let repos = &pages.node.repos();
    let spellings = Spellings::read(&pages.node).await?;
    let (start, mut looked_at) = (Instant::now(), 0);
    let mut results = Results {
        found: Vec::new(),
        all: true,
    };
    for kind in RepoKind::ALL {
        let everything = Search::default();
        let known = repos.search(kind, &everything, None, CARDS_MAX);
        for repo in known.await? {
            if repo.gated {
                continue;
            }
            looked_at += 1;
            if looked_at > CARDS_MAX || start.elapsed() > WITHIN {
                results.all = false;
                break;
            }
            let spelled = spellings.of(&repo.id);
            results
                .found
                .extend(fits(repos, &repo.id, spelled, words).await?);
        }
    }
    let order = |found: &Found| (found.place, std::cmp::Reverse(found.time));
    results.found.sort_by_key(order);
    Ok(results)
}

/// A repo that has all the words, under the name that this node has for it.
async fn fits(
    repos: &Repos,
    repo: &RepoId,
    spelled: RepoId,
    words: &[String],
) -> Result<Option<Found>, ApiError> {
    let Some(resolved) = repos.head(repo).await? else {
        return Ok(None);
    };
    let readme = match repos.held_tree(&resolved).await? {
        Some(tree) => card::held_readme(repos, &resolved, &tree).await,
        None => None,
    };
    let readme = readme.unwrap_or_default();
    let tags = Card::parse(&readme).tags();
    let name = spelled.to_string().to_lowercase();
    let of_tags = format!("{name} {}", tags.join(" ").to_lowercase());
    let in_all = |text: &str| words.iter().all(|word| text.contains(word.as_str()));
    let text = card::body(&readme);
    let place = if in_all(&name) {
        Place::Name
    } else if in_all(&of_tags) {
        Place::Tags
    } else if in_all(&format!("{of_tags} {}", text.to_lowercase())) {
        Place::Card
    } else {
        return Ok(None);
    };
    let excerpt = match place {
        Place::Card => excerpt(text, words),
        Place::Name | Place::Tags => String::new(),
    };
    Ok(Some(Found {
        place,
        repo: spelled,
        tags,
        excerpt,
        time: resolved.revision.time,
    }))
}

/// The line of a card that has the first of the words.
fn excerpt(text: &str, words: &[String]) -> String {
    let has = |line: &&str| {
        let line = line.to_lowercase();
        words.iter().any(|word| line.contains(word.as_str()))
    };
    let line = text.lines().find(has).unwrap_or_default().trim();
    let mut excerpt: String = line.chars().take(EXCERPT_CHARS).collect();
    if excerpt.len() < line.len() {
        excerpt.push('…');
    }
    excerpt
}

fn body(asked: &str, results: Results) -> Markup {
    let count = results.found.len();
    html! {
        h1 { "Search" }
        p.muted role="status" {
            @match asked.trim() {
                "" => { "Everything with a name that this node knows: " },
                asked => { "For “" (asked) "”: " },
            }
            (text::count(count as u64, "result"))
            @if !results.all { "; not everything was searched, use rarer words" }
        }
        ul.results {
            @for found in results.found.iter().take(RESULTS_SHOWN) { li { (result(found)) } }
        }
        @if count > RESULTS_SHOWN { p.muted { "and " (count - RESULTS_SHOWN) " more" } }
    }
}

fn result(found: &Found) -> Markup {
    html! {
        div.line {
            a href=(urls::repo(&found.repo)) { (text::repo(&found.repo)) }
            span.small.muted { (home::kind(found.repo.kind())) " · " (text::time(found.time)) }
        }
        @if !found.excerpt.is_empty() { p.small { (found.excerpt) } }
        @if !found.tags.is_empty() {
            p.small.muted { (found.tags.iter().take(8).cloned().collect::<Vec<_>>().join(" · ")) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_with_the_word_is_shown() {
        let text = "# Title\n\nIt finds *Sentences* that are alike.\n";
        let words = words("sentences  x");
        assert_eq!(words, ["sentences", "x"]);
        assert_eq!(
            excerpt(text, &words),
            "It finds *Sentences* that are alike."
        );
        let long = "é".repeat(500);
        assert_eq!(
            excerpt(&long, &["é".into()]).chars().count(),
            EXCERPT_CHARS + 1
        );
        assert_eq!(excerpt("", &words), "");
    }
}
