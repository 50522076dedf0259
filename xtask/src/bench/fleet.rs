//! A fleet: thousands of wire-true clients against one controller, first a tenth of them, then all.
//!
//! Controller and clients share this computer's processors, each in a network namespace of its own, with a pair of
//! virtual Ethernet cards between them. The clients are one process (`crates/sim/src/bin/fleet`).

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::raised::Raised;
use super::report::{Report, Row};
use super::segment::{Controller, Inside, enter, ip, text, wait};
use crate::image::Parts;
use crate::workspace::{Outcome, Workspace, printed, quietly, succeeds};

/// Packages this bench needs.
pub(super) const PACKAGES: &[&str] = &["ipxe", "iproute2", "util-linux"];

/// Clients of the whole fleet unless `--clients N` says otherwise.
const CLIENTS: u32 = 13_500;
/// The subnet is a /18: so many clients fit beside the boss and the first 255 addresses.
const MOST: u32 = 16_000;
/// Machines that boot at the same time, as a staggered start lets them.
const AT_ONCE: u32 = 96;
/// The boss.
const BOSS: &str = "10.77.0.1";
/// Bytes of the image.
const IMAGE: usize = 8 << 20;
/// How long the controller may take until its API answers.
const START: Duration = Duration::from_secs(120);
/// Kernel ticks a second in `/proc/PID/stat`: `USER_HZ`, 100 on every Linux this runs on.
const TICKS: f64 = 100.0;
/// Requests per read of the API that are timed.
const READS: usize = 11;

/// Boots a tenth of the fleet against one controller, then the whole fleet against another.
///
/// # Errors
/// Something does not build or start, or a client did not get its answer.
pub(super) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<Report> {
    if let Some((inside, rest)) = Inside::bare(arguments) {
        let [program, clients] = rest else { return Err("the inner half needs program and clients".into()) };
        println!("{}", measure(&inside, Path::new(program), clients.parse()?)?);
        return Ok(Report::default());
    }
    let clients = match arguments {
        [] => CLIENTS,
        [word, n] if word == "--clients" => match n.parse() {
            Ok(n) if (10..=MOST).contains(&n) => n,
            _ => return Err(format!("--clients needs a number from 10 to {MOST}, not `{n}`").into()),
        },
        _ => return Err("fleet takes --clients N".into()),
    };
    let parts = Parts {
        labinator: super::labinator(workspace)?,
        agent: PathBuf::new(),
        images: workspace.target.join("bench"),
    };
    if !succeeds(&mut workspace.cargo(&["build", "--release", "--package", "sim", "--bin", "fleet"]))? {
        return Err("the fleet does not build".into());
    }
    let program = workspace.target.join("release").join("fleet").to_string_lossy().into_owned();
    let _neighbours = room_for_neighbours(clients)?;
    let said = enter(workspace, "fleet", &parts, &[program, clients.to_string()])?;
    let line = said.lines().find(|line| line.starts_with('{')).ok_or("the bench said nothing")?;
    let found: Value = serde_json::from_str(line)?;
    fs::write(workspace.target.join("bench").join("fleet-found.json"), format!("{found:#}\n"))?;
    Ok(report(&found, clients))
}

fn report(found: &Value, clients: u32) -> Report {
    let number =
        |pointer: &str| found.pointer(pointer).and_then(Value::as_f64).into_iter().collect::<Vec<_>>();
    let numbers = |pointer: &str| -> Vec<f64> {
        found
            .pointer(pointer)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_f64)
            .collect()
    };
    let mut report = Report::default();
    let tenth = clients / 10;
    let per = |n: u32| format!("a client of {n}, from DISCOVER to image");
    report.push(Row::new(per(tenth), "ms each", number("/tenth/boot/each_ms")));
    report.push(Row::new(per(clients), "ms each", number("/whole/boot/each_ms")).at_most(1.2, per(tenth)));
    let limits = [
        ("a decision (lease and script)", "ms each", "/whole/ask/each_ms", 1.0),
        ("resident in counter and core together, at most", "MiB", "/whole/memory_mib", 256.0),
    ];
    for (what, unit, pointer, limit) in limits {
        let line = format!("limit: {what}");
        report.push(Row::new(line.clone(), unit, vec![limit]));
        report.push(Row::new(what, unit, number(pointer)).at_most(1.0, line));
    }
    let others = [
        ("slowest hundredth of the boots", "ms", "/whole/boot/p99_ms"),
        ("processor time of the counter for a boot", "ms", "/whole/boot/counter_ms"),
        ("processor time of the core for a boot", "ms", "/whole/boot/core_ms"),
        ("journal after both", "MB", "/whole/journal_mb"),
        ("lab file checked", "ms", "/whole/check_ms"),
        ("a killed core answers again", "ms", "/whole/restart_ms"),
    ];
    for (what, unit, pointer) in others {
        report.push(Row::new(what, unit, number(pointer)));
    }
    report.push(Row::new("status of the whole lab", "ms", numbers("/whole/status_ms")));
    report
}

