//! A folder of matchbox becomes a lab file: groups and profiles, templates, what kernels are told.
//!
//! ```text
//! groups, profiles ─store.rs─▶ labels.rs (who gets what) ─▶ plan.rs ─▶ lab.rs (the file)
//!                                    boot.rs, ipxe.rs (kernel, arguments) ┤
//!             ignition, cloud, generic ─▶ urls.rs, go/ (templates) ─▶ serve.rs (what is fetched)
//! ```
//!
//! What cannot be carried over is a [`Remark`] with its place, and a scenario that needs it is not written.
//! The form is that of matchbox 0.11, compared with what that version answers.

mod boot;
mod go;
mod ipxe;
mod lab;
mod labels;
mod metadata;
mod names;
mod plan;
mod remark;
mod serve;
mod store;
mod urls;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::str::FromStr;

use model::{LabSpec, MacAddr, NodeName};

use labels::{Label, in_order};
use remark::Remarks;
use serve::Cook;
use store::Store;

pub use remark::Remark;

/// A machine and what its requests say, as it is typed: `NAME=MAC` or `NAME=MAC,LABEL=VALUE,..`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedMachine {
    name: NodeName,
    mac: MacAddr,
    labels: BTreeMap<String, String>,
}

impl FromStr for NamedMachine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "a machine is NAME=MAC, or NAME=MAC,LABEL=VALUE,LABEL=VALUE";
        let (name, rest) = text.split_once('=').ok_or(form)?;
        let mut parts = rest.split(',');
        let mac =
            parts.next().unwrap_or_default().parse().map_err(|why: model::MacAddrError| why.to_string())?;
        let label = |part: &str| part.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        let labels = parts.map(label).collect::<Option<_>>().ok_or(form)?;
        Ok(Self { name: name.parse().map_err(|why: model::NameError| why.to_string())?, mac, labels })
    }
}

/// What is imported.
#[derive(Debug, Clone)]
pub struct Order {
    /// matchbox's folder (`-data-path`).
    pub folder: PathBuf,
    /// Its groups, where they lie elsewhere.
    pub groups: PathBuf,
    /// Its assets (`-assets-path`), as an absolute path.
    pub assets: PathBuf,
    /// What matchbox is called in addresses (`HOST:PORT`), beside what is found.
    pub hosts: Vec<String>,
    /// Machines that were named.
    pub machines: Vec<NamedMachine>,
    /// Folder of the lab file to be, as an absolute path.
    pub home: PathBuf,
}

/// What became of it.
#[derive(Debug)]
pub struct Imported {
    /// Machines: name, address, variables as the end of a line of the board.
    pub machines: Vec<(NodeName, MacAddr, String)>,
    /// Comment lines that open the file.
    pub head: String,
    /// Lines below `groups:`.
    pub groups: String,
    /// Lines below `scenarios:`.
    pub scenarios: String,
    /// Scenarios among them that can be started.
    pub usable: usize,
    /// Texts to write, by path from the lab file.
    pub files: BTreeMap<String, String>,
    /// What is to be known.
    pub remarks: Vec<Remark>,
}

/// A machine whose requests are known.
#[derive(Debug, Clone)]
struct Machine {
    name: String,
    mac: MacAddr,
    labels: BTreeMap<String, String>,
}

impl Machine {
    /// What its firmware or iPXE says of it.
    fn label(&self, key: &str) -> Label {
        match key {
            "mac" => Label::Known(self.mac.to_string()),
            key => self.labels.get(key).cloned().map_or(Label::Unknown, Label::Known),
        }
    }

    /// How to tell one of its labels.
    fn advice(&self, label: &str) -> String {
        format!("say it: --machine {}={},{label}=..", self.name, self.mac)
    }
}

