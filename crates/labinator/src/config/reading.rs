//! From the tree to [`LabFile`]: finds keys that are unknown, doubled, missing or of the wrong kind.

use std::collections::HashMap;

use super::devices::{self, Given};
use super::fields::{Entries, Fields, Found, Typed, number_of, text_of, texts_of};
use super::file::{
    BoardFile, ChoiceFile, DnsBossFile, DnsFile, ImageFile, ImageFilesFile, Ipv6File, LabFile, LimitsFile,
    NetworkFile, NodeFile, PowerFile, RackFile, RelayFile, ScenarioFile, SwitchFile,
};
use super::guests;
use super::mistake::Mistake;
use super::switches;
use super::systems;
use super::yaml::{Entry, Node, Place, Value};
use super::{logs, pdudaemon};

/// Reads the whole file.
pub(super) fn lab(root: &Node, found: &mut Found) -> LabFile {
    let Some(mut fields) = Fields::open("", root.place, root, found) else {
        found.clear();
        let what = root.value.called();
        found.push(
            Mistake::new("a lab file is a mapping", root.place, format!("this is {what}"))
                .help("it begins with `lab: NAME`"),
        );
        return LabFile::default();
    };
    let file = LabFile {
        lab: fields.needed_text("lab", "my-lab", found),
        network: fields
            .needed("network", "{ interface: enp1s0, subnet: 192.168.122.0/24, … }")
            .and_then(|e| network(e, found)),
        power: fields
            .needed("power", "{ boxes: { driver: manual } }")
            .map(|e| entries("power", e, found, power_driver)),
        switch: fields.node("switch").map(|e| entries("switch", e, found, switch)),
        board: fields.needed("board", "{ columns: 3, nodes: { … } }").and_then(|e| board(e, found)),
        scenarios: fields.node("scenarios").map(|e| entries("scenarios", e, found, scenario)),
        limits: fields.node("limits").and_then(|e| limits(e, found)),
        proof: fields.text("proof", found),
        agent_updates: fields.text("agent-updates", found),
        secure_boot: fields.text("secure-boot", found),
        pdudaemon: fields.node("pdudaemon").and_then(|e| pdudaemon::read(e, found)),
        logs: fields.node("logs").and_then(|e| logs::read(e, found)),
        vars: systems::vars(&mut fields, found),
        groups: fields.node("groups").map(|e| entries("groups", e, found, systems::group)),
    };
    fields.close(&["airgap", "tunnel"], found);
    file
}

/// Reads a mapping of names to things of one kind.
fn entries<T>(
    key: &str,
    entry: &Entry,
    found: &mut Found,
    one: fn(&Entry, &mut Found) -> Option<T>,
) -> Entries<T> {
    let all = match &entry.value.value {
        Value::Map(all) => all.as_slice(),
        Value::Nothing | Value::Word(..) | Value::List(_) => {
            let label = format!("this is {}", entry.value.value.called());
            found.push(
                Mistake::new(format!("`{key}` is a mapping"), entry.value.place, label)
                    .help("each thing in it has a name: `name: { … }`"),
            );
            &[]
        }
    };
    let mut read: Vec<(Typed<String>, T)> = Vec::new();
    let mut places: HashMap<&str, Place> = HashMap::new();
    for entry in all {
        let name = Typed::new(entry.key.clone(), entry.key_place);
        if let Some(first) = places.get(entry.key.as_str()) {
            found.push(
                Mistake::new(format!("`{}` is written twice", entry.key), name.place, "the second time")
                    .other(*first, "first written here"),
            );
        } else if let Some(thing) = one(entry, found) {
            places.insert(&entry.key, name.place);
            read.push((name, thing));
        }
    }
    Entries(read)
}

fn network(entry: &Entry, found: &mut Found) -> Option<NetworkFile> {
    let mut fields = Fields::open("network", entry.key_place, &entry.value, found)?;
    let file = NetworkFile {
        place: fields.place,
        interface: fields.needed_text("interface", "enp1s0", found),
        subnet: fields.needed_text("subnet", "192.168.122.0/24", found),
        boss: fields.needed_text("boss", "192.168.122.3", found),
        gateway: fields.text("gateway", found),
        domain: fields.text("domain", found),
        dns: fields.node("dns").and_then(|e| dns(e, found)),
        ntp: fields.text("ntp", found),
        dhcp: fields.needed_text("dhcp", "authoritative", found),
        pool: fields.text("pool", found),
        guests: fields.text("guests", found),
        lease: fields.text("lease", found),
        tftp: fields.text("tftp", found),
        ipv6: fields.node("ipv6").and_then(|e| ipv6(e, found)),
        relays: fields.node("relays").map(|e| relays(e, found)),
    };
    fields.close(&[], found);
    Some(file)
}