fn measure(inside: &Inside, program: &Path, clients: u32) -> Outcome<Value> {
    ip("link set lo up")?;
    fs::write(inside.folder.join("vmlinuz"), image())?;
    let tenth = one_fleet(inside, program, clients / 10)?;
    let whole = one_fleet(inside, program, clients)?;
    Ok(json!({ "tenth": tenth, "whole": whole }))
}

/// Bytes without a pattern: each 64-bit word from the one before (Marsaglia's xorshift).
fn image() -> Vec<u8> {
    let mut word: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut bytes = Vec::with_capacity(IMAGE);
    while bytes.len() < IMAGE {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// One controller and so many clients.
fn one_fleet(inside: &Inside, program: &Path, clients: u32) -> Outcome<Value> {
    drop(fs::remove_dir_all(inside.folder.join("state")));
    ip("link add name fleet0 type veth peer name fleet1")?;
    ip(&format!("address add {BOSS}/18 dev fleet0"))?;
    ip("link set fleet0 up")?;
    let lab = lab_file(clients);
    let file = inside.folder.join("checked.yaml");
    fs::write(&file, &lab)?;
    let begun = Instant::now();
    if !quietly(Command::new(&inside.labinator).arg("check").arg(&file)) {
        return Err("the lab file of the fleet is not right".into());
    }
    let check_ms = milliseconds(begun);
    let controller = inside.controller(&lab)?;
    controller.start("all")?;
    let fleet = Fleet { inside, program, clients, side: Side::raise()? };
    let boot = fleet.runs(&[])?;
    let ask = fleet.runs(&["--ask"])?;
    let status_ms = (0..READS)
        .map(|_| {
            let begun = Instant::now();
            printed(controller.verb(&["status", "--json"]).stderr(Stdio::null())).map(|_| milliseconds(begun))
        })
        .collect::<Outcome<Vec<f64>>>()?;
    let parts = Part::all()?;
    let memory_mib: f64 = parts.iter().map(|part| part.most_resident_mib()).sum();
    let journal = fs::metadata(inside.folder.join("state/journal"))?.len();
    let restart_ms = restart(&controller, &parts)?;
    drop(controller);
    ip("link delete fleet0")?;
    let journal_mb = Duration::from_micros(journal).as_secs_f64();
    Ok(json!({
        "clients": clients, "check_ms": check_ms, "boot": boot, "ask": ask, "status_ms": status_ms,
        "memory_mib": memory_mib, "journal_mb": journal_mb, "restart_ms": restart_ms,
    }))
}

/// Kills the core and waits until its successor answers.
fn restart(controller: &Controller, parts: &[Part]) -> Outcome<f64> {
    let core = parts.iter().find(|part| part.name == "core").ok_or("there is no core")?;
    if !quietly(Command::new("kill").args(["-KILL", &core.pid])) {
        return Err("the core could not be killed".into());
    }
    let begun = Instant::now();
    wait(START, "the next core", || quietly(&mut controller.verb(&["status"])).then_some(()))?;
    Ok(milliseconds(begun))
}

fn milliseconds(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}

/// The clients.
struct Fleet<'a> {
    inside: &'a Inside,
    program: &'a Path,
    clients: u32,
    side: Side,
}

impl Fleet<'_> {
    /// Runs all of them once and says what became of them and what they cost.
    fn runs(&self, words: &[&str]) -> Outcome<Value> {
        let mut child = self
            .side
            .command(self.program)
            .args(["--interface", "fleet1", "--loaders", "/usr/lib/ipxe", "--first", "0", "--image"])
            .arg(self.inside.folder.join("vmlinuz"))
            .args(["--clients", &self.clients.to_string(), "--at-once", &AT_ONCE.to_string()])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let parts = Part::all()?;
        let before: Vec<f64> = parts.iter().map(Part::seconds).collect();
        writeln!(child.stdin.take().ok_or("no pipe")?, "go")?;
        let mut found: Value = serde_json::from_slice(&child.wait_with_output()?.stdout)?;
        eprintln!("{} clients {}: {found}", self.clients, words.concat());
        let number = |what: &str| found.get(what).and_then(Value::as_f64).unwrap_or_default();
        if number("answered") < f64::from(self.clients) {
            return Err(format!("not every client got its answer: {found}").into());
        }
        let each = |seconds: f64| seconds * 1000.0 / f64::from(self.clients);
        let each_ms = each(number("seconds"));
        if let Some(fields) = found.as_object_mut() {
            fields.insert("each_ms".to_owned(), each_ms.into());
            for (part, before) in parts.iter().zip(before) {
                fields.insert(format!("{}_ms", part.name), each(part.seconds() - before).into());
            }
        }
        Ok(found)
    }
}

