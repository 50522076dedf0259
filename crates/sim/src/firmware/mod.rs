//! The firmware's boot order: one network entry after another until one starts something.
//!
//! ```text
//!   entry ─▶ DHCP or DHCPv6 ─▶ TFTP (probe, abort, request) ─▶ loader or EFI program
//!     ▲  │                └──▶ HTTP (HEAD, GET) ─────────────▶ loader or EFI program
//!     └──┴── no answer, no file, first refusal: next entry, at the end "gave up"
//! ```

mod boot_server;
mod http_boot;
mod six;

use std::net::IpAddr;

use crate::body::{Body, Datagram, Handover, Input, KernelStart, Next, Source};
use crate::config::Kind;
use crate::download::{Download, Fetched, Style};
use crate::exchange::{Exchange, Lease, Verdict};
use crate::exchange6::Exchange6;
use crate::manners::Manner;
use crate::program::{Program, efi_boot, http_boot as boot_url, named_server, rom_boot};
use crate::step::Step;
use boot_server::{BootServer, Told};
use http_boot::{HttpBoot, Loaded};

/// An entry of the boot order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// A card's PXE ROM.
    Rom,
    /// PXE over IPv4.
    Pxe4,
    /// PXE over IPv6. In a lab without IPv6 it costs 60 s.
    Pxe6,
    /// HTTP over IPv4.
    Http4,
    /// HTTP over IPv6.
    Http6,
}

impl Entry {
    /// The order of a machine that begins with IPv6.
    const fn six_first(kind: Kind) -> &'static [Self] {
        match kind {
            Kind::UefiPxe => &[Self::Pxe6, Self::Http6, Self::Pxe4, Self::Http4],
            Kind::UefiHttp => &[Self::Http6, Self::Http4],
            Kind::BiosPxe | Kind::BiosIpxeRom => Self::order(kind),
        }
    }

    /// OVMF's order without its switches (metal-stack/mini-lab#196), and what other setups leave.
    const fn order(kind: Kind) -> &'static [Self] {
        match kind {
            Kind::BiosPxe => &[Self::Rom],
            Kind::UefiPxe => &[Self::Pxe4, Self::Pxe6, Self::Http4, Self::Http6],
            Kind::UefiHttp => &[Self::Http4, Self::Http6],
            Kind::BiosIpxeRom => &[],
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Rom => "PXE ROM",
            Self::Pxe4 => "UEFI PXEv4",
            Self::Pxe6 => "UEFI PXEv6",
            Self::Http4 => "UEFI HTTPv4",
            Self::Http6 => "UEFI HTTPv6",
        }
    }

    const fn program(self) -> Program {
        match self {
            Self::Rom => Program::PxeRom,
            Self::Pxe4 | Self::Pxe6 => Program::UefiPxe,
            Self::Http4 | Self::Http6 => Program::UefiHttp,
        }
    }

    const fn is_six(self) -> bool {
        matches!(self, Self::Pxe6 | Self::Http6)
    }
}

/// Loading and checking an EFI program or a boot sector before it runs.
const START_MS: (u64, u64) = (50, 250);

#[derive(Debug)]
enum Doing {
    Nothing,
    Dhcp { exchange: Exchange, entry: Entry },
    Dhcp6 { exchange: Exchange6, entry: Entry },
    BootServer { asks: Box<BootServer>, entry: Entry },
    Tftp { download: Box<Download>, server: IpAddr, file: String },
    Http { boot: Box<HttpBoot> },
    Starting { until: u64, what: What },
}

/// What was fetched.
#[derive(Debug, Clone)]
enum What {
    Loader(Handover),
    Program,
}

/// The firmware while it looks for something to boot.
#[derive(Debug)]
pub(crate) struct Rom {
    left: &'static [Entry],
    doing: Doing,
    uefi: bool,
}

impl Rom {
    /// Starts with the first entry of the boot order.
    pub(crate) fn start(body: &mut Body, now: u64) -> Self {
        let kind = body.config.kind;
        let six_first = body.manners.has(Manner::StartsWithIpv6);
        let left = if six_first { Entry::six_first(kind) } else { Entry::order(kind) };
        let mut rom = Self { left, doing: Doing::Nothing, uefi: body.config.is_uefi() };
        // The order is never empty for a machine that has this firmware, so this never gives up.
        rom.walk_on(body, now);
        rom
    }

