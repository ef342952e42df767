//! The calls that are answered at once.

use axum::{
    body::Body,
    extract::{Path, RawQuery, State},
    http::HeaderMap,
};
use hubless_content::{ContentHash, RefName, RepoId, RepoKind};
use hubless_node::{
    api::{
        Configure, Explain, FindProviders, Gc, Info, List, ListPeers, ListTransfers, MakeTicket,
        NameList, NameRemove, NameSet, NameShow, Pin, Remove, ShowStatus, Unpin,
    },
    config::{self, Form, KEYS},
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::answer::{Answer, Refused, ask, body, done, hash, shown};
use crate::{app::Shared, http::context::Query};

/// Seconds that a search for providers takes, if nothing else is said.
const SEARCH_SECONDS: u64 = 10;

/// The longest that one may wait for it.
const SEARCH_SECONDS_MAX: u64 = 60;

/// Tags that one call may set.
const TAGS_MAX: usize = 100;

pub(super) async fn status(State(app): State<Shared>) -> Answer {
    ask(&app, ShowStatus {}).await
}

pub(super) async fn transfers(State(app): State<Shared>) -> Answer {
    ask(&app, ListTransfers {}).await
}

pub(super) async fn peers(State(app): State<Shared>) -> Answer {
    ask(&app, ListPeers {}).await
}

pub(super) async fn models(State(app): State<Shared>) -> Answer {
    ask(&app, List {}).await
}

pub(super) async fn model(State(app): State<Shared>, Path(model): Path<String>) -> Answer {
    let hash = hash(&model)?;
    ask(&app, Info { hash }).await
}

pub(super) async fn forget(State(app): State<Shared>, Path(model): Path<String>) -> Answer {
    let hash = hash(&model)?;
    done(&app, Remove { hash }).await
}

pub(super) async fn pin(State(app): State<Shared>, Path(model): Path<String>) -> Answer {
    let hash = hash(&model)?;
    done(&app, Pin { hash }).await
}

pub(super) async fn unpin(State(app): State<Shared>, Path(model): Path<String>) -> Answer {
    let hash = hash(&model)?;
    done(&app, Unpin { hash }).await
}

pub(super) async fn ticket(State(app): State<Shared>, Path(model): Path<String>) -> Answer {
    let hash = hash(&model)?;
    let local = false;
    ask(&app, MakeTicket { hash, local }).await
}

pub(super) async fn why(State(app): State<Shared>, Path(model): Path<String>) -> Answer {
    let hash = hash(&model)?;
    ask(&app, Explain { hash }).await
}

pub(super) async fn providers(
    State(app): State<Shared>,
    Path(content): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let hash = hash(&content)?;
    let query = Query::new(query.as_deref());
    let seconds = match query.get("timeout_s").map(str::parse) {
        None => SEARCH_SECONDS,
        Some(Ok(seconds)) if (1..=SEARCH_SECONDS_MAX).contains(&seconds) => seconds,
        Some(_) => {
            let message = format!("timeout_s is a number from 1 to {SEARCH_SECONDS_MAX}");
            return Err(Refused::usage(message));
        }
    };
    let call = FindProviders {
        hash: hash.into(),
        timeout_s: seconds,
    };
    ask(&app, call).await
}

pub(super) async fn names(State(app): State<Shared>) -> Answer {
    ask(&app, NameList {}).await
}

/// A name to be given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NameBody {
    kind: RepoKind,
    name: String,
    hash: ContentHash,
    branch: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    message: Option<String>,
}

pub(super) async fn set_name(State(app): State<Shared>, headers: HeaderMap, sent: Body) -> Answer {
    let sent: NameBody = body(&headers, sent).await?;
    if sent.tags.len() > TAGS_MAX {
        return Err(Refused::usage("there are too many tags"));
    }
    let wrong = |error: &dyn std::error::Error| Refused::usage(error.to_string());
    let tags = sent.tags.iter().map(|tag| RefName::tag(tag));
    let request = NameSet {
        repo: repo(sent.kind, &sent.name)?,
        branch: match &sent.branch {
            Some(branch) => RefName::branch(branch).map_err(|error| wrong(&error))?,
            None => RefName::main(),
        },
        tags: tags
            .collect::<Result<_, _>>()
            .map_err(|error| wrong(&error))?,
        hash: sent.hash,
        message: sent.message,
    };
    ask(&app, request).await
}

