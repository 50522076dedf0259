//! From groups and profiles to scenarios: which machine gets what, said once for those that get the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::boot::{Boot, Image, boot};
use super::ipxe::Around;
use super::labels::{Label, Labels, OF_THE_MACHINE, choose, selectors};
use super::serve::{Cook, For, Lost, Served};
use super::store::{Group, Profile};
use super::{Machine, names};

/// A group of the lab file.
#[derive(Debug)]
pub(super) struct Members {
    pub(super) name: String,
    pub(super) about: String,
    pub(super) nodes: Vec<String>,
    pub(super) vars: Map<String, Value>,
}

/// What some machines of a scenario get instead.
#[derive(Debug)]
pub(super) struct Special {
    /// A group or a machine.
    pub(super) of: String,
    pub(super) image: Option<Image>,
    pub(super) served: Served,
}

/// A scenario of the lab file.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) name: String,
    pub(super) about: Vec<String>,
    /// It does not do what matchbox does: it is written as a comment.
    pub(super) lost: bool,
    /// `None` for the disk.
    pub(super) image: Option<Image>,
    pub(super) nodes: Vec<String>,
    pub(super) served: Served,
    pub(super) special: Vec<Special>,
}

/// Everything that is written.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) groups: Vec<Members>,
    pub(super) scenarios: Vec<Scenario>,
    /// Variables of machines that no group has.
    pub(super) vars: BTreeMap<String, Map<String, Value>>,
}

/// A machine, and the group it boots by.
type Booted<'a> = (&'a Machine, &'a Group);

/// What the machines of one profile get.
struct Share<'a> {
    profile: &'a Profile,
    booted: Vec<Booted<'a>>,
    boot: Option<Boot>,
    served: BTreeMap<String, Served>,
}

/// Plans a lab for these machines.
pub(super) fn plan(cook: &mut Cook<'_>, machines: &[Machine], gateway: bool) -> Plan {
    let groups = cook.groups.clone();
    let booted = boots(cook, &groups, machines);
    let mut plan = Plan::default();
    let names = members(cook, &groups, &booted, machines, &mut plan);
    let mut shares: Vec<Share<'_>> = Vec::new();
    let store = cook.store;
    for profile in store.profiles.values() {
        let booted: Vec<Booted<'_>> =
            booted.iter().copied().filter(|(_, group)| group.profile == profile.id).collect();
        if booted.is_empty() {
            let by: Vec<&str> =
                groups.iter().filter(|g| g.profile == profile.id).map(|g| g.place.as_str()).collect();
            let why = if by.is_empty() {
                "no group names it".to_owned()
            } else {
                format!("no machine that is known boots by {}", by.join(", "))
            };
            cook.remarks.note(&profile.place, format!("no scenario was made of it: {why}"), "");
        } else {
            shares.push(share(cook, profile, booted, gateway));
        }
    }
    for group in groups.iter().filter(|group| !store.profiles.contains_key(&group.profile)) {
        cook.remarks.lost(&group.place, format!("there is no profile `{}`", group.profile), "");
    }
    let mut taken = BTreeSet::new();
    for share in &shares {
        let name = names::fresh(&share.profile.id, &taken);
        taken.insert(name.clone());
        plan.scenarios.push(one(name, share));
    }
    if shares.len() > 1 {
        let name = names::fresh("matchbox", &taken);
        plan.scenarios.push(whole(name, &shares, &names));
    }
    for (machine, group) in &booted {
        let own = own_labels(machine, group);
        let vars = own
            .into_iter()
            .filter_map(|label| Some((label.clone(), Value::String(machine.labels.get(&label)?.clone()))));
        let vars: Map<String, Value> = vars.collect();
        if !vars.is_empty() {
            plan.vars.insert(machine.name.clone(), vars);
        }
    }
    plan
}

