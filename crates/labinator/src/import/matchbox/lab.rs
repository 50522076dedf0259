//! The lab file as text: groups, scenarios, and what was not carried over, in its place.

use serde_json::{Map, Value};

use super::boot::Image;
use super::plan::{Plan, Scenario, Special};
use super::remark::Remark;
use super::serve::Served;

/// Comment lines that open the file.
pub(super) fn head(remarks: &[Remark]) -> String {
    let mut text = String::from(
        "# Written by `labinator import matchbox`. `labinator check` names every mistake in it; `labinator serve --lab` runs it.\n",
    );
    if remarks.iter().any(|remark| remark.lost) {
        text.push_str("#\n# Not carried over from matchbox:\n");
        for remark in remarks.iter().filter(|remark| remark.lost) {
            text.push_str(&format!("#   {}: {}\n", comment(&remark.place), comment(&remark.what)));
        }
    }
    text
}

/// A stranger's text as a comment: nothing that could end it.
fn comment(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// The lines below `groups:`, indented.
pub(super) fn groups(plan: &Plan) -> String {
    let mut text = String::new();
    for group in &plan.groups {
        text.push_str(&format!(
            "  {}: # {}\n    nodes: [{}]\n",
            group.name,
            comment(&group.about),
            group.nodes.join(", ")
        ));
        if !group.vars.is_empty() {
            text.push_str("    vars:\n");
            for (name, value) in &group.vars {
                text.push_str(&format!("      {name}: {value}\n"));
            }
        }
    }
    text
}

/// The lines below `scenarios:`, indented.
pub(super) fn scenarios(plan: &Plan) -> String {
    let mut text = String::new();
    for scenario in &plan.scenarios {
        if scenario.lost {
            let about = scenario.about.first().map_or("", String::as_str);
            text.push_str(&format!(
                "  # {} is left out ({}): see what was not carried over.\n",
                scenario.name,
                comment(about)
            ));
            continue;
        }
        for line in &scenario.about {
            text.push_str(&format!("  # {}\n", comment(line)));
        }
        text.push_str(&one(scenario));
    }
    text
}

fn one(scenario: &Scenario) -> String {
    let mut text = format!("  {}:\n", scenario.name);
    let image = scenario.image.as_ref();
    text.push_str(&format!("    image: {}\n", image.map_or_else(|| "disk".to_owned(), image_of)));
    text.push_str(&format!("    nodes: [{}]\n", scenario.nodes.join(", ")));
    text.push_str(&lines("    ", &scenario.served));
    if !scenario.special.is_empty() {
        text.push_str("    for:\n");
    }
    for special in &scenario.special {
        text.push_str(&instead(special));
    }
    text
}

fn instead(special: &Special) -> String {
    let mut text = format!("      {}:\n", special.of);
    if let Some(image) = &special.image {
        text.push_str(&format!("        image: {}\n", image_of(image)));
    }
    text.push_str(&lines("        ", &special.served));
    text
}

fn image_of(image: &Image) -> String {
    let mut parts = vec![format!("kernel: {}", quoted(&image.kernel))];
    match image.initrd.as_slice() {
        [] => {}
        [one] => parts.push(format!("initrd: {}", quoted(one))),
        more => {
            let more: Vec<String> = more.iter().map(|path| quoted(path)).collect();
            parts.push(format!("initrd: [{}]", more.join(", ")));
        }
    }
    if !image.args.is_empty() {
        parts.push(format!("args: {}", Value::String(image.args.clone())));
    }
    format!("{{ {} }}", parts.join(", "))
}

fn lines(indent: &str, served: &Served) -> String {
    let mut text = String::new();
    for (key, template) in [("seed", true), ("files", false)] {
        let pieces = served.pieces.iter().filter(|(_, piece)| piece.template == template);
        let pieces: Vec<String> =
            pieces.map(|(name, piece)| format!("{name}: {}", quoted(&piece.path))).collect();
        if !pieces.is_empty() {
            text.push_str(&format!("{indent}{key}: {{ {} }}\n", pieces.join(", ")));
        }
    }
    if let Some(folder) = &served.folder {
        text.push_str(&format!("{indent}folder: {}\n", quoted(folder)));
    }
    text
}

/// A path, in quotes where YAML needs them.
fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+');
    let begins = path.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    if begins && path.chars().all(plain) && !matches!(path, "true" | "false" | "null") {
        path.to_owned()
    } else {
        Value::String(path.to_owned()).to_string()
    }
}

/// Variables of one machine, as a mapping in one line.
pub(super) fn vars(vars: &Map<String, Value>) -> String {
    let all: Vec<String> = vars.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    if all.is_empty() { String::new() } else { format!(", vars: {{ {} }}", all.join(", ")) }
}

/// Puts lines into a section of a lab file that is there already, or adds the section at its end.
pub(super) fn inserted(text: &str, section: &str, lines: &str) -> Option<String> {
    if lines.is_empty() {
        return Some(text.to_owned());
    }
    let head = format!("{section}:");
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        at += line.len();
        let Some(rest) = line.strip_prefix(head.as_str()) else { continue };
        let rest = rest.trim();
        // A mapping in one line has no room for more lines.
        if !rest.is_empty() && !rest.starts_with('#') {
            return None;
        }
        let (before, after) = (text.get(..at)?, text.get(at..)?);
        let indent =
            after.lines().find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
        let indent = indent.map_or(2, |line| line.len() - line.trim_start().len());
        if indent != 2 {
            return None;
        }
        let end = if before.ends_with('\n') { "" } else { "\n" };
        return Some(format!("{before}{end}{lines}{after}"));
    }
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    Some(format!("{text}{end}{head}\n{lines}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_into_a_section_that_is_there_or_into_a_new_one() {
        let there = "lab: a\nscenarios: # mine\n  all: { image: node }\n";
        assert_eq!(
            inserted(there, "scenarios", "  x: {}\n").unwrap(),
            "lab: a\nscenarios: # mine\n  x: {}\n  all: { image: node }\n"
        );
        assert_eq!(inserted("lab: a", "groups", "  x: {}\n").unwrap(), "lab: a\ngroups:\n  x: {}\n");
        assert_eq!(inserted("groups: { a: b }\n", "groups", "  x: {}\n"), None);
        assert_eq!(inserted("groups:\n    a: b\n", "groups", "  x: {}\n"), None);
        assert_eq!(inserted("lab: a\n", "groups", "").unwrap(), "lab: a\n");
    }

    #[test]
    fn paths_are_quoted_where_yaml_needs_it() {
        assert_eq!(quoted("assets/flatcar/3227.2.0/vmlinuz"), "assets/flatcar/3227.2.0/vmlinuz");
        assert_eq!(quoted("a b"), "\"a b\"");
        assert_eq!(quoted("3"), "\"3\"");
        assert_eq!(quoted("true"), "\"true\"");
    }
}
