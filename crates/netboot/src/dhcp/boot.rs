//! What the engine is told of a board, and what each kind of client is given to boot.

use std::collections::BTreeMap;

use model::{Asset, BootAnswer, BootEntry, ClientKind, MacAddr, NetworkSpec, NtpMode, RelayedSubnet};
use wire::dhcp::proxy::Proxy;
use wire::dhcp::server::{Config, Network, Pool, Reservation};
use wire::dhcp::{Architecture, Boot, Caller, ControllerMark, IpxeFacts, OptionCode, Options};

use crate::board::Board;
use crate::counter::{Counter, Over, Served};
use crate::loaders::loader_names;
use crate::script::{asset_url, script_url};

pub(super) fn config_of(board: &Board, served: Served) -> Config {
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
        log_server: served.log.then_some(network.boss),
        lease_seconds: network.lease_seconds,
        pool: network.pool.map(|(first, last)| Pool { first, last }),
        reservations: table.nodes.iter().map(|entry| reserve(entry)).collect::<BTreeMap<_, _>>(),
        extra: told(network, served, extra(board)),
        relayed: network.relays.iter().map(relayed).collect(),
    }
}

fn relayed(relay: &RelayedSubnet) -> Network {
    Network {
        subnet: relay.subnet,
        prefix: relay.prefix,
        gateway: Some(relay.gateway),
        pool: relay.pool.map(|(first, last)| Pool { first, last }),
    }
}

/// What a proxy is told of a board.
pub(super) fn proxy_of(board: &Board) -> Proxy {
    Proxy { boss: board.table().network.boss, extra: extra(board) }
}

/// What every client is told beside its address: the lab's domain, and whose time to take. A proxy tells neither.
fn told(network: &NetworkSpec, served: Served, mut extra: Options) -> Options {
    if let Some(domain) = &network.domain {
        extra.set(OptionCode::DOMAIN_NAME, domain.as_bytes());
    }
    if served.ntp.four && network.ntp != NtpMode::Off {
        extra.set_address(OptionCode::TIME_SERVERS, network.boss);
    }
    extra
}

fn extra(board: &Board) -> Options {
    let mut extra = Options::new();
    extra.set(OptionCode::CONTROLLER, ControllerMark::of(board.table().lab.as_str()).bytes());
    extra
}

/// What this client boots; for an agent, which has booted already, where it reports.
pub(super) fn boot_of(counter: &Counter, board: &Board, mac: MacAddr, caller: &Caller) -> Boot {
    let server = board.table().network.boss;
    let tftp = |file: &str| Boot::Tftp { server, file: file.to_owned() };
    match caller.kind {
        ClientKind::UefiPxe if let Some(own) = counter.own_loader(board, mac, caller) => tftp(own),
        ClientKind::BiosPxe | ClientKind::UefiPxe => loader(counter, caller).map_or(Boot::Nothing, tftp),
        // A build that cannot run our scripts gets one that can.
        ClientKind::Ipxe if caller.ipxe.as_ref().is_some_and(is_too_old) => {
            loader(counter, caller).map_or(Boot::Nothing, tftp)
        }
        ClientKind::Ipxe => Boot::Http { url: script_url(counter, board, mac, Over::Four) },
        ClientKind::UefiHttp if let Some(own) = counter.own_loader(board, mac, caller) => {
            Boot::Http { url: format!("{}/{own}", counter.base_url(board)) }
        }
        ClientKind::UefiHttp => {
            let base = counter.base_url(board);
            let uki = board.entry(mac).and_then(|entry| match counter.answer_for(entry).as_ref() {
                BootAnswer::Run { image, .. } => image.uki.clone(),
                BootAnswer::Wait { .. } | BootAnswer::Disk { .. } => None,
            });
            // OVMF gives up at the first 503 and cannot wait: undecided, it gets a loader that can.
            let url = match uki {
                Some(uki) => Some(efi_url(&base, &uki)),
                None => loader(counter, caller).map(|name| format!("{base}/{name}")),
            };
            url.map_or(Boot::Nothing, |url| Boot::Http { url })
        }
        ClientKind::RaspberryPi | ClientKind::UBoot => Boot::Server { server },
        ClientKind::Agent | ClientKind::Loader | ClientKind::Kexec => {
            Boot::Http { url: counter.base_url(board) }
        }
        ClientKind::UnknownFirmware | ClientKind::Other => Boot::Nothing,
    }
}

/// File name of the loader for this client: of the first of its architectures for which there is one. Without any it
/// is told to the core.
fn loader(counter: &Counter, caller: &Caller) -> Option<&'static str> {
    let known: Vec<Architecture> = match (caller.archs.as_slice(), caller.arch) {
        // Firmware that does not say is x86: BIOS, or iPXE of a time when there was nothing else.
        ([], None) => vec![Architecture::BIOS],
        ([], Some(arch)) => vec![arch],
        (all, _) => all.to_vec(),
    };
    let families = known.iter().filter_map(|arch| arch.family());
    let found = families.into_iter().find_map(|family| counter.loaders.name_for(family));
    if found.is_none()
        && let Some((arch, family)) = known.iter().find_map(|arch| Some((*arch, arch.family()?)))
    {
        counter.note_loader_missing(arch.0, loader_names(family));
    }
    found
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
