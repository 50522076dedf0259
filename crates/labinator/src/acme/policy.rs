//! For which names certificates are made by ACME, and where the server of a name is: what the lab file says, and no name
//! server, so nobody who answers DNS can have one for a name that is not theirs.

use std::collections::BTreeMap;
use std::net::IpAddr;

use model::{LabSpec, NetworkSpec};
use pki::x509::Name;

/// The names and addresses of a lab.
#[derive(Debug)]
pub(super) struct Policy {
    network: NetworkSpec,
    names: BTreeMap<String, IpAddr>,
    six: Vec<IpAddr>,
    /// Every name below this leads to the address.
    below: Option<(String, IpAddr)>,
}

impl Policy {
    pub(super) fn of(spec: &LabSpec) -> Self {
        let served = spec.network.names.as_ref();
        let domain = served.map(|names| &names.domain).or(spec.network.domain.as_ref());
        let mut names = BTreeMap::new();
        let nodes = spec.board.nodes.iter().map(|(name, node)| (name.to_string(), IpAddr::from(node.ip)));
        let boss = ("boss".to_owned(), IpAddr::from(spec.network.boss));
        for (name, address) in core::iter::once(boss).chain(nodes) {
            let name = name.to_ascii_lowercase();
            if let Some(domain) = domain {
                names.insert(format!("{name}.{domain}"), address);
            }
            names.insert(name, address);
        }
        let ingress =
            served.and_then(|names| Some((format!(".apps.{}", names.domain), *names.ingress.first()?)));
        Self {
            network: spec.network.clone(),
            names,
            six: spec.board.nodes.values().filter_map(|node| node.ip6.map(IpAddr::from)).collect(),
            below: ingress.map(|(below, address)| (below, address.into())),
        }
    }

    /// Whether certificates are made for this name; why not, for a person.
    pub(super) fn may(&self, name: &Name) -> Result<(), String> {
        if self.address(name).is_some() {
            return Ok(());
        }
        Err(format!(
            "`{}` is no name or address of this lab: those of its machines, `boss`, and addresses of its subnet are",
            text(name)
        ))
    }

    /// Where the server of a name is.
    pub(super) fn address(&self, name: &Name) -> Option<IpAddr> {
        match name {
            Name::Ip(IpAddr::V4(address)) => self.network.holds(*address).then_some((*address).into()),
            Name::Ip(address) => self.six.contains(address).then_some(*address),
            Name::Dns(name) if name.starts_with("*.") => None,
            Name::Dns(name) => self.names.get(name).copied().or_else(|| {
                let (below, address) = self.below.as_ref()?;
                name.strip_suffix(below).filter(|label| !label.is_empty()).map(|_| *address)
            }),
        }
    }
}

/// A name as a person reads it.
pub(super) fn text(name: &Name) -> String {
    match name {
        Name::Ip(address) => address.to_string(),
        Name::Dns(name) => name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_and_addresses_of_the_lab_lead_somewhere() {
        let mut spec = crate::demo::lab(2).unwrap();
        spec.network.names = Some(model::DnsSpec {
            domain: "lab.example".to_owned(),
            forward: Vec::new(),
            ingress: vec![spec.network.boss],
        });
        let (node, first) =
            spec.board.nodes.iter().next().map(|(name, node)| (name.to_string(), node.ip)).unwrap();
        let policy = Policy::of(&spec);
        let of = |text: &str| policy.address(&text.parse().unwrap());
        let boss = Some(IpAddr::from(spec.network.boss));
        assert_eq!(of(&node), Some(first.into()));
        assert_eq!(of(&format!("{node}.lab.example")), Some(first.into()));
        assert_eq!(of(&first.to_string()), Some(first.into()));
        assert_eq!((of("boss"), of("boss.lab.example"), of("grafana.apps.lab.example")), (boss, boss, boss));
        let wild = format!("*.{node}.lab.example");
        for other in [
            "example.org",
            "localhost",
            "127.0.0.1",
            "::1",
            "192.0.2.1",
            "lab.example",
            "apps.lab.example",
            "*.apps.lab.example",
            wild.as_str(),
        ] {
            assert_eq!(of(other), None, "{other}");
        }
        assert!(policy.may(&"example.org".parse().unwrap()).unwrap_err().contains("example.org"));
    }
}
