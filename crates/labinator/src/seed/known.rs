//! What a template of one machine may name.

use std::net::Ipv4Addr;

use minijinja::Value;
use model::{LabSpec, NodeName, ScenarioName, ScenarioSpec, SeedSpec, Vars, Whose};

use super::template::Known;

/// What is the same for every machine of a lab, made once.
#[derive(Debug, Clone)]
pub(super) struct Common(Known);

impl Common {
    pub(super) fn of(spec: &LabSpec) -> Self {
        let network = &spec.network;
        let texts = |all: &[Ipv4Addr]| all.iter().map(|one| Value::from(one.to_string())).collect::<Value>();
        let machine = |(name, node): (&NodeName, &model::NodeSpec)| {
            let about = [
                ("name", name.to_string()),
                ("ip", node.ip.to_string()),
                ("mac", node.mac.to_string()),
                ("row", node.at.row.to_string()),
                ("column", node.at.column.to_string()),
            ];
            Value::from_pairs(about.map(|(key, value)| (key, Value::from(value))))
        };
        let machines: Value = spec.board.nodes.iter().map(machine).collect();
        let mut known = Known::from(
            [
                ("lab", Value::from(spec.lab.as_str())),
                ("boss", Value::from(network.boss.to_string())),
                ("boss_url", Value::from(boss_url(spec))),
                ("dns", texts(&network.dns)),
                ("netmask", Value::from(network.mask().to_string())),
                ("prefix", Value::from(network.prefix)),
                ("subnet", Value::from(format!("{}/{}", network.subnet, network.prefix))),
                ("nodes", machines),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        if let Some(gateway) = network.gateway {
            known.insert("gateway".to_owned(), Value::from(gateway.to_string()));
        }
        Self(known)
    }
}

fn boss_url(spec: &LabSpec) -> String {
    format!("http://{}", spec.network.boss)
}

/// Where a machine fetches what belongs to it.
pub(super) fn seed_url(spec: &LabSpec, mac: model::MacAddr) -> String {
    format!("{}/n/{}", boss_url(spec), mac.to_string().replace(':', "-"))
}

/// A value of the lab file as templates have it.
fn of_json(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(so) => Value::from(*so),
        serde_json::Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), _, _) => Value::from(number),
            (None, Some(number), _) => Value::from(number),
            (None, None, number) => Value::from(number.unwrap_or_default()),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(all) => all.iter().map(of_json).collect(),
        serde_json::Value::Object(all) => {
            Value::from_pairs(all.iter().map(|(key, value)| (key.clone(), of_json(value))))
        }
    }
}

/// What applies to a machine of a scenario, from the common to the special.
pub(super) fn layers<'a>(
    spec: &'a LabSpec,
    scenario: &'a ScenarioSpec,
    node: &NodeName,
) -> Vec<(&'a SeedSpec, Option<&'a model::OverrideSpec>)> {
    let in_group = |name: &model::GroupName| {
        spec.variables.groups.iter().any(|group| group.name == *name && group.nodes.contains(node))
    };
    let applies = |of: &Whose| match of {
        Whose::Group(group) => in_group(group),
        Whose::Node(name) => name == node,
    };
    let special = scenario.system.overrides.iter().filter(|one| applies(&one.of));
    std::iter::once((&scenario.system.common, None))
        .chain(special.map(|one| (&one.seed, Some(one))))
        .collect()
}

/// What the templates of this machine may name. The special outranks the common: lab, scenario, groups,
/// machine, then what the scenario says of the machine's groups and of the machine.
pub(super) fn known(
    (spec, common): (&LabSpec, &Common),
    (name, scenario): (&ScenarioName, &ScenarioSpec),
    node: &NodeName,
) -> Known {
    let mut known = Known::new();
    let mut add = |vars: &Vars| {
        for (name, value) in vars {
            known.insert(name.clone(), of_json(value));
        }
    };
    let layers = layers(spec, scenario, node);
    add(&spec.variables.lab);
    add(&scenario.system.common.vars);
    let groups = || spec.variables.groups.iter().filter(|group| group.nodes.contains(node));
    groups().for_each(|group| add(&group.vars));
    spec.variables.nodes.get(node).into_iter().for_each(&mut add);
    layers.iter().skip(1).for_each(|(seed, _)| add(&seed.vars));
    known.extend(common.0.clone());
    let Some(about) = spec.board.nodes.get(node) else { return known };
    let mac = about.mac.to_string();
    let names: Value = groups().map(|group| Value::from(group.name.as_str())).collect();
    let own = [
        ("node", Value::from(node.as_str())),
        ("ip", Value::from(about.ip.to_string())),
        ("mac_dashed", Value::from(mac.replace(':', "-"))),
        ("mac", Value::from(mac)),
        ("seed_url", Value::from(seed_url(spec, about.mac))),
        ("scenario", Value::from(name.as_str())),
        ("groups", names),
    ];
    known.extend(own.map(|(name, value)| (name.to_owned(), value)));
    if let Some(six) = about.ip6 {
        known.insert("ip6".to_owned(), Value::from(six.to_string()));
    }
    if let Some(zone) = about.zone {
        known.insert("zone".to_owned(), Value::from(zone));
    }
    known
}
