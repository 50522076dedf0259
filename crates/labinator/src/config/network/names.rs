//! Judging names and time: the lab's domain, who answers for it, and whose clock is served.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use model::{BoardSpec, DnsSpec, LabName, NetworkSpec, NtpMode};

use super::address;
use crate::config::fields::{Found, Typed};
use crate::config::file::{DnsBossFile, DnsFile, NetworkFile};
use crate::config::mistake::Mistake;

/// Longest name of DNS as text (RFC 1035 section 3.1), less a machine's name and its dot.
const LONGEST: usize = 253 - 25;
/// Names of the domain that are the boss's to give.
const TAKEN: [&str; 2] = ["boss", "apps"];

/// What a lab file says of names and time.
#[derive(Debug, Default)]
pub(in crate::config) struct Told {
    dns: Vec<Ipv4Addr>,
    domain: Option<String>,
    names: Option<DnsSpec>,
    ntp: NtpMode,
}

impl Told {
    /// Completes a network by it.
    pub(in crate::config) fn complete(self, network: NetworkSpec) -> NetworkSpec {
        let dns = if self.names.is_some() { vec![network.boss] } else { self.dns };
        let mut ipv6 = network.ipv6.clone();
        if let Some(six) = ipv6.as_mut().filter(|six| self.names.is_some() && six.dns.is_empty()) {
            six.dns.push(six.boss);
        }
        NetworkSpec { dns, ipv6, domain: self.domain, names: self.names, ntp: self.ntp, ..network }
    }
}

/// Judges names and time; what else is wrong with the network does not hide what is wrong here.
pub(in crate::config) fn names(
    file: &NetworkFile,
    (lab, board): (Option<&LabName>, Option<&BoardSpec>),
    found: &mut Found,
) -> Told {
    let mut told = Told {
        domain: file.domain.as_ref().and_then(|typed| domain(typed, found)),
        ntp: file.ntp.as_ref().and_then(|typed| ntp(typed, found)).unwrap_or_default(),
        ..Told::default()
    };
    let nothing = DnsBossFile::default();
    let boss = match &file.dns {
        Some(DnsFile::Off(_)) => None,
        Some(DnsFile::Others(servers)) => {
            let others = servers.value.iter().filter_map(|one| address("dns", one, found));
            told.dns = others.map(|one| one.value).collect();
            None
        }
        Some(DnsFile::Boss(boss)) => Some(boss),
        None => file.domain.as_ref().map(|_| &nothing),
    };
    let Some(boss) = boss else { return told };
    let itself = file.boss.as_ref().and_then(|typed| typed.value.parse::<Ipv4Addr>().ok());
    let own = || lab.map(|lab| format!("{lab}.internal"));
    if let Some(domain) = told.domain.clone().or_else(own) {
        let forward = boss.forward.iter().flat_map(|all| &all.value);
        let forward = forward.filter_map(|one| server(one, itself, found)).collect();
        let ingress = boss.ingress.iter().flat_map(|all| &all.value);
        let ingress = ingress.filter_map(|one| target(one, board, found)).collect();
        told.domain = Some(domain.clone());
        told.names = Some(DnsSpec { domain, forward, ingress });
    }
    for taken in TAKEN {
        if board.is_some_and(|board| board.nodes.keys().any(|node| node.as_str() == taken)) {
            let place = file.domain.as_ref().map_or(boss.place, |domain| domain.place);
            found.push(
                Mistake::new(
                    format!("no machine can be called `{taken}` in a lab with names"),
                    place,
                    format!("`{taken}` of this domain is the boss's own"),
                )
                .help("call the machine something else, or `dns: off`"),
            );
        }
    }
    told
}

/// A domain: labels of letters, digits and hyphens (RFC 1123 section 2.1), and not one that others answer.
fn domain(typed: &Typed<String>, found: &mut Found) -> Option<String> {
    let name = typed.value.trim_end_matches('.').to_ascii_lowercase();
    let label = |label: &str| {
        let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        plain && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    let wrong = if name.len() > LONGEST {
        "too long for a domain with machines in it"
    } else if !name.split('.').all(label) {
        "labels are letters, digits and hyphens, with dots between"
    } else if name == "local" || name.ends_with(".local") {
        "`.local` belongs to multicast DNS: systems never ask a server for it"
    } else if name.split('.').all(|label| label.bytes().all(|byte| byte.is_ascii_digit())) {
        "this reads as an address"
    } else {
        return Some(name);
    };
    found.push(
        Mistake::new(format!("`{}` is no domain for a lab", typed.value), typed.place, wrong)
            .help("for example `lab.internal`, or a name below a domain of your own"),
    );
    None
}

/// `ADDRESS` or `ADDRESS:PORT` of another name server.
fn server(typed: &Typed<String>, boss: Option<Ipv4Addr>, found: &mut Found) -> Option<SocketAddr> {
    let text = typed.value.trim();
    let server = text.parse::<SocketAddr>().ok();
    let server = server.or_else(|| text.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, 53)));
    match server {
        Some(server) if boss.is_some_and(|boss| server == SocketAddr::new(boss.into(), 53)) => {
            found.push(
                Mistake::new("the boss cannot forward to itself", typed.place, "this is the boss")
                    .help("name the servers of the uplink, such as those in /etc/resolv.conf"),
            );
            None
        }
        Some(server) if !server.ip().is_unspecified() && server.port() != 0 => Some(server),
        Some(_) | None => {
            found.push(
                Mistake::new(
                    format!("`{text}` is no name server"),
                    typed.place,
                    "not ADDRESS or ADDRESS:PORT",
                )
                .help("for example `9.9.9.9` or `10.0.0.1:5353`"),
            );
            None
        }
    }
}

/// A machine by its name, or an address.
fn target(typed: &Typed<String>, board: Option<&BoardSpec>, found: &mut Found) -> Option<Ipv4Addr> {
    if let Ok(address) = typed.value.parse() {
        return Some(address);
    }
    // A board that is wrong itself says so; its machines are not looked for.
    let board = board?;
    let node = board.nodes.iter().find(|(name, _)| name.as_str() == typed.value);
    if node.is_none() {
        found.push(
            Mistake::new(
                format!("`{}` is neither a machine nor an address", typed.value),
                typed.place,
                "`ingress` is machines or addresses",
            )
            .nearest(&typed.value, board.nodes.keys().map(model::NodeName::as_str), "machines"),
        );
    }
    node.map(|(_, node)| node.ip)
}

fn ntp(typed: &Typed<String>, found: &mut Found) -> Option<NtpMode> {
    match typed.value.as_str() {
        "auto" => Some(NtpMode::Auto),
        "trust" => Some(NtpMode::Trust),
        "off" => Some(NtpMode::Off),
        word => {
            found.push(
                Mistake::new(format!("`{word}` is no way to serve time"), typed.place, "not known").nearest(
                    word,
                    ["auto", "trust", "off"],
                    "ways",
                ),
            );
            None
        }
    }
}