fn repo(kind: RepoKind, name: &str) -> Result<RepoId, Refused> {
    RepoId::new(kind, name).map_err(|error| Refused::usage(error.to_string()))
}

fn repo_in_path(kind: &str, name: &str) -> Result<RepoId, Refused> {
    let kind = kind
        .parse()
        .map_err(|error| Refused::usage(format!("{error}")))?;
    repo(kind, name)
}

pub(super) async fn name(
    State(app): State<Shared>,
    Path((kind, name)): Path<(String, String)>,
) -> Answer {
    let repo = repo_in_path(&kind, &name)?;
    ask(&app, NameShow { repo }).await
}

pub(super) async fn forget_name(
    State(app): State<Shared>,
    Path((kind, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Answer {
    let repo = repo_in_path(&kind, &name)?;
    let query = Query::new(query.as_deref());
    let name = match query.get("ref").map(RefName::new) {
        None => None,
        Some(Ok(name)) => Some(name),
        Some(Err(error)) => return Err(Refused::usage(error.to_string())),
    };
    done(&app, NameRemove { repo, name }).await
}

pub(super) async fn config(State(app): State<Shared>) -> Answer {
    Ok(shown(app.node.config()))
}

pub(super) async fn configure(State(app): State<Shared>, headers: HeaderMap, sent: Body) -> Answer {
    let sent: Map<String, Value> = body(&headers, sent).await?;
    let mut changes = Vec::new();
    // All are checked before the first is made.
    for (key, value) in &sent {
        // The node refuses what is no key.
        let form = KEYS
            .iter()
            .find(|known| known.name == key)
            .map(|key| key.form);
        let text = text_of(form.unwrap_or(Form::Text), value)
            .ok_or_else(|| Refused::usage(format!("{key} has a value of the wrong type")))?;
        if let Some(text) = &text {
            config::parse(key, text).map_err(hubless_node::api::Failure::from)?;
        }
        changes.push((key.clone(), text));
    }
    let mut changed = Vec::new();
    for (key, value) in changes {
        changed.push(app.node.call(Configure { key, value }).answer().await?);
    }
    Ok(shown(changed))
}

/// A value in the form that the environment has: lists with commas. `Some(None)` for null, which
/// stands for the default; `None` for what the schema of the key does not allow.
fn text_of(form: Form, value: &Value) -> Option<Option<String>> {
    let text = match (form, value) {
        (_, Value::Null) => return Some(None),
        (Form::Switch, Value::Bool(_)) | (Form::Size, Value::Number(_)) => value.to_string(),
        (Form::Size | Form::Text | Form::Path | Form::OneOf(_), Value::String(text)) => {
            text.clone()
        }
        (Form::Texts | Form::Addresses, Value::Array(items)) => {
            let items: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            items?.join(",")
        }
        _ => return None,
    };
    Some(Some(text))
}

pub(super) async fn gc(State(app): State<Shared>) -> Answer {
    ask(&app, Gc {}).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_in_the_form_of_the_environment() {
        let text = |form, value: Value| text_of(form, &value);
        assert_eq!(text(Form::Size, json!("10MB")), Some(Some("10MB".into())));
        assert_eq!(text(Form::Size, json!(5)), Some(Some("5".into())));
        assert_eq!(text(Form::Switch, json!(true)), Some(Some("true".into())));
        let list = json!(["a", "b"]);
        assert_eq!(text(Form::Texts, list.clone()), Some(Some("a,b".into())));
        assert_eq!(text(Form::Path, json!(null)), Some(None));
        for wrong in [json!({ "a": 1 }), json!(5), json!(true), list] {
            assert_eq!(text(Form::Path, wrong.clone()), None, "{wrong}");
        }
        assert_eq!(text(Form::Texts, json!([["a"]])), None);
        assert_eq!(text(Form::Switch, json!("on")), None);
    }
}
