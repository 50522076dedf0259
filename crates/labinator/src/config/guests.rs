//! Guests of a scenario: how many, of what, on which hypervisors; and what each needs to be a machine of the lab.
//!
//! ```text
//! hypervisors: [node2, node4]                       w1 → node2, w2 → node4, w3 → node2 …
//! workers: { count: 3, memory: 2GiB, cpus: 2 }      address out of `network.guests`, MAC and UUID from lab and name
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use model::{
    BoardSpec, ConfigCarrier, DriverName, GUESTS_DRIVER, GuestBoot, GuestNic, GuestSpec, ImageRef, LabName,
    MacAddr, MachineUuid, Mebibytes, NodeName, NodeSpec, PortRef, PowerDriver, ScenarioName, ScenarioSpec,
    memory_for_guests,
};
use schemars::JsonSchema;
use sha2::{Digest as _, Sha256};

use super::fields::{Fields, Found, Typed};
use super::file::{ChoiceFile, ImageFile, NetworkFile, ScenarioFile};
use super::mistake::Mistake;
use super::network::Segment;
use super::power::memory;
use super::reading::choice;
use super::scenarios::{Around, chosen, one_line};
use super::yaml::{Entry, Place, Value};

/// Memory of a guest unless told: what Talos asks for on a control plane.
const MEMORY: Mebibytes = Mebibytes(2048);
/// Processors of a guest unless told.
const CPUS: u8 = 2;
/// Most guests of a kind in a scenario.
const MOST: u64 = 250;
/// The image of hypervisors unless told.
const IMAGE: &str = "hypervisor";

/// Machines of the board, or guests that are made for it.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum RoleFile {
    /// Machines.
    Machines(ChoiceFile),
    /// Guests.
    Guests(Box<GuestsFile>),
}

/// Guests that are alike.
#[derive(Debug, Clone, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GuestsFile {
    /// Its key.
    #[schemars(skip)]
    pub place: Place,
    /// How many.
    #[schemars(with = "u16", range(min = 1, max = 250))]
    pub count: Option<Typed<u64>>,
    /// Memory of each, such as `2GiB`.
    #[schemars(with = "Option<String>", regex(pattern = r"^[0-9]+ ?[MG]iB$"))]
    pub memory: Option<Typed<String>>,
    /// Processors of each.
    #[schemars(with = "Option<u8>", range(min = 1))]
    pub cpus: Option<Typed<u64>>,
    /// Size of a disk that each has, `/dev/vda`, such as `8GiB`; none unless told.
    #[schemars(with = "Option<String>", regex(pattern = r"^[0-9]+ ?[MG]iB$"))]
    pub disk: Option<Typed<String>>,
    /// Network card of each.
    #[schemars(with = "Option<String>", extend("enum" = ["virtio", "e1000e"]))]
    pub nic: Option<Typed<String>>,
    /// `kernel`: out of its hypervisor's store. `network`, `network-uefi`: as metal does.
    #[schemars(with = "Option<String>", extend("enum" = ["kernel", "network", "network-uefi"]))]
    pub boot: Option<Typed<String>>,
    /// `i6300esb` gives each a watchdog that starts it again when its system hangs.
    #[schemars(with = "Option<String>", extend("enum" = ["i6300esb", "none"]))]
    pub watchdog: Option<Typed<String>>,
    /// Over what they are spread: `hypervisor`, the only word so far, which is also what happens without it.
    #[schemars(with = "Option<String>", extend("enum" = ["hypervisor"]))]
    pub spread: Option<Typed<String>>,
}

/// Machines of the board, or guests.
pub(super) fn role(entry: &Entry, found: &mut Found) -> Option<RoleFile> {
    if let Value::Map(_) = &entry.value.value {
        return group(entry, found).map(Box::new).map(RoleFile::Guests);
    }
    choice(&entry.value, found).map(RoleFile::Machines)
}

