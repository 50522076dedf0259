//! Four-way DHCP exchanges: our counter against Kea, on the same cable in the same run, leases on disk in both.
//!
//! ```text
//!   relay   perfdhcp, which plays a relay: rates are tried until one is no longer held
//!   direct  clients of our own, which have no address and broadcast: the same, and the time each exchange takes
//! ```

mod load;
mod servers;

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::raised::Raised;
use super::report::{Report, Row};
use crate::workspace::{Outcome, Workspace, printed};
use load::Load;
use servers::{Server, Side};

/// Packages this bench measures with and against.
pub(super) const PACKAGES: &[&str] = &["kea-dhcp4-server", "kea-admin", "iproute2", "util-linux"];

/// Pairs measured unless `--pairs N` says otherwise.
const PAIRS: usize = 3;
/// Receive buffer of every socket while this runs, in bytes: those of the clients and of both servers.
const RECEIVE_BUFFER: u32 = 4 << 20;
/// How long one rate is tried.
const TRIED: u32 = 3;
/// First rate tried, in exchanges a second.
const FIRST: u32 = 2_000;
/// Rates tried between the last that was held and the first that was not.
const HALVINGS: u32 = 3;
/// A server that does not hold this holds nothing.
const LOWEST: u32 = 20;
/// A rate that no machine here reaches: the search ends.
const HIGHEST: u32 = 100_000;
/// A rate is held when so many of a thousand exchanges end within a second.
const HELD_PER_MILLE: u64 = 995;

/// Runs the pairs.
///
/// # Errors
/// Something does not build or start, or a server answers nobody.
pub(super) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<Report> {
    match arguments {
        [word, rest @ ..] if word == "inside" => {
            println!("{}", measure(&Cable::raise(rest)?)?);
            // The outer half makes the table.
            Ok(Report::default())
        }
        [word, rest @ ..] if word == "load" => {
            println!("{}", Load::read(rest)?.run()?);
            Ok(Report::default())
        }
        _ => outer(workspace, arguments),
    }
}

fn outer(workspace: &Workspace, arguments: &[String]) -> Outcome<Report> {
    let pairs = match arguments {
        [] => PAIRS.to_string(),
        [word, n] if word == "--pairs" && n.parse::<usize>().is_ok() => n.clone(),
        _ => return Err("dhcp takes --pairs N".into()),
    };
    let labinator = super::labinator(workspace)?;
    // perfdhcp and our clients read a burst of answers when they come to it: what does not fit is not the server's loss.
    let mut room = Raised::default();
    for limit in ["rmem_max", "rmem_default"] {
        room.at_least(std::path::Path::new("/proc/sys/net/core").join(limit), RECEIVE_BUFFER)?;
    }
    let folder = workspace.target.join("bench/dhcp");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let mut command = workspace.command("unshare");
    command
        .args(["--net", "--pid", "--mount", "--fork", "--mount-proc", "--kill-child=SIGKILL"])
        .arg(std::env::current_exe()?)
        .args(["bench", "dhcp", "inside"])
        .args([&labinator, &folder])
        .arg(pairs);
    let said = printed(&mut command)?;
    let line = said.lines().find(|line| line.starts_with('{')).ok_or("the bench said nothing")?;
    report(&serde_json::from_str(line)?)
}

fn report(found: &Value) -> Outcome<Report> {
    let samples = |who: &str, what: &str| -> Outcome<Vec<f64>> {
        let list = found.pointer(&format!("/{who}/{what}")).and_then(Value::as_array).ok_or("no samples")?;
        Ok(list.iter().filter_map(Value::as_f64).collect())
    };
    let mut report = Report::default();
    for (key, what) in [("relay", "held through a relay (perfdhcp)"), ("direct", "held on the segment")] {
        let peer = format!("Kea: {what}");
        report.push(Row::new(peer.clone(), "exchanges/s", samples("kea", key)?));
        report.push(
            Row::new(format!("labinator: {what}"), "exchanges/s", samples("ours", key)?).at_least(1.2, peer),
        );
    }
    for (key, what) in [("p50", "median at the common rate"), ("p99", "99th percentile at the common rate")] {
        let peer = format!("Kea: {what}");
        report.push(Row::new(peer.clone(), "ms", samples("kea", key)?));
        let ours = Row::new(format!("labinator: {what}"), "ms", samples("ours", key)?);
        report.push(if key == "p99" { ours.at_most(1.0, peer) } else { ours });
    }
    report.note(
        "each server writes a lease before it acknowledges it: Kea a line of its lease file per lease, which it never \
         syncs; labinator its ledger, one write for all datagrams that wait, synced within a second",
    );
    report.note("the common rate is six tenths of what Kea held on the segment in the same pair");
    Ok(report)
}

