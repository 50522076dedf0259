//! The lab file: what was typed, what is true, and every mistake between the two.
//!
//! ```text
//! bytes → yaml.rs (a tree with places) → reading.rs (LabFile) → network.rs, power.rs, board.rs,
//!         scenarios.rs, guests.rs, systems.rs, talos.rs, carriers.rs (judge) → model::LabSpec, or Mistakes with all of them
//! ```

mod board;
mod carriers;
mod devices;
mod fields;
mod file;
mod guests;
mod logs;
mod mistake;
mod network;
mod pdudaemon;
mod power;
mod racks;
mod reading;
mod scenarios;
mod switches;
mod systems;
mod talos;
mod typed;
mod words;
mod yaml;

use std::io::Read;
use std::path::Path;

use model::{BoardSpec, LabName, LabSpec, Limits, NetworkSpec};

pub use devices::Given;
pub use fields::{Entries, Typed};
pub use file::{
    BoardFile, ChoiceFile, DnsBossFile, DnsFile, GroupFile, ImageFile, ImageFilesFile, Ipv6File, LabFile,
    LimitsFile, NetworkFile, NodeFile, OverrideFile, PowerFile, RackFile, ReadyFile, RelayFile, ScenarioFile,
    SeedFile, SwitchFile,
};
pub(crate) use guests::identity;
pub use guests::{GuestsFile, RoleFile};
pub use logs::LogsFile;
pub use mistake::{Mistake, MistakeLine, Mistakes};
pub use pdudaemon::PdudaemonFile;
pub(crate) use systems::{DONE, GIVEN};
pub use systems::{PathsFile, VarsFile};
pub use talos::{PatchesFile, TalosFile};
pub(crate) use typed::{Device, device};
pub(crate) use words::memory;
pub use yaml::Place;

use fields::{Found, Typed as TypedValue};

/// Largest lab file that is read, in bytes.
const SIZE_LIMIT: u64 = 8 << 20;

/// Reads and judges the lab file at `path`. Relative paths in it are seen from its folder.
///
/// # Errors
/// Every mistake, or that the file cannot be read.
pub fn load(path: &Path) -> Result<LabSpec, Mistakes> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(SIZE_LIMIT.saturating_add(1)).read_to_end(&mut bytes));
    if let Err(why) = read {
        let mistake = Mistake::of_file(format!("cannot read {name}: {why}"));
        return Err(Mistakes::new(&name, "", vec![mistake], true));
    }
    parse(&bytes, &name, path.parent().unwrap_or_else(|| Path::new("")))
}

/// Judges the bytes of a lab file. `name` is what messages call it; `folder` is where relative paths
/// are seen from.
///
/// # Errors
/// Every mistake.
pub fn parse(bytes: &[u8], name: &str, folder: &Path) -> Result<LabSpec, Mistakes> {
    let text = text_of(bytes).map_err(|mistake| Mistakes::new(name, "", vec![mistake], false))?;
    let root = match yaml::read(text) {
        Ok(root) => root,
        Err(mistake) => return Err(Mistakes::new(name, text, vec![mistake], false)),
    };
    if matches!(root.value, yaml::Value::Nothing) {
        let mistake = Mistake::of_file("the lab file is empty")
            .help("`labinator schema` prints what can be written, labs/ has examples");
        return Err(Mistakes::new(name, text, vec![mistake], true));
    }
    let mut found = Vec::new();
    let file = reading::lab(&root, &mut found);
    let spec = judge(&file, folder, &mut found);
    match spec {
        Some(spec) if found.is_empty() => Ok(spec),
        Some(_) | None => Err(Mistakes::new(name, text, found, true)),
    }
}

