//! What the engine is told of a board, and what each kind of client is given to boot.

use std::collections::BTreeMap;

use model::{Asset, BootAnswer, BootEntry, ClientKind, MacAddr};
use wire::dhcp::server::{Boot, Config, Pool, Reservation};
use wire::dhcp::{Architecture, Caller, IpxeFacts, Options};

use crate::board::Board;
use crate::counter::{Counter, Over};
use crate::loaders::{BIOS_LOADER, UEFI_LOADER};
use crate::script::{asset_url, script_url};

pub(super) fn config_of(board: &Board) -> Config {
    let table = board.table();
    let network = &table.network;
    let reserve = |entry: &BootEntry| {
        let host_name = Some(entry.node.to_string());
        (entry.mac, Reservation { address: entry.ip, host_name })
    };
    Config {
        boss: network.boss,
        prefix: network.prefix,
        gateway: network.gateway,
        dns: network.dns.clone(),
        lease_seconds: network.lease_seconds,
        pool: network.pool.map(|(first, last)| Pool { first, last }),
        reservations: table.nodes.iter().map(|entry| reserve(entry)).collect::<BTreeMap<_, _>>(),
        extra: Options::default(),
    }
}

/// What this client boots. Systems and agents have booted already.
pub(super) fn boot_of(counter: &Counter, board: &Board, mac: MacAddr, caller: &Caller) -> Boot {
    let tftp = |file: &str| Boot::Tftp { server: board.table().network.boss, file: file.to_owned() };
    match caller.kind {
        ClientKind::BiosPxe => tftp(BIOS_LOADER),
        ClientKind::UefiPxe => tftp(UEFI_LOADER),
        // A build that cannot run our scripts gets one that can.
        ClientKind::Ipxe if caller.ipxe.as_ref().is_some_and(is_too_old) => {
            tftp(if caller.arch == Some(Architecture::BIOS) { BIOS_LOADER } else { UEFI_LOADER })
        }
        ClientKind::Ipxe => Boot::Http { url: script_url(counter, board, mac, Over::Four) },
        ClientKind::UefiHttp => {
            let base = counter.base_url(board);
            let uki = board.entry(mac).and_then(|entry| match counter.answer_for(entry).as_ref() {
                BootAnswer::Run { image, .. } => image.uki.clone(),
                BootAnswer::Wait { .. } | BootAnswer::Disk { .. } => None,
            });
            // OVMF gives up at the first 503 and cannot wait: undecided, it gets a loader that can.
            let url = uki.map_or_else(|| format!("{base}/{UEFI_LOADER}"), |uki| efi_url(&base, &uki));
            Boot::Http { url }
        }
        ClientKind::RaspberryPi
        | ClientKind::UBoot
        | ClientKind::Agent
        | ClientKind::UnknownFirmware
        | ClientKind::Other => Boot::Nothing,
    }
}

/// True for a burnt-in build without HTTP, and for gPXE (versions 0.9), which knows no `sleep` and no `goto`
/// (siderolabs/sidero#1123, warewulf/warewulf#689).
fn is_too_old(ipxe: &IpxeFacts) -> bool {
    let without_http = !ipxe.features.is_empty() && !ipxe.has_http();
    without_http || ipxe.version.starts_with("0.")
}

/// EDK2 tells a program from a disk image by the end of its name.
pub(crate) fn efi_url(base: &str, uki: &Asset) -> String {
    let url = asset_url(base, uki);
    if url.ends_with(".efi") { url } else { url + ".efi" }
}
