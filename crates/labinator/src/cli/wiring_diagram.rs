//! `show wiring`: what hangs on what, drawn from the lab file as SVG, for the inside of the lab's lid.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use model::{LabSpec, NodeName, NodeSpec, PowerDriver};

use super::{Failure, Globals, out};
use crate::config;

/// What can be shown of a lab file.
#[derive(Debug, Clone, Subcommand)]
pub enum ShowVerb {
    /// Draw which machine hangs on which power port, with its place, zone, address and Ethernet address, as SVG
    Wiring(WiringArgs),
}

/// Options of `show wiring`.
#[derive(Debug, Clone, Args)]
pub struct WiringArgs {
    /// The lab file
    #[arg(default_value = "lab.yaml")]
    pub lab: PathBuf,
    /// The file that is written [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Shows something of a lab file.
///
/// # Errors
/// The lab file has mistakes, or nothing can be written.
pub fn show(_: &Globals, verb: ShowVerb) -> Result<(), Failure> {
    let ShowVerb::Wiring(WiringArgs { lab, out }) = verb;
    let spec = config::load(&lab).map_err(|mistakes| Failure::Usage(mistakes.to_string()))?;
    let drawn = diagram(&spec);
    match out {
        None => out::print(&drawn),
        Some(file) => {
            let written = std::fs::write(&file, drawn);
            written.map_err(|why| Failure::failed(format!("{}: {why}", file.display())))
        }
    }
}

/// Width of a column of boxes, and of the gap in which wires run.
const COLUMN: usize = 250;
const GAP: usize = 150;
/// Height of a line of text, of a port, and of a machine.
const LINE: usize = 16;
const PORT: usize = 26;
const BAY: usize = 66;
/// Between boxes, and around everything.
const SPACE: usize = 18;
const MARGIN: usize = 24;
const HEAD: usize = 56;

/// Colours of wires, in turn, far enough apart to follow one through a bundle.
const WIRES: [&str; 8] =
    ["#1f6fb5", "#c2571a", "#2f8f4e", "#9a3fa0", "#b8860b", "#b03048", "#16808a", "#5a5fc7"];

/// A device with its ports.
struct Device {
    name: String,
    about: String,
    ports: Vec<String>,
}

/// The whole drawing: devices at the left, machines at the right in the board's order, one wire a port.
fn diagram(spec: &LabSpec) -> String {
    let machines: Vec<(&NodeName, &NodeSpec)> = in_board_order(spec);
    let devices = devices(spec, &machines);
    let machine_x = MARGIN + COLUMN + GAP;
    let width = machine_x + COLUMN + 90 + MARGIN;
    let mut drawn = Vec::new();
    let mut ends = Vec::new();
    let mut y = HEAD + MARGIN;
    for device in &devices {
        let height = LINE * 2 + 12 + device.ports.len() * PORT;
        drawn.push(card((MARGIN, y, COLUMN, height), "#eef2f7"));
        drawn.push(text((MARGIN + 12, y + 20), "name", &device.name));
        drawn.push(text((MARGIN + 12, y + 37), "small", &device.about));
        for (at, port) in device.ports.iter().enumerate() {
            let middle = y + LINE * 2 + 18 + at * PORT;
            drawn.push(text_before((MARGIN + COLUMN - 18, middle + 4), "port", port));
            drawn
                .push(format!("<circle cx=\"{}\" cy=\"{middle}\" r=\"5\" class=\"plug\"/>", MARGIN + COLUMN));
            ends.push((format!("{}/{port}", device.name), middle));
        }
        y += height + SPACE;
    }
    let devices_end = y;
    let mut y = HEAD + MARGIN;
    for (at, (name, node)) in machines.iter().enumerate() {
        drawn.push(machine((machine_x, y), name, node));
        let middle = y + BAY / 2;
        let port = node.power.to_string();
        if let Some((_, from)) = ends.iter().find(|(end, _)| *end == port) {
            let wire = WIRES.get(at % WIRES.len()).copied().unwrap_or("#333");
            drawn.push(bend((MARGIN + COLUMN, *from), (machine_x, middle), wire));
        }
        y += BAY + SPACE;
    }
    let height = devices_end.max(y) + MARGIN;
    let boss = format!(
        "boss {} on {} · {}/{}",
        spec.network.boss, spec.network.interface, spec.network.subnet, spec.network.prefix
    );
    let head = [text((MARGIN, 32), "title", &spec.lab.to_string()), text((MARGIN, 52), "small", &boss)];
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\">\n<style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{}\n{}\n</svg>\n",
        head.join("\n"),
        drawn.join("\n")
    )
}

const STYLE: &str = "text{font-family:sans-serif;font-size:12px;fill:#1a2230}.title{font-size:22px;font-weight:bold}\
.name{font-size:14px;font-weight:bold}.small{fill:#566270}.port{font-family:monospace}.zone{font-weight:bold}\
.wire{fill:none;stroke-width:3}.plug{fill:#fff;stroke:#566270;stroke-width:2}";

/// Machines of metal by row, then column.
fn in_board_order(spec: &LabSpec) -> Vec<(&NodeName, &NodeSpec)> {
    let mut machines: Vec<_> = spec.board.nodes.iter().filter(|(_, node)| node.guest.is_none()).collect();
    machines.sort_by_key(|(_, node)| (node.at.row, node.at.column));
    machines
}

