//! Lists of repositories, and search.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use hubless_content::{RepoId, RepoKind};
use hubless_node::repos::{Repo, Search};
use serde_json::{Map, Value};

use super::{
    ask::Ask,
    card::Card,
    info::{self, Fields},
};
use crate::http::error::ApiError;

/// Repositories of one page.
const PAGE: usize = 100;

/// The most that a client may ask for.
const PAGE_MAX: usize = 1000;

/// Repositories whose cards one request reads, when tags are searched for.
const CARDS_MAX: usize = 2000;

pub(crate) async fn list(ask: &Ask, kind: RepoKind) -> Result<Response, ApiError> {
    let mut fields = Fields::new(ask, kind)?;
    let full = ask.query.is_on("full");
    fields.siblings |= full;
    fields.card |= full || ask.query.is_on("cardData");
    let search = Search {
        words: ask.query.all("search").map(str::to_owned).collect(),
        author: ask.query.get("author").map(str::to_owned),
    };
    let limit = ask.query.limit(PAGE, PAGE_MAX);
    let cursor = ask.query.get("cursor");
    let mut after = cursor.and_then(|id| RepoId::new(kind, id).ok());
    let (mut found, mut looked_at, mut more) = (Vec::new(), 0, true);
    while more && found.len() < limit && looked_at < CARDS_MAX {
        let wanted = limit - found.len();
        let page = ask
            .repos
            .search(kind, &search, after.clone(), wanted)
            .await?;
        more = page.len() == wanted;
        looked_at += page.len();
        for repo in page {
            after = Some(repo.id.clone());
            found.extend(entry(ask, &repo, &fields).await?);
        }
    }
    let mut response = Json(found).into_response();
    if let Some(last) = after.filter(|_| more) {
        let (name, value) = ask.next_link("cursor", last.id());
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

/// A repository as lists show it, if its tags fit. One without a revision is not listed.
async fn entry(
    ask: &Ask,
    repo: &Repo,
    fields: &Fields,
) -> Result<Option<Map<String, Value>>, ApiError> {
    let Some(resolved) = ask.repos.head(&repo.id).await? else {
        return Ok(None);
    };
    // A list does not wait for peers.
    let Some(tree) = ask.repos.held_tree(&resolved).await? else {
        return Ok(None);
    };
    let card = Card::read_held(&ask.repos, &resolved, &tree).await;
    let tags = card.tags();
    let wanted = ask.query.all("filter").chain(ask.query.all("pipeline_tag"));
    let wanted = wanted.flat_map(|filter| filter.split(','));
    if !wanted
        .into_iter()
        .all(|tag| tags.iter().any(|own| own == tag))
    {
        return Ok(None);
    }
    Ok(Some(
        info::object(ask, &resolved, &tree, &card, fields).await?,
    ))
}
