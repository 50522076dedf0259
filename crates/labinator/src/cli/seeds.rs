//! `labinator seed`: what each machine's operating system would be told, from the lab file alone.

use std::path::Path;

use model::{LabSpec, NodeName, ScenarioName, ScenarioSpec};
use serde::Serialize;

use super::args::{SeedShow, SeedVerb};
use super::failure::Failure;
use super::out::{self, Look};
use crate::config;
use crate::seed::{Kitchen, Seed, check};

/// What one machine would get.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    scenario: &'a ScenarioName,
    node: &'a NodeName,
    args: Option<&'a str>,
    texts: &'a std::collections::BTreeMap<String, String>,
    files: &'a std::collections::BTreeMap<String, String>,
    folders: &'a [String],
}

pub(super) fn run(verb: &SeedVerb, look: Look) -> Result<(), Failure> {
    match verb {
        SeedVerb::Show(show) => shown(show, look),
    }
}

fn shown(show: &SeedShow, look: Look) -> Result<(), Failure> {
    let spec = load(&show.lab)?;
    let (name, scenario) = chosen(&spec, show)?;
    if !scenario.nodes.contains(&show.node) {
        let names: Vec<&str> = scenario.nodes.iter().map(NodeName::as_str).collect();
        let why = format!("scenario {name} does not use `{}`; it uses: {}", show.node, names.join(", "));
        return Err(Failure::Usage(why));
    }
    let seed = Kitchen::new(&spec).cook((name, scenario), &show.node).map_err(|mistakes| {
        let all: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        Failure::with_advice(all.join("\n"), "`labinator check` shows each with its place")
    })?;
    match &show.name {
        Some(file) => one(&seed, file),
        None if show.json => out::json(
            &Shown {
                scenario: name,
                node: &show.node,
                args: seed.args.as_deref(),
                texts: &seed.texts,
                files: &seed.files,
                folders: &seed.folders,
            },
            true,
        ),
        None => out::print(&everything(&spec, &seed, &show.node, look)),
    }
}

fn load(path: &Path) -> Result<LabSpec, Failure> {
    config::load(path).map_err(|mistakes| Failure::Usage(mistakes.to_string()))
}

fn chosen<'a>(spec: &'a LabSpec, show: &SeedShow) -> Result<(&'a ScenarioName, &'a ScenarioSpec), Failure> {
    if let Some(wanted) = &show.scenario {
        let names: Vec<&str> = spec.scenarios.keys().map(ScenarioName::as_str).collect();
        let why =
            || Failure::Usage(format!("there is no scenario `{wanted}`; there are: {}", names.join(", ")));
        return spec.scenarios.get_key_value(wanted).ok_or_else(why);
    }
    let concerned: Vec<_> =
        spec.scenarios.iter().filter(|(_, scenario)| Kitchen::concerns(scenario)).collect();
    match concerned.as_slice() {
        [one] => Ok(*one),
        [] => Err(Failure::Usage("no scenario has a seed, files or a template in its arguments".to_owned())),
        many => {
            let names: Vec<&str> = many.iter().map(|(name, _)| name.as_str()).collect();
            Err(Failure::Usage(format!("name one with --scenario: {}", names.join(", "))))
        }
    }
}

fn one(seed: &Seed, file: &str) -> Result<(), Failure> {
    if let Some(text) = seed.texts.get(file) {
        return out::print(text);
    }
    if file == "args" {
        return out::line(seed.args.as_deref().unwrap_or_default());
    }
    if let Some(path) = seed.files.get(file) {
        return out::line(path);
    }
    let names: Vec<&str> = seed.texts.keys().chain(seed.files.keys()).map(String::as_str).collect();
    Err(Failure::Usage(format!("it gets no `{file}`; it gets: {}", names.join(", "))))
}

fn everything(spec: &LabSpec, seed: &Seed, node: &NodeName, look: Look) -> String {
    let mac = spec.board.nodes.get(node).map(|about| about.mac.to_string().replace(':', "-"));
    let base = format!("http://{}/n/{}", spec.network.boss, mac.unwrap_or_default());
    let rule = "-".repeat(look.width.min(100));
    let mut text = format!("kernel arguments: {}\n", seed.args.as_deref().unwrap_or("(the scenario's)"));
    for (name, path) in &seed.files {
        text.push_str(&format!("{base}/{name}  is  {path}\n"));
    }
    for folder in &seed.folders {
        text.push_str(&format!("{base}/..  is  every file below {folder}\n"));
    }
    for (name, content) in &seed.texts {
        text.push_str(&format!("{rule}\n{base}/{name}\n{rule}\n{content}"));
        if !content.is_empty() && !content.ends_with('\n') {
            text.push('\n');
        }
    }
    text
}

/// Shows every mistake of the templates of a lab file; true when there is none.
pub(super) fn checked((lab, spec): (&Path, &LabSpec), json: bool, look: Look) -> Result<bool, Failure> {
    let mut found = check(spec);
    found.extend(config::of_clusters(spec));
    found.extend(config::of_manifests(lab, spec));
    if json {
        let lines: Vec<_> = found.iter().flat_map(config::Mistakes::lines).collect();
        out::json(&lines, true)?;
    } else {
        for mistakes in &found {
            out::line(&mistakes.render(look.color, look.width.max(100)))?;
        }
    }
    Ok(found.is_empty())
}
