//! Who is asking: firmware, loader, agent or operating system, as far as the message says.

use alloc::string::String;

use model::{ClientKind, MachineUuid};

use super::code::OptionCode;
use super::message::Message;
use crate::dhcp::{AGENT_VENDOR_CLASS, Architecture, printable};

/// Enterprise number (IANA "private enterprise numbers") under which UEFI writes its classes: Intel's.
pub const INTEL: u32 = 343;

/// Which program sent this message (options 15, 16, 61). iPXE tells its user class and no architecture; EDK2
/// writes the vendor class it has for DHCPv4 behind Intel's number (`PxeBcDhcp6.c`, `HttpBootDhcp6.c`).
#[must_use]
pub fn classify(message: &Message) -> ClientKind {
    let options = &message.options;
    if options.user_classes().contains(&b"iPXE".as_slice()) {
        return ClientKind::Ipxe;
    }
    let classes = options.vendor_classes();
    let is = |prefix: &[u8]| classes.iter().any(|(_, class)| class.starts_with(prefix));
    let starts = |wanted: fn(Architecture) -> bool| options.architectures().into_iter().any(wanted);
    if is(AGENT_VENDOR_CLASS.as_bytes()) {
        ClientKind::Agent
    } else if is(b"HTTPClient") {
        let ours = starts(|a| a == Architecture::HTTP_X64) || starts(|a| a == Architecture::HTTP_IA32);
        if ours { ClientKind::UefiHttp } else { ClientKind::UnknownFirmware }
    } else if is(b"PXEClient") {
        if starts(Architecture::is_efi_x64) { ClientKind::UefiPxe } else { ClientKind::UnknownFirmware }
    } else if !options.architectures().is_empty() {
        ClientKind::UnknownFirmware
    } else {
        ClientKind::Other
    }
}

/// What a message tells about its sender, for the boot trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Which program.
    pub kind: ClientKind,
    /// First architecture of option 61.
    pub arch: Option<Architecture>,
    /// The UUID in its identifier, where it is one.
    pub uuid: Option<MachineUuid>,
    /// Milliseconds since it began, by its own account (option 8).
    pub elapsed_ms: u32,
    /// First vendor class, cleaned for people; empty when absent.
    pub vendor: String,
}

impl Caller {
    /// Reads it from a message.
    #[must_use]
    pub fn of(message: &Message) -> Self {
        let options = &message.options;
        let vendor = options.vendor_classes().first().map(|(_, class)| printable(class)).unwrap_or_default();
        Self {
            kind: classify(message),
            arch: options.architectures().first().copied(),
            uuid: message.client().and_then(|duid| duid.uuid()),
            elapsed_ms: options.u16(OptionCode::ELAPSED).map_or(0, |hundredths| u32::from(hundredths) * 10),
            vendor,
        }
    }
}
