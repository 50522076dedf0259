//! From power on to the request for the kernel: our counter against a plain netboot set-up (dnsmasq for
//! DHCP and TFTP, nginx, the distribution's full iPXE, a chain script and one script per machine), the
//! same machines on the same segment in the same run.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::loader;
use super::report::{Report, Row};
use super::segment::{BOSS, Controller, Firmware, Inside, Machine, enter, lab_file, mac, text, wait};
use crate::image;
use crate::workspace::{Outcome, Workspace, quietly};

/// Packages this bench measures with and against.
pub(super) const PACKAGES: &[&str] =
    &["qemu-system-x86", "ovmf", "ipxe", "iproute2", "util-linux", "dnsmasq-base", "nginx-light", "tcpdump"];

/// Pairs measured unless `--pairs N` says otherwise.
const PAIRS: usize = 5;
/// Longest boot that is waited for: the peer's slowest, six at once, on a busy machine.
pub(super) const LIMIT: Duration = Duration::from_secs(180);
/// What the plain set-up hands to UEFI machines, and to others.
pub(super) const UEFI_IPXE: &str = "/usr/lib/ipxe/ipxe.efi";
const BIOS_IPXE: &str = "/usr/lib/ipxe/undionly.kpxe";
/// The mix that is switched on at once.
const SIX: [(u8, Firmware); 6] = [
    (1, Firmware::Bios),
    (2, Firmware::UefiPxe),
    (3, Firmware::Bios),
    (4, Firmware::UefiPxe),
    (5, Firmware::Bios),
    (6, Firmware::UefiPxe),
];

/// Runs the pairs.
///
/// # Errors
/// Something does not build or start, or a machine never asked for its kernel.
pub(super) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<Report> {
    if let Some(inside) = Inside::of(arguments) {
        let (inside, rest) = inside?;
        let pairs = rest.first().and_then(|n| n.parse().ok()).unwrap_or(PAIRS);
        let of = |part: &str| rest.get(1).is_none_or(|only| only == "all" || only == part);
        let found = json!({
            "ipxe": if of("ipxe") { measure(&inside, pairs)? } else { Value::Null },
            "loader": if of("loader") { loader::measure(&inside, pairs, rest)? } else { Value::Null },
        });
        println!("{found}");
        // The outer half makes the table.
        return Ok(Report::default());
    }
    let (mut pairs, mut only) = (PAIRS, "all");
    for option in arguments.chunks(2) {
        match option {
            [word, n] if word == "--pairs" => {
                pairs = n.parse().map_err(|_| format!("--pairs needs a number, not `{n}`"))?;
            }
            [word, part] if word == "--only" && ["ipxe", "loader"].contains(&part.as_str()) => only = part,
            _ => return Err("boot takes --pairs N and --only ipxe|loader".into()),
        }
    }
    let parts = image::build(workspace)?;
    let mut rest = vec![pairs.to_string(), only.to_owned()];
    for program in [crate::loader::build(workspace)?, crate::loader::tcp4(workspace)?] {
        rest.push(program.to_string_lossy().into_owned());
    }
    let said = enter(workspace, "boot", &parts, &rest)?;
    let line = said.lines().find(|line| line.starts_with('{')).ok_or("the bench said nothing")?;
    let found: Value = serde_json::from_str(line)?;
    let mut report = Report::default();
    let part = |name: &str| found.get(name).filter(|part| part.is_object());
    if let Some(found) = part("ipxe") {
        ipxe_rows(found, &mut report)?;
    }
    if let Some(found) = part("loader") {
        loader::rows(found, &mut report)?;
    }
    Ok(report)
}

/// The samples of a measured thing.
pub(super) fn samples(found: &Value, pointer: &str) -> Outcome<Vec<f64>> {
    let list = found.pointer(pointer).and_then(Value::as_array).ok_or("no samples")?;
    Ok(list.iter().filter_map(Value::as_f64).collect())
}

fn ipxe_rows(found: &Value, report: &mut Report) -> Outcome<()> {
    let samples = |who: &str, what: &str| samples(found, &format!("/{who}/{what}"));
    let rows = [
        ("uefi", "UEFI PXE", 0.40),
        ("bios", "BIOS", 0.15),
        ("six_uefi", "six at once, UEFI PXE", 0.65),
        ("six_bios", "six at once, BIOS", 0.30),
    ];
    for (key, name, line) in rows {
        let peer = format!("dnsmasq + nginx + chain: {name}");
        report.push(Row::new(peer.clone(), "s", samples("peer", key)?));
        report.push(Row::new(format!("labinator: {name}"), "s", samples("ours", key)?).at_most(line, peer));
    }
    Ok(())
}

/// Seconds from power on to the kernel request, by who serves and what boots.
#[derive(Debug, Default)]
struct Samples {
    uefi: Vec<f64>,
    bios: Vec<f64>,
    six_uefi: Vec<f64>,
    six_bios: Vec<f64>,
}

impl Samples {
    fn json(&self) -> Value {
        json!({ "uefi": self.uefi, "bios": self.bios, "six_uefi": self.six_uefi, "six_bios": self.six_bios })
    }

