//! Who is asking: firmware, loader, agent or operating system, as far as the message says.

use alloc::string::String;

use model::{ClientKind, MachineUuid};

use super::code::OptionCode;
use super::message::Message;
use super::pxe::{Architecture, IpxeFacts, printable};

/// Option 60 of our agent.
pub const AGENT_VENDOR_CLASS: &str = "labinator-agent";

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
    let is = |wanted: fn(Architecture) -> bool| options.architectures().into_iter().any(wanted);
    if vendor.starts_with(b"HTTPClient") {
        return if is(|a| a == Architecture::HTTP_X64) || is(|a| a == Architecture::HTTP_IA32) {
            ClientKind::UefiHttp
        } else {
            ClientKind::UnknownFirmware
        };
    }
    if vendor.starts_with(b"PXEClient") {
        // ROMs before RFC 4578 leave option 93 out and are all BIOS; the class text names it too.
        let told = !options.architectures().is_empty();
        return if is(Architecture::is_efi_x64) {
            ClientKind::UefiPxe
        } else if is(|a| a == Architecture::BIOS) || (!told && !names_other_arch(vendor)) {
            ClientKind::BiosPxe
        } else if !told && (vendor_arch(vendor) == Some(b"00007") || vendor_arch(vendor) == Some(b"00009")) {
            ClientKind::UefiPxe
        } else {
            ClientKind::UnknownFirmware
        };
    }
    ClientKind::Other
}

/// The five digits of `PXEClient:Arch:00007:UNDI:003001` (PXE 2.1 table 2-1).
fn vendor_arch(vendor: &[u8]) -> Option<&[u8; 5]> {
    vendor.strip_prefix(b"PXEClient:Arch:")?.first_chunk()
}

fn names_other_arch(vendor: &[u8]) -> bool {
    vendor_arch(vendor).is_some_and(|digits| digits != b"00000")
}

/// What a message tells about its sender, for the boot trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Which program.
    pub kind: ClientKind,
    /// First architecture of option 93.
    pub arch: Option<Architecture>,
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
            arch: options.architectures().first().copied(),
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
