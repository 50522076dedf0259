//! Who is asking: firmware, loader, agent or operating system, as far as the message says.

use alloc::string::String;
use alloc::vec::Vec;

use model::{ClientKind, MachineUuid};

use super::code::OptionCode;
use super::message::Message;
use super::pxe::{Architecture, Family, IpxeFacts, printable};
use super::quirks::Quirk;

/// Option 60 of our agent.
pub const AGENT_VENDOR_CLASS: &str = "labinator-agent";
/// Option 60 of our loader, where it was started from a stick or disk and asks for itself.
pub const LOADER_VENDOR_CLASS: &str = "labinator-loader";

/// Which program sent this message (options 60, 77, 93, 175). iPXE is asked first, because it keeps
/// the firmware's `PXEClient` in option 60.
#[must_use]
pub fn classify(message: &Message) -> ClientKind {
    let options = &message.options;
    let vendor = options.get(OptionCode::VENDOR_CLASS).unwrap_or_default();
    if options.user_classes().contains(&b"iPXE".as_slice()) || options.has(OptionCode::IPXE) {
        return ClientKind::Ipxe;
    }
    if vendor.starts_with(AGENT_VENDOR_CLASS.as_bytes()) {
        return ClientKind::Agent;
    }
    if vendor.starts_with(LOADER_VENDOR_CLASS.as_bytes()) {
        return ClientKind::Loader;
    }
    let arch = options.architecture();
    let family = arch.and_then(Architecture::family);
    if vendor.starts_with(b"U-Boot") {
        return ClientKind::UBoot;
    }
    if vendor.starts_with(b"HTTPClient") {
        return match family {
            Some(Family::UBoot) => ClientKind::UBoot,
            Some(Family::RaspberryPi) | None => ClientKind::UnknownFirmware,
            Some(_) if arch.is_some_and(Architecture::is_http) => ClientKind::UefiHttp,
            Some(_) => ClientKind::UnknownFirmware,
        };
    }
    if vendor.starts_with(b"PXEClient") {
        if Quirk::PiSaysBios.of(message) {
            return ClientKind::RaspberryPi;
        }
        return match family {
            Some(Family::RaspberryPi) => ClientKind::RaspberryPi,
            Some(Family::UBoot) => ClientKind::UBoot,
            Some(Family::Bios) => ClientKind::BiosPxe,
            Some(_) => ClientKind::UefiPxe,
            // ROMs before RFC 4578 leave option 93 out and are all BIOS.
            None if arch.is_none() => ClientKind::BiosPxe,
            None => ClientKind::UnknownFirmware,
        };
    }
    ClientKind::Other
}

/// What a message tells about its sender, for the boot trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Which program.
    pub kind: ClientKind,
    /// The architecture it is to boot: of option 93, or as its class names it.
    pub arch: Option<Architecture>,
    /// All of option 93, best first.
    pub archs: Vec<Architecture>,
    /// Option 97, where it is a real one.
    pub uuid: Option<MachineUuid>,
    /// The `secs` field as sent.
    pub secs: u16,
    /// What iPXE tells.
    pub ipxe: Option<IpxeFacts>,
    /// Option 60, cleaned for people; empty when absent.
    pub vendor: String,
    /// Option 12, cleaned for people; empty when absent.
    pub host_name: String,
}

impl Caller {
    /// Reads it from a message.
    #[must_use]
    pub fn of(message: &Message) -> Self {
        let options = &message.options;
        let text = |code| printable(options.get(code).unwrap_or_default());
        Self {
            kind: classify(message),
            arch: options.architecture(),
            archs: options.architectures(),
            uuid: options.machine_uuid(),
            secs: message.secs,
            ipxe: options.ipxe(),
            vendor: text(OptionCode::VENDOR_CLASS),
            host_name: text(OptionCode::HOST_NAME),
        }
    }

    /// iPXE's version, empty when it does not say or is not iPXE.
    #[must_use]
    pub fn ipxe_version(&self) -> &str {
        self.ipxe.as_ref().map_or("", |facts| &facts.version)
    }
}
