//! Judging `scenarios` and `limits`.

use std::collections::BTreeMap;
use std::path::Path;

use model::{BoardSpec, ImageRef, Limits, Mebibytes, NodeName, Proof, ScenarioName, ScenarioSpec, Span};

use super::fields::{Entries, Found, Typed};
use super::file::{ChoiceFile, ImageFile, ImageFilesFile, LimitsFile, ReadyFile, ScenarioFile};
use super::guests::{self, Guests};
use super::mistake::Mistake;
use super::network::duration;
use super::power::named;
use super::systems;
use super::yaml::Place;
use crate::cluster::image::ANY;

/// How long machines may be parked.
const PARK: std::ops::RangeInclusive<Span> = Span::secs(60)..=Span::secs(86_400);

/// What a scenario can refer to.
#[derive(Clone)]
pub(super) struct Around<'a> {
    /// Every machine that is written down, in the board's order where the board is right.
    pub(super) nodes: Vec<String>,
    /// Every group that is written down, in the order of the file.
    pub(super) groups: Vec<String>,
    /// The folder that relative paths are seen from.
    pub(super) folder: &'a Path,
    /// How surely a machine must be known before it gets a config, unless its scenario says otherwise.
    pub(super) proof: Proof,
    /// Memory of machines, where it is written down.
    pub(super) memory: BTreeMap<String, Mebibytes>,
    /// Machines that have our loader and are switched by a driver; unknown where the board is wrong.
    pub(super) parking: Option<Vec<String>>,
}

/// Names of the machines by row, then column.
pub(super) fn in_board_order(board: &BoardSpec) -> Vec<String> {
    let mut nodes: Vec<_> = board.nodes.iter().collect();
    nodes.sort_by_key(|(name, node)| (node.at.row, node.at.column, (*name).clone()));
    nodes.into_iter().map(|(name, _)| name.to_string()).collect()
}

/// Judges the section. Absent when something in it is wrong.
pub(super) fn scenarios(
    file: &Entries<ScenarioFile>,
    around: &Around<'_>,
    found: &mut Found,
) -> Option<BTreeMap<ScenarioName, ScenarioSpec>> {
    let mut all = Some(BTreeMap::new());
    for (name, scenario) in &file.0 {
        let parsed = named::<ScenarioName>(name, found);
        match (parsed, one(&name.value, scenario, around, found), &mut all) {
            (Some(name), Some(scenario), Some(all)) => {
                all.insert(name, scenario);
            }
            (None, _, _) | (_, None, _) | (_, _, None) => all = None,
        }
    }
    all
}

fn one(name: &str, file: &ScenarioFile, around: &Around<'_>, found: &mut Found) -> Option<ScenarioSpec> {
    let image = match &file.image {
        None if file.talos.is_told() => Some(ImageRef::Named(ANY.to_owned())),
        image_file => image_file.as_ref().and_then(|i| image(i, around, found)),
    };
    let nodes = match &file.nodes {
        Some(nodes) if file.talos.is_told() => {
            let place = match nodes {
                ChoiceFile::All(place) => *place,
                ChoiceFile::Some(list) => list.place,
            };
            let mistake = Mistake::new("a cluster's machines have roles", place, "`nodes` says none");
            found.push(mistake.help("`control-plane` and `workers` name them"));
            None
        }
        Some(nodes) => chosen(name, nodes, around, found),
        None if file.talos.is_told() => file.talos.nodes(around, found),
        None => file.hypervisors.is_some().then(Vec::new),
    };
    let guests = guests::guests(name, file, around, found);
    let nodes = nodes.zip(guests.as_ref()).map(|(nodes, guests)| with_guests(&nodes, guests, around));
    let guests = guests.unwrap_or_default();
    // What is said of single machines may be said of guests.
    let named = guests.names();
    let wide = Around { nodes: around.nodes.iter().cloned().chain(named).collect(), ..around.clone() };
    let beside = file.args.as_ref().map_or(0, |args| args.value.len() + 1);
    let talos = file.talos.judge((around, &wide), &guests, (beside, file.park.is_some()), found);
    let told_otherwise = if file.talos.is_told() { ready_by_words(file) } else { Vec::new() };
    for (key, place) in &told_otherwise {
        let mistake = Mistake::new(
            format!("`{key}` has no place in a cluster"),
            *place,
            "Talos and Kubernetes tell it",
        );
        found.push(mistake.help(
            "a machine is ready once the cluster gives it work; `limits.join` says how long that may take",
        ));
    }
    let args = file.args.as_ref().map_or(Some(String::new()), |a| one_line("args", a, found));
    let enough = match (&file.enough, &nodes) {
        (None, Some(nodes)) => u16::try_from(nodes.len()).ok(),
        (Some(typed), Some(nodes)) => enough(typed, nodes.len(), file, found),
        (_, None) => None,
    };
    let system = systems::system(file, &wide, found);
    let wipe = wipe_before_use(file, found);
    let park = match &file.park {
        Some(typed) => park(typed, nodes.as_deref(), around, found).map(Some),
        None => Some(None),
    };
    if !told_otherwise.is_empty() {
        return None;
    }
    let nodes = nodes?.iter().map(|n| n.parse::<NodeName>().ok()).collect::<Option<Vec<_>>>()?;
    Some(ScenarioSpec {
        nodes,
        image: image?,
        args: args?,
        enough: enough?,
        system: system?,
        talos: talos?,
        hypervisors: guests.hypervisors.iter().map(|n| n.parse().ok()).collect::<Option<Vec<_>>>()?,
        hypervisor_image: guests.image,
        hypervisor_args: guests.args,
        guests: guests.all,
        wipe_before_use: wipe?,
        park: park?,
    })
}

