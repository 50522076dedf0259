//! What is wrong with this boss, this network and this lab, worst first, each with its evidence and the
//! one act that helps.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::{Check, Diagnosis, Finding};
use model::{LabSpec, Moment, Notice, PowerDriver, Snapshot};

use crate::clock::Clock;

/// The wall clock cannot be before this program was written: 2026-01-01.
const EARLIEST_WALL_MS: u64 = 1_767_225_600_000;
/// Less free space than this on the state folder's disk is a warning, in bytes.
const DISK_LOW: u64 = 256 << 20;
/// Files a boot needs from the folder of loaders.
const LOADERS: [&str; 2] = ["undionly.kpxe", "snponly.efi"];

/// Looks after one boss.
#[derive(Debug, Clone)]
pub struct Doctor(Arc<Patient>);

#[derive(Debug)]
struct Patient {
    clock: Clock,
    spec: LabSpec,
    state: PathBuf,
    loaders: PathBuf,
}

impl Doctor {
    /// A doctor for this lab and these folders.
    #[must_use]
    pub fn new(clock: Clock, spec: LabSpec, state: PathBuf, loaders: PathBuf) -> Self {
        Self(Arc::new(Patient { clock, spec, state, loaders }))
    }

    /// Now, on the lab's clocks.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.0.clock.now()
    }

    /// Runs every check. Reads files of the system; asks nothing of the network.
    pub async fn examine(&self, lab: &Snapshot) -> Diagnosis {
        let patient = Arc::clone(&self.0);
        let mut checks = tokio::task::spawn_blocking(move || patient.examine()).await.unwrap_or_default();
        checks.extend(of_the_picture(lab));
        checks.sort_by_key(|check| check.finding);
        let faults = lab
            .machines
            .iter()
            .filter_map(|m| m.fault.as_ref().map(|fault| (m.node.clone(), fault.clone())))
            .collect();
        Diagnosis { checks, notices: lab.lab.notices.clone(), faults }
    }
}

fn check(code: &str, finding: Finding, seen: String, help: &str) -> Check {
    let help = if finding == Finding::Well { String::new() } else { help.to_owned() };
    Check { code: code.to_owned(), finding, seen, help }
}

fn well_or(well: bool, otherwise: Finding) -> Finding {
    if well { Finding::Well } else { otherwise }
}

impl Patient {
    fn examine(&self) -> Vec<Check> {
        let mut checks =
            vec![self.clock(), self.interface(), self.address(), self.disk(), softnet(), udp_drops()];
        checks.extend(self.loader_files());
        checks.extend(self.virtual_machines());
        checks
    }

    fn clock(&self) -> Check {
        let wall = self.clock.now().wall;
        let seen = format!("the wall clock says {} s since 1970", wall.0 / 1000);
        let finding = well_or(wall.0 >= EARLIEST_WALL_MS, Finding::Warning);
        check("clock", finding, seen, "plug the uplink in, or set it: `date -s '2026-01-31 12:00'`")
    }

    fn interface(&self) -> Check {
        let name = &self.spec.network.interface;
        // This table belongs to the network namespace, which /sys may not.
        let table = fs::read_to_string("/proc/net/dev").unwrap_or_default();
        let there = table
            .lines()
            .any(|line| line.trim().strip_prefix(name).is_some_and(|rest| rest.starts_with(':')));
        if !there {
            let help = "`ip link` lists the interfaces; set `network.interface` in the lab file";
            return check("interface", Finding::Broken, format!("there is no interface {name}"), help);
        }
        let state = fs::read_to_string(Path::new("/sys/class/net").join(name).join("operstate"));
        match state {
            Ok(state) => {
                let state = state.trim();
                let finding = well_or(matches!(state, "up" | "unknown"), Finding::Broken);
                let help = "plug the cable in, or `ip link set dev INTERFACE up`";
                check("interface", finding, format!("{name} is {state}"), help)
            }
            Err(_) => check("interface", Finding::Well, format!("{name} is there"), ""),
        }
    }

    fn address(&self) -> Check {
        let boss = self.spec.network.boss;
        // The kernel's own table of local addresses; one line "|-- ADDRESS" before "/32 host LOCAL".
        let table = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
        let own =
            table.lines().any(|line| line.trim().strip_prefix("|-- ") == Some(boss.to_string().as_str()));
        let seen = format!("{boss} is {}this machine's", if own { "" } else { "not " });
        let help =
            format!("ip address add {boss}/{} dev {}", self.spec.network.prefix, self.spec.network.interface);
        check("boss_address", well_or(own, Finding::Broken), seen, &help)
    }

    fn disk(&self) -> Check {
        match rustix::fs::statvfs(&self.state) {
            Ok(disk) => {
                let free = disk.f_bavail.saturating_mul(disk.f_frsize);
                let seen = format!("{} MiB free under {}", free >> 20, self.state.display());
                check(
                    "disk",
                    well_or(free >= DISK_LOW, Finding::Warning),
                    seen,
                    "make room, or `--state` elsewhere",
                )
            }
            Err(why) => {
                let seen = format!("{}: {why}", self.state.display());
                check("disk", Finding::Broken, seen, "make the folder writable")
            }
        }
    }

    fn loader_files(&self) -> Vec<Check> {
        LOADERS
            .iter()
            .map(|name| {
                let path = self.loaders.join(name);
                let there = path.is_file();
                let seen = format!("{} {}", path.display(), if there { "is there" } else { "is missing" });
                check(
                    "loader",
                    well_or(there, Finding::Broken),
                    seen,
                    "apt-get install ipxe, or `--loaders DIR`",
                )
            })
            .collect()
    }