/// Guests that are alike.
pub(super) fn group(entry: &Entry, found: &mut Found) -> Option<GuestsFile> {
    let mut fields = Fields::open(&entry.key, entry.key_place, &entry.value, found)?;
    let file = GuestsFile {
        place: entry.key_place,
        count: fields.needed_number("count", "3", found),
        memory: fields.text("memory", found),
        cpus: fields.number("cpus", found),
        disk: fields.text("disk", found),
        nic: fields.text("nic", found),
        boot: fields.text("boot", found),
        watchdog: fields.text("watchdog", found),
        spread: fields.text("spread", found),
    };
    fields.close(&[], found);
    Some(file)
}

/// What a scenario says of guests, judged.
#[derive(Debug, Default)]
pub(super) struct Guests {
    /// Machines that run them, in the board's order.
    pub(super) hypervisors: Vec<String>,
    /// What those boot.
    pub(super) image: Option<ImageRef>,
    /// Kernel arguments of those.
    pub(super) args: String,
    /// The guests, by name.
    pub(super) all: BTreeMap<NodeName, GuestSpec>,
    /// Those of the control plane.
    pub(super) control_plane: Vec<NodeName>,
}

impl Guests {
    /// Whether their configs can be carried so. A word on the kernel line is for those who ask the boss for one.
    pub(super) fn can_be_given(&self, carrier: ConfigCarrier, place: Place, found: &mut Found) -> bool {
        let from_store = self.all.iter().find(|(_, guest)| guest.boot == GuestBoot::Kernel);
        let Some((name, _)) = from_store.filter(|_| carrier == ConfigCarrier::Pull) else { return true };
        let label = format!("`{name}` gets its kernel from its hypervisor's store");
        let mistake = Mistake::new("guests cannot fetch their configs", place, label);
        found.push(mistake.help("`carrier: push`, or `boot: network` for the guests"));
        false
    }

    /// Names of all, those with small numbers first.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.all.keys().map(ToString::to_string).collect();
        names.sort_by_key(|name| in_order(name));
        names
    }
}

/// Letters first, then the number.
fn in_order(name: &str) -> (String, usize) {
    let letters = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = name.get(letters.len()..).unwrap_or_default();
    (letters.to_owned(), number.parse().unwrap_or(usize::MAX))
}

/// Judges what a scenario says of guests. Absent when something is wrong.
pub(super) fn guests(
    name: &str,
    file: &ScenarioFile,
    around: &Around<'_>,
    found: &mut Found,
) -> Option<Guests> {
    let before = found.len();
    let role = |role: &Option<RoleFile>| match role {
        Some(RoleFile::Guests(guests)) => Some((**guests).clone()),
        Some(RoleFile::Machines(_)) | None => None,
    };
    let groups: Vec<(char, GuestsFile)> = [
        ('c', role(&file.talos.control_plane)),
        ('w', role(&file.talos.workers)),
        ('g', file.guests.clone()),
    ]
    .into_iter()
    .filter_map(|(letter, group)| Some((letter, group?)))
    .collect();
    let Some(choice) = &file.hypervisors else {
        if let Some((_, group)) = groups.first() {
            let mistake = Mistake::new("guests need machines to run in", group.place, "guests");
            found.push(mistake.help("add `hypervisors: [node2, node4]`, or `hypervisors: all`"));
        }
        let image = file.hypervisor_image.as_ref().map(|image| match image {
            ImageFile::Named(typed) => typed.place,
            ImageFile::Files(files) => files.place,
        });
        let args = file.hypervisor_args.as_ref().map(|args| args.place);
        for (key, place) in [("hypervisor-image", image), ("hypervisor-args", args)] {
            let Some(place) = place else { continue };
            let title = format!("`{key}` is for `hypervisors`");
            found.push(Mistake::new(title, place, "and the scenario has none"));
        }
        return (found.len() == before).then(Guests::default);
    };
    let hypervisors = chosen("hypervisors", choice, around, found)
        .and_then(|hypervisors| without_members(hypervisors, choice, file, around, found))
        .unwrap_or_default();
    let image = match &file.hypervisor_image {
        None => Some(ImageRef::Named(IMAGE.to_owned())),
        Some(image) => super::scenarios::image(image, around, found),
    };
    let args = file.hypervisor_args.as_ref().and_then(|args| one_line("hypervisor-args", args, found));
    let mut guests = Guests { hypervisors, image, args: args.unwrap_or_default(), ..Guests::default() };
    for (letter, group) in &groups {
        add(&mut guests, *letter, group, around, found);
    }
    fit(name, &guests, &groups, around, found);
    (found.len() == before).then_some(guests)
}

