//! The DHCP accent of each program: its timers, its options, what it accepts.

use std::net::Ipv4Addr;

use wire::dhcp::{Architecture, Message, OptionCode};

use crate::body::Body;
use crate::config::Ipxe;
use crate::manners::Manner;
use crate::step::Teller;

/// A program that speaks DHCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// A PXE ROM (PXE 2.1 section 2.2).
    PxeRom,
    /// EDK2 `UefiPxeBcDxe`.
    UefiPxe,
    /// EDK2 `HttpBootDxe`.
    UefiHttp,
    /// iPXE, under this firmware.
    Ipxe { version: Ipxe, uefi: bool },
    /// Our agent.
    Agent,
}

/// When a program stops looking for better offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Never before its timer fires: EDK2's `PxeBcDhcp4.c` and `HttpBootDhcp4.c` answer each offer
    /// with "not ready", and PXE 2.1 ROMs follow the same table.
    AtTimeout,
    /// At once when told not to look for a proxy server, or when one spoke; else when a timer
    /// fires after 2 s (iPXE `dhcp.c`, `DHCP_DISC_PROXY_TIMEOUT_SEC`).
    ProxyWindow,
    /// The first one.
    First,
}

const SPEC_LADDER: &[u64] = &[4000, 8000, 16_000, 32_000];

impl Program {
    pub(crate) const fn teller(self) -> Teller {
        match self {
            Self::PxeRom => Teller::PxeRom,
            Self::UefiPxe => Teller::UefiPxe,
            Self::UefiHttp => Teller::UefiHttp,
            Self::Ipxe { .. } => Teller::Ipxe,
            Self::Agent => Teller::Agent,
        }
    }

