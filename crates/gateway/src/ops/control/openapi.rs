//! The description of the calls: `openapi.json`, completed by the list of the calls and by the keys
//! of the configuration.

use std::sync::LazyLock;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use hubless_node::{
    api::{AnswerForm, Configured, HttpCall, HttpCalls, Method, Route, visit_http_calls},
    config::{Form, KEYS, Key},
};
use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::ROOT;

/// Where the description has the changes of the configuration.
const CONFIG_CHANGE: &str = "/components/schemas/ConfigChange";

/// The failures of every call: a token that is missing or wrong, a foreign host or origin, and what
/// the node could not do.
const FAILURES: [u16; 3] = [401, 403, 500];

/// The description, made once.
static TEXT: LazyLock<String> = LazyLock::new(|| description().to_string());

pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text()).into_response()
}

/// The description as it is given out.
fn text() -> &'static str {
    &TEXT
}

fn description() -> Value {
    // A test reads it: the file is part of the program.
    let mut description = serde_json::from_str(include_str!("openapi.json")).unwrap_or_default();
    let mut described = Described::new();
    visit_http_calls(&mut described);
    // The answer of a call that the gateway makes itself.
    described.answers.subschema_for::<Configured>();
    let Described {
        paths,
        mut fields,
        mut answers,
    } = described;
    extend(&mut description, "/paths", paths);
    let schemas = [&mut fields, &mut answers].map(|schemas| schemas.take_definitions(true));
    for schemas in schemas {
        extend(&mut description, "/components/schemas", schemas);
    }
    if let Some(Value::Object(change)) = description.pointer_mut(CONFIG_CHANGE) {
        let keys = KEYS
            .iter()
            .map(|key| (key.name.to_owned(), schema_of_key(key)));
        change.insert("properties".into(), keys.collect::<Map<_, _>>().into());
        change.insert("additionalProperties".into(), false.into());
    }
    description
}

fn extend(description: &mut Value, pointer: &str, more: Map<String, Value>) {
    if let Some(Value::Object(map)) = description.pointer_mut(pointer) {
        map.extend(more);
    }
}

/// The calls, as they are described so far.
struct Described {
    paths: Map<String, Value>,
    /// Schemas of what clients send.
    fields: SchemaGenerator,
    /// Schemas of what they receive.
    answers: SchemaGenerator,
}

impl HttpCalls for Described {
    fn http<C: HttpCall>(&mut self) {
        let (route, path) = (C::ROUTE, format!("{ROOT}{}", C::ROUTE.path));
        let mut call = json!({
            "operationId": route.id,
            "tags": [route.group],
            "summary": route.summary,
            "security": match route.method {
                // Reading needs the token only if the gateway has one for everything.
                Method::Get => json!([{}, { "token": [] }]),
                Method::Put | Method::Post | Method::Delete => json!([{ "token": [] }]),
            },
        });
        if !route.description.is_empty() {
            call["description"] = route.description.into();
        }
        let mut failures = FAILURES.to_vec();
        failures.extend(route.failures);
        if route.has_body {
            let schema = self.fields.subschema_for::<C::Fields>();
            call["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": schema } } });
            failures.extend([400, 415]);
        } else {
            let parameters = self.parameters::<C>();
            if !parameters.is_empty() {
                call["parameters"] = parameters.into();
                failures.push(400);
            }
        }
        call["responses"] = self.responses::<C>(&route, &failures);
        let method = match route.method {
            Method::Get => "get",
            Method::Put => "put",
            Method::Post => "post",
            Method::Delete => "delete",
        };
        let calls = self.paths.entry(path).or_insert_with(|| json!({}));
        calls[method] = call;
    }
}

impl Described {
    fn new() -> Self {
        // OpenAPI 3.1 has the schemas of this draft, all in one place.
        let mut settings = SchemaSettings::draft2020_12();
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
        Self {
            paths: Map::new(),
            fields: settings.clone().for_deserialize().into_generator(),
            answers: settings.for_serialize().into_generator(),
        }
    }

