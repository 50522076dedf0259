//! What iPXE knows by name: addresses, the machine, its own build.

use std::net::Ipv4Addr;

use crate::config::{Config, Ipxe};
use crate::http::host_name;

/// What iPXE knows when the script starts.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) address: Ipv4Addr,
    pub(crate) next_server: Ipv4Addr,
    pub(crate) dhcp_server: Ipv4Addr,
    pub(crate) file: String,
    pub(crate) uefi: bool,
    pub(crate) version: Ipxe,
    pub(crate) agent: &'static str,
    /// Names cannot be resolved: a router named itself as resolver and drops what it is asked, and
    /// iPXE of 2019 asks nobody else.
    pub(crate) dead_resolver: bool,
}

impl Settings {
    pub(crate) fn cannot_resolve(&self, url: &str) -> bool {
        self.dead_resolver && host_name(url).is_some()
    }

    /// The value of a setting (`${net0/mac}`, `${uuid}`, `${mac:hexhyp}`).
    pub(crate) fn value(&self, name: &str, config: &Config) -> Option<String> {
        let (name, format) = name.split_once(':').unwrap_or((name, ""));
        let name = ["net0/", "netX/"].iter().find_map(|port| name.strip_prefix(port)).unwrap_or(name);
        let text = match name {
            "mac" => config.mac.to_string(),
            "ip" => self.address.to_string(),
            "next-server" => self.next_server.to_string(),
            "dhcp-server" => self.dhcp_server.to_string(),
            "filename" => self.file.clone(),
            "uuid" => config.uuid.to_string(),
            "serial" => config.inventory(&config.disk).serial,
            "product" => config.inventory(&config.disk).product,
            "buildarch" => if self.uefi { "x86_64" } else { "i386" }.to_owned(),
            "platform" => if self.uefi { "efi" } else { "pcbios" }.to_owned(),
            "version" => match self.version {
                Ipxe::Of2019 => "1.0.0+git-20190125.36a4c85-5.1".to_owned(),
                Ipxe::Of2025 => "2.0.0".to_owned(),
            },
            _ => return None,
        };
        Some(match format {
            "hexhyp" => text.replace(':', "-"),
            "hexraw" => text.replace(':', ""),
            "uristring" => text.replace(' ', "%20"),
            _ => text,
        })
    }
}
