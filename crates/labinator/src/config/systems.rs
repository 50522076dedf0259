//! What the lab file says about operating systems that are not ours: groups, variables, seeds, readiness.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use model::{
    DiskBoot, GroupName, GroupSpec, NodeName, OverrideSpec, Readiness, SeedSpec, SystemSpec, Variables, Vars,
    Whose,
};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::fields::{Fields, Found, Typed, number_of, text_of};
use super::file::{GroupFile, LabFile, OverrideFile, ReadyFile, ScenarioFile, SeedFile};
use super::mistake::Mistake;
use super::network::duration;
use super::power::named;
use super::scenarios::{Around, chosen, image, one_line};
use super::yaml::{Entry, Looks, Node, Value};

/// Names that every template knows already.
pub(crate) const GIVEN: [&str; 18] = [
    "boss",
    "boss_url",
    "dns",
    "gateway",
    "groups",
    "ip",
    "ip6",
    "lab",
    "mac",
    "mac_dashed",
    "netmask",
    "node",
    "nodes",
    "prefix",
    "scenario",
    "seed_url",
    "subnet",
    "zone",
];
/// Name under which a machine says that it is done.
pub(crate) const DONE: &str = "done";

/// Paths by the name under which they are served.
#[derive(Debug, Clone, Default)]
pub struct PathsFile(pub Vec<(Typed<String>, Typed<String>)>);

impl JsonSchema for PathsFile {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "PathsFile".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "object",
            "additionalProperties": { "type": "string" },
            "propertyNames": { "pattern": "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$" }
        })
    }
}

/// Variables, by name.
#[derive(Debug, Clone, Default)]
pub struct VarsFile(pub Vec<(Typed<String>, serde_json::Value)>);

impl JsonSchema for VarsFile {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "VarsFile".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" }
        })
    }
}

fn map_of<'a>(key: &str, entry: &'a Entry, example: &str, found: &mut Found) -> &'a [Entry] {
    if let Value::Map(all) = &entry.value.value {
        return all;
    }
    let label = format!("this is {}", entry.value.value.called());
    let mistake = Mistake::new(format!("`{key}` is a mapping"), entry.value.place, label);
    found.push(mistake.help(format!("for example `{key}: {{ {example} }}`")));
    &[]
}

fn paths(key: &'static str, fields: &mut Fields<'_>, found: &mut Found) -> PathsFile {
    let Some(entry) = fields.node(key) else { return PathsFile::default() };
    let mut all: Vec<(Typed<String>, Typed<String>)> = Vec::new();
    for one in map_of(key, entry, "user-data: templates/user-data.yaml", found) {
        let name = Typed::new(one.key.clone(), one.key_place);
        if let Some((first, _)) = all.iter().find(|(known, _)| known.value == name.value) {
            let title = format!("`{}` is written twice", one.key);
            found.push(
                Mistake::new(title, name.place, "the second time").other(first.place, "first written here"),
            );
        } else if let Some(path) = text_of(&one.key, &one.value, found) {
            all.push((name, path));
        }
    }
    PathsFile(all)
}

/// Reads `vars`.
pub(super) fn vars(fields: &mut Fields<'_>, found: &mut Found) -> VarsFile {
    let Some(entry) = fields.node("vars") else { return VarsFile::default() };
    let all = map_of("vars", entry, "disk: /dev/sda", found);
    let one = |one: &Entry| (Typed::new(one.key.clone(), one.key_place), value(&one.value));
    VarsFile(all.iter().map(one).collect())
}

/// A value as a template sees it.
fn value(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Nothing => serde_json::Value::Null,
        Value::Word(text, Looks::Bool) => serde_json::Value::Bool(text == "true"),
        Value::Word(text, Looks::Number) => {
            serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::String(text.clone()))
        }
        Value::Word(text, Looks::Text) => serde_json::Value::String(text.clone()),
        Value::List(all) => all.iter().map(value).collect(),
        Value::Map(all) => all.iter().map(|entry| (entry.key.clone(), value(&entry.value))).collect(),
    }
}

/// Reads what a scenario and its overrides have in common.
pub(super) fn seed(fields: &mut Fields<'_>, found: &mut Found) -> SeedFile {
    SeedFile {
        seed: paths("seed", fields, found),
        files: paths("files", fields, found),
        folder: fields.text("folder", found),
        vars: vars(fields, found),
    }
}

/// Reads `ready`: a word, or a port.
pub(super) fn ready(entry: &Entry, found: &mut Found) -> Option<ReadyFile> {
    if let Value::Map(_) = &entry.value.value {
        let mut fields = Fields::open("ready", entry.key_place, &entry.value, found)?;
        let port = fields.needed("port", "22").and_then(|e| number_of("port", &e.value, found));
        fields.close(&[], found);
        return port.map(ReadyFile::Port);
    }
    text_of("ready", &entry.value, found).map(ReadyFile::When)
}

