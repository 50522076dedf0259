//! What is wrong with this boss, this network and this lab, worst first, each with its evidence and the
//! one act that helps. Looked at when the core starts and each minute; one light tells the worst of it.
//!
//! | looks at | file |
//! |---|---|
//! | what the kernel counted lately | `kernel.rs` |
//! | a program that spins where frames are taken | `hog.rs`, and what is done about it `fix.rs` |
//! | the lab's interface, routes, firewall | `network.rs` |
//! | the boss's memory, disks, warmth | `boss.rs` |
//! | the clock, and certificates that go by it | `certificates.rs` |
//! | disks, loaders, QEMU, rights | `folders.rs` |
//! | virtual machines with too large a content in `fw_cfg` | `guests.rs` |
//! | agents of another build, and a second boss that answers them | `agents.rs` |
//! | the lab's own picture, what the counter noticed | here |

mod agents;
mod boss;
mod certificates;
pub mod fix;
mod folders;
mod guests;
mod hog;
mod kernel;
mod network;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::{Check, Diagnosis, Finding, Light, Stock};
use model::{LabSpec, Moment, Notice, Snapshot};

use self::boss::BossEye;
use self::kernel::{Counts, Readings};
use crate::clock::Clock;
use crate::image::{Places, stock};
use crate::publisher::Publisher;
use crate::renewal::Renewals;
use crate::trust::Trust;

/// How often the boss is looked at without being asked.
const EVERY: Duration = Duration::from_secs(60);
/// How long the counter, which starts beside the core, may take before its absence is worth a word.
const COUNTER_COMES: Duration = Duration::from_secs(5);
/// The page that explains every check.
const PAGE: &str = "docs/operating/doctor.md";

/// Looks after one boss.
#[derive(Debug, Clone)]
pub struct Doctor(Arc<Patient>);

#[derive(Debug)]
struct Patient {
    clock: Clock,
    spec: LabSpec,
    state: PathBuf,
    places: Places,
    eye: BossEye,
    readings: Mutex<Readings>,
    light: Mutex<Option<Light>>,
    renewals: Renewals,
    trust: Option<Trust>,
}

impl Doctor {
    /// A doctor for this lab and these folders. What the kernel counts is compared with now.
    #[must_use]
    pub fn new(clock: Clock, spec: LabSpec, state: PathBuf, places: Places) -> Self {
        let mut readings = Readings::default();
        readings.keep(Counts::read(&spec.network.interface));
        let (readings, light) = (Mutex::new(readings), Mutex::new(None));
        let eye = BossEye::new();
        Self(Arc::new(Patient {
            clock,
            spec,
            state,
            places,
            eye,
            readings,
            light,
            renewals: Renewals::default(),
            trust: None,
        }))
    }

    /// The same, and it knows which build agents should be, and the lab's certificates.
    #[must_use]
    pub fn with(self, renewals: Renewals, trust: Trust) -> Self {
        let trust = Some(trust);
        // Nobody else has it yet.
        let own = |own| Arc::new(Patient { renewals, trust, ..own });
        Self(Arc::try_unwrap(self.0).map_or_else(|shared| shared, own))
    }