    fn take<S: Side>(&mut self, inside: &Inside, side: &S) -> Outcome<()> {
        self.uefi.extend(boot(inside, side, &[(2, Firmware::UefiPxe)])?);
        self.bios.extend(boot(inside, side, &[(1, Firmware::Bios)])?);
        let six = boot(inside, side, &SIX)?;
        for ((_, firmware), seconds) in SIX.iter().zip(six) {
            match firmware {
                Firmware::UefiPxe => self.six_uefi.push(seconds),
                Firmware::Bios => self.six_bios.push(seconds),
            }
        }
        Ok(())
    }
}

/// One way to serve the segment.
trait Side {
    /// Who it is, for errors.
    const NAME: &'static str;
    /// When the machine first asked for its kernel after `since` (milliseconds since 1970).
    fn kernel_asked(&self, machine: u8, since: u64) -> Option<u64>;
}

/// Switches machines on at once and waits for each one's kernel request.
fn boot<S: Side>(inside: &Inside, side: &S, which: &[(u8, Firmware)]) -> Outcome<Vec<f64>> {
    let machines: Vec<(u8, Machine)> =
        which.iter().map(|(n, firmware)| Ok((*n, inside.machine(*n, *firmware)?))).collect::<Outcome<_>>()?;
    machines
        .iter()
        .map(|(n, machine)| {
            let what = format!("the kernel request of machine {n} at {}", S::NAME);
            let asked = wait(LIMIT, &what, || side.kernel_asked(*n, machine.on))?;
            Ok(seconds(asked.saturating_sub(machine.on)))
        })
        .collect()
}

pub(super) fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}

fn measure(inside: &Inside, pairs: usize) -> Outcome<Value> {
    let (mut ours, mut peer) = (Samples::default(), Samples::default());
    for pair in 1..=pairs {
        let begun = Instant::now();
        // Both own port 67 of the same segment: one after the other, in turn.
        let side = Ours::start(inside, &lab_file("manual"), Some("all"))?;
        ours.take(inside, &side)?;
        drop(side);
        let side = Peer::start(inside, None, UEFI_IPXE)?;
        peer.take(inside, &side)?;
        drop(side);
        eprintln!("pair {pair} of {pairs} took {:.0} s", begun.elapsed().as_secs_f64());
    }
    Ok(json!({ "ours": ours.json(), "peer": peer.json() }))
}

/// Our controller; what happens is read from its stream of events.
pub(super) struct Ours {
    pub(super) controller: Controller,
    follower: Child,
    lines: std::cell::RefCell<(Receiver<String>, Vec<Value>)>,
}

impl Ours {
    /// Starts it, and a scenario of its lab file.
    pub(super) fn start(inside: &Inside, lab: &str, scenario: Option<&str>) -> Outcome<Self> {
        drop(fs::remove_dir_all(inside.folder.join("state")));
        let controller = inside.controller(lab)?;
        match scenario {
            Some(scenario) => controller.start(scenario)?,
            None => controller.rises()?,
        }
        let mut follower =
            controller.verb(&["events", "--follow", "--json"]).stdout(Stdio::piped()).spawn()?;
        let pipe = follower.stdout.take().ok_or("no pipe")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { controller, follower, lines: (lines, Vec::new()).into() })
    }

    /// The first event of a machine after `since`, by what it tells.
    pub(super) fn event<T>(
        &self,
        machine: u8,
        since: u64,
        what: impl Fn(&Value, u64) -> Option<T>,
    ) -> Option<T> {
        let mut lines = self.lines.borrow_mut();
        let (news, seen) = &mut *lines;
        seen.extend(news.try_iter().filter_map(|line| serde_json::from_str(&line).ok()));
        let mine = mac(machine);
        seen.iter().find_map(|event: &Value| {
            let at = event.pointer("/at/wall").and_then(Value::as_u64).filter(|at| *at > since)?;
            let fact = event.get("fact").filter(|fact| fact["mac"] == mine.as_str())?;
            what(fact, at)
        })
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        if self.follower.kill().is_ok() {
            drop(self.follower.wait());
        }
    }
}

impl Side for Ours {
    const NAME: &'static str = "labinator";

    fn kernel_asked(&self, machine: u8, since: u64) -> Option<u64> {
        self.event(machine, since, |fact, at| {
            (fact["sight"] == "file-asked" && fact["role"] == "kernel").then_some(at)
        })
    }
}

/// The plain set-up; kernel requests are read from nginx's access log.
pub(super) struct Peer {
    children: Vec<Child>,
    log: std::path::PathBuf,
}