/// Reads one group.
pub(super) fn group(entry: &Entry, found: &mut Found) -> Option<GroupFile> {
    let mut fields = Fields::open(&entry.key, entry.key_place, &entry.value, found)?;
    let file = GroupFile {
        place: fields.place,
        nodes: fields.needed("nodes", "[node1, node2]").and_then(|e| super::reading::choice(&e.value, found)),
        vars: vars(&mut fields, found),
    };
    fields.close(&[], found);
    Some(file)
}

/// Reads what one group or machine gets instead.
pub(super) fn special(entry: &Entry, found: &mut Found) -> Option<OverrideFile> {
    let mut fields = Fields::open(&entry.key, entry.key_place, &entry.value, found)?;
    let file = OverrideFile {
        place: fields.place,
        image: fields.node("image").and_then(|e| super::reading::image(e, found)),
        args: fields.text("args", found),
        seed: seed(&mut fields, found),
    };
    fields.close(&[], found);
    Some(file)
}

fn judged_vars(file: &VarsFile, found: &mut Found) -> Option<Vars> {
    let before = found.len();
    let mut all = Vars::new();
    for (name, value) in &file.0 {
        let text = name.value.as_str();
        let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !first || !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            let title = format!("`{text}` is not a variable");
            let mistake = Mistake::new(title, name.place, "letters, digits and `_`, beginning with a letter");
            let plain: String =
                text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
            let first = if plain.starts_with(|c: char| c.is_ascii_alphabetic()) { "" } else { "_" };
            found.push(mistake.help(format!("for example `{first}{plain}`")));
        } else if GIVEN.contains(&text) {
            let title = format!("`{text}` is known to every template already");
            found.push(Mistake::new(title, name.place, "it cannot be told anew"));
        } else if all.insert(text.to_owned(), value.clone()).is_some() {
            found.push(Mistake::new(format!("`{text}` is written twice"), name.place, "the second time"));
        }
    }
    (found.len() == before).then_some(all)
}

/// Judges `vars`, `groups` and the variables of machines.
pub(super) fn variables(file: &LabFile, around: &Around<'_>, found: &mut Found) -> Option<Variables> {
    let lab = judged_vars(&file.vars, found);
    let mut groups = Some(Vec::new());
    for (name, group) in file.groups.iter().flat_map(|groups| &groups.0) {
        let parsed = named::<GroupName>(name, found);
        if around.nodes.contains(&name.value) {
            let title = format!("`{}` is a machine and a group", name.value);
            found.push(Mistake::new(title, name.place, "a machine of the board is called so"));
            groups = None;
        }
        let nodes = group.nodes.as_ref().and_then(|nodes| chosen(&name.value, nodes, around, found));
        match (parsed, nodes.as_deref().and_then(node_names), judged_vars(&group.vars, found), &mut groups) {
            (Some(name), Some(nodes), Some(vars), Some(groups)) => {
                groups.push(GroupSpec { name, nodes, vars });
            }
            _ => groups = None,
        }
    }
    let mut nodes = Some(BTreeMap::new());
    for (name, node) in file.board.iter().filter_map(|b| b.nodes.as_ref()).flat_map(|n| &n.0) {
        match (name.value.parse::<NodeName>(), judged_vars(&node.vars, found), &mut nodes) {
            (Ok(_), Some(vars), _) if vars.is_empty() => {}
            (Ok(name), Some(vars), Some(nodes)) => {
                nodes.insert(name, vars);
            }
            _ => nodes = None,
        }
    }
    Some(Variables { lab: lab?, groups: groups?, nodes: nodes? })
}

fn node_names(names: &[String]) -> Option<Vec<NodeName>> {
    names.iter().map(|name| name.parse().ok()).collect()
}

/// Judges what a scenario says about its operating system.
pub(super) fn system(file: &ScenarioFile, around: &Around<'_>, found: &mut Found) -> Option<SystemSpec> {
    let common = judged_seed(&file.seed, around.folder, found);
    let within = match &file.within {
        None => Some(None),
        Some(typed) => duration("within", typed, found).map(Some),
    };
    let ready = match &file.ready {
        None => Some(Readiness::default()),
        Some(ready) => readiness(ready, found),
    };
    let install = match &file.install {
        None => Some(None),
        Some(typed) => disk_boot(typed, found),
    };
    let mut groups: Vec<(usize, OverrideSpec)> = Vec::new();
    let mut nodes = Vec::new();
    let mut right = true;
    for (name, special) in file.special.iter().flat_map(|all| &all.0) {
        let Some(of) = whose(name, around, found) else {
            right = false;
            continue;
        };
        let image = match &special.image {
            None => Some(None),
            Some(typed) => image(typed, around, found).map(Some),
        };
        let args = special.args.as_ref().map_or(Some(String::new()), |a| one_line("args", a, found));
        let seed = judged_seed(&special.seed, around.folder, found);
        let (Some(image), Some(args), Some(seed)) = (image, args, seed) else {
            right = false;
            continue;
        };
        let one = OverrideSpec { of, image, args, seed };
        match around.groups.iter().position(|group| *group == name.value) {
            Some(at) => groups.push((at, one)),
            None => nodes.push(one),
        }
    }
    right.then_some(())?;
    groups.sort_by_key(|(at, _)| *at);
    let overrides = groups.into_iter().map(|(_, one)| one).chain(nodes).collect();
    Some(SystemSpec { common: common?, overrides, ready: ready?, within: within?, install: install? })
}