/// A machine either runs guests or takes part itself.
fn without_members(
    hypervisors: Vec<String>,
    choice: &ChoiceFile,
    file: &ScenarioFile,
    around: &Around<'_>,
    found: &mut Found,
) -> Option<Vec<String>> {
    let roles = [&file.talos.control_plane, &file.talos.workers];
    let lists = roles.into_iter().filter_map(|role| match role {
        Some(RoleFile::Machines(choice)) => Some(choice),
        Some(RoleFile::Guests(_)) | None => None,
    });
    let members: BTreeSet<String> = lists
        .chain(&file.nodes)
        .flat_map(|choice| chosen("nodes", choice, around, &mut Vec::new()).unwrap_or_default())
        .collect();
    let (place, all) = match choice {
        ChoiceFile::All(place) => (*place, true),
        ChoiceFile::Some(list) => (list.place, false),
    };
    if all {
        // All that are left.
        let left: Vec<String> = hypervisors.into_iter().filter(|node| !members.contains(node)).collect();
        if left.is_empty() {
            found.push(Mistake::new(
                "no machine is left for `hypervisors`",
                place,
                "all of them take part themselves",
            ));
            return None;
        }
        return Some(left);
    }
    if let Some(both) = hypervisors.iter().find(|node| members.contains(*node)) {
        let title = format!("`{both}` cannot run guests and take part itself");
        found.push(Mistake::new(title, place, "named among the machines that take part, too"));
        return None;
    }
    Some(hypervisors)
}

/// Makes the guests of a group and spreads them over the hypervisors.
fn add(guests: &mut Guests, letter: char, group: &GuestsFile, around: &Around<'_>, found: &mut Found) {
    let before = found.len();
    let count = group.count.as_ref().map_or(0, |count| {
        if count.value == 0 || count.value > MOST {
            let title = format!("`count` cannot be {}", count.value);
            found.push(Mistake::new(title, count.place, format!("from 1 to {MOST}")));
        }
        count.value
    });
    let size = |typed: &Option<Typed<String>>, found: &mut Found| {
        typed.as_ref().and_then(|typed| memory(typed, found))
    };
    let cpus = group.cpus.as_ref().map(|typed| {
        let cpus = u8::try_from(typed.value).ok().filter(|cpus| *cpus > 0);
        if cpus.is_none() {
            let title = format!("`cpus` cannot be {}", typed.value);
            found.push(Mistake::new(title, typed.place, "from 1 to 255"));
        }
        cpus.unwrap_or(CPUS)
    });
    let memory = size(&group.memory, found).unwrap_or(MEMORY);
    let disk = size(&group.disk, found);
    let nics = [("virtio", GuestNic::Virtio), ("e1000e", GuestNic::E1000e)];
    let nic = word("nic", &group.nic, &nics, found);
    let boots = [
        ("kernel", GuestBoot::Kernel),
        ("network", GuestBoot::Network),
        ("network-uefi", GuestBoot::NetworkUefi),
    ];
    let boot = word("boot", &group.boot, &boots, found);
    let watchdog = word("watchdog", &group.watchdog, &[("none", false), ("i6300esb", true)], found);
    word("spread", &group.spread, &[("hypervisor", ())], found);
    if found.len() > before {
        return;
    }
    for number in 1..=count {
        let name = format!("{letter}{number}");
        if around.nodes.contains(&name) {
            let title = format!("the guest `{name}` would have the name of a machine");
            found.push(
                Mistake::new(title, group.place, "its guests are called so")
                    .help("guests are called c1, c2 … (control plane), w1 … (workers) and g1 …; call the machine otherwise"),
            );
            return;
        }
        let host = guests.hypervisors.get(guests.all.len() % guests.hypervisors.len().max(1));
        let (Ok(name), Some(Ok(host))) = (name.parse::<NodeName>(), host.map(|host| host.parse())) else {
            continue;
        };
        if letter == 'c' {
            guests.control_plane.push(name.clone());
        }
        let cpus = cpus.unwrap_or(CPUS);
        guests.all.insert(name, GuestSpec { host, memory, cpus, disk, nic, boot, watchdog });
    }
}