/// What is wrong with the manifests of a lab's clusters: in the lab file where one cannot be had, and in the manifests
/// themselves.
pub(crate) fn of_manifests(lab: &Path, spec: &LabSpec) -> Vec<Mistakes> {
    let text = std::fs::read_to_string(lab).unwrap_or_default();
    let typed = yaml::read(&text).ok().map(|root| reading::lab(&root, &mut Vec::new()));
    let scenarios = typed.and_then(|file| file.scenarios).unwrap_or_default();
    let mut of_lab = Vec::new();
    let mut inside: std::collections::BTreeMap<String, Vec<(usize, Mistake)>> =
        std::collections::BTreeMap::new();
    for (name, scenario) in &spec.scenarios {
        for wrong in crate::cluster::mistakes_of_manifests(scenario) {
            let mistake = |place: Option<Place>, label: String| match place {
                Some(place) => Mistake::new(wrong.what.clone(), place, label),
                None => Mistake::of_file(format!("scenario {name}: {}", wrong.what)),
            };
            match &wrong.at {
                Some((file, line)) => {
                    let mistake = Mistake::of_file(wrong.what.clone()).help(wrong.advice.clone());
                    let all = inside.entry(file.clone()).or_default();
                    if !all.contains(&(*line, mistake.clone())) {
                        all.push((*line, mistake));
                    }
                }
                None => {
                    let typed = scenarios.0.iter().find(|(typed, _)| typed.value == name.as_str());
                    let place = typed.zip(wrong.entry).and_then(|((_, file), entry)| {
                        file.talos.install.get(entry).map(|typed| typed.place)
                    });
                    of_lab
                        .push(mistake(place, "it cannot be installed".to_owned()).help(wrong.advice.clone()));
                }
            }
        }
    }
    let lab = lab.display().to_string();
    let of_lab = (!of_lab.is_empty()).then(|| Mistakes::new(&lab, &text, of_lab, true));
    let inside = inside.into_iter().map(|(file, all)| {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let all = all.into_iter().map(|(line, mistake)| mistake.at(line_of(&text, line), ""));
        Mistakes::new(&file, &text, all.collect(), true)
    });
    of_lab.into_iter().chain(inside).collect()
}

/// The bytes of a line, from 1.
fn line_of(text: &str, line: usize) -> Place {
    let mut lines = text.split_inclusive('\n');
    let start: usize = lines.by_ref().take(line.saturating_sub(1)).map(str::len).sum();
    let end = start.saturating_add(lines.next().map_or(0, |line| line.trim_end().len()));
    Place { start, end }
}

/// What is wrong with the configs of a lab's clusters, in files beside the lab file or in what they say together.
pub(crate) fn of_clusters(spec: &LabSpec) -> Option<Mistakes> {
    let mistakes = spec.scenarios.keys().flat_map(|name| {
        let all = crate::cluster::mistakes(spec, name).into_iter();
        all.map(move |why| Mistake::of_file(format!("scenario {name}: {why}")))
    });
    let mistakes: Vec<Mistake> = mistakes.collect();
    (!mistakes.is_empty()).then(|| Mistakes::new("", "", mistakes, true))
}

/// What is right, and still deserves a second thought; one sentence each.
#[must_use]
pub fn warnings(spec: &LabSpec) -> Vec<String> {
    carriers::warnings(spec)
}

/// The JSON Schema of the lab file (draft 2020-12), for editors.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(LabFile).to_value()
}

/// Reads a duration as the lab file writes it: `90s`, `4m`, `500ms`, `2m30s`.
#[must_use]
pub fn duration(text: &str) -> Option<model::Span> {
    words::span(text)
}

/// The candidate that `word` was probably meant to be.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    words::nearest(word, candidates)
}

fn text_of(bytes: &[u8]) -> Result<&str, Mistake> {
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > SIZE_LIMIT {
        return Err(Mistake::of_file("this is too large for a lab file: more than 8 MiB"));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        Mistake::of_file(format!("this is not a text file: byte {} is not UTF-8", e.valid_up_to()))
    })?;
    match text.bytes().position(|b| b == 0) {
        Some(at) => Err(Mistake::of_file(format!("this is not a text file: byte {at} is zero"))),
        None => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
    }
}

