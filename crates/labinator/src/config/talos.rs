//! What the lab file says about a Talos cluster: its release, its roles, its endpoint and its patches.

use std::path::Path;

use model::{ConfigCarrier, NodeName, PatchTarget, TalosPatch, TalosSpec};
use schemars::JsonSchema;
use talos::release::{Minor, Version};

use super::carriers;
use super::fields::{Entries, Fields, Found, Typed, text_of, texts_of};
use super::file::ChoiceFile;
use super::guests::{Guests, RoleFile, role};
use super::mistake::Mistake;
use super::scenarios::{Around, chosen};
use super::yaml::{Entry, Looks, Place, Value};

/// The releases of Talos that configs can be made for: 1.9 to 1.14.
const MINORS: std::ops::RangeInclusive<u32> = 9..=14;
/// Keys that only mean something beside `talos`.
const BESIDE: [&str; 9] = [
    "kubernetes",
    "control-plane",
    "workers",
    "endpoint",
    "patches",
    "proof",
    "carrier",
    "inline",
    "park-by",
];

/// What `install` says of a system that is no cluster; `true` and `false` beside it.
const DISK_WORDS: [&str; 3] = ["auto", "exit", "sanboot"];

/// A cluster of the scenario's machines.
#[derive(Debug, Clone, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub struct TalosFile {
    /// Release of Talos, such as `v1.12` or `v1.12.11`. The scenario's machines become a Kubernetes cluster.
    #[schemars(with = "Option<String>", regex(pattern = r"^v?1\.[0-9]+(\.[0-9]+)?$"))]
    pub talos: Option<Typed<String>>,
    /// Release of Kubernetes, such as `v1.35.4`; what Talos's release comes with unless told.
    #[schemars(with = "Option<String>", regex(pattern = r"^v?1\.[0-9]+\.[0-9]+$"))]
    pub kubernetes: Option<Typed<String>>,
    /// Machines of the control plane.
    #[schemars(rename = "control-plane")]
    pub control_plane: Option<RoleFile>,
    /// Machines that only work.
    pub workers: Option<RoleFile>,
    /// Name or address of the control plane; `SCENARIO.DOMAIN` where the lab has a domain, else the address of its first
    /// machine.
    #[schemars(with = "Option<String>")]
    pub endpoint: Option<Typed<String>>,
    /// Patches of the machine configs, by whose: `all`, `control-plane`, `worker`, or a machine.
    #[schemars(with = "Option<Entries<PatchPaths>>")]
    pub patches: PatchesFile,
    /// How surely a machine must be known before it gets its config; as the lab says unless told.
    #[schemars(with = "Option<String>", extend("enum" = ["address", "place", "key"]))]
    pub proof: Option<Typed<String>>,
    /// Manifests that the cluster gets: files, and folders of files.
    #[schemars(skip)]
    pub install: Vec<Typed<String>>,
    /// How configs get to the machines. `push`: over TLS, to the key that a machine showed. `pull`: a machine fetches its
    /// own once, in the clear; whoever listens on the segment has the cluster's keys then.
    #[schemars(with = "Option<String>", extend("enum" = ["push", "pull"]))]
    pub carrier: Option<Typed<String>>,
    /// Files with documents that the machines read from their kernel lines until they have a config. Everybody reads them
    /// there: none may hold a secret.
    #[schemars(with = "Option<PatchPaths>")]
    pub inline: Vec<Typed<String>>,
    /// How Talos is parked, where the scenario has a `park`. `reset`: it wipes what it keeps of the cluster, starts again by
    /// kexec, and waits for its next config.
    #[schemars(rename = "park-by", with = "Option<String>", extend("enum" = ["reset"]))]
    pub park_by: Option<Typed<String>>,
    /// The first of its keys.
    #[schemars(skip)]
    pub place: Option<Place>,
}

/// Paths of patches, by whose.
#[derive(Debug, Clone, Default)]
pub struct PatchesFile(pub Vec<(Typed<String>, Vec<Typed<String>>)>);

/// Shape of a path or a list of paths.
#[derive(Debug, JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum PatchPaths {
    One(String),
    More(Vec<String>),
}