fn whose(name: &Typed<String>, around: &Around<'_>, found: &mut Found) -> Option<Whose> {
    if around.groups.contains(&name.value) {
        return name.value.parse().ok().map(Whose::Group);
    }
    if around.nodes.contains(&name.value) {
        return name.value.parse().ok().map(Whose::Node);
    }
    let title = format!("there is no group and no node `{}`", name.value);
    let known = around.groups.iter().chain(&around.nodes).map(String::as_str);
    let mistake = Mistake::new(title, name.place, "neither in `groups` nor on the board");
    found.push(mistake.nearest(&name.value, known, "groups and nodes"));
    None
}

fn readiness(file: &ReadyFile, found: &mut Found) -> Option<Readiness> {
    let typed = match file {
        ReadyFile::When(typed) => typed,
        ReadyFile::Port(typed) => {
            let port = u16::try_from(typed.value).ok().filter(|port| *port > 0);
            if port.is_none() {
                let title = format!("`port` cannot be {}", typed.value);
                found.push(Mistake::new(title, typed.place, "from 1 to 65535"));
            }
            return port.map(|port| Readiness::Port { port });
        }
    };
    match typed.value.as_str() {
        "address" => Some(Readiness::Address),
        "fetched" => Some(Readiness::Fetched),
        "done" => Some(Readiness::Done),
        word => {
            let title = format!("`{word}` does not tell when a machine is ready");
            let mistake = Mistake::new(title, typed.place, "not known");
            let mistake = mistake.nearest(word, ["address", "fetched", "done"], "words");
            found.push(mistake.help("a port that must answer is written `ready: { port: 22 }`"));
            None
        }
    }
}

/// How a system is installed: one word.
pub(super) fn install(entry: &Entry, found: &mut Found) -> Option<Typed<String>> {
    if let Value::List(_) = &entry.value.value {
        let mistake = Mistake::new("manifests are for a cluster", entry.key_place, "and `talos` is not here");
        found.push(mistake.help("for example `talos: v1.12`; a system is installed by `install: true`"));
        return None;
    }
    text_of("install", &entry.value, found)
}

/// `true`, or how the disk is booted afterwards. `false` is as if nothing was written.
fn disk_boot(typed: &Typed<String>, found: &mut Found) -> Option<Option<DiskBoot>> {
    match typed.value.as_str() {
        "true" | "auto" => Some(Some(DiskBoot::Auto)),
        "exit" => Some(Some(DiskBoot::Exit)),
        "sanboot" => Some(Some(DiskBoot::Sanboot)),
        "false" => Some(None),
        word => {
            let title = format!("`{word}` does not tell how an installed disk is booted");
            let mistake = Mistake::new(title, typed.place, "not known");
            found.push(mistake.nearest(word, ["true", "auto", "exit", "sanboot", "false"], "words"));
            None
        }
    }
}

fn judged_seed(file: &SeedFile, folder: &Path, found: &mut Found) -> Option<SeedSpec> {
    let before = found.len();
    let mut taken: Vec<&Typed<String>> = Vec::new();
    let judged = |list: &'_ [(Typed<String>, Typed<String>)], found: &mut Found| {
        let mut all = BTreeMap::new();
        for (name, path) in list {
            let text = name.value.as_str();
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            let long = text.is_empty() || text.len() > 64 || text.starts_with(['.', '-']);
            if long || !text.chars().all(plain) {
                let title = format!("`{text}` cannot be served under that name");
                found.push(Mistake::new(title, name.place, "letters, digits, `.`, `_` and `-`, at most 64"));
            } else if text == DONE {
                let title = format!("`{DONE}` is where a machine says that it is done");
                found.push(Mistake::new(title, name.place, "another name, please"));
            }
            if path.value.trim().is_empty() || path.value.contains('\0') {
                found.push(Mistake::new(format!("`{text}` is a path"), path.place, "this is none"));
            }
            all.insert(text.to_owned(), folder.join(&path.value).to_string_lossy().into_owned());
        }
        all
    };
    let (seed, files) = (judged(&file.seed.0, found), judged(&file.files.0, found));
    for (name, _) in file.seed.0.iter().chain(&file.files.0) {
        if let Some(first) = taken.iter().find(|known| known.value == name.value) {
            let title = format!("`{}` is a template and a file", name.value);
            found.push(Mistake::new(title, name.place, "the second time").other(first.place, "first here"));
        }
        taken.push(name);
    }
    let within = file.folder.as_ref().map(|path| folder.join(&path.value).to_string_lossy().into_owned());
    let vars = judged_vars(&file.vars, found);
    (found.len() == before).then_some(())?;
    Some(SeedSpec { seed, files, folder: within, vars: vars? })
}