/// Everything that switches a machine, with the ports that are used or must not be.
fn devices(spec: &LabSpec, machines: &[(&NodeName, &NodeSpec)]) -> Vec<Device> {
    let used = spec.power.iter().map(|(name, driver)| {
        let ports = machines.iter().filter(|(_, node)| node.power.driver == *name);
        let mut ports: Vec<String> = ports.map(|(_, node)| node.power.port.clone()).collect();
        let about = match driver {
            PowerDriver::Virtual { .. } => "virtual machines of the boss".to_owned(),
            PowerDriver::Manual => "a person presses the button".to_owned(),
            PowerDriver::Guests => "hypervisors".to_owned(),
            PowerDriver::Device(device) => {
                ports.extend(device.protect.iter().map(|port| format!("{port} (protected)")));
                device.kind.word().to_owned()
            }
        };
        // Numbers as numbers: 2 before 10.
        ports.sort_by_key(|port| {
            let digits: String = port.chars().take_while(char::is_ascii_digit).collect();
            (digits.parse::<u32>().unwrap_or(u32::MAX), port.clone())
        });
        Device { name: name.to_string(), about, ports }
    });
    used.filter(|device| !device.ports.is_empty()).collect()
}

fn machine((x, y): (usize, usize), name: &NodeName, node: &NodeSpec) -> String {
    let mut parts = vec![card((x, y, COLUMN, BAY), "#f7f4ec"), text((x + 14, y + 22), "name", name.as_str())];
    parts.push(text((x + 14, y + 40), "port", &node.ip.to_string()));
    parts.push(text((x + 14, y + 56), "port", &node.mac.to_string()));
    let place = format!("column {}, row {}", node.at.column, node.at.row);
    parts.push(text((x + COLUMN + 10, y + 28), "small", &place));
    if let Some(zone) = node.zone {
        parts.push(text((x + COLUMN + 10, y + 46), "zone", &format!("zone {zone}")));
    }
    parts.push(format!("<circle cx=\"{x}\" cy=\"{}\" r=\"5\" class=\"plug\"/>", y + BAY / 2));
    parts.join("\n")
}

fn card((x, y, w, h): (usize, usize, usize, usize), fill: &str) -> String {
    format!(
        "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"6\" fill=\"{fill}\" stroke=\"#b8c2cc\"/>"
    )
}

fn bend((x, y): (usize, usize), (to_x, to_y): (usize, usize), color: &str) -> String {
    let middle = usize::midpoint(x, to_x);
    format!(
        "<path class=\"wire\" stroke=\"{color}\" d=\"M{x} {y} C{middle} {y} {middle} {to_y} {to_x} {to_y}\"/>"
    )
}

fn text((x, y): (usize, usize), class: &str, text: &str) -> String {
    format!("<text x=\"{x}\" y=\"{y}\" class=\"{class}\">{}</text>", escaped(text))
}

fn text_before((x, y): (usize, usize), class: &str, text: &str) -> String {
    format!("<text x=\"{x}\" y=\"{y}\" class=\"{class}\" text-anchor=\"end\">{}</text>", escaped(text))
}

/// Text between tags (XML 1.0, section 2.4).
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAB: &str = "
lab: wall
network: { interface: eth1, subnet: 10.20.0.0/24, boss: 10.20.0.1, dhcp: authoritative }
power:
  relays: { driver: relayinator, device: /dev/ttyUSB0, protect: [7] }
  desk: { driver: manual }
board:
  columns: 2
  nodes:
    left: { at: [1, 1], zone: 1, mac: 52:54:00:aa:00:01, ip: 10.20.0.11, power: relays/2 }
    right: { at: [2, 1], zone: 2, mac: 52:54:00:aa:00:02, ip: 10.20.0.12, power: relays/1 }
scenarios: { all: { image: node, nodes: all } }
";

    fn drawn() -> String {
        let folder = std::env::temp_dir().join(format!("wiring-diagram-{}.yaml", std::process::id()));
        std::fs::write(&folder, LAB).unwrap();
        let spec = config::load(&folder).unwrap();
        std::fs::remove_file(&folder).unwrap();
        diagram(&spec)
    }

    #[test]
    fn every_machine_has_a_wire_to_its_own_port_and_a_protected_port_has_none() {
        let svg = drawn();
        assert_eq!(svg.matches("class=\"wire\"").count(), 2);
        for text in [
            ">left<",
            ">right<",
            ">10.20.0.11<",
            ">52:54:00:aa:00:02<",
            ">7 (protected)<",
            ">zone 2<",
            ">column 1, row 1<",
        ] {
            assert!(svg.contains(text), "{text}");
        }
        // A driver without a machine is not drawn.
        assert!(!svg.contains(">desk<"));
        // Port 1 stands over port 2, and the first machine's wire begins at the second.
        let place = |text: &str| svg.lines().position(|line| line.contains(text)).unwrap();
        assert!(place(">1<") < place(">2<"));
        let starts: Vec<&str> = svg.lines().filter(|line| line.contains("class=\"wire\"")).collect();
        let begins = |line: &str| -> usize {
            line.split(" d=\"M").nth(1).unwrap().split(' ').nth(1).unwrap().parse().unwrap()
        };
        assert!(begins(starts[0]) > begins(starts[1]), "{starts:?}");
    }

    #[test]
    fn a_name_cannot_break_out_of_its_tag() {
        assert_eq!(escaped("<b>&"), "&lt;b&gt;&amp;");
    }
}