/// Reads the keys of a scenario that make it a cluster.
pub(super) fn reading(fields: &mut Fields<'_>, found: &mut Found) -> TalosFile {
    let talos = fields.text("talos", found);
    let install = fields.node("install").filter(|_| talos.is_some());
    let install = install.map(|entry| installed(entry, found)).unwrap_or_default();
    let mut place = None;
    for key in BESIDE {
        let here = fields.node(key).map(|entry| entry.key_place);
        place = place.or(here);
    }
    TalosFile {
        talos,
        kubernetes: fields.text("kubernetes", found),
        control_plane: fields.node("control-plane").and_then(|e| role(e, found)),
        workers: fields.node("workers").and_then(|e| role(e, found)),
        endpoint: fields.text("endpoint", found),
        patches: fields.node("patches").map(|e| patches(e, found)).unwrap_or_default(),
        proof: fields.text("proof", found),
        install,
        carrier: fields.text("carrier", found),
        inline: fields.node("inline").map(|entry| paths(entry, found)).unwrap_or_default(),
        park_by: fields.text("park-by", found),
        place,
    }
}

/// Whether Talos may be parked so.
fn park_by(typed: &Typed<String>, parks: bool, found: &mut Found) -> bool {
    if typed.value != "reset" {
        let title = format!("Talos is not parked by {}", typed.value);
        let mistake = Mistake::new(title, typed.place, "no way to park it");
        found.push(mistake.nearest(&typed.value, ["reset"], "ways"));
        return false;
    }
    if !parks {
        let mistake =
            Mistake::new("`park-by` says how, and `park` is not here", typed.place, "parked how long?");
        found.push(mistake.help("for example `park: 30m` beside it"));
    }
    parks
}

/// What a cluster gets: a path, or a list of paths.
fn installed(entry: &Entry, found: &mut Found) -> Vec<Typed<String>> {
    match &entry.value.value {
        Value::Word(word, looks) if *looks == Looks::Text && !DISK_WORDS.contains(&word.as_str()) => {
            text_of("install", &entry.value, found).into_iter().collect()
        }
        Value::Word(..) => {
            let label = "Talos installs itself in any case";
            let mistake = Mistake::new("in a cluster, `install` names manifests", entry.value.place, label);
            found.push(mistake.help("for example `install: [manifests/web.yaml, manifests/crds/]`"));
            Vec::new()
        }
        Value::Nothing | Value::List(_) | Value::Map(_) => {
            texts_of("install", &entry.value, found).map(|list| list.value).unwrap_or_default()
        }
    }
}

fn patches(entry: &Entry, found: &mut Found) -> PatchesFile {
    let Value::Map(all) = &entry.value.value else {
        let label = format!("this is {}", entry.value.value.called());
        let mistake = Mistake::new("`patches` is a mapping", entry.value.place, label);
        found.push(
            mistake.help("for example `patches: { all: patches/all.yaml, node1: [patches/one.yaml] }`"),
        );
        return PatchesFile::default();
    };
    let one =
        |one: &Entry, found: &mut Found| (Typed::new(one.key.clone(), one.key_place), paths(one, found));
    PatchesFile(all.iter().map(|entry| one(entry, found)).collect())
}

/// A path, or a list of paths.
fn paths(entry: &Entry, found: &mut Found) -> Vec<Typed<String>> {
    let paths = match &entry.value.value {
        Value::Word(..) => text_of(&entry.key, &entry.value, found).map(|path| vec![path]),
        Value::Nothing | Value::List(_) | Value::Map(_) => {
            texts_of(&entry.key, &entry.value, found).map(|list| list.value)
        }
    };
    paths.unwrap_or_default()
}

impl TalosFile {
    /// True for a scenario that is a cluster.
    pub(super) const fn is_told(&self) -> bool {
        self.talos.is_some()
    }

