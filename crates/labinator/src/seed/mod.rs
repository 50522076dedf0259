//! What each machine's operating system is told: templates with variables, rendered per machine, each
//! mistake with its file and line.
//!
//! ```text
//! lab, groups, machines, scenario ──known.rs──▶ names ─┐
//! template file ───────────────────────────────────────┴─template.rs─▶ text ─content.rs─▶ checked
//! ```

mod content;
mod known;
mod template;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use model::{ImageRef, LabSpec, NodeName, ScenarioName, ScenarioSpec};

use crate::config::{Mistake, Mistakes};
use known::Common;
use template::{Known, render};

/// Largest template that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// What one machine of a scenario gets that others do not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seed {
    /// Its image, where it is not the scenario's.
    pub image: Option<ImageRef>,
    /// All its kernel arguments, where they are not simply the scenario's.
    pub args: Option<String>,
    /// Rendered texts by name.
    pub texts: BTreeMap<String, String>,
    /// Paths of files that are served as they are, by name.
    pub files: BTreeMap<String, String>,
    /// Paths of folders whose files are served as they are.
    pub folders: Vec<String>,
}

/// One mistake in a template, or in what became of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeedMistake {
    /// The template's file; `args of ..` for kernel arguments.
    pub file: String,
    /// Its text, or what it became, where that is what is wrong.
    pub source: String,
    /// First and last byte of the source that it is about.
    pub from: usize,
    /// Byte after the last.
    pub to: usize,
    /// What is wrong.
    pub what: String,
    /// What would help; may be empty.
    pub help: String,
}

impl SeedMistake {
    fn new(file: &str, source: &str, at: Range<usize>, what: impl Into<String>) -> Self {
        let (file, source) = (file.to_owned(), source.to_owned());
        Self { file, source, from: at.start, to: at.end, what: what.into(), help: String::new() }
    }

    /// Line, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.source.get(..self.from).map_or(1, |before| before.matches('\n').count() + 1)
    }
}

impl std::fmt::Display for SeedMistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line(), self.what)?;
        if self.help.is_empty() { Ok(()) } else { write!(f, " ({})", self.help) }
    }
}

/// Renders for one lab after the other machine; reads each template once.
#[derive(Debug)]
pub struct Kitchen<'a> {
    spec: &'a LabSpec,
    common: Common,
    sources: BTreeMap<String, Result<String, String>>,
}

impl<'a> Kitchen<'a> {
    /// For this lab.
    #[must_use]
    pub fn new(spec: &'a LabSpec) -> Self {
        Self { spec, common: Common::of(spec), sources: BTreeMap::new() }
    }

    /// True when the machines of a scenario get something that is not the same for all.
    #[must_use]
    pub fn concerns(scenario: &ScenarioSpec) -> bool {
        let common = &scenario.system.common;
        let seeds = !common.seed.is_empty() || !common.files.is_empty() || common.folder.is_some();
        seeds
            || !scenario.system.overrides.is_empty()
            || arguments(scenario, &scenario.image).any(is_template)
    }

    /// What this machine gets.
    ///
    /// # Errors
    /// Every mistake in its templates.
    pub fn cook(
        &mut self,
        (name, scenario): (&ScenarioName, &ScenarioSpec),
        node: &NodeName,
    ) -> Result<Seed, Vec<SeedMistake>> {
        let known = known::known((self.spec, &self.common), (name, scenario), node);
        let layers = known::layers(self.spec, scenario, node);
        let mut seed = Seed::default();
        let mut templates: BTreeMap<&str, &str> = BTreeMap::new();
        for (layer, special) in &layers {
            for (name, path) in &layer.seed {
                seed.files.remove(name);
                templates.insert(name, path);
            }
            for (name, path) in &layer.files {
                templates.remove(name.as_str());
                seed.files.insert(name.clone(), path.clone());
            }
            seed.folders.extend(layer.folder.clone());
            if let Some(image) = special.and_then(|special| special.image.as_ref()) {
                seed.image = Some(image.clone());
            }
        }
        let mut mistakes = Vec::new();
        for (name, path) in templates {
            match self.text(path, name, &known) {
                Ok(text) => {
                    seed.texts.insert(name.to_owned(), text);
                }
                Err(found) => mistakes.extend(found),
            }
        }
        let image = seed.image.clone().unwrap_or_else(|| scenario.image.clone());
        let special = layers.iter().filter_map(|(_, special)| special.map(|one| one.args.as_str()));
        let parts: Vec<&str> =
            arguments(scenario, &image).chain(special).filter(|part| !part.is_empty()).collect();
        match kernel_line(name, &parts, &known) {
            Ok(line) => seed.args = Some(line),
            Err(found) => mistakes.extend(found),
        }
        add_cloud_init(&mut seed.texts, &seed.files, self.spec, node);
        if mistakes.is_empty() { Ok(seed) } else { Err(mistakes) }
    }