/// The value of a word; the first is what is meant without one.
fn word<T: Copy + Default>(
    key: &str,
    typed: &Option<Typed<String>>,
    words: &[(&str, T)],
    found: &mut Found,
) -> T {
    let Some(typed) = typed else { return T::default() };
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == typed.value) {
        return *value;
    }
    let title = format!("`{key}` cannot be `{}`", typed.value);
    let mistake = Mistake::new(title, typed.place, "not a word of this version");
    found.push(mistake.nearest(&typed.value, words.iter().map(|(word, _)| *word), "words"));
    T::default()
}

/// Whether the memory of each hypervisor holds its guests, where the lab file says how much it has.
fn fit(
    scenario: &str,
    guests: &Guests,
    groups: &[(char, GuestsFile)],
    around: &Around<'_>,
    found: &mut Found,
) {
    let Some((_, group)) = groups.first() else { return };
    let place = group.memory.as_ref().map_or(group.place, |memory| memory.place);
    for host in &guests.hypervisors {
        let Some(has) = around.memory.get(host) else { continue };
        let its: Vec<u32> = guests
            .all
            .values()
            .filter(|guest| guest.host.as_str() == host)
            .map(|guest| guest.memory.0)
            .collect();
        let need = memory_for_guests(&its);
        if need <= has.0 {
            continue;
        }
        let fitting = (0..its.len())
            .rev()
            .find(|count| memory_for_guests(its.get(..*count).unwrap_or_default()) <= has.0)
            .unwrap_or(0);
        let sum: Vec<String> = its.iter().map(ToString::to_string).collect();
        let label = format!(
            "{} guests of {} MiB and what their host needs itself make {need} MiB, but {host} has {} MiB",
            its.len(),
            sum.join(" + "),
            has.0
        );
        let mistake = Mistake::new(format!("`{host}` cannot hold its guests in `{scenario}`"), place, label);
        found.push(mistake.help(match fitting {
            0 => "none fits: give them less memory".to_owned(),
            1 => "1 fits; or give them less memory".to_owned(),
            n => format!("{n} fit; or give them less memory"),
        }));
        return;
    }
}

