//! The OpenAPI 3.1 description, made from the list of routes and the types themselves.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::{ErrorBody, Method, ROUTES, Right, Route};

/// The whole description as JSON, sorted by path, so that the same types give the same bytes.
#[must_use]
pub fn openapi(version: &str) -> Value {
    let mut shapes = SchemaSettings::draft2020_12()
        .with(|s| s.definitions_path = "/components/schemas".into())
        .into_generator();
    let error = shapes.subschema_for::<ErrorBody>();
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let operation = operation(route, &mut shapes, &error);
        let method = match route.method {
            Method::Get => "get",
            Method::Post => "post",
        };
        let entry = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Value::Object(methods) = entry {
            methods.insert(method.into(), operation);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Labinator", "version": version, "license": { "name": "MIT OR Apache-2.0" } },
        "paths": paths,
        "components": {
            "schemas": shapes.take_definitions(true),
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "cookie": { "type": "apiKey", "in": "cookie", "name": "labinator" }
            }
        }
    })
}

fn operation(route: &Route, shapes: &mut SchemaGenerator, error: &schemars::Schema) -> Value {
    let gives = (route.gives)(shapes);
    let kind = route.media.unwrap_or(if route.streams { "text/event-stream" } else { "application/json" });
    let in_path =
        route.path.split(['{', '}']).skip(1).step_by(2).map(
            |name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }),
        );
    let in_query = route.query.iter().map(|(name, about)| {
        json!({ "name": name, "in": "query", "description": about, "schema": { "type": "integer" } })
    });
    let failed = json!({
        "description": "Refused or failed",
        "content": { "application/json": { "schema": error } }
    });
    let responses = if route.upgrades {
        json!({ "101": { "description": "A WebSocket with the subprotocol `binary`" }, "default": failed })
    } else {
        json!({ "200": { "description": "Done", "content": { kind: { "schema": gives } } }, "default": failed })
    };
    let mut operation = json!({
        "summary": route.about,
        "x-right": format!("{:?}", route.right).to_lowercase(),
        "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
        "responses": responses,
        "security": match route.right {
            Right::Anyone => json!([]),
            Right::Kiosk | Right::View | Right::Operate | Right::Admin => json!([{ "token": [] }, { "cookie": [] }]),
        }
    });
    if let (Some(takes), Value::Object(fields)) = (route.takes, &mut operation) {
        fields.insert(
            "requestBody".into(),
            json!({ "required": true, "content": { "application/json": { "schema": takes(shapes) } } }),
        );
    }
    operation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_in_the_description_leads_somewhere() {
        let description = openapi("0");
        let known = description["components"]["schemas"].as_object().unwrap();
        let text = description.to_string();
        let mut count = 0;
        for part in text.split("\"#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(known.contains_key(name), "{name} is referred to, but not described");
            count += 1;
        }
        assert!(count > 50, "only {count} references: the types are not in the description");
    }

    #[test]
    fn no_path_is_listed_twice() {
        let mut seen: Vec<_> = ROUTES.iter().map(|r| (r.method as u8, r.path)).collect();
        let all = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), all);
    }
}
