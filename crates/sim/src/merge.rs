//! The address of one server and the file of another, put together as each program does it.

use std::net::Ipv4Addr;

use wire::dhcp::{Message, OptionCode, Suboptions};

use crate::body::Body;
use crate::manners::Manner;
use crate::program::{Program, efi_boot, http_boot, is_pxe, rom_boot};

/// Options inside option 43 by which EDK2 knows a PXE offer that needs no second question: 6 to 10
/// (`IS_VALID_DISCOVER_VENDOR_OPTION`).
const DISCOVERY: std::ops::RangeInclusive<u8> = 6..=10;

/// By which message a program boots when it has its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Boots {
    /// The ACK.
    Ack,
    /// The other server's OFFER.
    Proxy(Message),
    /// By what that server answers at port 4011.
    Question(Message),
}

/// True for an OFFER that this program throws away as soon as it comes.
pub(crate) fn forgets(program: Program, offer: &Message, body: &Body) -> bool {
    let proxied = offer.yiaddr.is_unspecified();
    let of_old_edk2 =
        program == Program::UefiPxe && body.manners.has(Manner::DropsDiscoveryOffers) && has_discovery(offer);
    proxied && (of_old_edk2 || body.manners.has(Manner::IgnoresProxyOffers))
}

/// The offer of a server that gives no addresses, if this program can boot by it. EDK2 prefers one that leaves nothing
/// to ask.
pub(crate) fn proxy_offer(program: Program, offers: &[Message]) -> Option<&Message> {
    let tells = |offer: &&Message| match program {
        Program::PxeRom => is_pxe(offer) && rom_boot(offer).is_some(),
        // With discovery options it is started as it is, without them only the class counts (`PxeBcDhcp4.c`).
        Program::UefiPxe => is_pxe(offer) && (!has_discovery(offer) || efi_boot(offer).is_some()),
        Program::UefiHttp => http_boot(offer).is_some(),
        Program::Ipxe { .. } => is_pxe(offer),
        Program::Agent => false,
    };
    let proxied = || offers.iter().filter(|offer| offer.yiaddr.is_unspecified()).filter(tells);
    let whole = proxied().find(|offer| program == Program::UefiPxe && has_discovery(offer));
    whole.or_else(|| proxied().next())
}

/// What it boots by after the ACK to `request`ed offer.
pub(crate) fn boots_by(program: Program, request: &Message, ack: &Message, offers: &[Message]) -> Boots {
    let Some(proxy) = proxy_offer(program, offers) else { return Boots::Ack };
    match program {
        Program::Ipxe { .. } if no_proxy(request) => Boots::Ack,
        // `dhcp_has_pxeopts`: a file is nothing to it without a next server, a URL included.
        Program::Ipxe { .. } if !has_pxe_options(proxy) => Boots::Question(proxy.clone()),
        // Settings of equal rank count in the order they came: the lease's first.
        Program::Ipxe { .. } if names_file(ack) && rank(proxy) <= rank(ack) => Boots::Ack,
        Program::Ipxe { .. } => Boots::Proxy(proxy.clone()),
        Program::PxeRom | Program::UefiPxe if is_pxe(ack) && names_file(ack) => Boots::Ack,
        Program::UefiHttp if http_boot(ack).is_some() => Boots::Ack,
        Program::UefiPxe if !has_discovery(proxy) => Boots::Question(proxy.clone()),
        Program::PxeRom | Program::UefiPxe | Program::UefiHttp => Boots::Proxy(proxy.clone()),
        Program::Agent => Boots::Ack,
    }
}

/// Next server and file, which make iPXE take an answer of a proxy for whole.
pub(crate) fn has_pxe_options(message: &Message) -> bool {
    message.siaddr != Ipv4Addr::UNSPECIFIED && names_file(message)
}

/// iPXE's option 175.176: do not look for a proxy server.
pub(crate) fn no_proxy(offer: &Message) -> bool {
    inside(offer, OptionCode::IPXE, 176).is_some_and(|value| value.iter().any(|byte| *byte != 0))
}

fn has_discovery(offer: &Message) -> bool {
    let own = offer.options.get(OptionCode::VENDOR_SPECIFIC).unwrap_or_default();
    is_pxe(offer) && Suboptions::new(own).any(|(code, _)| DISCOVERY.contains(&code))
}

fn names_file(message: &Message) -> bool {
    !message.file.is_empty() || message.options.has(OptionCode::BOOT_FILE)
}

/// iPXE's option 175.1, signed.
fn rank(message: &Message) -> i8 {
    inside(message, OptionCode::IPXE, 1).and_then(<[u8]>::first).map_or(0, |byte| byte.cast_signed())
}

fn inside(message: &Message, option: OptionCode, code: u8) -> Option<&[u8]> {
    Suboptions::new(message.options.get(option)?).find_code(code)
}