impl Peer {
    /// Starts it, with another initramfs of this name in the bench's folder where one is told. UEFI machines get this
    /// program.
    pub(super) fn start(inside: &Inside, other: Option<&str>, uefi: &str) -> Outcome<Self> {
        let folder = inside.folder.join("peer");
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(folder.join("www"))?;
        fs::create_dir_all(folder.join("tftp"))?;
        fs::copy(uefi, folder.join("tftp/uefi.efi"))?;
        fs::copy(BIOS_IPXE, folder.join("tftp/undionly.kpxe"))?;
        for file in ["vmlinuz", "initrd.img"] {
            fs::copy(inside.images.join("node").join(file), folder.join("www").join(file))?;
        }
        let initrd = other.unwrap_or("initrd.img");
        if let Some(name) = other {
            fs::hard_link(inside.folder.join(name), folder.join("www").join(name))?;
        }
        fs::write(folder.join("www/boot.ipxe"), "#!ipxe\nchain http://boss.lab/${net0/mac:hexhyp}.ipxe\n")?;
        let mut hosts = String::new();
        for n in 1..=super::segment::MACHINES {
            let script = format!(
                "#!ipxe\nkernel http://boss.lab/vmlinuz initrd={initrd}\ninitrd http://boss.lab/{initrd}\nboot\n"
            );
            fs::write(folder.join("www").join(format!("{}.ipxe", mac(n).replace(':', "-"))), script)?;
            hosts.push_str(&format!("dhcp-host={},10.77.0.{}\n", mac(n), 10 + n));
        }
        fs::write(folder.join("dnsmasq.conf"), dnsmasq(&hosts, &folder))?;
        fs::write(folder.join("nginx.conf"), nginx(&folder))?;
        let dnsmasq = Command::new("dnsmasq")
            .arg("--keep-in-foreground")
            .arg(format!("--conf-file={}", folder.join("dnsmasq.conf").display()))
            .stdin(Stdio::null())
            .stderr(fs::File::create(folder.join("dnsmasq.log"))?)
            .spawn()?;
        let nginx =
            Command::new("nginx").arg("-c").arg(folder.join("nginx.conf")).stdin(Stdio::null()).spawn()?;
        let peer = Self { children: vec![dnsmasq, nginx], log: folder.join("access.log") };
        wait(Duration::from_secs(20), "nginx", || {
            std::net::TcpStream::connect((BOSS, 80)).is_ok().then_some(())
        })?;
        wait(Duration::from_secs(20), "dnsmasq", || {
            text(&folder.join("dnsmasq.log")).contains("started").then_some(())
        })?;
        Ok(peer)
    }
}

/// DHCP with a boot file for each kind of client and nothing more, names, and TFTP of the full iPXE.
fn dnsmasq(hosts: &str, folder: &std::path::Path) -> String {
    format!(
        "interface=br0\nbind-interfaces\nno-resolv\nno-hosts\nlog-facility=-\npid-file={}\n\
         dhcp-leasefile={}\nuser=root\naddress=/boss.lab/{BOSS}\ndhcp-range=10.77.0.100,10.77.0.150,12h\n{hosts}\
         dhcp-userclass=set:ipxe,iPXE\ndhcp-match=set:efi,option:client-arch,7\n\
         dhcp-match=set:efi,option:client-arch,9\ndhcp-boot=tag:ipxe,http://boss.lab/boot.ipxe\n\
         dhcp-boot=tag:!ipxe,tag:efi,uefi.efi\ndhcp-boot=tag:!ipxe,tag:!efi,undionly.kpxe\n\
         enable-tftp\ntftp-root={}\n",
        folder.join("dnsmasq.pid").display(),
        folder.join("leases").display(),
        folder.join("tftp").display(),
    )
}

fn nginx(folder: &std::path::Path) -> String {
    let at = folder.display();
    format!(
        "daemon off;\nuser root;\npid {at}/nginx.pid;\nerror_log {at}/error.log;\nevents {{}}\nhttp {{\n  \
         log_format bench '$msec $request_time $remote_addr $uri';\n  access_log {at}/access.log bench;\n  \
         sendfile on;\n  server {{ listen {BOSS}:80; root {at}/www; }}\n}}\n"
    )
}

impl Peer {
    /// When a machine asked for a path first after `since`, and when its answer had ended. nginx writes a line then: the
    /// request began `$request_time` before.
    pub(super) fn answered(&self, machine: u8, path: &str, since: u64) -> Option<(u64, u64)> {
        let address = format!("10.77.0.{}", 10 + machine);
        let ms = |s: f64| u64::try_from(Duration::try_from_secs_f64(s).ok()?.as_millis()).ok();
        text(&self.log).lines().find_map(|line| {
            let mut words = line.split(' ');
            let (at, took, from, asked) = (words.next()?, words.next()?, words.next()?, words.next()?);
            let (at, took) = (at.parse::<f64>().ok()?, took.parse::<f64>().ok()?);
            let (begun, ended) = (ms(at - took)?, ms(at)?);
            (asked == path && from == address && begun > since).then_some((begun, ended))
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        for child in &mut self.children {
            if quietly(Command::new("kill").arg(child.id().to_string())) {
                drop(child.wait());
            }
        }
    }
}

impl Side for Peer {
    const NAME: &'static str = "the plain set-up";

    fn kernel_asked(&self, machine: u8, since: u64) -> Option<u64> {
        self.answered(machine, "/vmlinuz", since).map(|(begun, _)| begun)
    }
}
