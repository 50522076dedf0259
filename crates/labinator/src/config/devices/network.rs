//! Drivers of devices on the network: controllers in servers, plugs, and what switches for them.

use model::{DeviceKind, SecretRef, WebDevice, WebDialect};

use super::{Kind, Opt, PortNames, Read, Shape};

const USER: &str = "Where `USER:PASSWORD` is kept: `secret:NAME` or `file:/PATH`.";
const URL: &str =
    "Where the device is: `http://HOST` or `https://HOST`, with a port and a path where it has them.";
const CERTIFICATE: &str = "SHA-256 of the device's certificate, for https: `sha256:` and 64 hexadecimal digits. The lab says which one it saw.";

pub(super) const fn option(key: &'static str, shape: Shape, about: &'static str) -> Opt {
    Opt { key, needed: None, shape, about }
}

pub(super) const fn needed(
    key: &'static str,
    example: &'static str,
    shape: Shape,
    about: &'static str,
) -> Opt {
    Opt { key, needed: Some(example), shape, about }
}

const WEB: &[Opt] = &[
    needed("url", "http://10.0.0.31", Shape::Text, URL),
    option("credentials", Shape::Secret, USER),
    option("certificate", Shape::Text, CERTIFICATE),
];

const WEB_WITH_SENSOR: &[Opt] = &[
    needed("url", "http://10.0.0.31", Shape::Text, URL),
    option("credentials", Shape::Secret, USER),
    option("certificate", Shape::Text, CERTIFICATE),
    option(
        "watts",
        Shape::Text,
        "What tells the power that a port takes; `{port}` in it becomes the port's name.",
    ),
];

/// Controllers that speak IPMI 2.0.
pub(super) const IPMI: Kind = Kind {
    word: "ipmi",
    about: "controller inside a server, by IPMI 2.0",
    options: &[
        needed("host", "10.0.0.21", Shape::Text, "Name or address, with `:PORT` where that is not 623."),
        needed("credentials", "secret:bmc", Shape::Secret, USER),
        option("cipher-suite", Shape::Number, "3 or 17; 3 unless told."),
    ],
    ports: PortNames::UpTo(1),
    build: |read| {
        let credentials = read.secret("credentials");
        let suite = read.maybe("cipher-suite", Read::number)?;
        if let Some(typed) = suite.as_ref().filter(|typed| !matches!(typed.value, 3 | 17)) {
            read.wrong(
                format!("cipher suite {} is not spoken here", typed.value),
                typed.place,
                "3 or 17",
                "3 is what every controller has, 17 is the one without SHA-1",
            );
            return None;
        }
        let suite = if suite.is_some_and(|typed| typed.value == 17) { 17 } else { 3 };
        let host = host(read, "for example `10.0.0.21` or `bmc1:6230`")?;
        Some(DeviceKind::Ipmi { host, credentials: credentials?, suite })
    },
};

/// Controllers that speak Redfish.
pub(super) const REDFISH: Kind = Kind {
    word: "redfish",
    about: "controller inside a server, by Redfish",
    options: WEB,
    ports: PortNames::Any,
    build: |read| web(read, WebDialect::Redfish),
};

/// Proxmox VE.
pub(super) const PROXMOX: Kind = Kind {
    word: "proxmox",
    about: "virtual machines and containers of Proxmox VE, by their numbers",
    options: &[
        needed("url", "\"https://10.0.0.9:8006\"", Shape::Text, URL),
        needed(
            "credentials",
            "secret:pve",
            Shape::Secret,
            "Where the token is kept: `USER@REALM!NAME=VALUE`.",
        ),
        option("certificate", Shape::Text, CERTIFICATE),
    ],
    ports: PortNames::Any,
    build: |read| web(read, WebDialect::Proxmox),
};

/// Controllers of Intel AMT.
pub(super) const AMT: Kind = Kind {
    word: "amt",
    about: "controller inside a business machine, Intel AMT",
    options: &[
        needed("url", "\"http://10.0.0.23:16992\"", Shape::Text, URL),
        needed("credentials", "secret:amt", Shape::Secret, USER),
        option("certificate", Shape::Text, CERTIFICATE),
    ],
    ports: PortNames::UpTo(1),
    build: |read| web(read, WebDialect::Amt),
};

/// Plugs with Tasmota.
pub(super) const TASMOTA: Kind = Kind {
    word: "tasmota",
    about: "plug or strip with Tasmota",
    options: WEB,
    ports: PortNames::UpTo(32),
    build: |read| web(read, WebDialect::Tasmota),
};

/// Shelly's plugs and relays.
pub(super) const SHELLY: Kind = Kind {
    word: "shelly",
    about: "plug, relay or strip of Shelly, of any generation",
    options: WEB,
    ports: PortNames::Any,
    build: |read| web(read, WebDialect::Shelly),
};

