//! What the engine is told of a board, and what each kind of client is given to boot.

use std::collections::BTreeMap;

use model::{BootAnswer, BootEntry, ClientKind, Ipv6Spec, MacAddr, NetworkSpec, NtpMode};
use wire::dhcp6::server::{Boot, Config, Pool, Reservation};
use wire::dhcp6::{Caller, Options};

use crate::board::Board;
use crate::counter::{Counter, Over, Served};
use crate::dhcp::efi_url;
use crate::loaders::UEFI_LOADER;
use crate::script::script_url;

pub(super) fn config_of(board: &Board, served: Served) -> Option<Config> {
    let network = &board.table().network;
    let spec = network.ipv6.as_ref()?;
    let reserve = |entry: &BootEntry| {
        let address = entry.ip6?;
        Some((entry.mac, Reservation { address, host_name: Some(entry.node.to_string()) }))
    };
    Some(Config {
        boss: spec.boss,
        prefix: Ipv6Spec::PREFIX,
        dns: spec.dns.clone(),
        lease_seconds: network.lease_seconds,
        pool: spec.pool.map(|(first, last)| Pool { first, last }),
        reservations: board
            .table()
            .nodes
            .iter()
            .filter_map(|entry| reserve(entry))
            .collect::<BTreeMap<_, _>>(),
        extra: told(network, spec, served),
    })
}

/// What every client is told beside its address: whose time to take, and the lab's domain.
fn told(network: &NetworkSpec, spec: &Ipv6Spec, served: Served) -> Options {
    let mut told = Options::new();
    if served.ntp.six && network.ntp != NtpMode::Off {
        told.push_time_server(spec.boss);
    }
    if let Some(domain) = &network.domain {
        told.push_search(domain);
    }
    told
}

/// What this client boots: every URL with the boss's IPv6 address in it. A system has booted already; an agent is
/// told where to report, because a server of DHCPv6 has no address of its own.
pub(super) fn boot_of(counter: &Counter, board: &Board, mac: Option<MacAddr>, caller: &Caller) -> Boot {
    let base = counter.base_url_over(board, Over::Six);
    match (caller.kind, mac) {
        (ClientKind::UefiPxe, _) => match &board.table().network.ipv6 {
            Some(spec) => Boot::Url(format!("tftp://[{}]/{UEFI_LOADER}", spec.boss)),
            None => Boot::Nothing,
        },
        (ClientKind::Ipxe, Some(mac)) => Boot::Url(script_url(counter, board, mac, Over::Six)),
        (ClientKind::Ipxe, None) => Boot::Url(format!("{base}/autoexec.ipxe")),
        (ClientKind::UefiHttp, mac) => {
            let entry = mac.and_then(|mac| board.entry(mac));
            let uki = entry.and_then(|entry| match counter.answer_for(entry).as_ref() {
                BootAnswer::Run { image, .. } => image.uki.clone(),
                BootAnswer::Wait { .. } | BootAnswer::Disk { .. } => None,
            });
            // As over IPv4: undecided, it gets a loader that can wait.
            Boot::Url(uki.map_or_else(|| format!("{base}/{UEFI_LOADER}"), |uki| efi_url(&base, &uki)))
        }
        (ClientKind::Agent | ClientKind::Loader | ClientKind::Kexec, _) => Boot::Url(format!("{base}/")),
        // There is no PXE of a BIOS over IPv6.
        (
            ClientKind::BiosPxe
            | ClientKind::RaspberryPi
            | ClientKind::UBoot
            | ClientKind::UnknownFirmware
            | ClientKind::Other,
            _,
        ) => Boot::Nothing,
    }
}