    /// The machines of the board that take part, in its order.
    pub(super) fn nodes(&self, around: &Around<'_>, found: &mut Found) -> Option<Vec<String>> {
        let mut machines = |name: &str, role: Option<&RoleFile>| match role {
            None | Some(RoleFile::Guests(_)) => Some(Vec::new()),
            Some(RoleFile::Machines(choice)) => chosen(name, choice, around, found),
        };
        let control = machines("control-plane", Some(self.control_plane.as_ref()?))?;
        let workers = machines("workers", self.workers.as_ref())?;
        if let Some(both) = control.iter().find(|node| workers.contains(node))
            && let Some(RoleFile::Machines(ChoiceFile::Some(list))) = &self.workers
        {
            let place =
                list.value.iter().find(|node| node.value == *both).map_or(list.place, |node| node.place);
            let title = format!("`{both}` cannot be of the control plane and a worker");
            found.push(
                Mistake::new(title, place, "named in `control-plane`, too")
                    .help("a control plane works as well, where a patch allows it: `cluster: { allowSchedulingOnControlPlanes: true }`"),
            );
            return None;
        }
        let takes_part = |node: &&String| control.contains(node) || workers.contains(node);
        Some(around.nodes.iter().filter(takes_part).cloned().collect())
    }

    /// Judges it. `Some(None)` for a scenario that is no cluster.
    /// `beside` is how many bytes of kernel arguments the scenario has, `parks` whether it parks; `wide` knows its guests by
    /// name, too.
    pub(super) fn judge(
        &self,
        (around, wide): (&Around<'_>, &Around<'_>),
        guests: &Guests,
        (beside, parks): (usize, bool),
        found: &mut Found,
    ) -> Option<Option<TalosSpec>> {
        let Some(typed) = &self.talos else {
            if let Some(place) = self.place {
                let mistake = Mistake::new("this belongs to a cluster", place, "and `talos` is not here");
                found.push(mistake.help("for example `talos: v1.12`"));
                return None;
            }
            return Some(None);
        };
        let version = release("talos", typed, Some(MINORS), found);
        let kubernetes = match &self.kubernetes {
            None => Some(None),
            Some(typed) => release("kubernetes", typed, None, found)
                .filter(|kubernetes| self.runs(version.as_deref(), kubernetes, typed, found))
                .map(Some),
        };
        let endpoint = match &self.endpoint {
            None => Some(None),
            Some(typed) => endpoint(typed, found).map(Some),
        };
        let carrier = match &self.carrier {
            None => Some(ConfigCarrier::default()),
            Some(typed) => carriers::carrier(typed, found)
                .filter(|carrier| guests.can_be_given(*carrier, typed.place, found)),
        };
        let inline =
            carriers::inline(&self.inline, around.folder, (version.as_deref(), carrier, beside), found);
        let park_by_reset = match &self.park_by {
            None => Some(false),
            Some(typed) => park_by(typed, parks, found).then_some(true),
        };
        if self.control_plane.is_none() {
            let mistake =
                Mistake::new("a cluster needs a `control-plane`", typed.place, "and it is not here");
            found.push(mistake.help("for example `control-plane: [node1, node3, node5]`"));
            return None;
        }
        let patches = self.judged_patches(wide, found);
        let proof = match &self.proof {
            None => Some(around.proof),
            Some(typed) => carriers::proof(typed, found),
        };
        let before = found.len();
        let install = self.install.iter().filter_map(|path| path_in(around.folder, path, "manifest", found));
        let install = Some(install.collect::<Vec<_>>()).filter(|_| found.len() == before);
        let control_plane = match self.control_plane.as_ref()? {
            RoleFile::Guests(_) => guests.control_plane.clone(),
            RoleFile::Machines(nodes) => {
                let nodes = chosen("control-plane", nodes, around, &mut Vec::new())?;
                nodes.iter().map(|node| node.parse::<NodeName>().ok()).collect::<Option<Vec<_>>>()?
            }
        };
        Some(Some(TalosSpec {
            version: version?,
            kubernetes: kubernetes?,
            control_plane,
            endpoint: endpoint?,
            patches: patches?,
            proof: proof?,
            install: install?,
            carrier: carrier?,
            park_by_reset: park_by_reset?,
            inline: inline?,
        }))
    }

