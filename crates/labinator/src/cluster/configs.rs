//! The config of one machine: what Talos's own generator would write, what the lab knows of the machine, and the patches
//! of the lab file.

use std::fmt::Write as _;

use model::{
    LabSpec, NodeName, NtpMode, PatchTarget, ScenarioName, TALOS_EVENTS_PORT, TALOS_LINES_PORT, TalosSpec,
};
use talos::config::{Endpoint, Input, Options, Role, documents};
use talos::load::{Config, load};
use talos::patch::{Patch, Source, apply};
use talos::pki::{OsRandom, Seeded};
use talos::release::{Minor, Version};
use talos::secrets::{Secrets, ServiceAccountKey};
use talos::validate::{Asked, Mode, validate};
use talos::yaml::emit_all;
use zeroize::Zeroizing;

use super::minted::now;

/// Port of the Kubernetes API.
pub(super) const KUBERNETES_PORT: u16 = 6443;
/// The disk of a machine that names none, as Talos's own generator has it.
const DISK: &str = "/dev/sda";

/// What a config is made of beside the secrets.
pub(super) struct Order<'a> {
    spec: &'a LabSpec,
    scenario: &'a ScenarioName,
    talos: &'a TalosSpec,
    /// The oldest release that will read it.
    pub(super) contract: Minor,
    kubernetes: Version,
    endpoint: Endpoint,
}

impl<'a> Order<'a> {
    /// Of a scenario that is a cluster.
    pub(super) fn of(spec: &'a LabSpec, scenario: &'a ScenarioName) -> Result<Self, String> {
        let talos = spec.scenarios.get(scenario).and_then(|scenario| scenario.talos.as_ref());
        let talos = talos.ok_or_else(|| format!("scenario {scenario} boots no Talos"))?;
        let advised = |why: &dyn std::fmt::Display, advice: &str| format!("{why}: {advice}");
        let version = |text: &str| text.parse::<Version>().map_err(|why| advised(&why, why.advice()));
        let contract = Minor::of(&version(&talos.version)?).map_err(|why| advised(&why, why.advice()))?;
        let kubernetes = match &talos.kubernetes {
            Some(told) => version(told)?,
            None => contract.default_kubernetes(),
        };
        contract.check_kubernetes(&kubernetes).map_err(|why| advised(&why, why.advice()))?;
        let host =
            spec.endpoint(scenario).ok_or_else(|| format!("scenario {scenario} has no control plane"))?;
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let endpoint = format!("https://{host}:{KUBERNETES_PORT}").parse();
        let endpoint = endpoint.map_err(|why: talos::config::InputError| advised(&why, why.advice()))?;
        Ok(Self { spec, scenario, talos, contract, kubernetes, endpoint })
    }

    /// The config of a machine, whole. It holds keys: nobody but the machine may see it.
    pub(super) fn config(&self, node: &NodeName, secrets: &Secrets) -> Result<Zeroizing<String>, String> {
        let role = if self.talos.controls(node) { Role::ControlPlane } else { Role::Worker };
        let options = Options {
            sans: vec![self.endpoint.host().to_owned()],
            install_disk: Some(self.node(node)?.disk.clone().unwrap_or_else(|| DISK.to_owned())),
            // A lab is to start without the Internet, and its machines find each other by the endpoint's name.
            discovery: false,
            ..Options::default()
        };
        let input = Input {
            cluster: self.scenario.as_str(),
            endpoint: &self.endpoint,
            contract: self.contract,
            kubernetes: &self.kubernetes,
            options: &options,
        };
        let made = documents(&input, secrets, role).map_err(|why| why.to_string())?;
        let release = Some(self.contract);
        let base = load(&emit_all(&made), release).into_result().map_err(|all| told("its config", &all))?;
        let config = apply(&base, &self.patches(node)?, release).map_err(|why| why.to_string())?;
        self.check(&config)?;
        Ok(Zeroizing::new(config.to_yaml()))
    }