/// The group of each machine. What cannot be told is.
fn boots<'a>(cook: &mut Cook<'_>, groups: &[&'a Group], machines: &'a [Machine]) -> Vec<Booted<'a>> {
    for pair in groups.windows(2) {
        if let [one, other] = pair
            && one.selector == other.selector
        {
            let what = format!("it has the same selectors as {}, and matchbox takes either", other.place);
            cook.remarks.lost(&one.place, what, "remove one");
        }
    }
    let mut all = Vec::new();
    let mut unsure: BTreeMap<(&str, String), Vec<(&str, String)>> = BTreeMap::new();
    for machine in machines {
        let mut labels: Labels =
            machine.labels.iter().map(|(key, value)| (key.clone(), Label::Known(value.clone()))).collect();
        labels.extend(OF_THE_MACHINE.map(|key| (key.to_owned(), machine.label(key))));
        let choice = choose(groups, &labels);
        for (group, label) in choice.unsure {
            let advice = machine.advice(&label);
            unsure.entry((group.place.as_str(), label)).or_default().push((machine.name.as_str(), advice));
        }
        match choice.group {
            Some(group) => all.push((machine, group)),
            None => cook.remarks.note(
                "groups",
                format!("no group fits {}: matchbox boots it with nothing", machine.name),
                "",
            ),
        }
    }
    for ((place, label), about) in unsure {
        let names: Vec<&str> = about.iter().map(|(name, _)| *name).collect();
        let belong = if names.len() == 1 { "belongs" } else { "belong" };
        let what =
            format!("whether {} {belong} to it is not known: nobody told the `{label}`", names.join(", "));
        cook.remarks.lost(place, what, about.first().map_or("", |(_, advice)| advice));
    }
    all
}

/// Groups of the lab file, and what each of matchbox's is called there.
fn members<'a>(
    cook: &mut Cook<'_>,
    groups: &[&'a Group],
    booted: &[Booted<'a>],
    machines: &[Machine],
    plan: &mut Plan,
) -> BTreeMap<&'a str, String> {
    let mut taken: BTreeSet<String> = machines.iter().map(|machine| machine.name.clone()).collect();
    let mut called = BTreeMap::new();
    for group in groups {
        let nodes: Vec<String> = booted
            .iter()
            .filter(|(_, by)| by.place == group.place)
            .map(|(machine, _)| machine.name.clone())
            .collect();
        if nodes.is_empty() {
            let wants = selectors(group);
            let (what, help) = match wants.as_str() {
                "" => (
                    "it is for every other machine, and none is known".to_owned(),
                    "name them: --machine NAME=MAC",
                ),
                wants => (
                    format!("no machine that is known boots by it: it wants {wants}"),
                    "name machines and their labels: --machine NAME=MAC,LABEL=VALUE",
                ),
            };
            // One whose labels nobody told is told of already; what only a later request asks for is found by it.
            if group.selector.is_empty() {
                cook.remarks.lost(&group.place, what, help);
            } else {
                cook.remarks.note(&group.place, what, "");
            }
            continue;
        }
        // A machine may be called as its group is.
        let wanted = if taken.contains(&group.id) { format!("{}-group", group.id) } else { group.id.clone() };
        let name = names::fresh(&wanted, &taken);
        taken.insert(name.clone());
        called.insert(group.place.as_str(), name.clone());
        let about = about(&group.place, &group.name, &group.id);
        plan.groups.push(Members { name, about, nodes, vars: vars(cook, group) });
    }
    called
}

/// Variables of a group, as the lab file has them.
fn vars(cook: &mut Cook<'_>, group: &Group) -> Map<String, Value> {
    let variables = group.variables();
    let called = match names::variables(&variables, group.mac().is_some()) {
        Ok(called) => called,
        Err((one, other)) => {
            let what = format!("`{one}` and `{other}` would be called alike here");
            cook.remarks.lost(&group.place, what, "rename one");
            return Map::new();
        }
    };
    let mut all = Map::new();
    for (name, value) in &variables {
        let Some(ours) = called.get(name).filter(|ours| *ours != "mac") else { continue };
        if ours != name {
            cook.remarks.note(&group.place, format!("`{name}` is called `{ours}` here"), "");
        }
        let text = value.to_string().to_lowercase();
        if let Some(host) = cook.hosts.iter().find(|host| text.contains(host.as_str())) {
            let what = format!("`{name}` names matchbox itself ({host})");
            cook.remarks.lost(&group.place, what, "write the address into the template, and import again");
        }
        all.insert(ours.clone(), value.clone());
    }
    all
}

/// Labels that are variables of a machine: those of which its group says nothing else.
fn own_labels(machine: &Machine, group: &Group) -> Vec<String> {
    let variables = group.variables();
    let own = ["uuid", "serial", "arch", "domain"].into_iter().filter(|label| {
        let told = variables.get(*label).and_then(Value::as_str);
        machine.labels.get(*label).is_some_and(|value| told.is_none_or(|told| told == value))
            && (told.is_some() || !variables.contains_key(*label))
    });
    own.map(str::to_owned).collect()
}

