//! `talos get`: any resource of nodes, found and shown as the nodes themselves define it.

use std::cell::RefCell;
use std::net::SocketAddr;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use talos::api::{Column, Definition, Stored, definition};

use super::nodes::{Chosen, InsecureArgs, NodesArgs, each, failed, running};
use crate::cli::failure::Failure;
use crate::cli::out;

/// How resources are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A line each, with the columns that the node names for their kind
    Table,
    /// A document each
    Yaml,
    /// A line of JSON each
    Json,
}

/// Which resources of which nodes.
#[derive(Debug, Clone, Args)]
pub struct GetArgs {
    /// Kind of resource by its whole name or an alias, such as `members`; `resourcedefinitions` lists all
    #[arg(value_name = "TYPE")]
    kind: String,
    /// Only the one of this name
    #[arg(value_name = "ID")]
    id: Option<String>,
    #[command(flatten)]
    nodes: NodesArgs,
    #[command(flatten)]
    insecure: InsecureArgs,
    /// Where it is looked for [default: where its kind is at home]
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// How it is printed
    #[arg(short, long, value_enum, default_value = "table")]
    output: Form,
}

/// A table, whose first line is its head.
#[derive(Debug, Default)]
struct Table {
    /// The columns that the first node named.
    columns: Option<Vec<Column>>,
    rows: Vec<Vec<String>>,
}

/// Prints resources of nodes.
pub(super) fn get(args: &GetArgs) -> Result<(), Failure> {
    let chosen = Chosen::read(&args.nodes, Some(&args.insecure))?;
    let table = RefCell::new(Table::default());
    let asked = running(each(&chosen.addresses, |at| {
        let (chosen, table) = (&chosen, &table);
        async move {
            let node = if args.insecure.insecure { chosen.waiting(at) } else { chosen.ours(at)? };
            let all = node.definitions().await.map_err(|why| failed(&why))?;
            let kind = definition(&all, &args.kind)
                .map_err(|why| Failure::with_advice(format!("{at}: {why} [{}]", why.code()), why.advice()))?;
            let namespace = args.namespace.as_ref().unwrap_or(&kind.default_namespace);
            let stored = node.stored(namespace, &kind.kind, args.id.as_deref()).await;
            for resource in stored.map_err(|why| failed(&why))? {
                match args.output {
                    Form::Table => table.borrow_mut().add(at, kind, &resource)?,
                    Form::Yaml => out::print(&as_yaml(at, &resource)?)?,
                    Form::Json => out::json(&as_json(at, &resource)?, false)?,
                }
            }
            Ok(())
        }
    }));
    // What was found is printed even if not every node answered.
    table.into_inner().print()?;
    asked
}

/// What a resource says, as a value.
fn spec(at: SocketAddr, resource: &Stored) -> Result<Value, Failure> {
    serde_saphyr::from_str(&resource.yaml).map_err(|why| {
        Failure::failed(format!("{at}: {} {} cannot be read: {why}", resource.kind, resource.id))
    })
}

fn as_json(at: SocketAddr, resource: &Stored) -> Result<Value, Failure> {
    let [created, updated] = resource.times.map(|time| time.map(|time| time.to_string()));
    Ok(json!({
        "node": at,
        "metadata": {
            "namespace": resource.namespace, "type": resource.kind, "id": resource.id, "version": resource.version,
            "owner": resource.owner, "phase": resource.phase, "created": created, "updated": updated,
        },
        "spec": spec(at, resource)?,
    }))
}