fn ipv6(entry: &Entry, found: &mut Found) -> Option<Ipv6File> {
    let mut fields = Fields::open("ipv6", entry.key_place, &entry.value, found)?;
    let file = Ipv6File {
        place: fields.place,
        prefix: fields.needed_text("prefix", "fd00:1ab::/64", found),
        boss: fields.needed_text("boss", "fd00:1ab::3", found),
        pool: fields.text("pool", found),
        dns: fields.node("dns").and_then(|e| one_or_more("dns", &e.value, found)),
        gateway: fields.text("gateway", found),
        slaac: fields.text("slaac", found),
    };
    fields.close(&[], found);
    Some(file)
}

fn relays(entry: &Entry, found: &mut Found) -> Vec<RelayFile> {
    let Value::List(items) = &entry.value.value else {
        let label = format!("this is {}", entry.value.value.called());
        found.push(
            Mistake::new("`relays` is a list", entry.value.place, label)
                .help("for example `relays: [{ subnet: 10.20.0.0/24, gateway: 10.20.0.1 }]`"),
        );
        return Vec::new();
    };
    let one = |item: &Node, found: &mut Found| {
        let mut fields = Fields::open("relays", item.place, item, found)?;
        let file = RelayFile {
            place: fields.place,
            subnet: fields.needed_text("subnet", "10.20.0.0/24", found),
            gateway: fields.needed_text("gateway", "10.20.0.1", found),
            pool: fields.text("pool", found),
        };
        fields.close(&[], found);
        Some(file)
    };
    items.iter().filter_map(|item| one(item, found)).collect()
}

/// `off`, a list of servers, or what the boss does as one.
fn dns(entry: &Entry, found: &mut Found) -> Option<DnsFile> {
    match &entry.value.value {
        Value::Word(text, _) if text == "off" => Some(DnsFile::Off(entry.value.place)),
        Value::Map(_) => {
            let mut fields = Fields::open("dns", entry.key_place, &entry.value, found)?;
            let file = DnsBossFile {
                place: fields.place,
                forward: fields.node("forward").and_then(|e| one_or_more("forward", &e.value, found)),
                ingress: fields.node("ingress").and_then(|e| one_or_more("ingress", &e.value, found)),
            };
            fields.close(&[], found);
            Some(DnsFile::Boss(file))
        }
        Value::Nothing | Value::Word(..) | Value::List(_) => {
            one_or_more("dns", &entry.value, found).map(DnsFile::Others)
        }
    }
}

pub(super) fn power_driver(entry: &Entry, found: &mut Found) -> Option<PowerFile> {
    let mut fields = Fields::open(&entry.key, entry.key_place, &entry.value, found)?;
    let file = PowerFile {
        place: fields.place,
        driver: fields.needed_text("driver", "manual", found),
        memory: fields.text("memory", found),
        stagger: fields.text("stagger", found),
        disk: fields.text("disk", found),
        protect: fields
            .node("protect")
            .and_then(|e| texts_of("protect", &e.value, found))
            .map(|list| list.value),
        standby: fields.text("standby", found),
        options: options(&mut fields, devices::keys()),
    };
    let known = file.driver.as_ref().is_none_or(|d| devices::words().contains(&d.value.as_str()));
    if known {
        fields.close(&[], found);
    }
    Some(file)
}

fn switch(entry: &Entry, found: &mut Found) -> Option<SwitchFile> {
    let mut fields = Fields::open(&entry.key, entry.key_place, &entry.value, found)?;
    let file = SwitchFile {
        place: fields.place,
        driver: fields.needed_text("driver", "web-8port", found),
        boss: fields.text("boss", found),
        uplink: fields.text("uplink", found),
        protect: fields
            .node("protect")
            .and_then(|e| texts_of("protect", &e.value, found))
            .map(|list| list.value),
        every: fields.text("every", found),
        options: options(&mut fields, switches::keys()),
    };
    if file.driver.as_ref().is_none_or(|driver| switches::is_driver(&driver.value)) {
        fields.close(&[], found);
    }
    Some(file)
}