/// The cable: the server's end in this namespace, the clients' in another.
struct Cable {
    labinator: std::path::PathBuf,
    folder: std::path::PathBuf,
    pairs: usize,
    /// A process that keeps the clients' namespace.
    far: std::process::Child,
}

impl Drop for Cable {
    fn drop(&mut self) {
        drop(self.far.kill());
        drop(self.far.wait());
    }
}

/// The server's address, and that of the clients' end of the cable.
const BOSS: &str = "10.16.0.1";
const NEAR: &str = "10.16.0.2";
/// The relay, in a subnet of its own.
const RELAY: &str = "10.32.0.2";

impl Cable {
    fn raise(arguments: &[String]) -> Outcome<Self> {
        let [labinator, folder, pairs] = arguments else { return Err("inside takes three words".into()) };
        let far = Command::new("unshare").args(["--net", "sleep", "100000"]).spawn()?;
        let pid = far.id().to_string();
        let cable = Self { labinator: labinator.into(), folder: folder.into(), pairs: pairs.parse()?, far };
        super::segment::wait(Duration::from_secs(10), "the clients' namespace", || {
            let of = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
            (of(&pid)? != of("self")?).then_some(())
        })?;
        for words in [
            "link set lo up".to_owned(),
            format!("link add srv0 type veth peer name far0 netns {pid}"),
            format!("address add {BOSS}/12 dev srv0"),
            "link set srv0 up".to_owned(),
        ] {
            printed(Command::new("ip").args(words.split(' ')))?;
        }
        for words in [
            "link set lo up",
            &format!("address add {NEAR}/12 dev far0"),
            &format!("address add {RELAY}/12 dev far0"),
            "link set far0 up",
            "route add default dev far0",
        ] {
            printed(cable.far("ip").args(words.split(' ')))?;
        }
        printed(Command::new("ip").args("route add 10.32.0.0/12 dev srv0".split(' ')))?;
        Ok(cable)
    }

    /// A program at the clients' end.
    fn far(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.far.id().to_string(), "--net", program]);
        command
    }
}