/// A document with the specification as the node wrote it.
fn as_yaml(at: SocketAddr, resource: &Stored) -> Result<String, Failure> {
    let scalar = |text: &str| talos::yaml::emit(&talos::yaml::Value::from(text)).trim_end().to_owned();
    let [created, updated] = resource.times.map(|time| time.map(|time| time.to_string()).unwrap_or_default());
    let heads = [
        ("namespace", scalar(&resource.namespace)),
        ("type", scalar(&resource.kind)),
        ("id", scalar(&resource.id)),
        // A number by its form, and written as one.
        ("version", resource.version.clone()),
        ("owner", scalar(&resource.owner)),
        ("phase", scalar(&resource.phase)),
        ("created", created),
        ("updated", updated),
    ];
    let heads: String = heads.iter().map(|(key, value)| format!("    {key}: {value}\n")).collect();
    let is_block = match spec(at, resource)? {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    let (first, indent) = if is_block { ("\n", "    ") } else { (" ", "") };
    let mut text = String::new();
    for (line, at) in resource.yaml.trim_end().lines().zip(0_usize..) {
        let indent = if at == 0 { indent } else { "    " };
        text.push_str(if line.is_empty() { "" } else { indent });
        text.push_str(line);
        text.push('\n');
    }
    Ok(format!("---\nnode: {at}\nmetadata:\n{heads}spec:{first}{text}"))
}

impl Table {
    fn add(&mut self, at: SocketAddr, kind: &Definition, resource: &Stored) -> Result<(), Failure> {
        let columns = self.columns.get_or_insert_with(|| kind.print_columns.clone());
        let spec = spec(at, resource)?;
        let short = kind.kind.split('.').next().unwrap_or_default();
        let mut row = vec![at.to_string(), resource.namespace.clone(), short.to_owned(), resource.id.clone()];
        row.push(resource.version.clone());
        row.extend(columns.iter().map(|column| shown(&spec, &column.json_path)));
        self.rows.push(row);
        Ok(())
    }

    fn print(self) -> Result<(), Failure> {
        let Some(columns) = self.columns else { return Ok(()) };
        let heads = ["NODE", "NAMESPACE", "TYPE", "ID", "VERSION"].map(str::to_owned).into_iter();
        let head: Vec<String> =
            heads.chain(columns.iter().map(|column| column.name.to_uppercase())).collect();
        let width = |at: usize| {
            let all = std::iter::once(&head).chain(&self.rows);
            all.filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        for row in std::iter::once(&head).chain(&self.rows) {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            out::line(cells.collect::<Vec<_>>().join("   ").trim_end())?;
        }
        Ok(())
    }
}

/// What is at a path (`{.a.b}`, `{@}`, `{.list[:]}`, `{.list[0]}`, `{.list[?(@.key=="value")].b}`), as a cell shows it;
/// nothing where nothing is, or for a path of a form that no definition had.
fn shown(spec: &Value, path: &str) -> String {
    let inside = path.trim_start_matches('{').trim_end_matches('}').trim_start_matches('.');
    let (mut at, mut rest) = (spec, if inside == "@" { "" } else { inside });
    while !rest.is_empty() {
        let (step, next) = if let Some(inside) = rest.strip_prefix('[') {
            let Some((index, next)) = inside.split_once(']') else { return String::new() };
            (of_list(at, index), next)
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (name, next) = rest.split_at(end);
            (at.get(name), next)
        };
        let Some(found) = step else { return String::new() };
        (at, rest) = (found, next.trim_start_matches('.'));
    }
    match at {
        Value::Null => String::new(),
        Value::String(text) => text.lines().next().unwrap_or_default().to_owned(),
        Value::Array(items) if path.ends_with("[:]}") => {
            items.iter().map(|item| shown(item, "{@}")).collect::<Vec<_>>().join(" ")
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => at.to_string(),
    }
}

/// The item of a list, or the whole list.
fn of_list<'a>(list: &'a Value, index: &str) -> Option<&'a Value> {
    if index == ":" {
        return Some(list);
    }
    if let Ok(number) = index.parse::<usize>() {
        return list.get(number);
    }
    let (key, value) = index.strip_prefix("?(@.")?.strip_suffix(')')?.split_once("==")?;
    let value = value.trim_matches(['"', '\'']);
    list.as_array()?.iter().find(|item| item.get(key).and_then(Value::as_str) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_that_talos_defines_are_followed() {
        let spec = json!({
            "stage": "running", "status": {"ready": true}, "addresses": ["10.0.0.1/24", "fd00::1/64"],
            "conditions": [{"type": "Initialized", "status": "False"}, {"type": "Ready", "status": "True"}],
        });
        for (path, says) in [
            ("{.stage}", "running"),
            ("{.status.ready}", "true"),
            ("{.addresses}", r#"["10.0.0.1/24","fd00::1/64"]"#),
            ("{.addresses[:]}", "10.0.0.1/24 fd00::1/64"),
            ("{.addresses[1]}", "fd00::1/64"),
            (r#"{.conditions[?(@.type=="Ready")].status}"#, "True"),
            (r#"{.conditions[?(@.type=="Lost")].status}"#, ""),
            ("{.missing.too}", ""),
            ("{.addresses[", ""),
        ] {
            assert_eq!(shown(&spec, path), says, "{path}");
        }
        assert_eq!(shown(&json!("worker"), "{@}"), "worker");
    }

    #[test]
    fn a_document_holds_the_specification_as_it_was_written() {
        let at = "10.0.0.1:50000".parse().unwrap();
        let of = |yaml: &str| Stored {
            namespace: "config".to_owned(),
            kind: "MachineConfigs.config.talos.dev".to_owned(),
            id: "v1alpha1".to_owned(),
            version: "3".to_owned(),
            owner: String::new(),
            phase: "running".to_owned(),
            times: [None, None],
            yaml: yaml.to_owned(),
        };
        for (yaml, said) in [
            ("a: 1\nb:\n    - c\n", json!({"a": 1, "b": ["c"]})),
            ("controlplane\n", json!("controlplane")),
            ("[]\n", json!([])),
            ("- a\n- b\n", json!(["a", "b"])),
            ("|\n    version: v1alpha1\n\n    machine: {}\n", json!("version: v1alpha1\n\nmachine: {}\n")),
        ] {
            let text = as_yaml(at, &of(yaml)).unwrap();
            let read: Value = serde_saphyr::from_str(&text).unwrap();
            assert_eq!((&read["spec"], &read["metadata"]["version"]), (&said, &json!(3)), "{text}");
        }
        let broken = spec(at, &of("a: [")).unwrap_err();
        assert!(
            broken.text().contains("10.0.0.1:50000: MachineConfigs.config.talos.dev v1alpha1"),
            "{broken:?}"
        );
    }
}
