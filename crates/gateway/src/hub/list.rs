//! Lists of repositories, and search.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use hubless_content::{RepoId, RepoKind};
use hubless_node::repos::{Repo, Search};
use serde_json::{Map, Value};

use super::{
    info::{self, Fields},
    order::{Order, Place},
};
use crate::{
    card::Card,
    http::{context::RequestContext, error::ApiError},
};

/// Repositories of one page.
const PAGE: usize = 100;

/// The most that a client may ask for.
const PAGE_MAX: usize = 1000;

/// Repositories whose cards one request reads, when tags are searched for.
const CARDS_MAX: usize = 2000;

/// Repositories that one request orders; those behind come in the order of their names.
const ORDERED_MAX: usize = 10_000;

/// The next page, if there is one, begins behind this.
type Page = (Vec<Map<String, Value>>, Option<String>);

/// What is listed.
struct Wanted {
    kind: RepoKind,
    search: Search,
    fields: Fields,
    limit: usize,
}

pub(crate) async fn list(cx: &mut RequestContext, kind: RepoKind) -> Result<Response, ApiError> {
    let mut fields = Fields::new(cx, kind)?.without_blobs();
    let full = cx.query.is_on("full");
    fields.siblings |= full;
    fields.card |= full || cx.query.is_on("cardData");
    let author = match cx.query.get("author").map(str::to_owned) {
        Some(author) => Some(cx.author(&author).await?),
        None => None,
    };
    let wanted = Wanted {
        kind,
        search: Search {
            words: cx.query.all("search").map(str::to_owned).collect(),
            author,
        },
        fields,
        limit: cx.query.limit(PAGE, PAGE_MAX),
    };
    let (found, next) = match Order::read(&cx.query)? {
        None => by_name(cx, &wanted).await?,
        Some(order) => in_order(cx, &wanted, order).await?,
    };
    let mut response = Json(found).into_response();
    if let Some(next) = next {
        let (name, value) = cx.next_link("cursor", &next);
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

async fn by_name(cx: &RequestContext, wanted: &Wanted) -> Result<Page, ApiError> {
    let cursor = cx.query.get("cursor");
    let mut after = cursor.and_then(|id| RepoId::new(wanted.kind, id).ok());
    let (mut found, mut looked_at, mut more) = (Vec::new(), 0, true);
    while more && found.len() < wanted.limit && looked_at < CARDS_MAX {
        let room = wanted.limit - found.len();
        let page = cx
            .repos
            .search(wanted.kind, &wanted.search, after.clone(), room)
            .await?;
        more = page.len() == room;
        looked_at += page.len();
        for repo in page {
            after = Some(repo.id.clone());
            found.extend(entry(cx, &repo, &wanted.fields).await?);
        }
    }
    let next = after.filter(|_| more).map(|last| last.id().to_owned());
    Ok((found, next))
}

async fn in_order(cx: &RequestContext, wanted: &Wanted, order: Order) -> Result<Page, ApiError> {
    let all = cx
        .repos
        .search(wanted.kind, &wanted.search, None, ORDERED_MAX)
        .await?;
    let mut places = Vec::with_capacity(all.len());
    for repo in all {
        places.push((order.place(cx, &repo).await?, repo));
    }
    places.sort_by(|(left, _), (right, _)| order.compare(left, right));
    let after = cx.query.get("cursor").and_then(Place::from_cursor);
    let is_behind = |place: &Place| {
        let after = after.as_ref();
        after.is_none_or(|after| order.compare(after, place).is_lt())
    };
    let mut found = Vec::new();
    let rest = places.iter().filter(|(place, _)| is_behind(place));
    for (number, (place, repo)) in rest.enumerate() {
        found.extend(entry(cx, repo, &wanted.fields).await?);
        if found.len() >= wanted.limit || number >= CARDS_MAX {
            return Ok((found, Some(place.cursor())));
        }
    }
    Ok((found, None))
}

/// A repository as lists show it, if its tags fit. One without a revision is not listed.
async fn entry(
    cx: &RequestContext,
    repo: &Repo,
    fields: &Fields,
) -> Result<Option<Map<String, Value>>, ApiError> {
    let Some(resolved) = cx.repos.head(&repo.id).await? else {
        return Ok(None);
    };
    // A list does not wait for peers: of a repository whose files are not known here, it has what
    // the name says.
    let tree = cx.repos.held_tree(&resolved).await?;
    let card = match &tree {
        Some(tree) => Card::read_held(&cx.repos, &resolved, tree).await,
        None => Card::default(),
    };
    let tags = card.tags();
    let wanted = cx.query.all("filter").chain(cx.query.all("pipeline_tag"));
    let wanted = wanted.flat_map(|filter| filter.split(','));
    if !wanted
        .into_iter()
        .all(|tag| tags.iter().any(|own| own == tag))
    {
        return Ok(None);
    }
    Ok(Some(
        info::object(cx, &resolved, tree.as_ref(), &card, fields).await?,
    ))
}