    /// Waits after each DISCOVER, in milliseconds.
    ///
    /// PXE 2.1 and EDK2 (`mPxeDhcpTimeout`): 4, 8, 16, 32 s. iPXE: 1, 2, 4, 8 s, since the next
    /// doubling passes `DHCP_DISC_END_TIMEOUT_SEC` 10. Agent: no end, see [`Program::is_patient`].
    pub(crate) const fn discover_ladder(self) -> &'static [u64] {
        match self {
            Self::PxeRom | Self::UefiPxe | Self::UefiHttp => SPEC_LADDER,
            Self::Ipxe { .. } | Self::Agent => &[1000, 2000, 4000, 8000],
        }
    }

    /// Waits after each REQUEST, in milliseconds. iPXE starts at its smallest timeout (0.25 s) because
    /// `DHCP_REQ_START_TIMEOUT_SEC` is 0.
    pub(crate) const fn request_ladder(self) -> &'static [u64] {
        match self {
            Self::PxeRom | Self::UefiPxe | Self::UefiHttp => SPEC_LADDER,
            Self::Ipxe { .. } => &[250, 500, 1000, 2000, 4000, 8000],
            Self::Agent => &[1000, 2000, 4000],
        }
    }

    /// True for a program that repeats its last wait for ever.
    pub(crate) const fn is_patient(self) -> bool {
        matches!(self, Self::Agent)
    }

    pub(crate) const fn choice(self) -> Choice {
        match self {
            Self::PxeRom | Self::UefiPxe | Self::UefiHttp => Choice::AtTimeout,
            Self::Ipxe { .. } => Choice::ProxyWindow,
            Self::Agent => Choice::First,
        }
    }

    /// True for stacks that cannot take unicast before they have an address. OVMF sets the flag, iPXE
    /// does not; our agent uses a plain socket and must.
    pub(crate) const fn needs_broadcast(self) -> bool {
        !matches!(self, Self::Ipxe { .. })
    }

    /// Writes the options this program sends with every DISCOVER and REQUEST.
    pub(crate) fn dress(self, message: &mut Message, body: &Body) {
        message.broadcast = self.needs_broadcast();
        let options = &mut message.options;
        match self {
            Self::Agent => {
                options.set_u16(OptionCode::MAX_SIZE, 1500);
                options.set(OptionCode::VENDOR_CLASS, model::AGENT_VENDOR_CLASS);
                options.set(OptionCode::PARAMETER_LIST, [1, 3, 6, 12, 15, 42, 51, 54]);
                if body.manners.has(Manner::ChangesClientId) {
                    // Systems: interface and DUID (RFC 4361).
                    options.set(OptionCode::CLIENT_ID, [255, 1, 2, 3, 4, 0, 2, 0, 0, 0xab, 0x11, 9, 8, 7]);
                }
                return;
            }
            Self::PxeRom => {
                options.set_u16(OptionCode::MAX_SIZE, 1260);
                options.set(OptionCode::PARAMETER_LIST, ROM_WISHES);
                options.set(OptionCode::NETWORK_INTERFACE, [1, 2, 1]);
                options.set(OptionCode::VENDOR_CLASS, "PXEClient:Arch:00000:UNDI:002001");
            }
            Self::UefiPxe => {
                options.set_u16(OptionCode::MAX_SIZE, 65_280);
                options.set(OptionCode::PARAMETER_LIST, ROM_WISHES);
                options.set(OptionCode::NETWORK_INTERFACE, [1, 3, 0]);
                let nine = body.manners.has(Manner::SaysArchitecture9);
                options.set(
                    OptionCode::VENDOR_CLASS,
                    if nine {
                        "PXEClient:Arch:00009:UNDI:003000"
                    } else {
                        "PXEClient:Arch:00007:UNDI:003000"
                    },
                );
            }
            Self::UefiHttp => {
                options.set_u16(OptionCode::MAX_SIZE, 65_280);
                options.set(OptionCode::PARAMETER_LIST, [1, 3, 6, 15, 54, 66, 67, 60, 43]);
                options.set(OptionCode::NETWORK_INTERFACE, [1, 3, 0]);
                options.set(OptionCode::VENDOR_CLASS, "HTTPClient:Arch:00016:UNDI:003000");
            }
            Self::Ipxe { version, uefi } => dress_ipxe(message, body, version, uefi),
        }
        let options = &mut message.options;
        let nine = body.manners.has(Manner::SaysArchitecture9) && self == Self::UefiPxe;
        let architecture = if nine { Architecture::EFI_X64 } else { self.architecture() };
        options.set_u16(OptionCode::ARCHITECTURES, architecture.0);
        let mut id = vec![0];
        id.extend_from_slice(&swap_uuid(body.config.uuid.0));
        if body.manners.has(Manner::ChangesClientId) && !options.has(OptionCode::CLIENT_ID) {
            options.set(OptionCode::CLIENT_ID, id.clone());
        }
        if !body.manners.has(Manner::NoOption97) {
            options.set(OptionCode::MACHINE_UUID, id);
        }
    }

    /// Waits after each DISCOVER of this machine.
    pub(crate) fn waits(self, body: &Body) -> &'static [u64] {
        match self {
            Self::Ipxe { .. } if body.manners.has(Manner::WaitsForProxy) => SPEC_LADDER,
            _ => self.discover_ladder(),
        }
    }

    const fn architecture(self) -> Architecture {
        match self {
            Self::UefiPxe => Architecture::EFI_BC,
            Self::UefiHttp => Architecture::HTTP_X64,
            Self::Ipxe { uefi, .. } if uefi => Architecture::EFI_BC,
            Self::PxeRom | Self::Ipxe { .. } | Self::Agent => Architecture::BIOS,
        }
    }

    /// True when this program can boot from, or live with, this one message alone.
    pub(crate) fn is_content_with(self, offer: &Message) -> bool {
        if offer.yiaddr.is_unspecified() || offer.options.address(OptionCode::SERVER_ID).is_none() {
            return false;
        }
        match self {
            Self::Agent | Self::Ipxe { .. } => true,
            Self::PxeRom => rom_boot(offer).is_some(),
            Self::UefiPxe => efi_boot(offer).is_some(),
            Self::UefiHttp => http_boot(offer).is_some(),
        }
    }
}

/// What PXE ROMs and EDK2 ask for (PXE 2.1 table 2-1).
const ROM_WISHES: [u8; 18] = [1, 2, 3, 5, 6, 12, 13, 15, 43, 54, 60, 66, 67, 97, 128, 129, 130, 135];