    /// The fields of path and query.
    fn parameters<C: HttpCall>(&mut self) -> Vec<Value> {
        let schema = <C::Fields as schemars::JsonSchema>::json_schema(&mut self.fields);
        let names = |key| schema.get(key).cloned().unwrap_or_default();
        let (properties, required) = (names("properties"), names("required"));
        let Value::Object(properties) = properties else {
            return Vec::new();
        };
        let is_required = |name: &str| {
            let mut names = required.as_array().into_iter().flatten();
            names.any(|required| required == name)
        };
        let parameters = properties.into_iter().map(|(name, mut schema)| {
            let is_in_path = C::ROUTE.path.contains(&format!("{{{name}}}"));
            let mut parameter = json!({
                "name": name,
                "in": if is_in_path { "path" } else { "query" },
                "required": is_in_path || is_required(&name),
            });
            if let Some(fields) = schema.as_object_mut()
                && let Some(text) = fields.remove("description")
            {
                parameter["description"] = text;
            }
            parameter["schema"] = schema;
            parameter
        });
        parameters.collect()
    }

    fn responses<C: HttpCall>(&mut self, route: &Route, failures: &[u16]) -> Value {
        let failures = failures.iter().map(|status| {
            let response = json!({ "$ref": format!("#/components/responses/{status}") });
            (status.to_string(), response)
        });
        let mut responses: Map<_, _> = failures.collect();
        let content = |kind: &str, schema: Schema| json!({ kind: { "schema": schema } });
        let (status, description, content) = match route.answer {
            AnswerForm::Json(text) => {
                let schema = self.answers.subschema_for::<C::Answer>();
                ("200", text, Some(content("application/json", schema)))
            }
            AnswerForm::Events(text) => {
                let schema = self.answers.subschema_for::<String>();
                ("200", text, Some(content("text/event-stream", schema)))
            }
            AnswerForm::Empty(text) => ("204", text, None),
        };
        let mut response = json!({ "description": description });
        if let Some(content) = content {
            response["content"] = content;
        }
        responses.insert(status.into(), response);
        responses.into()
    }
}

/// The values that a key takes; null stands for its default.
fn schema_of_key(key: &Key) -> Value {
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

    #[test]
    fn calls_of_the_list_and_of_the_gateway_are_described() {
        let described: Value = serde_json::from_str(text()).unwrap();
        let paths = described["paths"].as_object().unwrap();
        let methods = |path: &str| paths[path].as_object().unwrap().keys().collect::<Vec<_>>();
        assert_eq!(methods("/api/hubless/openapi.json"), ["get"]);
        assert_eq!(methods("/api/hubless/config"), ["get", "patch"]);
        assert_eq!(methods("/api/hubless/models/{hash}"), ["delete", "get"]);
        let search = &paths["/api/hubless/providers/{hash}"]["get"];
        let [hash, seconds] = search["parameters"].as_array().unwrap().as_slice() else {
            panic!("{search}");
        };
        assert_eq!(
            (&hash["in"], &hash["required"]),
            (&"path".into(), &true.into())
        );
        assert_eq!(seconds["schema"]["maximum"], 60);
        let failures: Vec<_> = search["responses"].as_object().unwrap().keys().collect();
        assert_eq!(failures, ["200", "400", "401", "403", "500"]);
    }

    /// A name that leads nowhere breaks generators of clients.
    #[test]
    fn all_references_of_the_description_lead_somewhere() {
        let described: Value = serde_json::from_str(text()).unwrap();
        let mut open = vec![&described];
        while let Some(value) = open.pop() {
            match value {
                Value::Object(map) => {
                    if let Some(target) = map.get("$ref").and_then(Value::as_str) {
                        let pointer = target.strip_prefix('#').unwrap();
                        assert!(described.pointer(pointer).is_some(), "{target}");
                    }
                    open.extend(map.values());
                }
                Value::Array(items) => open.extend(items),
                _ => {}
            }
        }
    }
}
