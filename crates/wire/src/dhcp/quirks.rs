//! Firmware that does not do what the standards say, as one table: how it is known, what is done, where it was seen.
//!
//! A row that has a [`Quirk::of`] is asked for at the place that acts on it; the others are habits of every answer,
//! written down so that nobody tidies them away.

use model::{ClientKind, MacAddr};

use super::code::OptionCode;
use super::kind::classify;
use super::message::Message;
use super::options::Options;
use super::pxe::Architecture;

/// One way to deviate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quirk {
    /// No option 93: the class text or nothing tells the architecture.
    NamesNoArchitecture,
    /// x86-64 called by the number of EFI byte code.
    CallsX64ByteCode,
    /// A Raspberry Pi that calls itself an x86 BIOS.
    PiSaysBios,
    /// A Raspberry Pi goes on only after a menu of this text.
    PiWantsItsMenu,
    /// U-Boot is told by its class, and fetches no loader.
    UBootFindsItsOwn,
    /// An iPXE that was built without HTTP.
    IpxeWithoutHttp,
    /// iPXE waits for a second server unless told not to.
    IpxeAwaitsProxy,
    /// A proxy's file is nothing to iPXE without a next server, a URL included.
    IpxeWantsNextServer,
    /// Of two files iPXE starts that of the address's server, unless the other has a higher rank.
    IpxeRanksFiles,
    /// The user class as plain text.
    PlainUserClass,
    /// No machine identity.
    NoIdentity,
    /// An identity that is the same on every board.
    BlankIdentity,
    /// UEFI's HTTP client takes an answer without its own class for another's.
    HttpWantsItsClass,
    /// Texts are read until a NUL.
    ReadsUntilNul,
    /// Two offers are never put together.
    NeverMergesOffers,
    /// An offer without an address is forgotten when it has discovery options.
    DropsDiscoveryOffers,
    /// A boot server is asked although a file was given.
    AsksBootServer,
    /// Less room for an answer than is needed.
    SmallBuffer,
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Which.
    pub quirk: Quirk,
    /// How it shows on the wire.
    pub shows: &'static str,
    /// What is done about it.
    pub done: &'static str,
    /// Model or firmware it was seen on, and where that is written.
    pub seen: &'static str,
}

/// All of them.
pub const QUIRKS: &[Row] = &[
    Row {
        quirk: Quirk::NamesNoArchitecture,
        shows: "`PXEClient` without option 93",
        done: "the five digits of `PXEClient:Arch:00007` count; without them it is an x86 BIOS",
        seen: "not seen here; ROMs older than RFC 4578, which brought option 93",
    },
    Row {
        quirk: Quirk::CallsX64ByteCode,
        shows: "option 93 holds 9",
        done: "taken for x86-64 UEFI like 7; 0x11 likewise for 0x10",
        seen: "the registry and RFC 4578 exchange 7 and 9; EDK2 sends 7, and peers serve both alike",
    },
    Row {
        quirk: Quirk::PiSaysBios,
        shows: "architecture 0 from an Ethernet address or identity of the Raspberry Pi foundation",
        done: "taken for a Raspberry Pi, not given an x86 loader",
        seen: "Raspberry Pi 3 and 4 boot ROM and EEPROM: `PXEClient:Arch:00000:UNDI:002001`; tinkerbell/smee#23",
    },
    Row {
        quirk: Quirk::PiWantsItsMenu,
        shows: "as above, or architecture 0x29",
        done: "option 43 with the menu text `Raspberry Pi Boot`, options 60 and 66, no file",
        seen: "Raspberry Pi 3, 4, 5: raspberrypi.com/documentation, network boot; tinkerbell/smee#23",
    },
    Row {
        quirk: Quirk::UBootFindsItsOwn,
        shows: "class `U-Boot…`, or architectures 0x15 to 0x18",
        done: "the server in `siaddr` and option 66, no file: it looks for `pxelinux.cfg/`",
        seen: "U-Boot's `pxe get`; siderolabs/omni-infra-provider-bare-metal#48",
    },
    Row {
        quirk: Quirk::IpxeWithoutHttp,
        shows: "option 175 lists features, and 19 is not among them",
        done: "it gets a newer loader over TFTP",
        seen: "iPXE in network card ROMs; siderolabs/sidero#1123",
    },
    Row {
        quirk: Quirk::IpxeAwaitsProxy,
        shows: "user class `iPXE`",
        done: "sub-option 176 of option 175 is 1: saves 3 s, or 12 s on builds with the PXE timers",
        seen: "every iPXE (`dhcp.h`, DHCP_EB_NO_PXEDHCP); Red Hat's patch has the long timers",
    },
    Row {
        quirk: Quirk::IpxeWantsNextServer,
        shows: "user class `iPXE`; asks port 4011 for 3.75 s, takes no answer and has nothing to boot",
        done: "beside another server every answer has `siaddr`",
        seen: "iPXE 1.0.0+git-20190125 beside dnsmasq, and every other (`dhcp.c`, dhcp_has_pxeopts)",
    },
    Row {
        quirk: Quirk::IpxeRanksFiles,
        shows: "user class `iPXE`",
        done: "beside another server sub-option 1 of option 175 is 1: our file counts, not one of a router that has one",
        seen: "every iPXE (`settings.c`, reprioritise_settings)",
    },
    Row {
        quirk: Quirk::PlainUserClass,
        shows: "option 77 is no list of counted strings",
        done: "the whole option is one class",
        seen: "every iPXE, and most DHCP clients against RFC 3004",
    },
    Row {
        quirk: Quirk::NoIdentity,
        shows: "`PXEClient` without option 97",
        done: "answered all the same, and option 97 is not made up",
        seen: "network cards of danderson/pixiecore#21",
    },
    Row {
        quirk: Quirk::BlankIdentity,
        shows: "option 97 is all zeros or all ones",
        done: "sent back as it came, and never taken for an identity",
        seen: "boards whose SMBIOS was never filled in; QEMU without `-uuid`",
    },
    Row {
        quirk: Quirk::HttpWantsItsClass,
        shows: "class `HTTPClient`",
        done: "option 60 says `HTTPClient`, option 67 is the URL without NUL, and no PXE option is sent",
        seen: "EDK2 HttpBootDxe (HttpBootDhcp4.c)",
    },
    Row {
        quirk: Quirk::ReadsUntilNul,
        shows: "class `PXEClient`",
        done: "options 66 and 67 and the file end with a NUL",
        seen: "not seen here; RFC 2132 section 2 tells clients to expect a NUL, and old ROMs to need one",
    },
    Row {
        quirk: Quirk::NeverMergesOffers,
        shows: "nothing",
        done: "one OFFER has address, server and file; in proxy mode port 4011 answers as well",
        seen: "garybowers/bootimus#77; HP Gen9 UEFI, danderson/netboot#43",
    },
    Row {
        quirk: Quirk::DropsDiscoveryOffers,
        shows: "nothing",
        done: "UEFI PXE gets a second OFFER without option 43 in proxy mode, and asks port 4011",
        seen: "EDK2 before April 2017, as in Dell T130 and T430: tianocore/edk2#6944",
    },
    Row {
        quirk: Quirk::AsksBootServer,
        shows: "a request with a boot item (43.71) although bit 3 of 43.6 was set",
        done: "port 4011 answers with the same item and the file",
        seen: "Supermicro, garybowers/bootimus#51 (PXE-E18); PXE-E55 of siderolabs/booter#4",
    },
    Row {
        quirk: Quirk::SmallBuffer,
        shows: "option 57 is missing or below 576",
        done: "576 bytes are kept to, with options in `file` and `sname` (option 52) where they do not fit",
        seen: "not seen here; a client without option 57 takes 576 bytes at most (RFC 2131 section 2)",
    },
];