/// The options that some driver or other has, as they were typed.
fn options(fields: &mut Fields<'_>, keys: Vec<&'static str>) -> Vec<Given> {
    let given = |key| Some(Given { key, entry: fields.node(key)?.clone() });
    keys.into_iter().filter_map(given).collect()
}

fn board(entry: &Entry, found: &mut Found) -> Option<BoardFile> {
    let mut fields = Fields::open("board", entry.key_place, &entry.value, found)?;
    let file = BoardFile {
        place: fields.place,
        columns: fields.needed("columns", "3").and_then(|e| number_of("columns", &e.value, found)),
        rows: fields.number("rows", found),
        racks: fields.node("racks").map(|e| entries("racks", e, found, rack)),
        nodes: match fields.node("racks") {
            Some(_) => fields.node("nodes"),
            None => fields.needed("nodes", "{ node1: { … } }"),
        }
        .map(|e| entries("nodes", e, found, machine)),
    };
    fields.close(&[], found);
    Some(file)
}

fn machine(entry: &Entry, found: &mut Found) -> Option<NodeFile> {
    let mut fields = Fields::open(&entry.key, entry.key_place, &entry.value, found)?;
    let file = NodeFile {
        place: fields.place,
        at: fields.needed("at", "[1, 1]").and_then(|e| cell(&e.value, found)),
        zone: fields.number("zone", found),
        mac: fields.needed_text("mac", "16:09:01:1a:f4:30", found),
        ip: fields.needed_text("ip", "192.168.122.11", found),
        ip6: fields.text("ip6", found),
        power: fields.needed_text("power", "boxes/1", found),
        memory: fields.text("memory", found),
        firmware: fields.text("firmware", found),
        vars: systems::vars(&mut fields, found),
        disk: fields.text("disk", found),
        loader: fields.text("loader", found),
        port: fields.text("port", found),
    };
    fields.close(&[], found);
    Some(file)
}

fn rack(entry: &Entry, found: &mut Found) -> Option<RackFile> {
    let mut fields = Fields::open(&entry.key, entry.key_place, &entry.value, found)?;
    let file = RackFile {
        place: fields.place,
        at: fields.needed("at", "[1, 1]").and_then(|e| cell(&e.value, found)),
        columns: fields.number("columns", found),
        count: fields.number("count", found),
        zone: fields.number("zone", found),
        mac: fields.needed("mac", "16:09:01:1a:f4:30").and_then(|e| one_or_more("mac", &e.value, found)),
        ip: fields.needed_text("ip", "192.168.122.11", found),
        power: fields.needed_text("power", "boxes/1", found),
        memory: fields.text("memory", found),
        firmware: fields.text("firmware", found),
    };
    fields.close(&[], found);
    Some(file)
}

fn cell(node: &Node, found: &mut Found) -> Option<Typed<Vec<Typed<u64>>>> {
    if let Value::List(items) = &node.value
        && items.len() == 2
    {
        let numbers = items.iter().filter_map(|item| number_of("at", item, found)).collect();
        return Some(Typed::new(numbers, list_place(node)));
    }
    let label = match &node.value {
        Value::List(items) => format!("this is a list of {}", items.len()),
        Value::Nothing | Value::Word(..) | Value::Map(_) => format!("this is {}", node.value.called()),
    };
    found.push(
        Mistake::new("`at` is a column and a row", list_place(node), label)
            .help("for example `at: [1, 2]`: first column, second row"),
    );
    None
}

/// From the bracket to the end of the last item: the parser says only where a list begins.
fn list_place(node: &Node) -> Place {
    let end = match &node.value {
        Value::List(items) => items.last().map_or(node.place.end, |last| last.place.end),
        Value::Nothing | Value::Word(..) | Value::Map(_) => node.place.end,
    };
    Place { start: node.place.start, end: end.max(node.place.end) }
}