/// Options of iPXE: `dhcp_request_options_data` of `dhcp.c`, with its features inside 175.
fn dress_ipxe(message: &mut Message, body: &Body, version: Ipxe, uefi: bool) {
    let options = &mut message.options;
    options.set_u16(OptionCode::MAX_SIZE, 1472);
    options.set(OptionCode::NETWORK_INTERFACE, if uefi { [1, 3, 10] } else { [1, 2, 1] });
    let class = if uefi { "PXEClient:Arch:00007:UNDI:003010" } else { "PXEClient:Arch:00000:UNDI:002001" };
    options.set(OptionCode::VENDOR_CLASS, class);
    let ancient = body.runs_burnt_in && body.manners.has(Manner::IpxeLacksCommands);
    let without_http = body.runs_burnt_in && body.manners.has(Manner::IpxeLacksHttp);
    options.set(OptionCode::USER_CLASS, if ancient { "gPXE" } else { "iPXE" });
    options.set(
        OptionCode::PARAMETER_LIST,
        [1, 3, 6, 7, 12, 15, 17, 26, 43, 60, 66, 67, 119, 128, 129, 130, 131, 132, 133, 134, 135, 175, 203],
    );
    // Bus, then one sub-option of value 1 for each feature: HTTP, TFTP, DNS, menu, and bzImage or EFI.
    let mut own = vec![0xb1, 5, 1, 0x1a, 0xf4, 0x10, 0x00];
    for feature in [19, 21, 23, 39, if uefi { 36 } else { 24 }] {
        if feature != 19 || !without_http {
            own.extend_from_slice(&[feature, 1, 1]);
        }
    }
    let number = match version {
        _ if ancient => [0, 9, 9],
        Ipxe::Of2019 => [1, 0, 0],
        Ipxe::Of2025 => [2, 0, 0],
    };
    own.extend_from_slice(&[0xeb, 3]);
    own.extend_from_slice(&number);
    options.set(OptionCode::IPXE, own);
    let mut client = vec![1];
    client.extend_from_slice(&body.config.mac.0);
    options.set(OptionCode::CLIENT_ID, client);
}

/// Text order to SMBIOS order and back: the first three fields are little-endian on the wire.
pub(crate) const fn swap_uuid(u: [u8; 16]) -> [u8; 16] {
    model::MachineUuid::from_wire(u).0
}

/// TFTP server and file as a PXE ROM reads them: the fixed fields, else options 66 and 67 as C
/// strings. An option 67 without its NUL runs into the next byte, END, as in many a ROM.
pub(crate) fn rom_boot(offer: &Message) -> Option<(Ipv4Addr, Vec<u8>)> {
    let file = if offer.file.is_empty() {
        let mut name = offer.options.get(OptionCode::BOOT_FILE)?.to_vec();
        match name.iter().position(|b| *b == 0) {
            Some(end) => name.truncate(end),
            None => name.push(OptionCode::END.0),
        }
        name
    } else {
        offer.file.clone()
    };
    let server = [offer.siaddr].into_iter().find(|a| !a.is_unspecified())?;
    (!file.is_empty()).then_some((server, file))
}

/// TFTP server and file as EDK2 reads them (`PxeBcDhcp4BootInfo`): option 67 before `file`, `siaddr`
/// before the server's own address.
pub(crate) fn efi_boot(offer: &Message) -> Option<(Ipv4Addr, Vec<u8>)> {
    let file = match offer.options.text(OptionCode::BOOT_FILE) {
        Some(name) if !name.is_empty() => name.as_bytes().to_vec(),
        _ => offer.file.clone(),
    };
    let own = offer.options.address(OptionCode::SERVER_ID);
    let server = [Some(offer.siaddr), own].into_iter().flatten().find(|a| !a.is_unspecified())?;
    (!file.is_empty()).then_some((server, file))
}

/// The URL as EDK2's HTTP client reads it: only where the class was echoed (`HttpBootDhcp4.c`).
pub(crate) fn http_boot(offer: &Message) -> Option<String> {
    let class = offer.options.get(OptionCode::VENDOR_CLASS)?;
    if !class.starts_with(b"HTTPClient") {
        return None;
    }
    let url = match offer.options.text(OptionCode::BOOT_FILE) {
        Some(url) if !url.is_empty() => url.to_owned(),
        _ => String::from_utf8(offer.file.clone()).ok()?,
    };
    url.starts_with("http").then_some(url)
}

/// TFTP server as option 66 names it, where that is an address.
pub(crate) fn named_server(offer: &Message) -> Option<Ipv4Addr> {
    offer.options.text(OptionCode::BOOT_SERVER)?.trim_end_matches('\0').parse().ok()
}

/// True for an offer whose sender calls itself a PXE server.
pub(crate) fn is_pxe(offer: &Message) -> bool {
    offer.options.get(OptionCode::VENDOR_CLASS).is_some_and(|class| class.starts_with(b"PXEClient"))
}
