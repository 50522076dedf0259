//! The interfaces of `machine.network`: how they are found, addressed and bound together.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Found, Machine, Role, is_address_or_prefix, is_prefix, is_set, text_of};
use crate::load::Document;
use crate::mistake::Fault;
use crate::yaml::{Path, Value};

pub(super) fn check(machine: &Machine<'_>, found: &mut Found) {
    let document = machine.document;
    let interfaces = machine.list("machine.network.interfaces");
    let all = Path::of_keys(["machine", "network", "interfaces"]);
    let mut bound: BTreeMap<String, String> = BTreeMap::new();
    for (at, interface) in interfaces.iter().enumerate() {
        let path = all.index(at);
        members(document, interface, &path, &mut bound, found);
    }
    for (at, interface) in interfaces.iter().enumerate() {
        let path = all.index(at);
        if interface.at(["ignore"]).and_then(Value::as_bool) == Some(true) {
            continue;
        }
        identity(document, interface, &path, found);
        addresses(document, interface, &path, found);
        routes(document, interface, &path, found);
        virtual_address(machine, interface, &path, found);
        let name = text_of(interface, "interface").unwrap_or_default();
        let addressed = interface.at(["dhcp"]).and_then(Value::as_bool) == Some(true)
            || ["addresses", "cidr", "vip"].iter().any(|key| is_set(interface.at([*key])));
        if addressed && bound.contains_key(&name) {
            found.mistakes.push(document.mistake(
                path.clone(),
                Fault::Conflict {
                    other: "the bond or bridge it is part of",
                    reason: "addresses belong to the bond or bridge",
                },
            ));
        }
        let vlans = interface.at(["vlans"]).and_then(Value::as_list).unwrap_or_default();
        for (at, vlan) in vlans.iter().enumerate() {
            let path = path.key("vlans").index(at);
            addresses(document, vlan, &path, found);
            routes(document, vlan, &path, found);
            virtual_address(machine, vlan, &path, found);
        }
    }
}

/// Which interfaces are part of a bond or bridge: each of one only.
fn members(
    document: &Document,
    interface: &Value,
    path: &Path,
    bound: &mut BTreeMap<String, String>,
    found: &mut Found,
) {
    let name = text_of(interface, "interface").unwrap_or_default();
    let (bond, bridge) = (interface.at(["bond"]), interface.at(["bridge"]));
    if is_set(bond) && is_set(bridge) {
        let fault =
            Fault::Conflict { other: "`bridge` of the same interface", reason: "it can be one of both" };
        found.mistakes.push(document.mistake(path.key("bond"), fault));
    }
    if bond.is_some_and(|b| is_set(b.at(["interfaces"])) && is_set(b.at(["deviceSelectors"]))) {
        let fault = Fault::Conflict {
            other: "`deviceSelectors` of the same bond",
            reason: "its members are named once",
        };
        found.mistakes.push(document.mistake(path.key("bond").key("interfaces"), fault));
    }
    for (kind, group) in [("bond", bond), ("bridge", bridge)] {
        let list = group.and_then(|g| g.at(["interfaces"])).and_then(Value::as_list).unwrap_or_default();
        for (at, member) in list.iter().enumerate() {
            let member = member.text().unwrap_or_default().into_owned();
            if bound.get(&member).is_some_and(|other| *other != name) {
                let at = path.key(kind).key("interfaces").index(at);
                found.value(document, at, &member, "an interface that no other bond or bridge has");
            }
            bound.insert(member, name.clone());
        }
    }
}

fn identity(document: &Document, interface: &Value, path: &Path, found: &mut Found) {
    let named = text_of(interface, "interface").is_some();
    let selector = interface.at(["deviceSelector"]).filter(|s| !s.is_null());
    match (named, selector) {
        (false, None) => {
            let fault = Fault::Missing {
                what: "`interface` or `deviceSelector`",
                reason: "nothing says which interface is meant",
            };
            found.mistakes.push(document.mistake(path.clone(), fault));
        }
        (true, Some(_)) => {
            let fault =
                Fault::Conflict { other: "`interface`", reason: "an interface is found by one of both" };
            found.mistakes.push(document.mistake(path.key("deviceSelector"), fault));
        }
        (false, Some(selector)) if !is_set(Some(selector)) => {
            let fault = Fault::Missing {
                what: "a property of the interface",
                reason: "an empty selector selects nothing",
            };
            found.mistakes.push(document.mistake(path.key("deviceSelector"), fault));
        }
        _ => {}
    }
}

fn addresses(document: &Document, interface: &Value, path: &Path, found: &mut Found) {
    let list = interface.at(["addresses"]).and_then(Value::as_list).unwrap_or_default();
    let cidr = text_of(interface, "cidr");
    if cidr.is_some() && !list.is_empty() {
        let fault = Fault::Conflict { other: "`addresses`", reason: "`cidr` is the old form of the same" };
        found.mistakes.push(document.mistake(path.key("cidr"), fault));
    }
    let all = list
        .iter()
        .enumerate()
        .map(|(at, a)| (path.key("addresses").index(at), a.text().unwrap_or_default().into_owned()))
        .chain(cidr.map(|c| (path.key("cidr"), c)));
    for (path, text) in all {
        if !is_address_or_prefix(&text) {
            found.value(document, path, &text, "an address such as `10.0.0.2/24`");
        }
    }
}

fn routes(document: &Document, interface: &Value, path: &Path, found: &mut Found) {
    let list = interface.at(["routes"]).and_then(Value::as_list).unwrap_or_default();
    for (at, route) in list.iter().enumerate() {
        let path = path.key("routes").index(at);
        let (network, gateway) = (text_of(route, "network"), text_of(route, "gateway"));
        if network.is_none() && gateway.is_none() {
            let fault = Fault::Missing { what: "`network` or `gateway`", reason: "the route leads nowhere" };
            found.mistakes.push(document.mistake(path.clone(), fault));
        }
        if let Some(network) = network.filter(|n| !is_prefix(n)) {
            found.value(document, path.key("network"), &network, "a network such as `10.0.0.0/8`");
        }
        for (key, address) in [("gateway", gateway), ("source", text_of(route, "source"))] {
            if let Some(address) = address.filter(|a| a.parse::<IpAddr>().is_err()) {
                found.value(document, path.key(key), &address, "an address such as `10.0.0.1`");
            }
        }
    }
}

fn virtual_address(machine: &Machine<'_>, interface: &Value, path: &Path, found: &mut Found) {
    let Some(vip) = interface.at(["vip"]).filter(|v| !v.is_null()) else { return };
    let document = machine.document;
    if machine.role == Role::Worker {
        let fault = Fault::Forbidden { what: "the virtual address", reason: "only control planes share one" };
        found.mistakes.push(document.mistake(path.key("vip"), fault));
    }
    let ip = text_of(vip, "ip").unwrap_or_default();
    if ip.parse::<IpAddr>().is_err() {
        found.value(document, path.key("vip").key("ip"), &ip, "an address such as `10.0.0.5`");
    }
}
