//! What to boot, written in the way each client reads it.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

use model::ClientKind;

use super::code::OptionCode;
use super::kind::classify;
use super::message::Message;

/// PXE discovery control, sub-option 6 of option 43 (PXE 2.1 table 2-1): bit 3 says "start the boot
/// file you were given", so the ROM asks no boot server and shows no menu. Then END.
const START_THE_FILE: [u8; 4] = [6, 1, 8, 255];
/// iPXE sub-option 176: wait for no `ProxyDHCP` offer. Saves 3 s, or 12 s on builds with the PXE timers.
const NO_PROXY: [u8; 3] = [176, 1, 1];
/// Option 43 of a Raspberry Pi: no discovery (6), a prompt that waits for nobody (10), and the one menu line (9) by
/// which its boot loader knows a server that means it.
const PI_MENU: [u8; 32] = *b"\x06\x01\x03\x0a\x04\x00PXE\x09\x14\x00\x00\x11Raspberry Pi Boot\xff";
/// Longest name in `file` that leaves room for its NUL.
const LONGEST_FILE: usize = 127;

/// What a client is given to boot, decided by the caller from the kind of client and the boot table.
///
/// Each shape fits some clients only; the wrong one is left out of the reply, and
/// [`Reply::boots`](super::server::Reply::boots) tells. iPXE takes all but [`Boot::Server`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Boot {
    /// An address and nothing else.
    #[default]
    Nothing,
    /// A file over TFTP, for PXE firmware and iPXE.
    Tftp {
        /// The TFTP server.
        server: Ipv4Addr,
        /// Its path there, at most 255 bytes.
        file: String,
    },
    /// A file over HTTP, for UEFI's HTTP client and iPXE; for our agent where it reports. The host must be a literal
    /// address.
    Http {
        /// The whole URL.
        url: String,
    },
    /// A TFTP server and no file, for a Raspberry Pi and U-Boot, which know the names of what they fetch.
    Server {
        /// The TFTP server.
        server: Ipv4Addr,
    },
}

/// How a client wants its boot file told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Pxe,
    Http,
    Ipxe,
    Pi,
    UBoot,
    /// Boots nothing, and is told where to report or ask.
    Agent,
    Plain,
}

impl Style {
    pub(super) fn of(message: &Message) -> Self {
        match classify(message) {
            ClientKind::Ipxe => Self::Ipxe,
            ClientKind::BiosPxe | ClientKind::UefiPxe => Self::Pxe,
            ClientKind::UefiHttp => Self::Http,
            ClientKind::RaspberryPi => Self::Pi,
            ClientKind::UBoot => Self::UBoot,
            ClientKind::UnknownFirmware => {
                let vendor = message.options.get(OptionCode::VENDOR_CLASS).unwrap_or_default();
                if vendor.starts_with(b"HTTPClient") { Self::Http } else { Self::Pxe }
            }
            ClientKind::Agent | ClientKind::Loader | ClientKind::Kexec => Self::Agent,
            ClientKind::Other => Self::Plain,
        }
    }
}

/// Writes what to boot in the way this client reads it. What does not fit the client is left out:
/// EDK2's HTTP client takes an offer without a URL for a broken one, and a PXE ROM cannot fetch a URL.
/// True when something was written that starts a boot.
pub(super) fn give_boot(reply: &mut Message, request: &Message, boot: &Boot) -> bool {
    let style = Style::of(request);
    if style == Style::Ipxe {
        reply.options.set(OptionCode::IPXE, NO_PROXY);
    }
    match (style, boot) {
        (Style::Pxe | Style::Ipxe, Boot::Tftp { server, file }) => {
            name_server(reply, *server);
            name_file(reply, file);
        }
        (Style::Ipxe, Boot::Http { url }) => name_file(reply, url),
        (Style::Http, Boot::Http { url }) => {
            reply.options.set(OptionCode::VENDOR_CLASS, *b"HTTPClient");
            reply.options.set(OptionCode::BOOT_FILE, url.as_bytes());
        }
        (Style::Agent, Boot::Http { url }) => reply.options.set(OptionCode::BOOT_FILE, url.as_bytes()),
        (Style::Pi, Boot::Server { server }) => {
            name_server(reply, *server);
            reply.options.set(OptionCode::VENDOR_CLASS, *b"PXEClient");
            reply.options.set(OptionCode::VENDOR_SPECIFIC, PI_MENU);
        }
        (Style::UBoot, Boot::Server { server }) => name_server(reply, *server),
        (Style::Pxe, Boot::Http { .. } | Boot::Server { .. } | Boot::Nothing)
        | (Style::Http | Style::Agent, Boot::Tftp { .. } | Boot::Server { .. } | Boot::Nothing)
        | (Style::Ipxe, Boot::Server { .. } | Boot::Nothing)
        | (Style::Pi | Style::UBoot, Boot::Tftp { .. } | Boot::Http { .. } | Boot::Nothing)
        | (Style::Plain, _) => return false,
    }
    true
}

fn name_server(reply: &mut Message, server: Ipv4Addr) {
    reply.siaddr = server;
    reply.options.set(OptionCode::BOOT_SERVER, terminated(&alloc::format!("{server}")));
}

/// The boot file in `file` and in option 67, both closed with a NUL: old ROMs read on until they find
/// one, and some read only the option.
fn name_file(reply: &mut Message, file: &str) {
    if file.len() <= LONGEST_FILE {
        reply.file = file.as_bytes().to_vec();
    }
    reply.options.set(OptionCode::VENDOR_CLASS, *b"PXEClient");
    reply.options.set(OptionCode::VENDOR_SPECIFIC, START_THE_FILE);
    reply.options.set(OptionCode::BOOT_FILE, terminated(file));
}

fn terminated(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}
