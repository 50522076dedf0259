//! `/metadata` of matchbox: every variable as a line `NAME=value` (`matchbox/http/metadata.go`).

use serde_json::{Map, Value};

use super::go::{Known, literal};

/// The text, as a template of ours. matchbox's order of lines is chance; here they are sorted.
pub(super) fn text(known: &Known<'_>) -> String {
    let mut lines = Vec::new();
    let own = known.called.get("mac").is_some_and(|called| called == "mac");
    flatten("", known.variables, &mut lines);
    for line in &mut lines {
        if own && line.starts_with("MAC=") {
            *line = "MAC={{ mac }}".to_owned();
        }
    }
    lines.extend(known.query.iter().map(|(key, value)| {
        format!("{}={{{{ {value} }}}}", literal(&format!("request_query_{key}").to_uppercase()))
    }));
    lines.extend(known.raw_query.map(|raw| format!("REQUEST_RAW_QUERY={{{{ {raw} }}}}")));
    lines.sort();
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

/// Maps go on below their name; lists and nothing are passed over, as matchbox does.
fn flatten(before: &str, all: &Map<String, Value>, lines: &mut Vec<String>) {
    for (key, value) in all {
        let name = format!("{before}{key}");
        let shown = match value {
            Value::Object(inner) => {
                flatten(&format!("{name}_"), inner, lines);
                continue;
            }
            Value::Array(_) | Value::Null => continue,
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
        };
        lines.push(literal(&format!("{}={shown}", name.to_uppercase())));
    }
}