/// First bytes of Ethernet addresses of the Raspberry Pi foundation and its trading arm (IEEE OUI registry).
const PI_VENDORS: [[u8; 3]; 6] = [
    [0xb8, 0x27, 0xeb],
    [0xdc, 0xa6, 0x32],
    [0xe4, 0x5f, 0x01],
    [0xd8, 0x3a, 0xdd],
    [0x28, 0xcd, 0xc1],
    [0x2c, 0xcf, 0x67],
];

impl Quirk {
    /// Its row.
    #[must_use]
    pub fn row(self) -> Option<&'static Row> {
        QUIRKS.iter().find(|row| row.quirk == self)
    }

    /// True when this message shows it. Those that nothing shows are true of nobody.
    #[must_use]
    pub fn of(self, message: &Message) -> bool {
        let options = &message.options;
        let vendor = options.get(OptionCode::VENDOR_CLASS).unwrap_or_default();
        let pxe = vendor.starts_with(b"PXEClient");
        let architectures = || options.architectures();
        match self {
            Self::NamesNoArchitecture => pxe && architectures().is_empty(),
            Self::CallsX64ByteCode => architectures().iter().any(|a| matches!(a.0, 0x09 | 0x11)),
            Self::PiSaysBios => {
                let says = architectures().first().is_none_or(|a| *a == Architecture::BIOS);
                pxe && says && message.mac().is_some_and(is_pi_vendor) | names_pi(options)
            }
            Self::PiWantsItsMenu => classify(message) == ClientKind::RaspberryPi,
            Self::UBootFindsItsOwn => classify(message) == ClientKind::UBoot,
            Self::IpxeWithoutHttp => {
                options.ipxe().is_some_and(|facts| !facts.features.is_empty() && !facts.has_http())
            }
            Self::IpxeAwaitsProxy | Self::IpxeWantsNextServer | Self::IpxeRanksFiles => {
                classify(message) == ClientKind::Ipxe
            }
            Self::PlainUserClass => options
                .get(OptionCode::USER_CLASS)
                .is_some_and(|value| value.first().is_some_and(|length| usize::from(*length) >= value.len())),
            Self::NoIdentity => pxe && !options.has(OptionCode::MACHINE_UUID),
            Self::BlankIdentity => options.has(OptionCode::MACHINE_UUID) && options.machine_uuid().is_none(),
            Self::HttpWantsItsClass => vendor.starts_with(b"HTTPClient"),
            Self::ReadsUntilNul => pxe,
            Self::NeverMergesOffers | Self::DropsDiscoveryOffers => false,
            Self::AsksBootServer => super::proxy::boot_item(message).is_some(),
            Self::SmallBuffer => options.u16(OptionCode::MAX_SIZE).is_none_or(|most| most < 576),
        }
    }
}

fn is_pi_vendor(mac: MacAddr) -> bool {
    mac.0.first_chunk().is_some_and(|vendor| PI_VENDORS.contains(vendor))
}

/// The identity of a Pi 4 and later begins with `RPi4`, `RPi5` (EEPROM boot loader).
fn names_pi(options: &Options) -> bool {
    options.get(OptionCode::MACHINE_UUID).is_some_and(|value| value.get(1..4) == Some(b"RPi"))
}