/// Makes machines of the lab of the guests of all scenarios.
pub(super) fn place(
    (lab, file): (&LabName, Option<&NetworkFile>),
    segment: &Segment,
    (board, power): (&mut BoardSpec, &mut BTreeMap<DriverName, PowerDriver>),
    scenarios: &BTreeMap<ScenarioName, ScenarioSpec>,
    found: &mut Found,
) {
    let mut names: Vec<(&NodeName, &NodeName)> = Vec::new();
    for scenario in scenarios.values() {
        for (name, guest) in &scenario.guests {
            if !names.iter().any(|(known, _)| *known == name) {
                names.push((name, &guest.host));
            }
        }
    }
    if names.is_empty() {
        return;
    }
    names.sort_by_key(|(name, _)| in_order(name.as_str()));
    let Ok(driver) = GUESTS_DRIVER.parse::<DriverName>() else { return };
    let Some(range) = segment.guests.as_ref() else {
        if let Some(file) = file.filter(|file| file.guests.is_none()) {
            let mistake = Mistake::new("guests need addresses", file.place, "`guests` is missing here");
            let free = free_range(segment, board, names.len());
            found.push(mistake.help(match free {
                Some((first, last)) => format!("for example `guests: {first}-{last}`, which is free"),
                None => "`guests: FIRST-LAST`, outside of the pool".to_owned(),
            }));
        }
        return;
    };
    let (first, last) = range.value;
    let used: BTreeSet<Ipv4Addr> = board.nodes.values().map(|node| node.ip).collect();
    let mut free = (first.to_bits()..=last.to_bits()).map(Ipv4Addr::from_bits).filter(|a| !used.contains(a));
    let mut macs: BTreeSet<MacAddr> = board.nodes.values().map(|node| node.mac).collect();
    let count = names.len();
    for (at, (name, host)) in names.into_iter().enumerate() {
        let Some(ip) = free.next() else {
            let label = format!("{at} addresses are free here, and there are {count} guests");
            found.push(Mistake::new("there are more guests than addresses for them", range.place, label));
            return;
        };
        let Some(host) = board.nodes.get(host).cloned() else { continue };
        let (uuid, mac) = identity(lab, name, &mut macs);
        let four = Typed::new(ip, range.place);
        let ip6 = segment.node_address6(name.as_str(), (None, Some(four)), &mut BTreeMap::new(), found);
        let power = PortRef { driver: driver.clone(), port: name.to_string() };
        let guest = NodeSpec {
            at: host.at,
            zone: host.zone,
            mac,
            ip,
            ip6: ip6.flatten(),
            power,
            memory: None,
            firmware: None,
            disk: Some("/dev/vda".to_owned()),
            loader: model::LoaderChoice::Ipxe,
            guest: Some(uuid),
            port: None,
        };
        board.nodes.insert(name.clone(), guest);
    }
    power.insert(driver, PowerDriver::Guests);
}

/// Made of lab and name, so that a guest is the same wherever and whenever it runs: a UUID of version 8 (RFC 9562
/// section 5.8) and an Ethernet address in the block that QEMU uses, which people recognise.
pub(crate) fn identity(
    lab: &LabName,
    guest: &NodeName,
    used: &mut BTreeSet<MacAddr>,
) -> (MachineUuid, MacAddr) {
    let digest: [u8; 32] = Sha256::digest(format!("labinator guest {lab}/{guest}")).into();
    let mut uuid = [0_u8; 16];
    uuid.copy_from_slice(&digest[..16]);
    uuid[6] = 0x80 | (uuid[6] & 0x0f);
    uuid[8] = 0x80 | (uuid[8] & 0x3f);
    let mut last = u32::from_be_bytes([0, digest[16], digest[17], digest[18]]);
    loop {
        let [_, a, b, c] = last.to_be_bytes();
        let mac = MacAddr([0x52, 0x54, 0x00, a, b, c]);
        if used.insert(mac) {
            return (MachineUuid(uuid), mac);
        }
        last = last.wrapping_add(1);
    }
}

/// Addresses beside each other that nobody has, from the middle of the subnet on.
fn free_range(segment: &Segment, board: &BoardSpec, count: usize) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let subnet = segment.subnet.as_ref()?.value;
    let taken =
        |address: Ipv4Addr| segment.claims(address) || board.nodes.values().any(|node| node.ip == address);
    let need = u32::try_from(count.max(16)).ok()?;
    let mut from = Ipv4Addr::UNSPECIFIED;
    loop {
        let first = subnet.first_free(|address| address < from || taken(address))?;
        let last = Ipv4Addr::from_bits(first.to_bits().checked_add(need - 1)?);
        let all = (first.to_bits()..=last.to_bits()).map(Ipv4Addr::from_bits);
        match all.clone().rev().find(|address| taken(*address) || !subnet.holds(*address)) {
            None => return Some((first, last)),
            Some(rival) => from = Ipv4Addr::from_bits(rival.to_bits().checked_add(1)?),
        }
    }
}