/// What was found of one server.
#[derive(Debug, Default)]
struct Samples {
    relay: Vec<f64>,
    direct: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Samples {
    fn json(&self) -> Value {
        json!({ "relay": self.relay, "direct": self.direct, "p50": self.p50, "p99": self.p99 })
    }
}

fn measure(cable: &Cable) -> Outcome<Value> {
    let (mut ours, mut kea) = (Samples::default(), Samples::default());
    for pair in 1..=cable.pairs {
        // Both own port 67 of the same cable: one after the other, in turn.
        let common = {
            let server = Server::start(cable, Side::Kea)?;
            let (held, mut crowd) = throughput(cable, &mut kea)?;
            let common = (held * 6 / 10).max(100);
            latency(cable, &mut kea, common, &mut crowd)?;
            drop(server);
            common
        };
        let server = Server::start(cable, Side::Labinator)?;
        let (_, mut crowd) = throughput(cable, &mut ours)?;
        latency(cable, &mut ours, common, &mut crowd)?;
        drop(server);
        eprintln!("pair {pair} of {}: Kea {kea:?}, labinator {ours:?}", cable.pairs);
    }
    Ok(json!({ "ours": ours.json(), "kea": kea.json() }))
}

fn throughput(cable: &Cable, samples: &mut Samples) -> Outcome<(u32, u8)> {
    // Each try has clients of its own, so that each exchange is a new lease.
    let mut crowd = 0;
    let relay = search(|rate| {
        crowd += 1;
        relayed(cable, rate, crowd)
    })?;
    let direct = search(|rate| {
        crowd += 1;
        Ok(load(cable, rate, crowd)?.held(rate))
    })?;
    samples.relay.push(f64::from(relay));
    samples.direct.push(f64::from(direct));
    Ok((direct, crowd))
}

/// The highest rate that is held: doubled until one is not, then the gap is halved.
fn search(mut held: impl FnMut(u32) -> Outcome<bool>) -> Outcome<u32> {
    let (mut low, mut high) = (0, FIRST);
    while high < HIGHEST && held(high)? {
        (low, high) = (high, high * 2);
    }
    let mut halvings = 0;
    // On a machine that is busy with other things the first rate may be far too high.
    while halvings < HALVINGS || (low == 0 && high > LOWEST) {
        halvings += 1;
        let middle = u32::midpoint(low, high);
        if held(middle)? {
            low = middle;
        } else {
            high = middle;
        }
    }
    if low == 0 { Err(format!("not even {high} exchanges a second were held").into()) } else { Ok(low) }
}

/// Whether a rate is held through a relay.
fn relayed(cable: &Cable, rate: u32, crowd: u8) -> Outcome<bool> {
    let clients = rate * (TRIED + 1);
    let mut command = cable.far("perfdhcp");
    command.args(["-4", "-l", RELAY, "-d", "1", "-W", "1000000"]);
    command.args(["-b", &format!("mac=02:4c:{crowd:02x}:00:00:00")]);
    command.args(["-r", &rate.to_string(), "-R", &clients.to_string(), "-p", &TRIED.to_string(), BOSS]);
    // It ends with 3 when some were lost; that is what is looked for here.
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers = |word: &str| -> Vec<u64> {
        let lines = said.lines().filter_map(|line| line.trim().strip_prefix(word));
        lines.filter_map(|rest| rest.trim_start_matches(':').trim().parse().ok()).collect()
    };
    let (sent, received) = (numbers("sent packets"), numbers("received packets"));
    let ([asked, _], [_, done]) = (sent.as_slice(), received.as_slice()) else {
        return Err(format!("perfdhcp: {said}{}", String::from_utf8_lossy(&output.stderr)).into());
    };
    let wanted = u64::from(rate) * u64::from(TRIED);
    let held = *asked * 100 >= wanted * 95 && *done * 1000 >= *asked * HELD_PER_MILLE;
    eprintln!(
        "  relay {rate}/s: {asked} asked, {done} of {wanted} done{}",
        if held { "" } else { ": not held" }
    );
    Ok(held)
}

fn latency(cable: &Cable, samples: &mut Samples, rate: u32, crowd: &mut u8) -> Outcome<()> {
    *crowd += 1;
    let found = load(cable, rate, *crowd)?;
    samples.p50.push(found.p50);
    samples.p99.push(found.p99);
    Ok(())
}

/// Our own clients at the far end of the cable.
fn load(cable: &Cable, rate: u32, crowd: u8) -> Outcome<load::Found> {
    let own = std::env::current_exe()?.to_string_lossy().into_owned();
    let mut command = cable.far(&own);
    command.args(["bench", "dhcp", "load", &rate.to_string(), &TRIED.to_string(), &crowd.to_string()]);
    let said = printed(&mut command)?;
    let line = said.lines().find(|line| line.starts_with('{')).ok_or("the clients said nothing")?;
    let found = load::Found::read(&serde_json::from_str(line)?)?;
    eprintln!("  direct {rate}/s: {found:?}{}", if found.held(rate) { "" } else { ": not held" });
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_ends_near_the_edge() {
        for edge in [70, 300, 2_500, 5_000, 17_000] {
            let found = search(|rate| Ok(rate <= edge)).unwrap();
            assert!(found <= edge && found + found / 4 + 250 >= edge && found > 0, "{edge}: {found}");
        }
        assert!(search(|_| Ok(false)).is_err());
    }
}
