//! The lab file as text, with the reasons beside what was decided.

use std::net::Ipv4Addr;

use model::MacAddr;

use super::segment::{Machine, Segment};
use super::suggest::Network;

/// One node of the lab file to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) mac: MacAddr,
    pub(super) ip: Ipv4Addr,
    /// Column and row, from 1.
    pub(super) at: (u8, u8),
    /// Driver and port.
    pub(super) power: String,
    /// What was seen of it, for a comment.
    pub(super) seen: String,
    /// What else its line says, with the comma before it.
    pub(super) more: String,
}

/// Everything that goes into the file.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) lab: &'a str,
    pub(super) network: &'a Network,
    pub(super) nodes: &'a [Node],
    pub(super) segment: &'a Segment,
    /// Comment lines that open the file.
    pub(super) head: &'a str,
    /// Lines below `groups:`; empty for no such section.
    pub(super) groups: &'a str,
    /// Lines below `scenarios:`.
    pub(super) scenarios: &'a str,
}

/// How a file of `init` begins.
pub(super) const HEAD: &str = "# Written by `labinator init`. `labinator check` names every mistake in it; `labinator serve --lab` runs it.\n";
/// The scenario of a file of `init`.
pub(super) const SCENARIOS: &str =
    "  all: { image: node, nodes: all } # `labinator image build` makes the image `node`\n";

impl Draft<'_> {
    /// The text; `dhcp` is the mode written into it.
    pub(super) fn text(&self, dhcp: &str) -> String {
        let mut text = self.head.to_owned();
        let mut line = |words: String| {
            text.push_str(words.trim_end());
            text.push('\n');
        };
        line(format!("lab: {}", self.lab));
        for words in self.network(dhcp) {
            line(words);
        }
        line("# What switches the machines. `manual`: the page says when to press which button.".to_owned());
        line("power:\n  hand: { driver: manual }".to_owned());
        let (columns, rows) =
            self.nodes.iter().fold((1, 1), |(c, r), node| (c.max(node.at.0), r.max(node.at.1)));
        line(format!(
            "board: # as the machines stand before you\n  columns: {columns}\n  rows: {rows}\n  nodes:"
        ));
        for node in self.nodes {
            line(format!("    # {}", node.seen));
            let (column, row) = node.at;
            line(format!(
                "    {}: {{ at: [{column}, {row}], mac: {}, ip: {}, power: {}{} }}",
                node.name, node.mac, node.ip, node.power, node.more
            ));
        }
        let left_out = |machine: &&&Machine| !self.nodes.iter().any(|node| node.mac == machine.mac);
        for machine in self.segment.candidates().iter().filter(left_out) {
            line(format!("    # heard, not taken: {}", described(machine)));
        }
        if !self.groups.is_empty() {
            line(format!("groups:\n{}", self.groups));
        }
        line(format!("scenarios:\n{}", self.scenarios));
        text
    }

    fn network(&self, dhcp: &str) -> Vec<String> {
        let network = self.network;
        let mut lines = vec!["network:".to_owned(), format!("  interface: {}", network.interface)];
        lines.push(format!("  subnet: {}/{}", network.subnet, network.prefix));
        if !network.boss_is_ours {
            let (boss, prefix, interface) = (network.boss, network.prefix, &network.interface);
            lines.push(format!("  # Not this machine's yet: ip address add {boss}/{prefix} dev {interface}"));
        }
        lines.push(format!("  boss: {}", network.boss));
        if let Some(gateway) = network.gateway {
            lines.push(format!("  gateway: {gateway}"));
        }
        if !network.dns.is_empty() {
            let dns: Vec<String> = network.dns.iter().map(ToString::to_string).collect();
            lines.push(format!("  dns: [{}]", dns.join(", ")));
        }
        for server in self.segment.servers.values() {
            lines.push(format!("  # Another DHCP server answers here: {} ({}).", server.address, server.mac));
        }
        if dhcp != network.dhcp {
            lines.push(format!(
                "  # `{}` would fit better; this version does not know it. With `off` the other server must name the loader.",
                network.dhcp
            ));
        }
        lines.push(format!("  dhcp: {dhcp}"));
        if let Some((first, last)) = network.pool.filter(|_| dhcp == "authoritative") {
            lines.push(format!("  pool: {first}-{last} # for machines that are not on the board"));
        }
        lines
    }
}

/// A machine in one line.
pub(super) fn described(machine: &Machine) -> String {
    let mut words = format!("{} {}", machine.mac, machine.vendor);
    let mut more = |text: String| words.extend([", ", text.as_str()]);
    if let Some(client) = machine.client {
        more(client.to_string());
    }
    if let Some(arch) = machine.arch {
        more(architecture(arch).map_or_else(|| format!("architecture {arch:#x}"), str::to_owned));
    }
    if let Some(address) = machine.address {
        more(address.to_string());
    }
    if let Some(host) = &machine.host {
        // A stranger chose it: nothing that could end the comment or move a cursor.
        more(host.chars().filter(|c| c.is_ascii_alphanumeric() || "-._".contains(*c)).take(40).collect());
    }
    words
}

/// Architecture types of option 93 (RFC 4578, IANA registry), as people call them.
fn architecture(number: u16) -> Option<&'static str> {
    Some(match number {
        0 => "x86 BIOS",
        6 | 0x0f => "x86 UEFI, 32 bits",
        7 | 9 | 0x10 => "x86-64 UEFI",
        0x0a | 0x12 => "arm UEFI, 32 bits",
        0x0b | 0x13 => "arm64 UEFI",
        0x29 => "Raspberry Pi",
        _ => return None,
    })
}