    /// Whether the release of Talos runs that Kubernetes. One that is not known was told of already.
    fn runs(&self, talos: Option<&str>, kubernetes: &str, typed: &Typed<String>, found: &mut Found) -> bool {
        let (Some(Ok(minor)), Ok(version)) = (talos.map(str::parse::<Minor>), kubernetes.parse::<Version>())
        else {
            return true;
        };
        let Err(why) = minor.check_kubernetes(&version) else { return true };
        let mistake = Mistake::new(why.to_string(), typed.place, "this one is not among them");
        let mistake = match &self.talos {
            Some(talos) => mistake.other(talos.place, "the release that is to run it"),
            None => mistake,
        };
        found.push(mistake.help(why.advice()));
        false
    }

    fn judged_patches(&self, around: &Around<'_>, found: &mut Found) -> Option<Vec<TalosPatch>> {
        let before = found.len();
        let mut all = Vec::new();
        for (whose, paths) in &self.patches.0 {
            let of = match whose.value.as_str() {
                "all" => PatchTarget::All,
                "control-plane" => PatchTarget::ControlPlane,
                "worker" => PatchTarget::Worker,
                name => {
                    match name.parse::<NodeName>().ok().filter(|_| around.nodes.iter().any(|n| n == name)) {
                        Some(node) => PatchTarget::Node(node),
                        None => {
                            let title = format!("patches cannot be for `{name}`");
                            let known = around.nodes.iter().map(String::as_str);
                            let known = ["all", "control-plane", "worker"].into_iter().chain(known);
                            let mistake = Mistake::new(title, whose.place, "neither a role nor a machine");
                            found.push(mistake.nearest(name, known, "roles and machines"));
                            continue;
                        }
                    }
                }
            };
            for path in paths {
                let whole = path_in(around.folder, path, "patch", found);
                all.extend(whole.map(|path| TalosPatch { of: of.clone(), path }));
            }
        }
        // All before the role, the role before the machine, as Talos's own generator does.
        all.sort_by_key(|patch| match patch.of {
            PatchTarget::All => 0,
            PatchTarget::ControlPlane | PatchTarget::Worker => 1,
            PatchTarget::Node(_) => 2,
        });
        (found.len() == before).then_some(all)
    }
}

pub(super) fn path_in(folder: &Path, typed: &Typed<String>, what: &str, found: &mut Found) -> Option<String> {
    if typed.value.trim().is_empty() || typed.value.contains('\0') {
        found.push(Mistake::new(format!("a {what} is a path of a file"), typed.place, "this is none"));
        return None;
    }
    Some(folder.join(&typed.value).to_string_lossy().into_owned())
}

/// `v1.12`, `1.12.11`: without the `v`.
fn release(
    key: &str,
    typed: &Typed<String>,
    minors: Option<std::ops::RangeInclusive<u32>>,
    found: &mut Found,
) -> Option<String> {
    let text = typed.value.strip_prefix('v').unwrap_or(&typed.value);
    let numbers: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
    let wrong = match numbers.as_deref() {
        Some([1, minor] | [1, minor, _]) => match minors {
            Some(minors) if !minors.contains(minor) => {
                Some(format!("from 1.{} to 1.{}", minors.start(), minors.end()))
            }
            None if text.matches('.').count() < 2 => Some("three numbers, such as `v1.35.4`".to_owned()),
            Some(_) | None => None,
        },
        Some(_) | None => Some("not a release".to_owned()),
    };
    let Some(wrong) = wrong else { return Some(text.to_owned()) };
    found.push(Mistake::new(format!("`{key}` cannot be {}", typed.value), typed.place, wrong));
    None
}

/// A name or an address, without a port.
fn endpoint(typed: &Typed<String>, found: &mut Found) -> Option<String> {
    let text = typed.value.trim();
    let right = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let address = text.parse::<std::net::IpAddr>().is_ok();
    if address || (!text.is_empty() && text.len() <= 253 && text.chars().all(right)) {
        return Some(text.to_ascii_lowercase());
    }
    let mistake = Mistake::new(
        format!("`{text}` is no endpoint"),
        typed.place,
        "a name or an address, without scheme and port",
    );
    found.push(mistake.help("for example `physical.lab.internal`; the port is 6443"));
    None
}
