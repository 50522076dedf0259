//! By which names and addresses this boss is asked over TLS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use model::LabSpec;
use pki::x509::Name;

use crate::boss::Boss;

/// Most addresses of its own that a certificate names.
const ADDRESSES: usize = 64;

/// What a certificate of the page shall name.
#[derive(Debug)]
pub(super) struct Asked {
    always: Vec<Name>,
    /// The page listens at every address, so each one of now is named.
    everywhere: bool,
}

impl Asked {
    pub(super) fn of(spec: &LabSpec, page: SocketAddr) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let mut always: Vec<Name> = Vec::new();
        let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
        let own = [spec.network.boss.into(), page.ip()];
        let addresses = loopback.into_iter().chain(own).filter(|address| !address.is_unspecified());
        let texts = ["localhost".to_owned(), host.to_ascii_lowercase()];
        // A host name that cannot stand in a certificate is nobody's name.
        let texts = texts.iter().filter_map(|text| text.parse().ok());
        for name in texts.chain(addresses.map(Name::Ip)) {
            if !always.contains(&name) {
                always.push(name);
            }
        }
        Self { always, everywhere: page.ip().is_unspecified() }
    }

    /// The names of now. Interfaces come and go.
    pub(super) fn now(&self) -> Vec<Name> {
        let mut names = self.always.clone();
        if self.everywhere {
            for address in Boss::look().own_addresses().into_iter().take(ADDRESSES) {
                let name = Name::Ip(address.into());
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
    }
}