/// The clients' network namespace: it lives as long as this process in it.
struct Side(Child);

impl Side {
    /// Makes it, and moves the clients' end of the cable there.
    fn raise() -> Outcome<Self> {
        let side = Self(Command::new("unshare").args(["--net", "cat"]).stdin(Stdio::piped()).spawn()?);
        let pid = side.0.id().to_string();
        let own = fs::read_link("/proc/self/ns/net")?;
        wait(Duration::from_secs(10), "the fleet's namespace", || {
            fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|net| net != own).then_some(())
        })?;
        ip(&format!("link set fleet1 netns {pid}"))?;
        for words in [
            "link set lo up",
            "link set fleet1 up",
            // Every address of the subnet is this side's own, but for the boss's.
            "route add local 10.77.0.0/18 dev lo",
            "route add 10.77.0.1/32 dev fleet1 table local",
            "route add default dev fleet1",
        ] {
            printed(side.command(Path::new("ip")).args(words.split(' ')))?;
        }
        Ok(side)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &self.0.id().to_string()]).arg(program);
        command
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // Gone already, or the bench is over: its namespace dies with its processes either way.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// One process of the controller.
struct Part {
    name: &'static str,
    pid: String,
}

impl Part {
    /// Counter and core: in this namespace there is one of each.
    fn all() -> Outcome<Vec<Self>> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
            let pid = entry.file_name().to_string_lossy().into_owned();
            match words.as_slice() {
                [_, b"inside", b"counter", ..] => found.push(Self { name: "counter", pid }),
                [_, b"inside", b"core", ..] => found.push(Self { name: "core", pid }),
                _ => {}
            }
        }
        if found.len() == 2 { Ok(found) } else { Err(format!("{} parts run, not 2", found.len()).into()) }
    }

    /// Processor seconds so far.
    fn seconds(&self) -> f64 {
        let stat = text(Path::new(&format!("/proc/{}/stat", self.pid)));
        let (_, rest) = stat.rsplit_once(')').unwrap_or_default();
        let numbers = rest.split_whitespace().skip(11).take(2);
        numbers.filter_map(|word| word.parse::<f64>().ok()).sum::<f64>() / TICKS
    }

    /// Most memory it ever had resident.
    fn most_resident_mib(&self) -> f64 {
        let status = text(Path::new(&format!("/proc/{}/status", self.pid)));
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").trim().parse::<f64>().ok());
        kib.unwrap_or_default() / 1024.0
    }
}

/// Room in the kernel's table of neighbours, which is one for all namespaces: each address stands in it twice at most.
fn room_for_neighbours(clients: u32) -> Outcome<Raised> {
    let mut room = Raised::default();
    for (threshold, times) in [("gc_thresh3", 4), ("gc_thresh2", 3), ("gc_thresh1", 2)] {
        room.at_least(Path::new("/proc/sys/net/ipv4/neigh/default").join(threshold), clients * times)?;
    }
    Ok(room)
}

/// A lab file with so many machines.
fn lab_file(clients: u32) -> String {
    format!(
        "lab: fleet\nnetwork: {{ interface: fleet0, subnet: 10.77.0.0/18, boss: {BOSS}, dhcp: authoritative }}\n\
         power: {{ p: {{ driver: manual }} }}\nlimits: {{ fetch: 2h }}\nboard:\n  columns: 120\n  racks:\n    \
         n: {{ at: [1, 1], columns: 120, count: {clients}, mac: '02:46:00:00:00:00', ip: 10.77.1.0, power: p/0 }}\n\
         scenarios:\n  all: {{ image: {{ kernel: vmlinuz }}, nodes: all }}\n"
    )
}