/// How long machines wait for the next start after a run, in a scenario that has some which can.
fn park(
    typed: &Typed<String>,
    nodes: Option<&[String]>,
    around: &Around<'_>,
    found: &mut Found,
) -> Option<Span> {
    let span = duration("park", typed, found)?;
    if !PARK.contains(&span) {
        let title = format!("machines are not parked for {}", typed.value);
        let mistake = Mistake::new(title, typed.place, "from a minute to a day");
        found.push(mistake.help("a parked machine costs power: it goes off by itself when this is over"));
        return None;
    }
    let known = nodes.zip(around.parking.as_ref());
    if known.is_some_and(|(nodes, parking)| !nodes.iter().any(|node| parking.contains(node))) {
        let title = "none of its machines can be parked";
        let mistake = Mistake::new(title, typed.place, "none of them is switched by a driver");
        found.push(mistake.help("a parked machine must go off in the end: leave `park` out"));
        return None;
    }
    Some(span)
}

/// `before-use`, in a scenario whose machines have an agent that could wipe.
fn wipe_before_use(file: &ScenarioFile, found: &mut Found) -> Option<bool> {
    let Some(typed) = &file.wipe else { return Some(false) };
    if typed.value != "before-use" {
        let mistake = Mistake::new(
            format!("`{}` does not tell when disks are wiped", typed.value),
            typed.place,
            "not known",
        );
        found.push(mistake.help("`wipe: before-use`, or leave it out; `labinator wipe` wipes one disk"));
        return None;
    }
    if let Some(install) = file.install.as_ref().filter(|_| !file.talos.is_told()) {
        let mistake =
            Mistake::new("an image that installs itself wipes nothing", typed.place, "has no agent of ours")
                .other(install.place, "here it is said to install itself");
        found.push(mistake.help("leave `wipe` out: its installer overwrites the disk"));
        return None;
    }
    if file.talos.is_told() && file.hypervisors.is_none() {
        let title = "a cluster's machines wipe their own disks";
        let mistake = Mistake::new(title, typed.place, "says nothing that is not so");
        found.push(mistake.help(
            "leave `wipe` out: Talos is told `talos.experimental.wipe=system` until it has its config; beside \
             `hypervisors` it is about those",
        ));
        return None;
    }
    Some(true)
}

/// Everything that takes part: machines in the board's order, then guests.
fn with_guests(nodes: &[String], guests: &Guests, around: &Around<'_>) -> Vec<String> {
    let takes_part = |node: &&String| nodes.contains(node) || guests.hypervisors.contains(node);
    around.nodes.iter().filter(takes_part).cloned().chain(guests.names()).collect()
}

/// Words about when a system is ready: what a cluster tells by itself.
fn ready_by_words(file: &ScenarioFile) -> Vec<(&'static str, Place)> {
    let ready = file.ready.as_ref().map(|ready| match ready {
        ReadyFile::When(typed) => typed.place,
        ReadyFile::Port(typed) => typed.place,
    });
    let place = |typed: &Option<Typed<String>>| typed.as_ref().map(|typed| typed.place);
    let all = [("ready", ready), ("within", place(&file.within))];
    all.into_iter().filter_map(|(key, place)| Some((key, place?))).collect()
}

fn enough(typed: &Typed<u64>, nodes: usize, file: &ScenarioFile, found: &mut Found) -> Option<u16> {
    let fits = u16::try_from(typed.value).ok().filter(|n| *n > 0 && usize::from(*n) <= nodes);
    if fits.is_none() {
        let label = if typed.value == 0 {
            "nothing is always enough".to_owned()
        } else {
            format!("only {nodes} take part")
        };
        let mistake = Mistake::new(format!("`enough` cannot be {}", typed.value), typed.place, label);
        let place = match &file.nodes {
            Some(ChoiceFile::All(place)) => Some(*place),
            Some(ChoiceFile::Some(list)) => Some(list.place),
            None => None,
        };
        let mistake = match place {
            Some(place) if typed.value > 0 => mistake.other(place, "these take part"),
            _ => mistake,
        };
        found.push(mistake.help(format!("from 1 to {nodes}")));
    }
    fits
}

