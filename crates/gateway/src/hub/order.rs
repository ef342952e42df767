//! The order of lists: `sort`, `direction`, and a cursor that goes with them.

use std::cmp::Ordering;

use hubless_node::repos::Repo;

use crate::http::context::{Query, RequestContext};
use crate::http::error::ApiError;

/// Numbers that other hubs count of a repository. A node sees what it serves, not what the world
/// does, so it counts none: a list by one of them has what changed last first.
const NOT_COUNTED: [&str; 6] = [
    "downloads",
    "likes",
    "likes30d",
    "trendingScore",
    "mainSize",
    "num_parameters",
];

/// What a list is ordered by; what is equal is ordered by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Created,
    Modified,
}

/// The order that a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    key: Key,
    ascending: bool,
}

/// A repository's place in an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    value: u64,
    folded: String,
}

impl Order {
    /// Reads the query; `None` for an order by name.
    pub(super) fn read(query: &Query) -> Result<Option<Self>, ApiError> {
        let key = match query.get("sort") {
            None | Some("" | "id") => return Ok(None),
            Some("createdAt" | "created_at") => Key::Created,
            Some("lastModified" | "last_modified" | "trending_score") => Key::Modified,
            Some(other) if NOT_COUNTED.contains(&other) => Key::Modified,
            Some(_) => {
                let known = NOT_COUNTED.join(", ");
                let message = format!("\"sort\" must be one of [createdAt, lastModified, {known}]");
                return Err(ApiError::bad_request(message));
            }
        };
        // Older clients say -1 for what newer ones mean without a word.
        let ascending = query.get("direction") == Some("1");
        Ok(Some(Self { key, ascending }))
    }

    /// Where a repository stands.
    pub(super) async fn place(self, cx: &RequestContext, repo: &Repo) -> Result<Place, ApiError> {
        let value = match self.key {
            Key::Created => repo.created,
            Key::Modified => {
                let head = cx.repos.head(&repo.id).await?;
                head.map_or(0, |head| head.revision.time)
            }
        };
        Ok(Place {
            value,
            folded: repo.id.folded(),
        })
    }

    pub(super) fn compare(self, left: &Place, right: &Place) -> Ordering {
        let values = match self.ascending {
            true => left.value.cmp(&right.value),
            false => right.value.cmp(&left.value),
        };
        values.then_with(|| left.folded.cmp(&right.folded))
    }
}

impl Place {
    /// As a client brings it back.
    pub(super) fn cursor(&self) -> String {
        format!("{}:{}", self.value, self.folded)
    }

    pub(super) fn from_cursor(text: &str) -> Option<Self> {
        let (value, folded) = text.split_once(':')?;
        Some(Self {
            value: value.parse().ok()?,
            folded: folded.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(query: &str) -> Option<Order> {
        Order::read(&Query::new(Some(query))).unwrap()
    }

    #[test]
    fn as_clients_ask_for_it() {
        let newest = Order {
            key: Key::Modified,
            ascending: false,
        };
        assert_eq!(order("sort=lastModified"), Some(newest));
        assert_eq!(order("sort=last_modified&direction=-1"), Some(newest));
        assert_ne!(order("sort=lastModified&direction=1"), Some(newest));
        for key in ["downloads", "likes", "trendingScore", "trending_score"] {
            assert_eq!(order(&format!("sort={key}")), Some(newest), "{key}");
        }
        assert_eq!(order("direction=-1"), None);
        assert!(Order::read(&Query::new(Some("sort=nonsense"))).is_err());
    }

    #[test]
    fn what_is_equal_is_ordered_by_name_and_a_cursor_is_a_place() {
        let place = |value, name: &str| Place {
            value,
            folded: name.to_owned(),
        };
        let newest = order("sort=createdAt").unwrap();
        assert_eq!(
            newest.compare(&place(2, "b"), &place(1, "a")),
            Ordering::Less
        );
        assert_eq!(
            newest.compare(&place(1, "a"), &place(1, "b")),
            Ordering::Less
        );
        let there = place(7, "a/b:c");
        assert_eq!(Place::from_cursor(&there.cursor()), Some(there));
        assert_eq!(Place::from_cursor("x"), None);
    }
}
