//! Who is asking: firmware, loader, agent or operating system, as far as the message says.

use alloc::string::String;

use model::{ClientKind, MachineUuid};

use super::code::OptionCode;
use super::identity::Ia;
use super::message::{Message, MessageType};
use crate::dhcp::{AGENT_VENDOR_CLASS, Architecture, Family, printable};

/// Enterprise number (IANA "private enterprise numbers") under which UEFI writes its classes: Intel's.
pub const INTEL: u32 = 343;
/// That in front of our own classes. We have none; this one is reserved for documentation (RFC 5612).
pub const OURS: u32 = 32_473;

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
        if starts(|arch| arch.family() == Some(Family::EfiX64) && !arch.is_http()) {
            ClientKind::UefiPxe
        } else {
            ClientKind::UnknownFirmware
        }
    } else if !options.architectures().is_empty() || is_uefi_stack(message) {
        ClientKind::UnknownFirmware
    } else {
        ClientKind::Other
    }
}

/// True for EDK2's IPv6 stack, which asks on its own account as soon as a router tells it to, before any boot client
/// does (`Ip6ConfigImpl.c`, seen on OVMF 2022.11): the machine's UUID, times of all ones, name servers wanted and
/// nothing else. Systems that use a UUID want more than that.
fn is_uefi_stack(message: &Message) -> bool {
    let options = &message.options;
    let endless = |ia: &Ia| ia.renew == u32::MAX && ia.rebind == u32::MAX;
    options.get(OptionCode::OPTION_REQUEST) == Some(&[0, 23])
        && message.client().is_some_and(|duid| duid.as_bytes().starts_with(&[0, 4]))
        && (message.kind == MessageType::Request || options.associations().iter().all(endless))
        && options.iter().all(|(code, _)| {
            matches!(
                code,
                OptionCode::CLIENT_ID
                    | OptionCode::SERVER_ID
                    | OptionCode::IA_NA
                    | OptionCode::ELAPSED
                    | OptionCode::OPTION_REQUEST
            )
        })
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
