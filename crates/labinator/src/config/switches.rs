//! Judging the `switch` section: switches, their drivers, and which of their ports a machine may hang on.
//!
//! A new driver is an entry in [`KINDS`], a variant of [`SwitchKind`], and a `Switch` in `drivers::switch`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use model::{DriverName, PortRef, SnmpPorts, Span, SwitchKind, SwitchSpec};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::devices::snmp::{VERSION, version};
use super::devices::{self, Opt, PortNames, Read, Shape, describe, is_port_of};
use super::fields::{Entries, Found, Typed};
use super::file::SwitchFile;
use super::mistake::Mistake;
use super::network::duration;
use super::power::{Drivers, named};
use super::yaml::Place;

/// Pause between two looks unless told: a link that is lost is to be seen within a second.
const EVERY: Span = Span(500);
/// Shortest pause: less is more than small switches take.
const OFTENEST: Span = Span(200);
/// Longest: links that are looked at less often are no evidence.
const SELDOMEST: Span = Span(10_000);
/// What every driver can be told.
const COMMON: &[&str] = &["boss", "uplink", "protect", "every"];

/// One driver.
struct Kind {
    word: &'static str,
    about: &'static str,
    options: &'static [Opt],
    ports: PortNames,
    build: fn(&mut Read<'_>) -> Option<SwitchKind>,
}

const fn option(key: &'static str, shape: Shape, about: &'static str) -> Opt {
    Opt { key, needed: None, shape, about }
}

const URL: Opt = Opt {
    key: "url",
    needed: Some("http://192.168.122.2"),
    shape: Shape::Text,
    about: "Where the switch is: `http://HOST`.",
};
const CREDENTIALS: Opt = Opt {
    key: "credentials",
    needed: Some("secret:switch"),
    shape: Shape::Secret,
    about: "Where `USER:PASSWORD` is kept: `secret:NAME` or `file:/PATH`.",
};

/// All drivers of switches.
const KINDS: &[Kind] = &[
    Kind {
        word: "web-8port",
        about: "the original's web-managed switch, and others with the same pages",
        options: &[URL, CREDENTIALS],
        ports: PortNames::UpTo(52),
        build: |read| {
            let url = address(read, false);
            let credentials = read.secret("credentials");
            Some(SwitchKind::WebPages { url: url?, credentials: credentials? })
        },
    },
    Kind {
        word: "openwrt",
        about: "OpenWrt, by ubus",
        options: &[
            URL,
            CREDENTIALS,
            option(
                "certificate",
                Shape::Text,
                "SHA-256 of its certificate, for https: `sha256:` and 64 hexadecimal digits.",
            ),
            option(
                "swconfig",
                Shape::Text,
                "Name of its switch, such as `switch0`, where its ports are no interfaces (DSA).",
            ),
        ],
        ports: PortNames::Any,
        build: |read| {
            let url = address(read, true);
            let credentials = read.secret("credentials");
            let certificate = devices::certificate(read)?;
            let swconfig = read.maybe("swconfig", Read::text)?.map(|typed| typed.value);
            Some(SwitchKind::OpenWrt { url: url?, credentials: credentials?, certificate, swconfig })
        },
    },
    Kind {
        word: "snmp",
        about: "whatever speaks SNMP",
        options: &[
            Opt {
                key: "host",
                needed: Some("10.0.0.2"),
                shape: Shape::Text,
                about: "Name or address of a switch that speaks SNMP, with `:PORT` where that is not 161.",
            },
            CREDENTIALS,
            VERSION,
            option(
                "ports",
                Shape::Choice(&["names", "numbers"]),
                "What ports are called: as the switch calls them (`names`, unless told), or by their numbers.",
            ),
            option(
                "traps",
                Shape::Text,
                "Where its traps come in, such as `0.0.0.0:162`: a trap about a link makes us look at once.",
            ),
        ],
        ports: PortNames::Any,
        build: |read| {
            let host = devices::host(read, "for example `10.0.0.2` or `core:1161`");
            let credentials = read.secret("credentials");
            let version = version(read);
            let ports = match read.maybe("ports", Read::choice) {
                Some(Some("numbers")) => Some(SnmpPorts::Numbers),
                told => told.map(|_| SnmpPorts::Names),
            };
            let traps = match read.maybe("traps", Read::text)? {
                None => None,
                Some(typed) => Some(listening(&typed, read)?),
            };
            Some(SwitchKind::Snmp {
                host: host?,
                credentials: credentials?,
                version: version?,
                ports: ports?,
                traps,
            })
        },
    },
];

/// Every key that some driver of a switch has.
pub(super) fn keys() -> Vec<&'static str> {
    let mut keys: Vec<&str> = KINDS.iter().flat_map(|kind| kind.options).map(|option| option.key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// True for the name of a driver.
pub(super) fn is_driver(word: &str) -> bool {
    kind(word).is_some()
}

fn kind(word: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.word == word)
}

/// Where traps come in.
fn listening(typed: &Typed<String>, read: &mut Read<'_>) -> Option<SocketAddr> {
    let at = typed.value.parse::<SocketAddr>().ok().filter(|at| at.port() != 0);
    if at.is_none() {
        let title = format!("`{}` is no address to listen on", typed.value);
        let help = "for example `0.0.0.0:162`, which is every address of the boss, or `192.168.122.1:1162`";
        read.wrong(title, typed.place, "not `ADDRESS:PORT`", help);
    }
    at
}

/// Where a switch is. What has no https is not spoken to by it.
fn address(read: &mut Read<'_>, tls: bool) -> Option<String> {
    let typed = devices::address(read, "url")?;
    if !tls && typed.starts_with("https://") {
        let place = read.text("url")?.place;
        read.wrong(
            "this switch has no https".to_owned(),
            place,
            "its pages come over http",
            "give it a network that nobody else listens on",
        );
        return None;
    }
    Some(typed)
}

/// The switches of a lab file as far as they could be understood; absent where it has no such section.
#[derive(Debug)]
pub(super) struct Wired(Option<BTreeMap<String, (Place, Option<SwitchSpec>)>>);

impl Wired {
    /// Judges the port that a machine is plugged into.
    pub(super) fn port(&self, typed: &Typed<String>, found: &mut Found) -> Option<PortRef> {
        let parts = typed.value.split_once('/').filter(|(_, port)| !port.is_empty());
        let named = parts.and_then(|(name, port)| Some((name, name.parse::<DriverName>().ok()?, port)));
        let Some((name, driver, port)) = named else {
            let title = format!("`{}` is not a switch port", typed.value);
            found.push(Mistake::new(title, typed.place, "not SWITCH/PORT").help("for example `core/6`"));
            return None;
        };
        let reference = PortRef { driver, port: port.to_owned() };
        let Some(all) = &self.0 else { return Some(reference) };
        let Some((place, spec)) = all.get(name) else {
            let end = typed.place.end.min(typed.place.start.saturating_add(name.len()));
            let place = Place { end, ..typed.place };
            found.push(
                Mistake::new(format!("there is no switch `{name}`"), place, "not in `switch`").nearest(
                    name,
                    all.keys().map(String::as_str),
                    "switches",
                ),
            );
            return None;
        };
        let spec = spec.as_ref()?;
        if let Some(why) = spec.guards(port) {
            found.push(
                Mistake::new(format!("`{name}/{port}` is no port of a node"), typed.place, why)
                    .other(*place, "this switch says so")
                    .help(
                        "a node hangs on a port of its own, which can be disabled without cutting off others",
                    ),
            );
            return None;
        }
        let start = typed.place.end.saturating_sub(port.len()).max(typed.place.start);
        let typed = Typed::new(port.to_owned(), Place { start, ..typed.place });
        let ports = kind(spec.kind.word()).map(|kind| (kind.word, kind.ports));
        ports.is_none_or(|ports| is_port_of(ports, &typed, found)).then_some(reference)
    }
}

/// Judges the section. The second part is absent when something in it is wrong.
pub(super) fn switches(
    file: Option<&Entries<SwitchFile>>,
    drivers: &Drivers,
    found: &mut Found,
) -> (Wired, Option<BTreeMap<DriverName, SwitchSpec>>) {
    let Some(file) = file else { return (Wired(None), Some(BTreeMap::new())) };
    let mut all = BTreeMap::new();
    let mut spec = Some(BTreeMap::new());
    for (name, switch) in &file.0 {
        let parsed = named::<DriverName>(name, found);
        if let Some(driver) = drivers.get(&name.value) {
            found.push(
                Mistake::new(
                    format!("`{}` is a power driver and a switch", name.value),
                    name.place,
                    "the second of this name",
                )
                .other(driver.place, "the first")
                .help("give one of them another name: what is told of them is told by name"),
            );
            spec = None;
        }
        let judged = one(switch, found);
        all.insert(name.value.clone(), (name.place, judged.clone()));
        match (parsed, judged, &mut spec) {
            (Some(name), Some(switch), Some(all)) => {
                all.insert(name, switch);
            }
            (None, _, _) | (_, None, _) | (_, _, None) => spec = None,
        }
    }
    (Wired(Some(all)), spec)
}

fn one(file: &SwitchFile, found: &mut Found) -> Option<SwitchSpec> {
    let word = file.driver.as_ref()?;
    let Some(kind) = kind(&word.value) else {
        let title = format!("`{}` is not a driver of a switch", word.value);
        let words = KINDS.iter().map(|kind| kind.word);
        found.push(Mistake::new(title, word.place, "not known").nearest(
            &word.value,
            words,
            "drivers of switches",
        ));
        return None;
    };
    let mut port = |typed: &Typed<String>| {
        is_port_of((kind.word, kind.ports), typed, found).then(|| typed.value.clone())
    };
    let boss = file.boss.as_ref().map(&mut port);
    let uplink = file.uplink.as_ref().map(&mut port);
    let protect: Option<BTreeSet<String>> = file.protect.iter().flatten().map(&mut port).collect();
    let every = file.every.as_ref().map_or(Some(EVERY), |typed| {
        let every = duration("every", typed, found)?;
        let right = (OFTENEST..=SELDOMEST).contains(&every);
        if !right {
            let label = format!("from {OFTENEST} to {SELDOMEST}");
            found.push(Mistake::new(format!("links are not looked at every {every}"), typed.place, label));
        }
        right.then_some(every)
    });
    let mut read = Read::of((kind.word, kind.options, COMMON), (&file.options, word.place), found);
    let complete = read.complete(word);
    let kind = complete.then(|| (kind.build)(&mut read)).flatten();
    Some(SwitchSpec {
        kind: kind?,
        boss: boss.map_or(Some(None), |port| port.map(Some))?,
        uplink: uplink.map_or(Some(None), |port| port.map(Some))?,
        protect: protect?,
        every: every?,
    })
}

impl JsonSchema for SwitchFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SwitchFile".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let drivers: Vec<String> =
            KINDS.iter().map(|kind| format!("`{}`: {}.", kind.word, kind.about)).collect();
        let words: Vec<&str> = KINDS.iter().map(|kind| kind.word).collect();
        let port = |about: &str| serde_json::json!({ "type": ["string", "integer"], "description": about });
        let mut properties = serde_json::json!({
            "driver": { "type": "string", "enum": words, "description": drivers.join(" ") },
            "boss": port("The port that the boss hangs on. It is never disabled."),
            "uplink": port("The port that leads to the router, or to another switch. It is never disabled."),
            "protect": {
                "type": "array", "items": { "type": ["string", "integer"] },
                "description": "Further ports that nobody may disable."
            },
            "every": {
                "type": "string", "pattern": r"^([0-9]+(ms|s|m|h))+$",
                "description": "Pause between two looks at its links; `500ms` unless told."
            }
        });
        describe(&mut properties, KINDS.iter().flat_map(|kind| kind.options));
        json_schema!({
            "description": "A switch that the machines hang on.",
            "type": "object",
            "properties": properties,
            "required": ["driver"],
            "additionalProperties": false
        })
    }
}