    /// Now, on the lab's clocks.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.0.clock.now()
    }

    /// Images, loaders and caches, with their ages.
    pub async fn stock(&self) -> Stock {
        let patient = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || patient.stock()).await.unwrap_or_default()
    }

    /// The light as it was seen last.
    #[must_use]
    pub fn light(&self) -> Option<Light> {
        self.0.light.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks once the counter is there, or did not come, and then each minute. Goes on until dropped.
    pub async fn watch(self, publisher: Arc<Publisher>) {
        let mut news = publisher.news();
        let counter = async { while !publisher.latest().lab.counter_up && news.changed().await.is_ok() {} };
        // Whether it came in time is what the first look tells.
        drop(tokio::time::timeout(COUNTER_COMES, counter).await);
        loop {
            let before = self.light();
            let now = self.examine(&publisher.latest()).await.light;
            let patient = Arc::clone(&self.0);
            let kept = tokio::task::spawn_blocking(move || {
                let counts = Counts::read(&patient.spec.network.interface);
                patient.readings().keep(counts);
            });
            if kept.await.is_err() {
                tracing::warn!("the kernel's counters could not be read");
            }
            if before.map(|light| light.finding) != Some(now.finding) && now.finding != Finding::Well {
                tracing::warn!("{}; see `labinator doctor`", now.text);
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Runs every check. Reads files of the system and asks programs for firewall rules and offload flags; asks
    /// nothing of the network.
    pub async fn examine(&self, lab: &Snapshot) -> Diagnosis {
        let patient = Arc::clone(&self.0);
        let network = &self.0.spec.network;
        let examined = tokio::task::spawn_blocking(move || patient.examine());
        let (checks, asked, (port, readings)) =
            tokio::join!(examined, network::ask(network), hog::watch(&network.interface));
        let mut checks = checks.unwrap_or_default();
        checks.extend(asked);
        let lost = checks.iter().any(|check| check.code == "softnet" && check.finding == Finding::Warning);
        checks.extend(hog::examine(&port, &readings, lost));
        checks.extend(of_the_picture(lab));
        checks.extend(agents::examine(lab, &self.0.renewals));
        checks.sort_by_key(|check| check.finding);
        let faults: Vec<_> = lab
            .machines
            .iter()
            .filter_map(|m| m.fault.as_ref().map(|fault| (m.node.clone(), fault.clone())))
            .collect();
        let light = light(&checks, faults.len());
        *self.0.light.lock().unwrap_or_else(PoisonError::into_inner) = Some(light.clone());
        Diagnosis { light, checks, notices: lab.lab.notices.clone(), faults }
    }
}

/// Reads a port of this machine, and who shares its processors, over a second or so.
pub async fn watch_port(interface: &str) -> (agent::cores::Port, Vec<agent::cores::Reading>) {
    hog::watch(interface).await
}

/// The worst of all checks, how many are that bad, and the evidence of the first.
fn light(checks: &[Check], faults: usize) -> Light {
    let count = |wanted| checks.iter().filter(|check| check.finding == wanted).count();
    let (broken, warnings) = (count(Finding::Broken) + faults, count(Finding::Warning));
    let finding = match (broken, warnings) {
        (1.., _) => Finding::Broken,
        (0, 1..) => Finding::Warning,
        (0, 0) => Finding::Well,
    };
    let worst = checks.iter().find(|check| check.finding == finding && finding != Finding::Well);
    let text = match worst {
        Some(check) => check.seen.clone(),
        None if faults > 0 => format!("{faults} machines failed to start"),
        None => format!("{} checks passed", count(Finding::Well)),
    };
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Light { finding, broken: number(broken), warnings: number(warnings), text }
}

fn check(code: &str, finding: Finding, seen: String, help: &str) -> Check {
    let help = if finding == Finding::Well { String::new() } else { help.to_owned() };
    let page = format!("{PAGE}#{}", code.replace('_', "-"));
    Check { code: code.to_owned(), finding, seen, help, page }
}

fn well_or(well: bool, otherwise: Finding) -> Finding {
    if well { Finding::Well } else { otherwise }
}

impl Patient {
    fn stock(&self) -> Stock {
        stock(&self.places, self.clock.now().wall)
    }

    fn readings(&self) -> MutexGuard<'_, Readings> {
        self.readings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn examine(&self) -> Vec<Check> {
        let network = &self.spec.network;
        let mut checks = match &self.trust {
            Some(trust) => certificates::examine(&trust.list()),
            None => vec![certificates::clock(self.clock.now().wall)],
        };
        checks.extend(network::examine(network));
        checks.extend(kernel::neighbours(network, self.spec.board.nodes.len()));
        checks.extend(folders::disks(&self.state));
        checks.extend(self.readings().checks(Counts::read(&network.interface)));
        checks.extend(self.eye.checks());
        checks.extend(folders::loaders(&self.places.loaders));
        checks.extend(folders::virtual_machines(&self.spec));
        checks.extend(guests::examine(Path::new("/proc")));
        checks.push(folders::ages(&self.stock()));
        checks
    }
}

/// Machines whose iPXE is too old. Which one is, `lifecycle` judges: here it is only told.
fn old_ipxe(lab: &Snapshot) -> Vec<Check> {
    let told = || lab.machines.iter().filter_map(|machine| Some((machine, machine.ipxe.as_ref()?)));
    let mut checks: Vec<Check> = told()
        .filter_map(|(machine, ipxe)| {
            let old = ipxe.old.as_ref()?;
            let seen = format!("{} boots by iPXE {}, {}", machine.node, ipxe.version, old.why);
            Some(check("old_ipxe", Finding::Warning, seen, &old.cure))
        })
        .collect();
    let count = told().filter(|(_, ipxe)| !ipxe.version.is_empty()).count();
    if checks.is_empty() && count > 0 {
        checks.push(check("old_ipxe", Finding::Well, format!("no old iPXE among {count} machines"), ""));
    }
    checks
}

/// What the lab's own picture tells.
fn of_the_picture(lab: &Snapshot) -> Vec<Check> {
    let up = lab.lab.counter_up;
    let seen = format!("the boot counter is {}", if up { "connected" } else { "away" });
    let mut checks =
        vec![check("counter", well_or(up, Finding::Broken), seen, "read the log of `labinator serve`")];
    checks.extend(lab.lab.notices.iter().filter_map(of_a_notice));
    checks.extend(old_ipxe(lab));
    for scenario in lab.lab.scenarios.iter().filter(|s| !s.missing.is_empty()) {
        let seen = format!("scenario {} lacks: {}", scenario.name, scenario.missing.join("; "));
        checks.push(check("images", Finding::Warning, seen, "build or fetch the image, or correct its path"));
    }
    for stranger in &lab.lab.strangers {
        let seen = format!("{} ({}) asked and is not on the board", stranger.mac, stranger.client);
        checks.push(check("stranger", Finding::Warning, seen, "add it to `board.nodes` of the lab file"));
    }
    checks
}

fn of_a_notice(notice: &Notice) -> Option<Check> {
    let broken = |id, seen, help: &str| check(id, Finding::Broken, seen, help);
    let care = |id, seen, help: &str| check(id, Finding::Warning, seen, help);
    Some(match notice {
        Notice::ForeignDhcp { mac, server } => broken(
            "foreign_dhcp",
            format!("another DHCP server answers on this segment: {server} ({mac})"),
            "switch its DHCP off for this segment, or `network.dhcp: proxy` here",
        ),
        Notice::ForeignChoice { mac, server } => broken(
            "foreign_dhcp",
            format!("{mac} follows another DHCP server: {server}"),
            "find it by its address; switch its DHCP off for this segment, or `network.dhcp: proxy` here",
        ),
        Notice::ForeignDhcp6 { mac, address, .. } => broken(
            "foreign_dhcp6",
            format!("another DHCPv6 server answers on this segment: {address} ({mac})"),
            "switch its DHCPv6 off for this segment; see docs/operating/foreign-dhcp.md",
        ),
        Notice::ForeignChoice6 { mac, duid } => broken(
            "foreign_dhcp6",
            format!("{mac} follows another DHCPv6 server: DUID {duid}"),
            "find it by its identifier, in which its Ethernet address often stands; see docs/operating/foreign-dhcp.md",
        ),
        Notice::OtherController { mac, server, lab, same: true } => broken(
            "other_controller",
            format!("two controllers drive the lab {lab}: this one and {server} ({mac})"),
            "stop one of them; see docs/operating/other-controller.md",
        ),
        Notice::OtherController { mac, server, lab, same: false } => broken(
            "other_controller",
            format!("another controller, of the lab {lab}, serves this segment: {server} ({mac})"),
            "give each lab a segment of its own, or stop one; see docs/operating/other-controller.md",
        ),
        Notice::ForeignRouter { mac, address, names_dns: true } => broken(
            "foreign_router",
            format!("a router ({address}, {mac}) advertises itself with name servers"),
            "iPXE before 2020-10 fails with it; see docs/operating/foreign-router-advertisement.md",
        ),
        Notice::Flooding { mac, count } => care(
            "flooding",
            format!("{mac} asks without end; {count} of its messages were left unread"),
            "see what runs on that machine; nobody else is held up by it",
        ),
        Notice::LoaderMissing { arch, names } => broken(
            "loader_missing",
            format!("firmware of architecture {arch:#04x} asks, and there is no {}", names.join(" or ")),
            "put an iPXE of that architecture and name into the loader folder; see docs/operating/loader-missing.md",
        ),
        Notice::ForeignRouter { mac, address, names_dns: false } => care(
            "foreign_router",
            format!("a router ({address}, {mac}) advertises itself on this segment"),
            "if nodes boot slowly, switch its advertisements off",
        ),
        Notice::LedgerFull { why } => broken(
            "ledger",
            format!("leases cannot be written, so no new one is given: {why}"),
            "make room on the disk that holds the state folder",
        ),
        Notice::Malformed { protocol, count } => care(
            "malformed",
            format!("{count} {protocol} packets could not be read"),
            "something on this segment sends garbage; `tcpdump` on the interface shows who",
        ),
        Notice::ClockStepped { seconds } => care(
            "clock_stepped",
            format!("the boss's clock was set by {seconds} s while it served time"),
            "machines that took its time before have another: start them again, or let them ask again",
        ),
        Notice::Merged { count } => care(
            "merged",
            format!("{count} sightings were merged because the core was away or slow"),
            "nothing was lost that matters for booting; see why the core was away",
        ),
        Notice::LedgerWell => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn network() -> model::NetworkSpec {
        let text = "lab: t\nnetwork: { interface: lo, subnet: 10.0.0.0/24, boss: 10.0.0.1, dhcp: off }\n\
            power: { hand: { driver: manual } }\nboard: { columns: 1, nodes: { a: { at: [1, 1], mac: 02:00:00:00:00:01, \
            ip: 10.0.0.11, power: hand/1 } } }\nscenarios: { all: { image: node, nodes: all } }\n";
        crate::config::parse(text.as_bytes(), "t.yaml", Path::new("")).unwrap().network
    }

    #[test]
    fn the_light_is_the_worst_check_with_the_number_behind_it() {
        let one = |code: &str, finding| check(code, finding, format!("{code} seen"), "act");
        let lamp = |checks: &[Check], faults| {
            let light = light(checks, faults);
            (light.finding, light.broken, light.warnings, light.text)
        };
        let well = [one("a", Finding::Well), one("b", Finding::Skipped)];
        assert_eq!(lamp(&well, 0), (Finding::Well, 0, 0, "1 checks passed".to_owned()));
        let doubtful = [one("w", Finding::Warning), one("a", Finding::Well)];
        assert_eq!(lamp(&doubtful, 0), (Finding::Warning, 0, 1, "w seen".to_owned()));
        assert_eq!(lamp(&doubtful, 2), (Finding::Broken, 2, 1, "2 machines failed to start".to_owned()));
        let broken = [one("x", Finding::Broken), one("w", Finding::Warning)];
        assert_eq!(lamp(&broken, 0), (Finding::Broken, 1, 1, "x seen".to_owned()));
    }

    #[test]
    fn every_check_has_its_place_on_the_page() {
        let page = include_str!("../../../docs/operating/doctor.md");
        let sources = [
            include_str!("doctor.rs"),
            include_str!("doctor/kernel.rs"),
            include_str!("doctor/network.rs"),
            include_str!("doctor/folders.rs"),
            include_str!("doctor/certificates.rs"),
            include_str!("doctor/boss.rs"),
            include_str!("doctor/hog.rs"),
        ];
        let mut codes = std::collections::BTreeSet::new();
        for source in sources {
            let source = source.split("#[cfg(test)]").next().unwrap();
            for call in source.split("check(").chain(source.split("skipped(")).skip(1) {
                let call = call.trim_start();
                if let Some(code) = call.strip_prefix('"').and_then(|rest| rest.split('"').next()) {
                    codes.insert(code.to_owned());
                }
            }
        }
        assert!(codes.len() > 20, "{codes:?}");
        for code in codes {
            let heading = format!("\n## {}\n", code.replace('_', "-"));
            assert!(page.contains(&heading), "docs/operating/doctor.md has no {heading}");
        }
    }
}