    fn virtual_machines(&self) -> Option<Check> {
        self.spec.power.values().find(|driver| matches!(driver, PowerDriver::Virtual { .. }))?;
        let found = ["/usr/bin/qemu-system-x86_64", "/usr/local/bin/qemu-system-x86_64"]
            .iter()
            .find(|path| Path::new(path).is_file());
        let seen = found.map_or_else(|| "QEMU is missing".to_owned(), |path| format!("{path} is there"));
        let help = "apt-get install --no-install-recommends qemu-system-x86 ovmf";
        Some(check("qemu", well_or(found.is_some(), Finding::Broken), seen, help))
    }
}

/// Columns 2 and 3 of `/proc/net/softnet_stat`: frames dropped, and rounds cut short.
fn softnet() -> Check {
    let Ok(table) = fs::read_to_string("/proc/net/softnet_stat") else {
        return check("softnet", Finding::Skipped, "/proc/net/softnet_stat cannot be read".to_owned(), "");
    };
    let column = |n: usize| -> u64 {
        let cells = table.lines().filter_map(|line| line.split_whitespace().nth(n));
        cells.filter_map(|cell| u64::from_str_radix(cell, 16).ok()).sum()
    };
    let (dropped, squeezed) = (column(1), column(2));
    let seen = format!("{dropped} frames dropped, {squeezed} rounds squeezed since this machine started");
    let help = "something hogs the core that takes frames: look with `top -H`, move it, or raise net.core.netdev_budget";
    check("softnet", well_or(dropped == 0, Finding::Warning), seen, help)
}

/// `RcvbufErrors` of `/proc/net/snmp`: datagrams lost because a socket was full.
fn udp_drops() -> Check {
    let table = fs::read_to_string("/proc/net/snmp").unwrap_or_default();
    let mut lines = table.lines().filter(|line| line.starts_with("Udp:"));
    let lost = lines.next().zip(lines.next()).and_then(|(names, values)| {
        let at = names.split_whitespace().position(|name| name == "RcvbufErrors")?;
        values.split_whitespace().nth(at)?.parse::<u64>().ok()
    });
    match lost {
        Some(lost) => {
            let seen = format!("{lost} datagrams lost to full sockets since this machine started");
            check("udp_buffers", well_or(lost == 0, Finding::Warning), seen, "raise net.core.rmem_max")
        }
        None => check("udp_buffers", Finding::Skipped, "/proc/net/snmp cannot be read".to_owned(), ""),
    }
}

/// What the lab's own picture tells.
fn of_the_picture(lab: &Snapshot) -> Vec<Check> {
    let up = lab.lab.counter_up;
    let seen = format!("the boot counter is {}", if up { "connected" } else { "away" });
    let mut checks =
        vec![check("counter", well_or(up, Finding::Broken), seen, "read the log of `labinator serve`")];
    checks.extend(lab.lab.notices.iter().filter_map(of_a_notice));
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
    Some(match notice {
        Notice::ForeignDhcp { mac, server } => check(
            "foreign_dhcp",
            Finding::Broken,
            format!("another DHCP server answers on this segment: {server} ({mac})"),
            "switch its DHCP off for this segment, or `network.dhcp: proxy` here",
        ),
        Notice::ForeignChoice { mac, server } => check(
            "foreign_dhcp",
            Finding::Broken,
            format!("{mac} follows another DHCP server: {server}"),
            "find it by its address; switch its DHCP off for this segment, or `network.dhcp: proxy` here",
        ),
        Notice::OtherController { mac, server, lab, same: true } => check(
            "other_controller",
            Finding::Broken,
            format!("two controllers drive the lab {lab}: this one and {server} ({mac})"),
            "stop one of them; see docs/operating/other-controller.md",
        ),
        Notice::OtherController { mac, server, lab, same: false } => check(
            "other_controller",
            Finding::Broken,
            format!("another controller, of the lab {lab}, serves this segment: {server} ({mac})"),
            "give each lab a segment of its own, or stop one; see docs/operating/other-controller.md",
        ),
        Notice::ForeignRouter { mac, address, names_dns: true } => check(
            "foreign_router",
            Finding::Broken,
            format!("a router ({address}, {mac}) advertises itself with name servers"),
            "iPXE before 2020-10 fails with it; see docs/operating/foreign-router-advertisement.md",
        ),
        Notice::Flooding { mac, count } => check(
            "flooding",
            Finding::Warning,
            format!("{mac} asks without end; {count} of its messages were left unread"),
            "see what runs on that machine; nobody else is held up by it",
        ),
        Notice::LoaderMissing { arch, names } => check(
            "loader_missing",
            Finding::Broken,
            format!("firmware of architecture {arch:#04x} asks, and there is no {}", names.join(" or ")),
            "put an iPXE of that architecture and name into the loader folder; see docs/operating/loader-missing.md",
        ),
        Notice::ForeignRouter { mac, address, names_dns: false } => check(
            "foreign_router",
            Finding::Warning,
            format!("a router ({address}, {mac}) advertises itself on this segment"),
            "if nodes boot slowly, switch its advertisements off",
        ),
        Notice::LedgerFull { why } => check(
            "ledger",
            Finding::Broken,
            format!("leases cannot be written, so no new one is given: {why}"),
            "make room on the disk that holds the state folder",
        ),
        Notice::Malformed { protocol, count } => check(
            "malformed",
            Finding::Warning,
            format!("{count} {protocol} packets could not be read"),
            "something on this segment sends garbage; `tcpdump` on the interface shows who",
        ),
        Notice::Merged { count } => check(
            "merged",
            Finding::Warning,
            format!("{count} sightings were merged because the core was away or slow"),
            "nothing was lost that matters for booting; see why the core was away",
        ),
        Notice::LedgerWell => return None,
    })
}
