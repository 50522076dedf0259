//! The kinds of resources that a simulated node has, as it defines them: namespace, aliases and what a table shows of each
//! are Talos's (`pkg/machinery/resources`), as 1.12 to 1.14 have them. 1.9 to 1.11 have no alias of a link, 1.9 no type of a
//! volume.

/// A kind of resource.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) namespace: &'static str,
    /// Beside those that are made from its name.
    aliases: &'static [&'static str],
    /// Heading and place of each column.
    columns: &'static [(&'static str, &'static str)],
    pub(super) sensitive: bool,
}

const fn kind(
    name: &'static str,
    namespace: &'static str,
    aliases: &'static [&'static str],
    columns: &'static [(&'static str, &'static str)],
) -> Kind {
    Kind { name, namespace, aliases, columns, sensitive: false }
}

pub(super) const DEFINITIONS: &str = "ResourceDefinitions.meta.cosi.dev";
pub(super) const MACHINE_CONFIGS: &str = "MachineConfigs.config.talos.dev";

/// All of them.
pub(super) const KINDS: [Kind; 20] = [
    kind(
        "AddressStatuses.net.talos.dev",
        "network",
        &["address", "addresses"],
        &[("Address", "{.address}"), ("Link", "{.linkName}")],
    ),
    kind(
        "DiscoveredVolumes.block.talos.dev",
        "runtime",
        &[],
        &[
            ("Type", "{.type}"),
            ("Size", "{.pretty_size}"),
            ("Discovered", "{.name}"),
            ("Label", "{.label}"),
            ("PartitionLabel", "{.partition_label}"),
        ],
    ),
    kind(
        "Disks.block.talos.dev",
        "runtime",
        &[],
        &[
            ("Size", "{.pretty_size}"),
            ("Read Only", "{.readonly}"),
            ("Transport", "{.transport}"),
            ("Rotational", "{.rotational}"),
            ("WWID", "{.wwid}"),
            ("Model", "{.model}"),
            ("Serial", "{.serial}"),
        ],
    ),
    kind("EtcdMembers.etcd.talos.dev", "etcd", &[], &[("Member ID", "{.memberID}")]),
    kind(
        "HostnameStatuses.net.talos.dev",
        "network",
        &["hostname"],
        &[("Hostname", "{.hostname}"), ("Domainname", "{.domainname}")],
    ),
    kind(
        "LinkStatuses.net.talos.dev",
        "network",
        &["link", "links"],
        &[
            ("Alias", "{.alias}"),
            ("Type", "{.type}"),
            ("Kind", "{.kind}"),
            ("Hw Addr", "{.hardwareAddr}"),
            ("Oper State", "{.operationalState}"),
            ("Link State", "{.linkState}"),
        ],
    ),
    Kind { sensitive: true, ..kind(MACHINE_CONFIGS, "config", &[], &[]) },
    kind(
        "MachineStatuses.runtime.talos.dev",
        "runtime",
        &[],
        &[("Stage", "{.stage}"), ("Ready", "{.status.ready}")],
    ),
    kind("MachineTypes.config.talos.dev", "config", &[], &[("Type", "{@}")]),
    kind(
        "Members.cluster.talos.dev",
        "cluster",
        &[],
        &[
            ("Hostname", "{.hostname}"),
            ("Machine Type", "{.machineType}"),
            ("OS", "{.operatingSystem}"),
            ("Addresses", "{.addresses}"),
        ],
    ),
    kind(
        "NodeAddresses.net.talos.dev",
        "network",
        &[],
        &[("Addresses", "{.addresses}"), ("SortAlgorithm", "{.sortAlgorithm}")],
    ),
    kind("Nodenames.kubernetes.talos.dev", "k8s", &[], &[("Nodename", "{.nodename}")]),
    kind(DEFINITIONS, "meta", &["api-resources"], &[("Aliases", "{.aliases[:]}")]),
    kind(
        "RouteStatuses.net.talos.dev",
        "network",
        &["route", "routes"],
        &[
            ("Destination", "{.dst}"),
            ("Gateway", "{.gateway}"),
            ("Link", "{.outLinkName}"),
            ("Metric", "{.priority}"),
        ],
    ),
    kind(
        "Services.v1alpha1.talos.dev",
        "runtime",
        &["svc"],
        &[("Running", "{.running}"), ("Healthy", "{.healthy}"), ("Health Unknown", "{.unknown}")],
    ),
    kind(
        "StaticPodStatuses.kubernetes.talos.dev",
        "k8s",
        &["podstatus"],
        &[("Ready", "{.conditions[?(@.type==\"Ready\")].status}")],
    ),
    kind("SystemDisks.block.talos.dev", "runtime", &[], &[("Disk", "{.diskID}")]),
    kind(
        "SystemInformations.hardware.talos.dev",
        "hardware",
        &["systeminformation"],
        &[
            ("Manufacturer", "{.manufacturer}"),
            ("ProductName", "{.productName}"),
            ("Version", "{.version}"),
            ("SerialNumber", "{.serialnumber}"),
            ("UUID", "{.uuid}"),
        ],
    ),
    kind("TimeStatuses.v1alpha1.talos.dev", "runtime", &[], &[("Synced", "{.synced}")]),
    kind(
        "VolumeStatuses.block.talos.dev",
        "runtime",
        &[],
        &[("Type", "{.type}"), ("Phase", "{.phase}"), ("Location", "{.location}"), ("Size", "{.prettySize}")],
    ),
];

/// The kind of that name.
pub(super) fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

impl Kind {
    /// What the node says of it.
    pub(super) fn defined(&self) -> String {
        let display = self.display();
        let columns: String = self
            .columns
            .iter()
            .map(|(name, path)| format!("    - name: {name}\n      jsonPath: '{path}'\n"))
            .collect();
        let columns = if columns.is_empty() { " []\n".to_owned() } else { format!("\n{columns}") };
        format!(
            "type: {}\ndisplayType: {display}\ndefaultNamespace: {}\naliases: [{}]\nallAliases: [{}]\nprintColumns:{columns}sensitivity: {}\n",
            self.name,
            self.namespace,
            self.aliases.join(", "),
            self.all_aliases().join(", "),
            if self.sensitive { "sensitive" } else { "\"\"" },
        )
    }

    /// Its name for people: what stands before the first dot, for one.
    fn display(&self) -> String {
        let many = self.name.split('.').next().unwrap_or_default();
        let one = many.strip_suffix("ses").map(|stem| format!("{stem}s"));
        one.unwrap_or_else(|| many.strip_suffix('s').unwrap_or(many).to_owned())
    }

    /// Its aliases, and what COSI makes of its name: one, many, many with parts of the domain, its capital letters.
    fn all_aliases(&self) -> Vec<String> {
        let mut all: Vec<String> = self.aliases.iter().map(|alias| (*alias).to_owned()).collect();
        let lower = self.name.to_lowercase();
        let display = self.display();
        all.push(display.to_lowercase());
        let dots = lower.match_indices('.').map(|(at, _)| at);
        all.extend(dots.filter_map(|at| lower.get(..at)).map(str::to_owned));
        let capitals: String = display.chars().filter(char::is_ascii_uppercase).collect();
        if capitals.len() > 1 {
            all.extend([capitals.to_lowercase(), format!("{}s", capitals.to_lowercase())]);
        }
        all
    }
}
