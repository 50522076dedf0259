//! What a Ready lab costs the boss while nothing happens, and how soon after exec the first machine is
//! answered.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::report::{Report, Row};
use super::segment::{Inside, enter, lab_file, text, wait};
use crate::image;
use crate::workspace::{Outcome, Workspace, printed, quietly};

/// How long the Ready lab is watched.
const WATCHED: Duration = Duration::from_secs(60);
/// How often a start is timed.
const STARTS: usize = 11;
/// Kernel ticks a second in `/proc/PID/stat`: `USER_HZ`, 100 on every Linux this runs on.
const TICKS: f64 = 100.0;

/// Watches a Ready lab of six virtual machines, then times cold starts.
///
/// # Errors
/// Something does not build or start, or the lab never became ready.
pub(super) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<Report> {
    if let Some(inside) = Inside::of(arguments) {
        let (inside, _) = inside?;
        println!("{}", measure(&inside)?);
        return Ok(Report::default());
    }
    if let Some(word) = arguments.first() {
        return Err(format!("idle takes no arguments, not `{word}`").into());
    }
    let parts = image::build(workspace)?;
    let said = enter(workspace, "idle", &parts, &[])?;
    let line = said.lines().find(|line| line.starts_with('{')).ok_or("the bench said nothing")?;
    let found: Value = serde_json::from_str(line)?;
    let samples = |what: &str| -> Vec<f64> {
        found.get(what).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_f64).collect()
    };
    let mut report = Report::default();
    let rows = [
        ("cpu", "CPU of counter and core, Ready lab, 60 s", "% of a core", 1.0),
        ("memory", "resident in counter and core together", "MiB", 64.0),
        ("answer", "exec to the first answered DISCOVER", "ms", 300.0),
    ];
    for (key, what, unit, limit) in rows {
        let line = format!("limit: {what}");
        report.push(Row::new(line.clone(), unit, vec![limit]));
        report.push(Row::new(what, unit, samples(key)).at_most(1.0, line));
    }
    Ok(report)
}

fn measure(inside: &Inside) -> Outcome<Value> {
    let controller = inside.controller(&lab_file("virtual"))?;
    controller.start("all")?;
    wait(Duration::from_secs(300), "the Ready lab", || {
        let status = printed(&mut controller.verb(&["status", "--json"])).ok()?;
        let picture: Value = serde_json::from_str(&status).ok()?;
        (picture.pointer("/lab/phase").and_then(Value::as_str) == Some("ready")).then_some(())
    })?;
    let parts = parts()?;
    let ticks = || parts.iter().map(|pid| ticks(pid)).sum::<f64>();
    let (before, begun) = (ticks(), Instant::now());
    wait(WATCHED * 2, "the end of the watch", || (begun.elapsed() >= WATCHED).then_some(()))?;
    let used = (ticks() - before) / TICKS / begun.elapsed().as_secs_f64() * 100.0;
    let memory: f64 = parts.iter().map(|pid| resident_mib(pid)).sum();
    if !quietly(&mut controller.verb(&["stop", "--wait"])) {
        return Err("the lab could not be stopped".into());
    }
    drop(controller);
    let answers: Vec<f64> = (0..STARTS).map(|_| answered(inside)).collect::<Outcome<_>>()?;
    Ok(json!({ "cpu": [used], "memory": [memory], "answer": answers }))
}

/// Process ids of counter and core: in this namespace there is one of each.
fn parts() -> Outcome<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        let (_, verb, part) = (words.next(), words.next(), words.next());
        if verb == Some(b"inside") && matches!(part, Some(b"counter" | b"core")) {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    if found.len() == 2 { Ok(found) } else { Err(format!("{} parts run, not 2", found.len()).into()) }
}

/// User and system time of a process so far (proc(5), fields 14 and 15 of `stat`).
fn ticks(pid: &str) -> f64 {
    let stat = text(&Path::new("/proc").join(pid).join("stat"));
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<f64>().ok()).sum()
}

fn resident_mib(pid: &str) -> f64 {
    let status = text(&Path::new("/proc").join(pid).join("status"));
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1024.0
}

/// Milliseconds from starting a controller without any state until it offered an address.
fn answered(inside: &Inside) -> Outcome<f64> {
    drop(fs::remove_dir_all(inside.folder.join("state")));
    // A broadcast on the bridge comes back to this machine's own sockets, so no second host is needed.
    let client = UdpSocket::bind("0.0.0.0:68")?;
    client.set_broadcast(true)?;
    client.set_read_timeout(Some(Duration::from_millis(2)))?;
    let begun = Instant::now();
    let controller = inside.controller(&lab_file("manual"))?;
    let mut packet = [0; 1500];
    wait(Duration::from_secs(20), "an offer", || {
        // Nobody may listen yet; the next try is two milliseconds away.
        drop(client.send_to(&discover(), "10.77.0.255:67"));
        let got = client.recv(&mut packet).ok()?;
        // BOOTREPLY with our transaction id.
        (got > 240 && packet.first() == Some(&2) && packet.get(4..8) == Some(&b"idle"[..])).then_some(())
    })?;
    let took = begun.elapsed().as_secs_f64() * 1000.0;
    drop(controller);
    Ok(took)
}

/// A DISCOVER of machine 1 with the broadcast flag (RFC 2131, figure 1).
fn discover() -> Vec<u8> {
    let mut packet = vec![1, 1, 6, 0];
    packet.extend(b"idle");
    packet.extend([0, 0, 0x80, 0]);
    packet.extend([0; 16]);
    packet.extend([0x52, 0x54, 0, 0x77, 0, 1]);
    packet.extend([0; 10 + 64 + 128]);
    packet.extend([0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255]);
    packet.resize(300, 0);
    packet
}