/// Reads a folder of matchbox. With a lab, its machines are those of the lab's board; `gateway` tells whether
/// machines have one.
///
/// # Errors
/// The folder cannot be read, or nothing of it can be used.
pub fn import(order: &Order, lab: Option<&LabSpec>, gateway: bool) -> Result<Imported, String> {
    let mut remarks = Remarks::default();
    let store = Store::read(&order.folder, &order.groups, &mut remarks)?;
    let texts = store.profiles.values().flat_map(|profile| &profile.args).map(String::as_str);
    let mut hosts = urls::hosts(texts);
    hosts.extend(order.hosts.iter().map(|host| host.to_lowercase()));
    let machines = machines(&store, order, lab, &mut remarks);
    if machines.is_empty() {
        return Err(
            "no group selects a machine by its Ethernet address (`mac`), and none was named".to_owned()
        );
    }
    let mut cook = Cook {
        store: &store,
        groups: in_order(&store.groups),
        hosts,
        assets: order.assets.clone(),
        home: order.home.clone(),
        names: BTreeMap::new(),
        files: BTreeMap::new(),
        remarks: &mut remarks,
    };
    let plan = plan::plan(&mut cook, &machines, gateway);
    let files = cook.files;
    let nodes = machines.iter().filter_map(|machine| {
        let vars = plan.vars.get(&machine.name).map(lab::vars).unwrap_or_default();
        Some((machine.name.parse().ok()?, machine.mac, vars))
    });
    let nodes = nodes.collect();
    let remarks = remarks.all();
    Ok(Imported {
        machines: nodes,
        head: lab::head(&remarks),
        groups: lab::groups(&plan),
        scenarios: lab::scenarios(&plan),
        usable: plan.scenarios.iter().filter(|scenario| !scenario.lost).count(),
        files,
        remarks,
    })
}

/// Adds lines to a section of a lab file; `None` where it is written in a form that has no room for them.
#[must_use]
pub fn inserted(text: &str, section: &str, lines: &str) -> Option<String> {
    lab::inserted(text, section, lines)
}

/// Every machine that is known: of the board, named, or selected by its address.
fn machines(store: &Store, order: &Order, lab: Option<&LabSpec>, remarks: &mut Remarks) -> Vec<Machine> {
    let mut all: Vec<Machine> = Vec::new();
    let mut in_order_of_board: Vec<_> = lab.iter().flat_map(|lab| &lab.board.nodes).collect();
    in_order_of_board.sort_by_key(|(_, node)| (node.at.row, node.at.column));
    for (name, node) in in_order_of_board {
        all.push(Machine { name: name.to_string(), mac: node.mac, labels: BTreeMap::new() });
    }
    for named in &order.machines {
        match all.iter_mut().find(|machine| machine.mac == named.mac) {
            Some(machine) => machine.labels.extend(named.labels.clone()),
            None if lab.is_some() => {
                let what = format!("{} ({}) is not on the board", named.name, named.mac);
                remarks.lost("--machine", what, "add it to `board.nodes` of the lab file");
            }
            None => all.push(Machine {
                name: named.name.to_string(),
                mac: named.mac,
                labels: named.labels.clone(),
            }),
        }
    }
    let mut groups: Vec<&store::Group> = store.groups.iter().filter(|group| group.mac().is_some()).collect();
    // The group that says nothing else of a machine knows its name best.
    groups.sort_by_key(|group| (group.selector.len(), group.place.clone()));
    for group in groups {
        let Some(mac) = group.mac() else { continue };
        if !all.iter().any(|machine| machine.mac == mac) {
            if lab.is_some() {
                remarks.lost(
                    &group.place,
                    format!("{mac} is not on the board"),
                    "add it to `board.nodes` of the lab file",
                );
                continue;
            }
            let taken: BTreeSet<String> = all.iter().map(|machine| machine.name.clone()).collect();
            let host = group.selector.get("hostname").and_then(|name| name.split('.').next());
            let name = names::fresh(host.unwrap_or(&group.id), &taken);
            all.push(Machine { name, mac, labels: BTreeMap::new() });
        }
        // Whoever names a machine's address and its serial number in one breath knows both.
        for (key, value) in
            group.selector.iter().filter(|(key, _)| labels::OF_THE_MACHINE.contains(&key.as_str()))
        {
            let machine = all.iter_mut().find(|machine| machine.mac == mac).filter(|_| key != "mac");
            if let Some(machine) = machine
                && !machine.labels.contains_key(key)
            {
                remarks.note(
                    &group.place,
                    format!("{} is taken to have the {key} `{value}`", machine.name),
                    "",
                );
                machine.labels.insert(key.clone(), value.clone());
            }
        }
    }
    all
}