fn share<'a>(cook: &mut Cook<'_>, profile: &'a Profile, booted: Vec<Booted<'a>>, gateway: bool) -> Share<'a> {
    let mut labels: Vec<String> = ["uuid", "serial", "arch", "domain"].map(str::to_owned).to_vec();
    labels.retain(|label| booted.iter().all(|(machine, group)| own_labels(machine, group).contains(label)));
    let around = Around { labels: &labels, gateway };
    let mut boot = boot(cook, profile, around);
    let mut served = BTreeMap::new();
    let mut args = None;
    for (machine, group) in &booted {
        let mut own = Served::default();
        let (place, text, wanted) = (&boot.place, &boot.args, &boot.wanted);
        match cook.filled((place, text, wanted), For { machine, group, around }, &mut own) {
            Ok(text) => args = Some(text),
            Err(Lost) => boot.right = false,
        }
        served.insert(machine.name.clone(), own);
    }
    let boot = args.filter(|_| boot.right).map(|args| Boot { args, ..boot });
    Share { profile, booted, boot, served }
}

fn about(place: &str, name: &str, id: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    if name.is_empty() || name == id { place.to_owned() } else { format!("{place}: {name}") }
}

/// The scenario of one profile.
fn one(name: String, share: &Share<'_>) -> Scenario {
    let profile = share.profile;
    let mut lines = vec![about(&profile.place, &profile.name, &profile.id)];
    if let Some(word) = installs(profile) {
        lines.push(format!("`{word}` installs: with `install: true` a machine gets it once, as matchbox it gets it at every boot."));
    }
    let served = |machine: &Machine| share.served.get(&machine.name).cloned().unwrap_or_default();
    let first = share.booted.first().map(|(machine, _)| served(machine)).unwrap_or_default();
    let special = share.booted.iter().filter_map(|(machine, _)| {
        let served = differing(&first, &served(machine))?;
        Some(Special { of: machine.name.clone(), image: None, served })
    });
    Scenario {
        name,
        about: lines,
        lost: share.boot.is_none(),
        image: share.boot.as_ref().map(|boot| boot.image()),
        nodes: share.booted.iter().map(|(machine, _)| machine.name.clone()).collect(),
        special: special.collect(),
        served: first,
    }
}

/// All machines at once, each with what its group says.
fn whole(name: String, shares: &[Share<'_>], names: &BTreeMap<&str, String>) -> Scenario {
    let (mut groups, mut nodes) = (Vec::<Special>::new(), Vec::new());
    for share in shares {
        for (machine, group) in &share.booted {
            let served = share.served.get(&machine.name).cloned().unwrap_or_default();
            let Some(of) = names.get(group.place.as_str()) else { continue };
            match groups.iter().find(|special| special.of == *of) {
                None => {
                    let image = share.boot.as_ref().map(|boot| boot.image());
                    groups.push(Special { of: of.clone(), image, served });
                }
                Some(first) => nodes.extend(differing(&first.served, &served).map(|served| Special {
                    of: machine.name.clone(),
                    image: None,
                    served,
                })),
            }
        }
    }
    let booted = shares.iter().flat_map(|share| &share.booted);
    Scenario {
        name,
        about: vec!["every machine with what its group says, as matchbox has it".to_owned()],
        lost: shares.iter().any(|share| share.boot.is_none()),
        image: None,
        nodes: booted.map(|(machine, _)| machine.name.clone()).collect(),
        served: Served::default(),
        special: groups.into_iter().chain(nodes).collect(),
    }
}

/// What one gets that another does not.
fn differing(first: &Served, other: &Served) -> Option<Served> {
    let pieces: BTreeMap<_, _> = other
        .pieces
        .iter()
        .filter(|(name, piece)| first.pieces.get(*name) != Some(piece))
        .map(|(name, piece)| (name.clone(), piece.clone()))
        .collect();
    let folder = other.folder.clone().filter(|folder| first.folder.as_ref() != Some(folder));
    (!pieces.is_empty() || folder.is_some()).then_some(Served { pieces, folder })
}

/// The word by which an installer is known.
fn installs(profile: &Profile) -> Option<&str> {
    const WORDS: [&str; 5] =
        ["coreos.inst", "coreos.inst.install_dev", "inst.ks", "auto-install/enable", "autoinstall"];
    let words = profile.args.iter().flat_map(|arg| arg.split_whitespace());
    let mut keys = words.map(|word| word.split_once('=').map_or(word, |(key, _)| key));
    keys.find(|key| WORDS.contains(key))
}