    /// Tries the next entry.
    pub(crate) fn walk_on(&mut self, body: &mut Body, now: u64) -> Next {
        let Some((entry, left)) = self.left.split_first() else { return Next::GaveUp };
        self.left = left;
        body.forget_network();
        body.note(now, Step::Tries(entry.name()));
        body.print(format!(">>Start {}.", entry.name()));
        let (entry, program) = (*entry, entry.program());
        self.doing = if entry.is_six() {
            Doing::Dhcp6 { exchange: Exchange6::start(program, body, now), entry }
        } else {
            Doing::Dhcp { exchange: Exchange::start(program, body, now), entry }
        };
        Next::Stay
    }

    pub(crate) fn wake_at(&self) -> Option<u64> {
        match &self.doing {
            Doing::Nothing => None,
            Doing::Starting { until, .. } => Some(*until),
            Doing::Dhcp { exchange, .. } => exchange.wake_at(),
            Doing::Dhcp6 { exchange, .. } => exchange.wake_at(),
            Doing::BootServer { asks, .. } => Some(asks.wake_at()),
            Doing::Tftp { download, .. } => download.wake_at(),
            Doing::Http { boot } => boot.wake_at(),
        }
    }

    pub(crate) fn take(&mut self, body: &mut Body, input: &Input<'_>, now: u64) -> Next {
        match input {
            Input::Time => self.on_time(body, now),
            Input::Udp(udp) => self.on_udp(body, udp, now),
            Input::Http(id, event) => {
                let Doing::Http { boot } = &mut self.doing else { return Next::Stay };
                let loaded = boot.on_http(body, *id, event, now);
                self.after_http(loaded, body, now)
            }
            Input::Router(_) => Next::Stay,
        }
    }

    fn on_time(&mut self, body: &mut Body, now: u64) -> Next {
        match &mut self.doing {
            Doing::Nothing => Next::Stay,
            Doing::Dhcp { exchange, entry } => {
                let entry = *entry;
                let verdict = exchange.on_time(body, now);
                self.after_dhcp(verdict, entry, body, now)
            }
            Doing::Dhcp6 { exchange, entry } => {
                let entry = *entry;
                let verdict = exchange.on_time(body, now);
                self.after_dhcp6(verdict, entry, body, now)
            }
            Doing::BootServer { asks, entry } => {
                let entry = *entry;
                let told = asks.on_time(body, now);
                self.after_boot_server(told, entry, body, now)
            }
            Doing::Tftp { download, .. } => {
                let fetched = download.on_time(body, now);
                self.after_tftp(&fetched, body, now)
            }
            Doing::Http { boot } => {
                let loaded = boot.on_time(body, now);
                self.after_http(loaded, body, now)
            }
            Doing::Starting { until, what } => {
                if *until > now {
                    return Next::Stay;
                }
                match what.clone() {
                    What::Loader(handover) => Next::Loader(handover),
                    What::Program => Next::Kernel(KernelStart { args: String::new(), initrds: Vec::new() }),
                }
            }
        }
    }

    fn on_udp(&mut self, body: &mut Body, udp: &Datagram<'_>, now: u64) -> Next {
        match &mut self.doing {
            Doing::Dhcp { exchange, entry } => {
                let entry = *entry;
                let verdict = exchange.on_udp(body, udp, now);
                self.after_dhcp(verdict, entry, body, now)
            }
            Doing::Dhcp6 { exchange, entry } => {
                let entry = *entry;
                let verdict = exchange.on_udp(body, udp, now);
                self.after_dhcp6(verdict, entry, body, now)
            }
            Doing::BootServer { asks, entry } => {
                let entry = *entry;
                let told = asks.on_udp(udp);
                self.after_boot_server(told, entry, body, now)
            }
            Doing::Tftp { download, .. } => {
                let fetched = download.on_udp(body, udp, now);
                self.after_tftp(&fetched, body, now)
            }
            Doing::Nothing | Doing::Http { .. } | Doing::Starting { .. } => Next::Stay,
        }
    }

    fn after_dhcp(&mut self, verdict: Verdict, entry: Entry, body: &mut Body, now: u64) -> Next {
        let lease = match verdict {
            Verdict::Pending => return Next::Stay,
            Verdict::Bound(lease) => lease,
            Verdict::GaveUp => {
                body.print("PXE-E16: No valid offer received.");
                return self.walk_on(body, now);
            }
        };
        if entry == Entry::Http4 {
            let Some(url) = boot_url(&lease.boot) else { return self.refuse("no URL in the ACK", body, now) };
            self.doing = Doing::Http { boot: Box::new(HttpBoot::start(&url, body, now)) };
            return Next::Stay;
        }
        // Firmware that put two offers together asks by itself where the second left it open.
        let merged = lease.boot.yiaddr.is_unspecified();
        if (merged || body.manners.has(Manner::AsksPort4011)) && BootServer::is_needed(&lease) {
            let asks = Box::new(BootServer::start(entry.program(), lease, body, now));
            self.doing = Doing::BootServer { asks, entry };
            return Next::Stay;
        }
        self.fetch(&lease, entry, body, now)
    }