pub(super) fn chosen(
    name: &str,
    file: &ChoiceFile,
    around: &Around<'_>,
    found: &mut Found,
) -> Option<Vec<String>> {
    let list = match file {
        ChoiceFile::All(_) => return Some(around.nodes.clone()),
        ChoiceFile::Some(list) => list,
    };
    if list.value.is_empty() {
        found.push(
            Mistake::new(format!("`{name}` has no machines"), list.place, "the list is empty")
                .help("`nodes: all`, or names of the board"),
        );
        return None;
    }
    let mut right = true;
    let mut seen: BTreeMap<&str, &Typed<String>> = BTreeMap::new();
    for node in &list.value {
        if let Some(first) = seen.get(node.value.as_str()) {
            found.push(
                Mistake::new(format!("`{}` takes part twice", node.value), node.place, "the second time")
                    .other(first.place, "first named here"),
            );
            right = false;
        } else if !around.nodes.contains(&node.value) {
            found.push(
                Mistake::new(format!("there is no node `{}`", node.value), node.place, "not on the board")
                    .nearest(&node.value, around.nodes.iter().map(String::as_str), "nodes"),
            );
            right = false;
        }
        seen.insert(&node.value, node);
    }
    right.then(|| around.nodes.iter().filter(|n| seen.contains_key(n.as_str())).cloned().collect())
}

/// A text that goes on a kernel's command line.
pub(super) fn one_line(key: &str, typed: &Typed<String>, found: &mut Found) -> Option<String> {
    let text = typed.value.trim();
    if let Some(c) = text.chars().find(|c| c.is_control()) {
        let label = if c == '\n' { "it has a line break" } else { "it has a control character" };
        found.push(
            Mistake::new(format!("`{key}` is one line"), typed.place, label)
                .help("a kernel's command line has one line; `>-` folds several into one"),
        );
        return None;
    }
    Some(text.to_owned())
}

pub(super) fn image(file: &ImageFile, around: &Around<'_>, found: &mut Found) -> Option<ImageRef> {
    match file {
        ImageFile::Named(typed) => {
            let right = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            let name = &typed.value;
            if name.is_empty() || name.starts_with('.') || !name.chars().all(right) {
                found.push(
                    Mistake::new(format!("`{name}` is not an image name"), typed.place, "not one word")
                        .help("`labinator image list` shows the images; a path goes into `{ kernel: … }` or `{ uki: … }`"),
                );
                return None;
            }
            Some(ImageRef::Named(name.clone()))
        }
        ImageFile::Files(files) => image_files(files, around, found),
    }
}

fn image_files(file: &ImageFilesFile, around: &Around<'_>, found: &mut Found) -> Option<ImageRef> {
    let before = found.len();
    if file.kernel.is_none() && file.uki.is_none() {
        found.push(Mistake::new("`image` needs a `kernel` or a `uki`", file.place, "neither is here").help(
            "for example `image: { kernel: assets/vmlinuz, initrd: assets/initrd, args: \"ip=dhcp\" }`",
        ));
    }
    let mut path = |key: &str, typed: &Typed<String>| {
        if typed.value.trim().is_empty() || typed.value.contains('\0') {
            found.push(Mistake::new(format!("`{key}` is a path"), typed.place, "this is none"));
        }
        around.folder.join(&typed.value).to_string_lossy().into_owned()
    };
    let kernel = file.kernel.as_ref().map(|k| path("kernel", k));
    let uki = file.uki.as_ref().map(|u| path("uki", u));
    let initrd: Vec<String> =
        file.initrd.iter().flat_map(|list| &list.value).map(|one| path("initrd", one)).collect();
    if let (Some(first), None, Some(_)) = (&file.initrd, &file.kernel, &file.uki) {
        found.push(Mistake::new("`initrd` needs a `kernel`", first.place, "a UKI brings its own initramfs"));
    }
    let args = file.args.as_ref().map_or(Some(String::new()), |a| one_line("args", a, found));
    (found.len() == before).then_some(())?;
    Some(ImageRef::Files { kernel, initrd, uki, args: args? })
}

/// Judges the limits; what is not told stays as it is.
pub(super) fn limits(file: &LimitsFile, found: &mut Found) -> Limits {
    let mut limits = Limits::default();
    let set = |key: &str, typed: &Option<Typed<String>>, to: &mut Span, found: &mut Found| {
        let Some(typed) = typed else { return };
        match duration(key, typed, found) {
            Some(Span(0)) => {
                let title = format!("`{key}` cannot be {}", typed.value);
                found.push(Mistake::new(title, typed.place, "every step takes some time"));
            }
            Some(span) => *to = span,
            None => {}
        }
    };
    set("power", &file.power, &mut limits.power, found);
    set("first-ask", &file.first_ask, &mut limits.first_ask, found);
    set("fetch", &file.fetch, &mut limits.fetch, found);
    set("start", &file.start, &mut limits.start, found);
    set("silence", &file.silence, &mut limits.silence, found);
    set("lost", &file.lost, &mut limits.lost, found);
    set("install", &file.install, &mut limits.install, found);
    set("join", &file.join, &mut limits.join, found);
    set("pods", &file.pods, &mut limits.pods, found);
    if let Some(typed) = &file.tries {
        match u8::try_from(typed.value) {
            Ok(n) if n > 0 => limits.tries = n,
            Ok(_) | Err(_) => found.push(Mistake::new(
                format!("`tries` cannot be {}", typed.value),
                typed.place,
                "from 1 to 255",
            )),
        }
    }
    limits
}
