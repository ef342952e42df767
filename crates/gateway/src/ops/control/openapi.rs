//! The description of the calls: `openapi.json`, and in it the keys of the configuration.

use std::sync::LazyLock;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use hubless_node::config::{Form, KEYS, Key};
use serde_json::{Map, Value, json};

/// Where the description has the changes of the configuration.
const CONFIG_CHANGE: &str = "/components/schemas/ConfigChange";

/// The description, made once.
static TEXT: LazyLock<String> =
    LazyLock::new(|| with_keys(include_str!("openapi.json")).to_string());

pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text()).into_response()
}

/// The description as it is given out.
pub(super) fn text() -> &'static str {
    &TEXT
}

fn with_keys(description: &str) -> Value {
    // A test reads it: the file is part of the program.
    let mut description: Value = serde_json::from_str(description).unwrap_or_default();
    if let Some(Value::Object(change)) = description.pointer_mut(CONFIG_CHANGE) {
        let keys = KEYS.iter().map(|key| (key.name.to_owned(), schema(key)));
        change.insert("properties".into(), keys.collect::<Map<_, _>>().into());
        change.insert("additionalProperties".into(), false.into());
    }
    description
}

/// The values that a key takes; null stands for its default.
fn schema(key: &Key) -> Value {
    let mut schema = match key.form {
        Form::Switch => json!({ "type": ["boolean", "null"] }),
        Form::Size => json!({ "type": ["string", "integer", "null"] }),
        Form::Text | Form::Path => json!({ "type": ["string", "null"] }),
        Form::OneOf(words) => {
            let words = words.iter().map(|word| json!(word)).chain([Value::Null]);
            json!({ "enum": words.collect::<Vec<_>>() })
        }
        Form::Texts | Form::Addresses => {
            json!({ "type": ["array", "null"], "items": { "type": "string" } })
        }
    };
    schema["description"] = key.text().into();
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_configuration_is_described() {
        let described: Value = serde_json::from_str(text()).unwrap();
        let change = described.pointer(CONFIG_CHANGE).unwrap();
        for key in KEYS {
            let text = &change["properties"][key.name]["description"];
            assert_eq!(text, key.text(), "{}", key.name);
        }
        assert_eq!(change["additionalProperties"], false);
    }
}