    fn after_boot_server(&mut self, told: Told, entry: Entry, body: &mut Body, now: u64) -> Next {
        match told {
            Told::Pending => Next::Stay,
            Told::Answer(lease) => self.fetch(&lease, entry, body, now),
            Told::Nothing => {
                let why = "PXE-E55: ProxyDHCP service did not reply to request on port 4011";
                self.refuse(why, body, now)
            }
        }
    }

    fn fetch(&mut self, lease: &Lease, entry: Entry, body: &mut Body, now: u64) -> Next {
        let told = if entry == Entry::Rom { rom_boot(&lease.boot) } else { efi_boot(&lease.boot) };
        let Some((server, name)) = told else { return self.refuse("no file in the ACK", body, now) };
        let named = named_server(&lease.boot);
        let server = match named {
            Some(named) if body.manners.has(Manner::WantsOption66) => named,
            None if body.manners.has(Manner::WantsOption66) => {
                return self.refuse("no TFTP server in option 66", body, now);
            }
            _ => server,
        };
        // A name with bytes that are no text is asked for as well as it can be, and not found.
        let file = String::from_utf8_lossy(&name).into_owned();
        let style = if entry == Entry::Rom { Style::PxeRom } else { Style::Edk2 };
        self.fetch_by_tftp(style, (server.into(), file), body, now)
    }

    fn fetch_by_tftp(
        &mut self,
        style: Style,
        (server, file): (IpAddr, String),
        body: &mut Body,
        now: u64,
    ) -> Next {
        let download = Box::new(Download::start(style, server, &file, body, now));
        self.doing = Doing::Tftp { download, server, file };
        Next::Stay
    }

    fn after_tftp(&mut self, fetched: &Fetched, body: &mut Body, now: u64) -> Next {
        match fetched {
            Fetched::Pending => Next::Stay,
            Fetched::Failed(why) => self.refuse(why, body, now),
            Fetched::Done(_) => {
                let Doing::Tftp { server, file, .. } = &self.doing else { return Next::Stay };
                let (address, file, server) = (body.address, file.clone(), *server);
                let source = Source::Tftp { server, file: file.clone() };
                let server_mac = body.mac_of(server);
                self.begin(&file, Handover { address, source, server_mac, uefi: self.uefi }, body, now)
            }
        }
    }

    fn after_http(&mut self, loaded: Loaded, body: &mut Body, now: u64) -> Next {
        match loaded {
            Loaded::Pending => Next::Stay,
            Loaded::Failed(why) => self.refuse(&why, body, now),
            Loaded::Done => {
                let Doing::Http { boot } = &self.doing else { return Next::Stay };
                let file = boot.file().to_owned();
                let (address, source) = (body.address, Source::Http(file.clone()));
                let handover = Handover { address, source, server_mac: None, uefi: self.uefi };
                self.begin(&file, handover, body, now)
            }
        }
    }

    /// Starts what was fetched. Its name tells what it is: content is not looked at, so that a test
    /// may serve any bytes. Loaders have `ipxe`, `snponly` or `undionly` in their names, and `.efi`
    /// under UEFI is otherwise a kernel with everything inside (UKI).
    fn begin(&mut self, file: &str, handover: Handover, body: &mut Body, now: u64) -> Next {
        let name = file.rsplit('/').next().unwrap_or(file);
        let is_loader = ["ipxe", "snponly", "undionly", "pxe.lkrn"].iter().any(|part| name.contains(part));
        let what = if is_loader {
            What::Loader(handover)
        } else if self.uefi && (name.ends_with(".efi") || name.ends_with(".uki")) {
            What::Program
        } else {
            return self.refuse(&format!("{name} is no boot program"), body, now);
        };
        let until = now + body.dice.between(START_MS.0, START_MS.1);
        self.doing = Doing::Starting { until, what };
        Next::Stay
    }

    fn refuse(&mut self, why: &str, body: &mut Body, now: u64) -> Next {
        body.print(why);
        body.note(now, Step::Failed(why.to_owned()));
        self.walk_on(body, now)
    }
}