    fn text(&mut self, path: &str, name: &str, known: &Known) -> Result<String, Vec<SeedMistake>> {
        let source = self.sources.entry(path.to_owned()).or_insert_with(|| read(path));
        let source = source.as_ref().map_err(|why| vec![SeedMistake::new(path, "", 0..0, why.clone())])?;
        let text = render(source, known).map_err(|faults| {
            let mistake = |fault: template::Fault| SeedMistake {
                help: fault.help,
                ..SeedMistake::new(path, source, fault.at, fault.what)
            };
            faults.into_iter().map(mistake).collect::<Vec<_>>()
        })?;
        match content::judge(name, &text) {
            None => Ok(text),
            // What is wrong is shown in what the template became; in the template itself where it has no holes.
            Some(wrong) => {
                let help = if text == *source { String::new() } else { "shown as it is rendered".to_owned() };
                Err(vec![SeedMistake { help, ..SeedMistake::new(path, &text, wrong.at, wrong.what) }])
            }
        }
    }
}

fn read(path: &str) -> Result<String, String> {
    let about = std::fs::metadata(path).map_err(|why| format!("it cannot be read: {why}"))?;
    if about.len() > LARGEST {
        return Err(format!(
            "it is too large for a template; {LARGEST} bytes at most, others go under `files`"
        ));
    }
    std::fs::read_to_string(path).map_err(|why| format!("it cannot be read: {why}"))
}

/// The kernel arguments of an image of the owner's, and of the scenario.
fn arguments<'a>(scenario: &'a ScenarioSpec, image: &'a ImageRef) -> impl Iterator<Item = &'a str> {
    let own = match image {
        ImageRef::Files { args, .. } => args.as_str(),
        ImageRef::Named(_) => "",
    };
    [own, scenario.args.as_str()].into_iter()
}

fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

fn kernel_line(name: &ScenarioName, parts: &[&str], known: &Known) -> Result<String, Vec<SeedMistake>> {
    let file = format!("args of {name}");
    let mut line = Vec::new();
    let mut mistakes = Vec::new();
    for part in parts {
        match render(part, known) {
            Ok(text) if text.chars().any(char::is_control) => {
                let what = "kernel arguments are one line without control characters";
                mistakes.push(SeedMistake::new(&file, part, 0..part.len(), what));
            }
            Ok(text) => line.push(text.trim().to_owned()),
            Err(faults) => mistakes.extend(faults.into_iter().map(|fault| SeedMistake {
                help: fault.help,
                ..SeedMistake::new(&file, part, fault.at, fault.what)
            })),
        }
    }
    line.retain(|part| !part.is_empty());
    if mistakes.is_empty() { Ok(line.join(" ")) } else { Err(mistakes) }
}

/// cloud-init refuses a seed without `meta-data`, warns about one without `vendor-data`, and since version 24 asks
/// eleven times, a second apart, for a `network-config` that is not there. Who gives user data gets all three; an
/// empty configuration of the network leaves it as it would be without one.
fn add_cloud_init(
    texts: &mut BTreeMap<String, String>,
    files: &BTreeMap<String, String>,
    spec: &LabSpec,
    node: &NodeName,
) {
    let has = |texts: &BTreeMap<String, String>, name| texts.contains_key(name) || files.contains_key(name);
    if !has(texts, "user-data") {
        return;
    }
    if !has(texts, "meta-data") {
        let text = format!("instance-id: {}-{node}\nlocal-hostname: {node}\n", spec.lab);
        texts.insert("meta-data".to_owned(), text);
    }
    for name in ["vendor-data", "network-config"] {
        if !has(texts, name) {
            texts.insert(name.to_owned(), String::new());
        }
    }
}

/// Renders everything of a lab for every machine; each mistake once, by file.
#[must_use]
pub fn check(spec: &LabSpec) -> Vec<Mistakes> {
    let mut kitchen = Kitchen::new(spec);
    let mut found: BTreeMap<SeedMistake, BTreeSet<NodeName>> = BTreeMap::new();
    for (name, scenario) in spec.scenarios.iter().filter(|(_, scenario)| Kitchen::concerns(scenario)) {
        for node in scenario.members() {
            for mistake in kitchen.cook((name, scenario), node).err().into_iter().flatten() {
                found.entry(mistake).or_default().insert(node.clone());
            }
        }
    }
    let mut files: BTreeMap<(String, String), Vec<Mistake>> = BTreeMap::new();
    for (mistake, nodes) in found {
        let label = format!("for {}", few(&nodes));
        let place = crate::config::Place { start: mistake.from, end: mistake.to };
        let mut told = Mistake::new(mistake.what, place, label);
        if !mistake.help.is_empty() {
            told = told.help(mistake.help);
        }
        files.entry((mistake.file, mistake.source)).or_default().push(told);
    }
    files.into_iter().map(|((file, source), found)| Mistakes::new(&file, &source, found, true)).collect()
}

/// The first names of many.
fn few(nodes: &BTreeSet<NodeName>) -> String {
    let shown: Vec<&str> = nodes.iter().take(3).map(NodeName::as_str).collect();
    match nodes.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
