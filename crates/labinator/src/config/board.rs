//! Judging the `board` section: cells, addresses, ports and names that exist once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use model::{
    BoardSpec, Cell, DeviceSpec, DriverName, LoaderChoice, MacAddr, NodeName, NodeSpec, PortRef, PowerDriver,
    VirtualFirmware,
};

use super::devices::{self, PortNames};
use super::fields::{Found, Typed};
use super::file::{BoardFile, NodeFile};
use super::mistake::Mistake;
use super::network::{Segment, address, taken_twice};
use super::power::{Drivers, memory, named};
use super::racks::{self, Rack};
use super::switches::Wired;
use super::yaml::Place;

/// What was used first, and by which machine.
type Used<K> = BTreeMap<K, (Place, String)>;

/// The section while it is judged.
struct Board<'a> {
    segment: &'a Segment,
    drivers: &'a Drivers,
    switches: &'a Wired,
    columns: Option<Typed<u8>>,
    rows: Option<Typed<u8>>,
    cells: Used<Cell>,
    macs: Used<MacAddr>,
    addresses: Used<Ipv4Addr>,
    six: Used<Ipv6Addr>,
    ports: Used<(String, String)>,
    switch_ports: Used<String>,
    written: Written,
}

/// Everything that is written down, right or wrong: what is proposed must be none of it.
#[derive(Default)]
struct Written {
    addresses: BTreeSet<Ipv4Addr>,
    ports: BTreeSet<String>,
    cells: BTreeSet<(u64, u64)>,
}

impl Written {
    fn of<'a>(nodes: impl Iterator<Item = &'a NodeFile>) -> Self {
        let mut all = Self::default();
        for node in nodes {
            all.addresses.extend(node.ip.as_ref().and_then(|ip| ip.value.parse::<Ipv4Addr>().ok()));
            all.ports.extend(node.power.as_ref().map(|p| p.value.clone()));
            if let Some([column, row]) = node.at.as_ref().map(|at| at.value.as_slice()) {
                all.cells.insert((column.value, row.value));
            }
        }
        all
    }
}

/// Judges the section. Absent when something in it is wrong.
pub(super) fn board(
    file: &BoardFile,
    segment: &Segment,
    (drivers, switches): (&Drivers, &Wired),
    found: &mut Found,
) -> Option<BoardSpec> {
    let nodes = file.nodes.as_ref();
    let single = || nodes.iter().flat_map(|n| n.0.iter());
    let before = found.len();
    let racks: Vec<Rack> = file
        .racks
        .iter()
        .flat_map(|r| r.0.iter())
        .map(|(name, rack)| racks::expand(name, rack, found))
        .collect();
    let racks_well = found.len() == before;
    let mut board = Board {
        segment,
        drivers,
        switches,
        columns: file.columns.as_ref().and_then(|c| small("columns", c, found)),
        rows: file.rows.as_ref().and_then(|r| small("rows", r, found)),
        cells: Used::new(),
        macs: Used::new(),
        addresses: Used::new(),
        six: Used::new(),
        ports: Used::new(),
        switch_ports: Used::new(),
        written: Written::of(
            single().map(|(_, node)| node).chain(racks.iter().flatten().map(|(_, node)| node)),
        ),
    };
    let mut all = racks_well.then(BTreeMap::new);
    for (name, node) in single() {
        board.add(name, node, &mut all, found);
    }
    for rack in &racks {
        for (name, node) in rack {
            // What is wrong with one machine of a rack is wrong with the next ones too: it is said once.
            if !board.add(name, node, &mut all, found) {
                break;
            }
        }
    }
    let written = nodes.is_some() || file.racks.is_some();
    if written && all.as_ref().is_some_and(BTreeMap::is_empty) {
        found.push(Mistake::new("the board has no machines", file.place, "`nodes` is empty"));
    }
    let nodes = all.filter(|all| !all.is_empty())?;
    let needed = nodes.values().map(|n| n.at.row).max().unwrap_or(1);
    Some(BoardSpec {
        columns: board.columns?.value,
        rows: match (&file.rows, board.rows) {
            (None, _) => needed,
            (Some(_), rows) => rows?.value,
        },
        nodes,
    })
}

