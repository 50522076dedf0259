//! The shape of an answer: what is in it, without the values that differ from lab to lab.

use wire::dhcp::{Message, MessageType, OptionCode, Suboptions};
use wire::tftp::Packet;

/// Words of a DHCP answer.
pub(super) fn of_dhcp(message: &Message) -> Vec<String> {
    let options = &message.options;
    let kind = match message.kind() {
        Some(MessageType::Offer) => "offer",
        Some(MessageType::Ack) => "ack",
        Some(MessageType::Nak) => "nak",
        _ => "other",
    };
    let file = options.get(OptionCode::BOOT_FILE);
    let inside = |code, sub| Suboptions::new(options.get(code).unwrap_or_default()).find_code(sub);
    let own = inside(OptionCode::VENDOR_SPECIFIC, 6).and_then(<[u8]>::first);
    let no_proxy = inside(OptionCode::IPXE, 176).is_some_and(|v| v.iter().any(|byte| *byte != 0));
    let class = options.text(OptionCode::VENDOR_CLASS).map(|text| text.trim_end_matches('\0'));
    let word = |holds: bool, word: &str| holds.then(|| word.to_owned());
    let words = [
        Some(kind.to_owned()),
        word(!message.yiaddr.is_unspecified(), "address"),
        word(!message.siaddr.is_unspecified(), "siaddr"),
        word(!message.file.is_empty(), "file"),
        word(file.is_some(), "67"),
        word(file.is_some_and(|name| name.last() == Some(&0)), "67-ends"),
        word(options.has(OptionCode::BOOT_SERVER), "66"),
        word(options.has(OptionCode::SERVER_ID), "54"),
        word(options.has(OptionCode::MACHINE_UUID), "97"),
        word(options.has(OptionCode::RELAY_INFORMATION), "82"),
        class.filter(|text| matches!(*text, "PXEClient" | "HTTPClient")).map(|text| format!("class={text}")),
        own.map(|control| format!("43.6={control}")),
        word(no_proxy, "175.176"),
    ];
    words.into_iter().flatten().collect()
}

/// Words of a TFTP server's first packet.
pub(super) fn of_tftp(packet: &Packet<'_>) -> Vec<String> {
    match packet {
        Packet::OptionAck(pairs) => {
            let mut words = vec!["oack".to_owned()];
            // The size is the file's, and no size of 0 was ever meant.
            words.extend(pairs.iter().map(|(name, value)| match name.as_str() {
                "tsize" => if value == "0" { "tsize=0" } else { "tsize" }.to_owned(),
                name => format!("{name}={value}"),
            }));
            words
        }
        Packet::Data { .. } => vec!["data".to_owned()],
        Packet::Error { code, .. } => vec![format!("error={}", code.0)],
        Packet::Read(_) | Packet::Write(_) | Packet::Ack(_) => vec!["other".to_owned()],
    }
}
