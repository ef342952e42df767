//! The configuration: what is in effect, and changes of several keys at once.

use axum::{body::Body, extract::State, http::HeaderMap};
use hubless_node::{
    api::{Configure, Failure},
    config::{self, Form, KEYS},
};
use serde_json::{Map, Value};

use super::answer::{Answer, Refused, body, shown};
use crate::app::Shared;

pub(super) async fn config(State(app): State<Shared>) -> Answer {
    Ok(shown(app.node.config()))
}

pub(super) async fn configure(State(app): State<Shared>, headers: HeaderMap, sent: Body) -> Answer {
    let sent: Map<String, Value> = body(&headers, sent).await?;
    let mut changes = Vec::new();
    // All are checked before the first is made.
    for (key, value) in &sent {
        // The node refuses an unknown key.
        let form = KEYS
            .iter()
            .find(|known| known.name == key)
            .map(|key| key.form);
        let text = text_of(form.unwrap_or(Form::Text), value)
            .ok_or_else(|| Refused::usage(format!("{key} has a value of the wrong type")))?;
        if let Some(text) = &text {
            config::parse(key, text).map_err(Failure::from)?;
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