fn small(key: &str, typed: &Typed<u64>, found: &mut Found) -> Option<Typed<u8>> {
    match u8::try_from(typed.value) {
        Ok(n) if n > 0 => Some(Typed::new(n, typed.place)),
        Ok(_) | Err(_) => {
            let title = format!("`{key}` cannot be {}", typed.value);
            found.push(Mistake::new(title, typed.place, "from 1 to 255"));
            None
        }
    }
}

impl Board<'_> {
    /// Judges one machine and puts it on the board; false when something is wrong with it.
    fn add(
        &mut self,
        name: &Typed<String>,
        file: &NodeFile,
        all: &mut Option<BTreeMap<NodeName, NodeSpec>>,
        found: &mut Found,
    ) -> bool {
        let parsed = named::<NodeName>(name, found);
        let node = self.node(&name.value, file, found);
        let (Some(parsed), Some(node)) = (parsed, node) else {
            *all = None;
            return false;
        };
        let Some(known) = all else { return true };
        if known.insert(parsed, node).is_none() {
            return true;
        }
        let title = format!("two machines are called `{}`", name.value);
        found.push(
            Mistake::new(title, name.place, "a rack and a node, or two racks")
                .help("machines of a rack are called NAME-1, NAME-2 and so on"),
        );
        *all = None;
        false
    }

    fn node(&mut self, name: &str, file: &NodeFile, found: &mut Found) -> Option<NodeSpec> {
        let at = file.at.as_ref().and_then(|a| self.cell(name, a, found));
        let zone = match &file.zone {
            None => Some(None),
            Some(zone) => small("zone", zone, found).map(|z| Some(z.value)),
        };
        let mac = file.mac.as_ref().and_then(|m| self.mac(name, m, found));
        let ip = file.ip.as_ref().and_then(|i| self.ip(name, i, found));
        let four = ip.zip(file.ip.as_ref()).map(|(ip, typed)| Typed::new(ip, typed.place));
        let ip6 = self.segment.node_address6(name, (file.ip6.as_ref(), four), &mut self.six, found);
        let power = file.power.as_ref().and_then(|p| self.power(name, p, found));
        let memory = match &file.memory {
            None => Some(None),
            Some(typed) => memory(typed, found).map(Some),
        };
        let firmware = match &file.firmware {
            None => Some(None),
            Some(typed) => self.firmware(typed, file.power.as_ref(), found).map(Some),
        };
        let disk = match &file.disk {
            None => Some(None),
            Some(typed) => disk(typed, found).map(Some),
        };
        let loader = match &file.loader {
            None => Some(LoaderChoice::default()),
            Some(typed) => loader(typed, found),
        };
        let port = match &file.port {
            None => Some(None),
            Some(typed) => self.switch_port(name, typed, found).map(Some),
        };
        Some(NodeSpec {
            at: at?,
            zone: zone?,
            mac: mac?,
            ip: ip?,
            ip6: ip6?,
            power: power?,
            port: port?,
            memory: memory?,
            firmware: firmware?,
            disk: disk?,
            guest: None,
            loader: loader?,
        })
    }

    fn cell(&mut self, name: &str, typed: &Typed<Vec<Typed<u64>>>, found: &mut Found) -> Option<Cell> {
        let [column, row] = typed.value.as_slice() else { return None };
        let before = found.len();
        for (key, number, bound) in [("columns", column, &self.columns), ("rows", row, &self.rows)] {
            let most = bound.as_ref().map_or(255, |b| u64::from(b.value));
            if number.value == 0 || number.value > most {
                let what = key.trim_end_matches('s');
                let label = format!("{what} {} of {most}", number.value);
                let mistake = Mistake::new(format!("`{name}` stands beside the board"), number.place, label);
                found.push(match bound {
                    _ if number.value == 0 => mistake.help("columns and rows count from 1"),
                    Some(bound) => mistake.other(bound.place, format!("the board has {most} {key}")),
                    None => mistake,
                });
            }
        }
        if found.len() > before {
            return None;
        }
        let cell = Cell { column: u8::try_from(column.value).ok()?, row: u8::try_from(row.value).ok()? };
        if let Some((first, owner)) = self.cells.get(&cell) {
            let label = format!("`{owner}` stands there");
            let mistake = taken_twice("two nodes stand in one cell", (typed.place, label), *first);
            found.push(match self.free_cell() {
                Some(free) => mistake.help(format!("free: [{}, {}]", free.column, free.row)),
                None => mistake.help("the board is full: add a row"),
            });
            return None;
        }
        self.cells.insert(cell, (typed.place, name.to_owned()));
        Some(cell)
    }

    fn free_cell(&self) -> Option<Cell> {
        let columns = self.columns.as_ref()?.value;
        let rows = match &self.rows {
            Some(rows) => rows.value,
            None => self.cells.keys().map(|c| c.row).max()?.saturating_add(1),
        };
        (1..=rows)
            .flat_map(|row| (1..=columns).map(move |column| Cell { column, row }))
            .find(|cell| !self.written.cells.contains(&(cell.column.into(), cell.row.into())))
    }

    fn mac(&mut self, name: &str, typed: &Typed<String>, found: &mut Found) -> Option<MacAddr> {
        let mac: MacAddr = match typed.value.parse() {
            Ok(mac) => mac,
            Err(_) => {
                let title = format!("`{}` is not an Ethernet address", typed.value);
                found.push(
                    Mistake::new(title, typed.place, "not six bytes")
                        .help("six bytes in hexadecimal, such as 16:09:01:1a:f4:30"),
                );
                return None;
            }
        };
        if mac.is_group() || mac == MacAddr::default() {
            let label =
                if mac.is_group() { "a group address (its first byte is odd)" } else { "this is nobody" };
            found.push(Mistake::new(format!("no machine has the address {mac}"), typed.place, label));
            return None;
        }
        if let Some((first, owner)) = self.macs.get(&mac) {
            let label = format!("this is `{owner}`");
            found.push(taken_twice("two nodes have the same Ethernet address", (typed.place, label), *first));
            return None;
        }
        self.macs.insert(mac, (typed.place, name.to_owned()));
        Some(mac)
    }

    fn ip(&mut self, name: &str, typed: &Typed<String>, found: &mut Found) -> Option<Ipv4Addr> {
        let ip = address("ip", typed, found)?;
        let before = found.len();
        self.segment.check_machine(&format!("`{name}`"), &ip, found);
        if found.len() > before {
            return None;
        }
        let rivals = [
            (
                "the boss has this address",
                self.segment.boss.as_ref().filter(|b| b.value == ip.value).map(|b| b.place),
            ),
            (
                "the gateway has this address",
                self.segment.gateway.as_ref().filter(|g| g.value == ip.value).map(|g| g.place),
            ),
            (
                "the pool gives this address to others",
                self.segment
                    .pool
                    .as_ref()
                    .filter(|p| (p.value.0..=p.value.1).contains(&ip.value))
                    .map(|p| p.place),
            ),
        ];
        for (label, place) in rivals {
            if let Some(place) = place {
                let title = format!("`{name}` cannot have {}", ip.value);
                found.push(self.with_free_address(Mistake::new(title, ip.place, label).other(place, "here")));
                return None;
            }
        }
        if let Some((first, owner)) = self.addresses.get(&ip.value) {
            let label = format!("`{owner}` has it");
            let mistake = taken_twice("two nodes have the same IP address", (ip.place, label), *first);
            found.push(self.with_free_address(mistake));
            return None;
        }
        self.addresses.insert(ip.value, (ip.place, name.to_owned()));
        Some(ip.value)
    }

    fn with_free_address(&self, mistake: Mistake) -> Mistake {
        let taken = |a: Ipv4Addr| self.segment.claims(a) || self.written.addresses.contains(&a);
        match self.segment.subnet.as_ref().and_then(|s| s.value.first_free(taken)) {
            Some(free) => mistake.help(format!("free: {free}")),
            None => mistake,
        }
    }

    fn power(&mut self, name: &str, typed: &Typed<String>, found: &mut Found) -> Option<PortRef> {
        let Some((driver, port)) =
            typed.value.split_once('/').filter(|(d, p)| !d.is_empty() && !p.is_empty())
        else {
            let example = self.drivers.keys().next().map_or("boxes", String::as_str);
            found.push(
                Mistake::new(
                    format!("`{}` is not a power port", typed.value),
                    typed.place,
                    "not DRIVER/PORT",
                )
                .help(format!("for example `{example}/1`")),
            );
            return None;
        };
        // Without any driver the section `power` itself was wrong, which was said there.
        let Some(known) = self.drivers.get(driver) else {
            if self.drivers.is_empty() {
                return None;
            }
            let place = Place {
                end: typed.place.end.min(typed.place.start.saturating_add(driver.len())),
                ..typed.place
            };
            found.push(
                Mistake::new(format!("there is no power driver `{driver}`"), place, "not in `power`")
                    .nearest(driver, self.drivers.keys().map(String::as_str), "power drivers"),
            );
            return None;
        };
        let key = (driver.to_owned(), port.to_owned());
        if let Some((first, owner)) = self.ports.get(&key) {
            let label = format!("{driver}/{port} already switches `{owner}`");
            let mistake =
                taken_twice("two nodes are wired to the same power port", (typed.place, label), *first);
            found.push(mistake.help(self.ports_help(driver)));
            return None;
        }
        self.ports.insert(key, (typed.place, name.to_owned()));
        if let PowerDriver::Device(device) = known.spec.as_ref()?
            && !self.may_switch((driver, device), (port, typed), found)
        {
            return None;
        }
        Some(PortRef { driver: driver.parse::<DriverName>().ok()?, port: port.to_owned() })
    }

    /// Says when a device has no such port, or when the port is protected.
    fn may_switch(
        &self,
        (driver, device): (&str, &DeviceSpec),
        (port, typed): (&str, &Typed<String>),
        found: &mut Found,
    ) -> bool {
        let place =
            Place { start: typed.place.end.saturating_sub(port.len()).max(typed.place.start), ..typed.place };
        if device.protect.contains(port) {
            let mut mistake = Mistake::new(
                format!("`{driver}/{port}` is protected, and switches no node"),
                typed.place,
                "nobody may switch it",
            );
            if let Some(known) = self.drivers.get(driver) {
                mistake = mistake.other(known.place, "`protect` says so");
            }
            found.push(mistake.help(self.ports_help(driver)));
            return false;
        }
        let typed = Typed::new(port.to_owned(), place);
        devices::kind(device.kind.word()).is_none_or(|kind| devices::is_port(kind, &typed, found))
    }

    /// Which ports of a driver are free.
    fn ports_help(&self, driver: &str) -> String {
        let known = self.drivers.get(driver).and_then(|known| known.spec.as_ref());
        let device = match known {
            Some(PowerDriver::Device(device)) => Some(device),
            Some(PowerDriver::Virtual { .. } | PowerDriver::Manual | PowerDriver::Guests) | None => None,
        };
        let last = device.and_then(|device| match devices::kind(device.kind.word())?.ports {
            PortNames::UpTo(last) => Some(last),
            PortNames::Any => None,
        });
        let is_free = |n: &u16| {
            !self.written.ports.contains(&format!("{driver}/{n}"))
                && device.is_none_or(|device| !device.protect.contains(&n.to_string()))
        };
        let Some(last) = last else {
            return (1..=u16::MAX)
                .find(is_free)
                .map_or_else(String::new, |free| format!("no node uses `{driver}/{free}`"));
        };
        let free: Vec<String> = (1..=last).filter(is_free).map(|n| n.to_string()).collect();
        let free = if free.is_empty() { "none".to_owned() } else { free.join(", ") };
        let protected: Vec<&str> =
            device.iter().flat_map(|device| &device.protect).map(String::as_str).collect();
        match protected.as_slice() {
            [] => format!("free ports on `{driver}`: {free}"),
            [one] => format!("free ports on `{driver}`: {free} ({one} is protected)"),
            all => format!("free ports on `{driver}`: {free} ({} are protected)", all.join(", ")),
        }
    }

    fn switch_port(&mut self, name: &str, typed: &Typed<String>, found: &mut Found) -> Option<PortRef> {
        let port = self.switches.port(typed, found)?;
        if let Some((first, owner)) = self.switch_ports.get(&typed.value) {
            let label = format!("`{owner}` is plugged in there");
            found.push(taken_twice(
                "two nodes are wired to the same switch port",
                (typed.place, label),
                *first,
            ));
            return None;
        }
        self.switch_ports.insert(typed.value.clone(), (typed.place, name.to_owned()));
        Some(port)
    }

    fn firmware(
        &self,
        typed: &Typed<String>,
        power: Option<&Typed<String>>,
        found: &mut Found,
    ) -> Option<VirtualFirmware> {
        const WORDS: [&str; 4] = ["bios", "uefi-pxe", "uefi-http", "uefi-pxe6"];
        let driver = power.and_then(|p| p.value.split_once('/')).map(|(d, _)| d);
        if let (Some(power), Some(driver)) = (power, driver)
            && let Some(known) = self.drivers.get(driver)
            && matches!(known.spec, Some(PowerDriver::Manual | PowerDriver::Device(_)))
        {
            found.push(
                Mistake::new(
                    "`firmware` is for virtual machines",
                    typed.place,
                    "a real machine brings its own",
                )
                .other(power.place, format!("`{driver}` is not virtual"))
                .other(known.place, "declared here")
                .help("leave it out: the firmware of a real machine is seen when it asks"),
            );
            return None;
        }
        match typed.value.as_str() {
            "bios" => Some(VirtualFirmware::Bios),
            "uefi-pxe" => Some(VirtualFirmware::UefiPxe),
            "uefi-http" => Some(VirtualFirmware::UefiHttp),
            "uefi-pxe6" => Some(VirtualFirmware::UefiPxe6),
            word => {
                found.push(
                    Mistake::new(format!("`{word}` is not a firmware"), typed.place, "not known")
                        .nearest(word, WORDS, "firmware"),
                );
                None
            }
        }
    }
}

fn loader(typed: &Typed<String>, found: &mut Found) -> Option<LoaderChoice> {
    match typed.value.as_str() {
        "ipxe" => Some(LoaderChoice::Ipxe),
        "labinator" => Some(LoaderChoice::Labinator),
        word => {
            found.push(Mistake::new(format!("`{word}` is not a loader"), typed.place, "not known").nearest(
                word,
                ["ipxe", "labinator"],
                "loader",
            ));
            None
        }
    }
}

fn disk(typed: &Typed<String>, found: &mut Found) -> Option<String> {
    let right = typed.value.strip_prefix("/dev/").is_some_and(|d| !d.is_empty());
    if !right {
        let title = format!("`{}` is not a disk", typed.value);
        found.push(
            Mistake::new(title, typed.place, "a path below /dev")
                .help("for example `/dev/sda` or `/dev/nvme0n1`"),
        );
    }
    right.then(|| typed.value.clone())
}