    /// Where the cluster's Kubernetes is.
    pub(super) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A kubeconfig of the cluster's administrator, made here: no machine is asked for it.
    pub(super) fn kubeconfig(&self, secrets: &Secrets) -> Result<Zeroizing<String>, String> {
        let name = self.scenario.as_str();
        let made = talos::kubeconfig::mint(secrets, name, &self.endpoint, now(), &mut OsRandom::new());
        made.map_err(|why| why.to_string())
    }

    fn node(&self, node: &NodeName) -> Result<&model::NodeSpec, String> {
        self.spec.board.nodes.get(node).ok_or_else(|| format!("there is no machine {node}"))
    }

    fn check(&self, config: &Config) -> Result<(), String> {
        let found = validate(config, Asked { mode: Mode::Metal, release: Some(self.contract) });
        if found.is_empty() { Ok(()) } else { Err(told("its config", &found)) }
    }

    /// What the lab knows of the machine first, so that a patch of the owner's outranks it. Every patch that cannot be
    /// read is told of.
    fn patches(&self, node: &NodeName) -> Result<Vec<Patch>, String> {
        let mut all = vec![self.own(node)?];
        let mut wrong = Vec::new();
        let role = if self.talos.controls(node) { PatchTarget::ControlPlane } else { PatchTarget::Worker };
        for patch in &self.talos.patches {
            if patch.of == PatchTarget::All || patch.of == role || patch.of == PatchTarget::Node(node.clone())
            {
                match self.patch(&patch.path) {
                    Ok(patch) => all.push(patch),
                    Err(why) => wrong.push(why),
                }
            }
        }
        if wrong.is_empty() { Ok(all) } else { Err(wrong.join("; ")) }
    }

    fn patch(&self, path: &str) -> Result<Patch, String> {
        let text = Source::File(path.into()).read().map_err(|why| why.to_string())?;
        Patch::parse(&text, Some(self.contract)).map_err(|why| format!("{path}: {why}"))
    }

    /// Its name, the boss's clock where the boss serves one, and where it tells what happens to it: the kernel that is
    /// started from its disk has none of the arguments of the one before.
    fn own(&self, node: &NodeName) -> Result<Patch, String> {
        let serves_time = self.spec.network.ntp != NtpMode::Off;
        let boss = self.spec.network.boss;
        let by_document = self.contract.number() >= 12;
        let mut text = String::new();
        let machine = !by_document || (serves_time && self.contract != Minor::V1_14);
        if machine {
            text.push_str("machine:\n");
        }
        if !by_document {
            writeln!(text, "  network:\n    hostname: {node}").map_err(|why| why.to_string())?;
        }
        if machine && serves_time {
            writeln!(text, "  time:\n    servers:\n      - {boss}").map_err(|why| why.to_string())?;
        }
        if by_document {
            let separator = if machine { "---\n" } else { "" };
            write!(
                text,
                "{separator}apiVersion: v1alpha1\nkind: HostnameConfig\nhostname: {node}\nauto: off\n"
            )
            .map_err(|why| why.to_string())?;
        }
        if serves_time && !machine {
            write!(text, "---\napiVersion: v1alpha1\nkind: TimeSyncConfig\nntp:\n  servers:\n    - {boss}\n")
                .map_err(|why| why.to_string())?;
        }
        write!(
            text,
            "---\napiVersion: v1alpha1\nkind: EventSinkConfig\nendpoint: {boss}:{TALOS_EVENTS_PORT}\n\
             ---\napiVersion: v1alpha1\nkind: KmsgLogConfig\nname: labinator\nurl: tcp://{boss}:{TALOS_LINES_PORT}/\n"
        )
        .map_err(|why| why.to_string())?;
        Patch::parse(&text, Some(self.contract)).map_err(|why| why.to_string())
    }
}

/// What is wrong, one a line, with what to do.
fn told(what: &str, all: &[talos::mistake::Mistake]) -> String {
    let lines: Vec<String> = all.iter().map(|mistake| format!("{mistake} ({})", mistake.advice())).collect();
    format!("{what}: {}", lines.join("; "))
}

