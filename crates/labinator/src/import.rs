//! A capture from somebody's wire becomes boot traces: the same waterfall, told by the same judgment.
//!
//! ```text
//! file ─▶ wire::capture ─▶ frames ─▶ sim::observe ─▶ sightings ─▶ lifecycle::absorb ─▶ waterfalls
//! ```

pub mod matchbox;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use lifecycle::{Lab, absorb, waterfall_of};
use model::{
    Cell, DhcpMode, Event, Fact, LabSpec, LabTime, Limits, MacAddr, Moment, NodeName, PortRef, Trace,
    WallTime,
};
use serde_json::json;
use sim::observe::Observer;
use wire::capture::{Capture, CaptureError, Captured};

/// Most machines of one capture that are told apart; those that came later are left out and counted.
pub const MOST_MACHINES: usize = 250;

/// What a capture tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Every boot, by machine and in order.
    pub boots: Vec<(MacAddr, Trace)>,
    /// Frames read.
    pub frames: u64,
    /// Frames of which only the head was kept.
    pub cut: u64,
    /// Frames without Ethernet addresses, or too short to tell.
    pub strange: u64,
    /// Machines over [`MOST_MACHINES`].
    pub left_out: usize,
    /// What is wrong with the file behind the last frame that was read.
    pub fault: Option<CaptureError>,
}

/// Frames of a capture that can be looked at, by lab time in milliseconds.
struct Reel<'a> {
    frames: Vec<(u64, Captured<'a>)>,
    began_ms: u64,
    fault: Option<CaptureError>,
}

/// Reads a capture file.
///
/// # Errors
/// [`CaptureError`] when it is no capture. One that breaks off is read as far as it goes, see [`Import::fault`].
pub fn import(bytes: &[u8]) -> Result<Import, CaptureError> {
    let reel = Reel::read(bytes)?;
    let mut observer = Observer::new();
    let mut seen = Vec::new();
    let mut strange = 0;
    for (at, captured) in &reel.frames {
        match captured.ethernet() {
            Some(frame) => seen.extend(observer.take(*at, &frame, captured.length)),
            None => strange += 1,
        }
    }
    seen.extend(observer.end());
    // Some things are only known later than they happened.
    seen.sort_by_key(|(at, ..)| *at);
    let all: Vec<MacAddr> = observer.machines().collect();
    let machines = all.get(..MOST_MACHINES).unwrap_or(&all);
    let mut lab = lab_of(machines, &observer).map(Lab::new);
    for ((at, mac, sight), seq) in seen.into_iter().zip(1..) {
        let wall = WallTime(reel.began_ms.saturating_add(at));
        let at = Moment { since_start: LabTime(at), wall };
        if let Some(lab) = &mut lab {
            absorb(lab, &Event { seq, at, fact: Fact::Sighted { mac, sight } });
        }
    }
    let last = LabTime(reel.frames.last().map_or(0, |(at, _)| *at));
    let of = |lab: &Lab| machines.iter().flat_map(|mac| boots_of(lab, *mac, last)).collect();
    Ok(Import {
        boots: lab.as_ref().map(of).unwrap_or_default(),
        frames: u64::try_from(reel.frames.len()).unwrap_or(u64::MAX),
        cut: observer.cut(),
        strange: strange + observer.strange(),
        left_out: all.len() - machines.len(),
        fault: reel.fault,
    })
}

fn boots_of(lab: &Lab, mac: MacAddr, now: LabTime) -> Vec<(MacAddr, Trace)> {
    let Some(machine) = name_of(mac).and_then(|name| lab.machines.get(&name)) else { return Vec::new() };
    let trace = |boot: model::Boot| Trace {
        node: machine.node.clone(),
        waterfall: waterfall_of(machine, &boot, now),
        boot,
    };
    machine.kept_boots().map(|boot| (mac, trace(boot))).collect()
}

/// The name of a machine of which only its address is known: `mac-52-54-00-12-34-56`.
fn name_of(mac: MacAddr) -> Option<NodeName> {
    format!("mac-{}", mac.to_string().replace(':', "-")).parse().ok()
}

/// A lab of these machines of which nothing else is known. As JSON, so that what is not said is as a lab file leaves it.
fn lab_of(machines: &[MacAddr], observer: &Observer) -> Option<LabSpec> {
    let node = |(mac, row): (&MacAddr, u8)| {
        let ip = observer.address_of(*mac).unwrap_or(Ipv4Addr::UNSPECIFIED);
        let power = PortRef { driver: "capture".parse().ok()?, port: row.to_string() };
        let at = Cell { column: 1, row };
        let spec = json!({ "at": at, "zone": null, "mac": mac, "ip": ip, "power": power, "memory": null, "firmware": null });
        Some((name_of(*mac)?.to_string(), spec))
    };
    let nodes: BTreeMap<String, serde_json::Value> = machines.iter().zip(1..).filter_map(node).collect();
    let none = Ipv4Addr::UNSPECIFIED;
    let network = json!({
        "interface": "", "subnet": none, "prefix": 8, "boss": none, "gateway": null, "dns": [], "pool": null,
        "dhcp": DhcpMode::Off, "lease_seconds": 0,
    });
    let spec = json!({
        "lab": "capture", "network": network, "power": {}, "board": { "columns": 1, "rows": u8::MAX, "nodes": nodes },
        "scenarios": {}, "limits": Limits::default(),
    });
    serde_json::from_value(spec).ok()
}

impl<'a> Reel<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, CaptureError> {
        let mut frames = Vec::new();
        let mut fault = None;
        for found in Capture::open(bytes)? {
            match found {
                Ok(captured) => frames.push(captured),
                Err(why) => fault = Some(why),
            }
        }
        // Captures of several interfaces are not always in order.
        frames.sort_by_key(|captured| captured.at_ns);
        let first = frames.first().map_or(0, |captured| captured.at_ns);
        let since = |captured: &Captured<'_>| captured.at_ns.saturating_sub(first) / 1_000_000;
        let frames = frames.into_iter().map(|captured| (since(&captured), captured)).collect();
        Ok(Self { frames, began_ms: first / 1_000_000, fault })
    }
}

/// What each machine of a capture asked, as test files: name and text.
///
/// # Errors
/// [`CaptureError`] when it is no capture.
pub fn tests_of(
    bytes: &[u8],
    source: &str,
    only: Option<MacAddr>,
) -> Result<Vec<(String, String)>, CaptureError> {
    let reel = Reel::read(bytes)?;
    let frames: Vec<_> =
        reel.frames.iter().filter_map(|(at, captured)| Some((*at, captured.ethernet()?))).collect();
    // The folder a capture lay in is nobody's business.
    let source = source.rsplit('/').next().unwrap_or(source);
    let scripts = sim::replay::record(frames.iter().map(|(at, frame)| (*at, &**frame)), source);
    let wanted = scripts.into_iter().filter(|script| only.is_none_or(|mac| mac == script.mac));
    Ok(wanted.map(|s| (format!("{}.replay", s.mac.to_string().replace(':', "-")), s.text())).collect())
}
