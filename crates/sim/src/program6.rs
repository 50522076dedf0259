//! The DHCPv6 accent of each program: its timers, its identifier, its options, what it accepts.

use wire::dhcp6::{Duid, INTEL, Message, OURS, OptionCode};

use crate::body::Body;
use crate::program::{Program, swap_uuid};

impl Program {
    /// Waits after each SOLICIT or INFORMATION-REQUEST, in milliseconds. EDK2's boot clients: 4 s doubling, four times
    /// (`PxeBcDhcp6.c`, `HttpBootDhcp6.c`: `Irt` 4, `Mrc` 4, `Mrt` 32). iPXE: its retry timer from a quarter of a
    /// second up to 10 s (`net/udp/dhcpv6.c`), which ends after 15.75 s.
    pub(crate) const fn discover_ladder6(self) -> &'static [u64] {
        match self {
            Self::PxeRom | Self::UefiPxe | Self::UefiHttp => &[4000, 8000, 16_000, 32_000],
            Self::Ipxe { .. } => &[250, 500, 1000, 2000, 4000, 8000],
            Self::Agent => &[1000, 2000, 4000, 8000],
        }
    }

    /// Waits after each REQUEST, in milliseconds. EDK2's are the RFC's (section 7.6, `REQ_TIMEOUT` 1 s, `REQ_MAX_RT`
    /// 30 s, `REQ_MAX_RC` 10).
    pub(crate) const fn request_ladder6(self) -> &'static [u64] {
        match self {
            Self::PxeRom | Self::UefiPxe | Self::UefiHttp => {
                &[1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000, 30_000, 30_000]
            }
            Self::Ipxe { .. } | Self::Agent => self.discover_ladder6(),
        }
    }

    /// What it calls itself: EDK2 by the machine's UUID (RFC 6355) as SMBIOS has it, the others by the Ethernet address.
    pub(crate) fn duid(self, body: &Body) -> Duid {
        match self {
            Self::PxeRom | Self::UefiPxe | Self::UefiHttp => Duid::of_uuid(swap_uuid(body.config.uuid.0)),
            Self::Ipxe { .. } | Self::Agent => Duid::of_mac(body.config.mac),
        }
    }

    /// Writes the options this program sends with every message.
    pub(crate) fn dress6(self, message: &mut Message) {
        let options = &mut message.options;
        let firmware = [OptionCode::BOOT_URL, OptionCode::BOOT_PARAMETERS, OptionCode::NAME_SERVERS];
        let (architecture, class) = match self {
            Self::PxeRom | Self::UefiPxe => (7_u16, "PXEClient:Arch:00007:UNDI:003016"),
            Self::UefiHttp => (16, "HTTPClient:Arch:00016:UNDI:003001"),
            Self::Ipxe { .. } => {
                options.push_wishes(&[OptionCode::NAME_SERVERS, OptionCode::BOOT_URL]);
                return options.push_user_class(b"iPXE");
            }
            Self::Agent => {
                options.push_wishes(&[OptionCode::NAME_SERVERS, OptionCode::BOOT_URL]);
                return options.push_vendor_class(OURS, model::AGENT_VENDOR_CLASS.as_bytes());
            }
        };
        options.push_wishes(&firmware);
        options.push(OptionCode::INTERFACE_KIND, [1, 3, 16]);
        options.push(OptionCode::ARCHITECTURES, architecture.to_be_bytes());
        options.push_vendor_class(INTEL, class.as_bytes());
    }

    /// True when this program can boot from, or live with, this one message alone.
    pub(crate) fn is_content_with6(self, offer: &Message) -> bool {
        let url = offer.options.text(OptionCode::BOOT_URL).unwrap_or_default();
        let calls_itself =
            |class: &[u8]| offer.options.vendor_classes().iter().any(|(_, own)| own.starts_with(class));
        match self {
            Self::Agent | Self::Ipxe { .. } => true,
            // One that calls itself PXEClient is a boot server's, who would have to be asked once more
            // (`PxeBcParseDhcp6Packet`).
            Self::PxeRom | Self::UefiPxe => url.starts_with("tftp://") && !calls_itself(b"PXEClient"),
            Self::UefiHttp => url.starts_with("http://") && calls_itself(b"HTTPClient"),
        }
    }
}