fn scenario(entry: &Entry, found: &mut Found) -> Option<ScenarioFile> {
    let mut fields = Fields::open(&entry.key, entry.key_place, &entry.value, found)?;
    let talos = super::talos::reading(&mut fields, found);
    let (image_entry, nodes_entry) = if talos.is_told() {
        (fields.node("image"), fields.node("nodes"))
    } else {
        let image = fields.needed("image", "node");
        // Where guests run, nobody else need take part.
        let nodes = if fields.has_any(&["hypervisors"]) {
            fields.node("nodes")
        } else {
            fields.needed("nodes", "all")
        };
        (image, nodes)
    };
    let install = if talos.is_told() { None } else { fields.node("install") };
    let install = install.and_then(|e| systems::install(e, found));
    let file = ScenarioFile {
        place: fields.place,
        image: image_entry.and_then(|e| image(e, found)),
        nodes: nodes_entry.and_then(|e| choice(&e.value, found)),
        talos,
        args: fields.text("args", found),
        enough: fields.number("enough", found),
        seed: systems::seed(&mut fields, found),
        special: fields.node("for").map(|e| entries("for", e, found, systems::special)),
        ready: fields.node("ready").and_then(|e| systems::ready(e, found)),
        within: fields.text("within", found),
        install,
        hypervisors: fields.node("hypervisors").and_then(|e| choice(&e.value, found)),
        hypervisor_image: fields.node("hypervisor-image").and_then(|e| image(e, found)),
        hypervisor_args: fields.text("hypervisor-args", found),
        guests: fields.node("guests").and_then(|e| guests::group(e, found)),
        wipe: fields.text("wipe", found),
        park: fields.text("park", found),
    };
    fields.close(&[], found);
    Some(file)
}

pub(super) fn image(entry: &Entry, found: &mut Found) -> Option<ImageFile> {
    if let Value::Word(..) = &entry.value.value {
        return text_of("image", &entry.value, found).map(ImageFile::Named);
    }
    if let Value::List(_) = &entry.value.value {
        found.push(
            Mistake::new("`image` is a name or files", entry.value.place, "this is a list")
                .help("`image: node`, `image: { kernel: …, initrd: … }` or `image: { uki: … }`"),
        );
        return None;
    }
    let mut fields = Fields::open("image", entry.key_place, &entry.value, found)?;
    let file = ImageFilesFile {
        place: fields.place,
        kernel: fields.text("kernel", found),
        initrd: fields.node("initrd").and_then(|e| one_or_more("initrd", &e.value, found)),
        uki: fields.text("uki", found),
        args: fields.text("args", found),
    };
    fields.close(&[], found);
    Some(ImageFile::Files(file))
}

/// A text, or a list of texts.
fn one_or_more(key: &str, node: &Node, found: &mut Found) -> Option<Typed<Vec<Typed<String>>>> {
    match &node.value {
        Value::Word(text, _) => Some(Typed::new(vec![Typed::new(text.clone(), node.place)], node.place)),
        Value::Nothing | Value::List(_) | Value::Map(_) => texts_of(key, node, found),
    }
}

pub(super) fn choice(node: &Node, found: &mut Found) -> Option<ChoiceFile> {
    match &node.value {
        Value::Word(text, _) if text == "all" => Some(ChoiceFile::All(node.place)),
        Value::List(_) => {
            let names = texts_of("nodes", node, found)?;
            Some(ChoiceFile::Some(Typed::new(names.value, list_place(node))))
        }
        Value::Nothing | Value::Word(..) | Value::Map(_) => {
            let label = format!("this is {}", node.value.called());
            found.push(
                Mistake::new("`nodes` is `all` or a list of names", node.place, label)
                    .help("for example `nodes: [node1, node2]`"),
            );
            None
        }
    }
}

fn limits(entry: &Entry, found: &mut Found) -> Option<LimitsFile> {
    let mut fields = Fields::open("limits", entry.key_place, &entry.value, found)?;
    let file = LimitsFile {
        power: fields.text("power", found),
        first_ask: fields.text("first-ask", found),
        fetch: fields.text("fetch", found),
        start: fields.text("start", found),
        silence: fields.text("silence", found),
        lost: fields.text("lost", found),
        install: fields.text("install", found),
        join: fields.text("join", found),
        pods: fields.text("pods", found),
        tries: fields.number("tries", found),
    };
    fields.close(&["booting-nodes", "configuring", "bootstrapping"], found);
    Some(file)
}