/// Devices with `ESPHome`.
pub(super) const ESPHOME: Kind = Kind {
    word: "esphome",
    about: "switches of ESPHome's web server",
    options: WEB_WITH_SENSOR,
    ports: PortNames::Any,
    build: |read| web(read, WebDialect::Esphome),
};

/// What Home Assistant switches.
pub(super) const HOME_ASSISTANT: Kind = Kind {
    word: "home-assistant",
    about: "whatever Home Assistant switches",
    options: WEB_WITH_SENSOR,
    ports: PortNames::Any,
    build: |read| web(read, WebDialect::HomeAssistant),
};

/// Addresses of the owner's.
pub(super) const WEBHOOK: Kind = Kind {
    word: "webhook",
    about: "addresses of the owner's that switch and tell",
    options: &[
        needed(
            "on-url",
            "\"http://10.0.0.5/on?port={port}\"",
            Shape::Text,
            "Asked to switch on; `{port}` becomes the port.",
        ),
        needed("off-url", "\"http://10.0.0.5/off?port={port}\"", Shape::Text, "Asked to switch off."),
        option("status-url", Shape::Text, "Answers `on`, `off` or `unknown`."),
        option("credentials", Shape::Secret, "Where `USER:PASSWORD`, or a token, is kept."),
        option("certificate", Shape::Text, CERTIFICATE),
    ],
    ports: PortNames::Any,
    build: |read| {
        let on = address(read, "on-url")?;
        let off = address(read, "off-url")?;
        let status = read.maybe("status-url", address)?;
        let (credentials, certificate) = (read.maybe("credentials", Read::secret)?, certificate(read)?);
        Some(DeviceKind::Webhook { on, off, status, credentials, certificate })
    },
};

/// Magic packets.
pub(super) const WAKE_ON_LAN: Kind = Kind {
    word: "wake-on-lan",
    about: "magic packets on the lab's wire; the agent of a machine stops it",
    options: &[],
    ports: PortNames::Any,
    build: |_| Some(DeviceKind::WakeOnLan),
};

fn web(read: &mut Read<'_>, dialect: WebDialect) -> Option<DeviceKind> {
    let url = address(read, "url");
    let credentials: Option<SecretRef> = read.maybe("credentials", Read::secret)?;
    let certificate = certificate(read)?;
    let watts = read.maybe("watts", Read::text)?.map(|typed| typed.value);
    Some(DeviceKind::Web { dialect, device: WebDevice { url: url?, credentials, certificate, watts } })
}

/// A name or an address, perhaps with a port.
pub(in crate::config) fn host(read: &mut Read<'_>, example: &str) -> Option<String> {
    let host = read.text("host")?;
    let wrong = host.value.contains(|c: char| c == '/' || c == '@' || c.is_whitespace());
    if wrong || host.value.is_empty() {
        let title = format!("`{}` is not a host", host.value);
        read.wrong(title, host.place, "a name or an address", example);
        return None;
    }
    Some(host.value)
}

/// An address, perhaps with the method before it; passwords do not belong in one.
pub(in crate::config) fn address(read: &mut Read<'_>, key: &'static str) -> Option<String> {
    let typed = read.text(key)?;
    let url = typed.value.rsplit(' ').next().unwrap_or_default();
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let authority = rest.and_then(|rest| rest.split(['/', '?']).next()).filter(|host| !host.is_empty());
    let Some(authority) = authority else {
        let title = format!("`{}` is not an address", typed.value);
        read.wrong(title, typed.place, "not `http://` or `https://`", &format!("for example `http://{url}`"));
        return None;
    };
    if authority.contains('@') {
        let title = format!("`{key}` has a user or a password in it");
        let help = "a lab file is passed around; say where they are kept by `credentials`";
        read.wrong(title, typed.place, "`@`", help);
        return None;
    }
    Some(typed.value)
}

#[expect(clippy::option_option, reason = "left out is no mistake")]
/// The fingerprint of a certificate that may be left out; the outer `None` when it is wrong.
pub(in crate::config) fn certificate(read: &mut Read<'_>) -> Option<Option<String>> {
    let Some(typed) = read.maybe("certificate", Read::text)? else { return Some(None) };
    let digits = typed.value.strip_prefix("sha256:").unwrap_or_default().replace(':', "");
    if digits.len() != 64 || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
        read.wrong(
            "`certificate` is not a fingerprint".to_owned(),
            typed.place,
            "not `sha256:` and 64 hexadecimal digits",
            "leave it out, and the lab says which one the device shows",
        );
        return None;
    }
    Some(Some(typed.value))
}