/// What is wrong with the configs of a scenario, found with secrets that nobody uses. Empty for one that is no cluster.
pub(crate) fn mistakes(spec: &LabSpec, scenario: &ScenarioName) -> Vec<String> {
    if spec.scenarios.get(scenario).is_none_or(|scenario| scenario.talos.is_none()) {
        return Vec::new();
    }
    let order = match Order::of(spec, scenario) {
        Ok(order) => order,
        Err(why) => return vec![why],
    };
    let secrets = match throwaway(order.contract) {
        Ok(secrets) => secrets,
        Err(why) => return vec![why],
    };
    let nodes = spec.scenarios.get(scenario).into_iter().flat_map(|scenario| scenario.members());
    let mut all: Vec<(String, Vec<&str>)> = Vec::new();
    for node in nodes {
        let Err(why) = order.config(node, &secrets) else { continue };
        match all.iter_mut().find(|(known, _)| *known == why) {
            Some((_, whose)) => whose.push(node.as_str()),
            None => all.push((why, vec![node.as_str()])),
        }
    }
    all.into_iter().map(|(why, whose)| format!("{}: {why}", whose.join(", "))).collect()
}

/// Secrets for a look at a config: made from a known seed and with a small key, so that they cost nothing.
fn throwaway(contract: Minor) -> Result<Secrets, String> {
    let mut random = Seeded::new([0; 32]);
    let made = Secrets::mint(contract, now(), &mut random).map_err(|why| why.to_string());
    let (mut secrets, _) = made?;
    let (_, key) = secrets.kubernetes().to_pem();
    secrets.complete(ServiceAccountKey::from_pem(&key).map_err(|why| why.to_string())?);
    Ok(secrets)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What is wrong with a scenario of the example of six boxes, with these patches beside it.
    fn wrong(name: &str, scenario: &str, patches: &[(&str, &str)]) -> Vec<String> {
        let folder = std::env::temp_dir().join(format!("labinator-configs-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (file, text) in patches {
            std::fs::write(folder.join(file), text).unwrap();
        }
        let lab = include_str!("../../../../labs/talos.yaml");
        let place = "scenarios:\n";
        let lab = lab.replace(place, &format!("{place}  tried: {scenario}\n"));
        let spec = crate::config::parse(lab.as_bytes(), "lab.yaml", Path::new(&folder)).unwrap();
        let found = mistakes(&spec, &"tried".parse().unwrap());
        std::fs::remove_dir_all(&folder).unwrap();
        let folder = format!("{}/", folder.display());
        found.iter().map(|line| line.replace(&folder, "")).collect()
    }

    #[test]
    fn configs_of_every_release_are_what_talos_takes() {
        for minor in 9..=14 {
            let scenario = format!("{{ talos: v1.{minor}, control-plane: [node1], workers: [node4] }}");
            assert_eq!(wrong(&format!("release-{minor}"), &scenario, &[]), [""; 0], "1.{minor}");
        }
    }

    #[test]
    fn every_patch_that_is_wrong_is_told_of_once_with_whose_it_is() {
        let scenario = "{ talos: v1.12, control-plane: [node1], workers: [node4, node5], \
                        patches: { all: a.yaml, node1: none.yaml, worker: [w.yaml] } }";
        let a = ("a.yaml", "machine:\n  kubelett: {}\n");
        let w = ("w.yaml", "machine:\n  ca:\n    key: c2VjcmV0\n");
        let found = wrong("patches", scenario, &[a, w]);
        assert_eq!(found.len(), 2, "{found:#?}");
        assert!(found[0].starts_with("node1: a.yaml: line 2"), "{found:#?}");
        assert!(found[0].contains("; none.yaml: No such file"), "{found:#?}");
        assert!(found[1].starts_with("node4, node5: a.yaml: line 2"), "{found:#?}");
        let found = wrong("ca", &scenario.replace("all: a.yaml, node1: none.yaml, ", ""), &[w]);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with("node4, node5: its config: "), "{found:#?}");
        assert!(found[0].contains("machine.ca.key"), "{found:#?}");
    }
}