/// From what was typed to what cannot be wrong.
fn judge(file: &LabFile, folder: &Path, found: &mut Found) -> Option<LabSpec> {
    let lab: Option<LabName> = file.lab.as_ref().and_then(|name| power::named(name, found));
    let (segment, network) = match &file.network {
        Some(network) => network::network(network, found),
        None => (network::Segment::default(), None),
    };
    let (drivers, power) = match &file.power {
        Some(power) => power::power(power, found),
        None => (power::Drivers::new(), None),
    };
    let (wired, switch) = switches::switches(file.switch.as_ref(), &drivers, found);
    let board = file.board.as_ref().and_then(|b| board::board(b, &segment, (&drivers, &wired), found));
    let nodes = match &board {
        Some(board) => scenarios::in_board_order(board),
        None => typed_nodes(file),
    };
    let groups = file.groups.iter().flat_map(|groups| &groups.0);
    let groups = groups.map(|(name, _)| name.value.clone()).collect();
    let proof = file.proof.as_ref().map(|typed| carriers::proof(typed, found));
    let proof = proof.flatten().unwrap_or_default();
    let updates = file.agent_updates.as_ref().map(|typed| carriers::agent_updates(typed, found));
    let agent_updates = updates.flatten().unwrap_or_default();
    let secure = file.secure_boot.as_ref().map(|typed| carriers::secure_boot(typed, found));
    let secure_boot = secure.flatten().unwrap_or_default();
    let boss = network.as_ref().map(|network| network.boss);
    let pdudaemon = file.pdudaemon.as_ref().map(|file| pdudaemon::judge(file, boss, found));
    let logs = file.logs.as_ref().map(|file| logs::judge(file, found)).unwrap_or_default();
    let memory = memory_of(board.as_ref(), power.as_ref());
    let parking = board.as_ref().zip(power.as_ref()).map(|(board, power)| parking(board, power));
    let around = scenarios::Around { nodes, groups, folder, proof, memory, parking };
    let variables = systems::variables(file, &around, found);
    let scenarios = match &file.scenarios {
        Some(scenarios) => scenarios::scenarios(scenarios, &around, found),
        None => Some(std::collections::BTreeMap::new()),
    };
    let limits = file.limits.as_ref().map_or_else(Limits::default, |l| scenarios::limits(l, found));
    let told = file.network.as_ref();
    let told =
        told.map(|file| network::names(file, (lab.as_ref(), board.as_ref()), found)).unwrap_or_default();
    let network = network.map(|network| told.complete(network));
    let (network, mut board): (NetworkSpec, BoardSpec) = (network?, board?);
    let (lab, mut power, scenarios, switch) = (lab?, power?, scenarios?, switch?);
    guests::place((&lab, file.network.as_ref()), &segment, (&mut board, &mut power), &scenarios, found);
    let variables = variables?;
    Some(LabSpec {
        lab,
        network,
        power,
        switch,
        board,
        scenarios,
        limits,
        variables,
        agent_updates,
        secure_boot,
        pdudaemon: pdudaemon.flatten(),
        logs,
    })
}

/// Machines that can be parked: those that a driver can switch off again. Whether their image can hold them is known once
/// it runs.
fn parking(
    board: &BoardSpec,
    power: &std::collections::BTreeMap<model::DriverName, model::PowerDriver>,
) -> Vec<String> {
    let switched = |node: &model::NodeSpec| match power.get(&node.power.driver) {
        Some(model::PowerDriver::Virtual { .. } | model::PowerDriver::Device(_)) => true,
        Some(model::PowerDriver::Manual | model::PowerDriver::Guests) | None => false,
    };
    board.nodes.iter().filter(|(_, node)| switched(node)).map(|(name, _)| name.to_string()).collect()
}

/// Memory of machines of the board, where it is written down.
fn memory_of(
    board: Option<&BoardSpec>,
    power: Option<&std::collections::BTreeMap<model::DriverName, model::PowerDriver>>,
) -> std::collections::BTreeMap<String, model::Mebibytes> {
    let of_driver = |node: &model::NodeSpec| match power?.get(&node.power.driver)? {
        model::PowerDriver::Virtual { memory, .. } => Some(*memory),
        model::PowerDriver::Manual | model::PowerDriver::Guests | model::PowerDriver::Device(_) => None,
    };
    let nodes = board.iter().flat_map(|board| &board.nodes);
    nodes
        .filter_map(|(name, node)| Some((name.to_string(), node.memory.or_else(|| of_driver(node))?)))
        .collect()
}

fn typed_nodes(file: &LabFile) -> Vec<String> {
    let nodes = file.board.as_ref().and_then(|b| b.nodes.as_ref());
    let name = |(name, _): &(TypedValue<String>, NodeFile)| name.value.clone();
    nodes.map(|n| n.0.iter().map(name).collect()).unwrap_or_default()
}
