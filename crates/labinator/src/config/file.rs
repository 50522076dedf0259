//! The lab file as it was typed: everything may be missing, nothing is judged, every place is kept.
//!
//! The JSON Schema for editors is made from these types.

use schemars::JsonSchema;

use super::devices::Given;
use super::fields::{Entries, Typed};
use super::guests::GuestsFile;
use super::logs::LogsFile;
use super::pdudaemon::PdudaemonFile;
use super::systems::{PathsFile, VarsFile};
use super::talos::TalosFile;
use super::yaml::Place;

/// A lab: its network, its machines, how they are switched, and the ways to run it.
#[derive(Debug, Clone, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LabFile {
    /// Name of the lab.
    #[schemars(with = "String", regex(pattern = super::fields::NAME_PATTERN))]
    pub lab: Option<Typed<String>>,
    /// The segment that the board hangs on.
    #[schemars(with = "NetworkFile")]
    pub network: Option<NetworkFile>,
    /// What switches the machines, by name.
    #[schemars(with = "Entries<PowerFile>")]
    pub power: Option<Entries<PowerFile>>,
    /// The switches that the machines hang on, by name.
    pub switch: Option<Entries<SwitchFile>>,
    /// The machines and where they stand.
    #[schemars(with = "BoardFile")]
    pub board: Option<BoardFile>,
    /// The ways to run the lab, by name.
    pub scenarios: Option<Entries<ScenarioFile>>,
    /// How long each step may take.
    pub limits: Option<LimitsFile>,
    /// How surely a machine must be known before it gets the config of a cluster; `address` unless told.
    #[schemars(with = "Option<String>", extend("enum" = ["address", "place", "key"]))]
    pub proof: Option<Typed<String>>,
    /// `auto`: agents of live images take the build that the boss carries. `hold`: they stay as they are. `auto` unless
    /// told.
    #[schemars(with = "Option<String>", extend("enum" = ["auto", "hold"]))]
    pub agent_updates: Option<Typed<String>>,
    /// `required`: no kernel or unified kernel image is served that is not signed by the owner's keys for Secure Boot.
    /// `off` unless told.
    #[schemars(with = "Option<String>", extend("enum" = ["off", "required"]))]
    pub secure_boot: Option<Typed<String>>,
    /// Other programs, such as LAVA and labgrid, switch the lab's machines as they do through pdudaemon. Nobody may unless
    /// this is here.
    #[schemars(with = "Option<PdudaemonFile>")]
    pub pdudaemon: Option<PdudaemonFile>,
    /// What the log stream follows besides what machines send.
    #[schemars(with = "Option<LogsFile>")]
    pub logs: Option<LogsFile>,
    /// What every template knows.
    #[schemars(with = "Option<VarsFile>")]
    pub vars: VarsFile,
    /// Machines that have something in common, by name.
    pub groups: Option<Entries<GroupFile>>,
}

/// Machines that have something in common.
#[derive(Debug, Clone, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GroupFile {
    /// Its key.
    #[schemars(skip)]
    pub place: Place,
    /// Its machines.
    #[schemars(with = "ChoiceFile")]
    pub nodes: Option<ChoiceFile>,
    /// What the templates of its machines know.
    #[schemars(with = "Option<VarsFile>")]
    pub vars: VarsFile,
}

/// The segment that the board hangs on.
#[derive(Debug, Clone, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NetworkFile {
    /// Its key.
    #[schemars(skip)]
    pub place: Place,
    /// Interface of the boss, such as `enp1s0`.
    #[schemars(with = "String", length(min = 1, max = 15))]
    pub interface: Option<Typed<String>>,
    /// Subnet with its prefix, such as `192.168.122.0/24`.
    #[schemars(with = "String", regex(pattern = r"^[0-9.]{7,15}/[0-9]{1,2}$"))]
    pub subnet: Option<Typed<String>>,
    /// Address of the boss in that subnet.
    #[schemars(with = "String", extend("format" = "ipv4"))]
    pub boss: Option<Typed<String>>,
    /// Default router that machines are told.
    #[schemars(with = "Option<String>", extend("format" = "ipv4"))]
    pub gateway: Option<Typed<String>>,
    /// Domain of the lab, such as `lab.internal`. With it the boss is the lab's name server, unless `dns` says
    /// otherwise.
    #[schemars(with = "Option<String>", regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$"))]
    pub domain: Option<Typed<String>>,
    /// A list: these name servers are told to machines, and the boss is none. A mapping: the boss is the name server.
    #[schemars(with = "Option<DnsFile>")]
    pub dns: Option<DnsFile>,
    /// `auto`: the boss serves time while somebody keeps its clock. `trust`: its own clock is good enough.
    #[schemars(with = "Option<String>", extend("enum" = ["auto", "trust", "off"]))]
    pub ntp: Option<Typed<String>>,
    /// `authoritative`: the boss is the only DHCP server here. `proxy`: another server gives the addresses, the boss
    /// says what to boot. `off`: it answers no DHCP.
    #[schemars(with = "String", extend("enum" = ["authoritative", "proxy", "off"]))]
    pub dhcp: Option<Typed<String>>,
    /// Addresses for machines that are not on the board, `first-last`.
    #[schemars(with = "Option<String>", regex(pattern = r"^[0-9.]{7,15} ?- ?[0-9.]{7,15}$"))]
    pub pool: Option<Typed<String>>,
    /// Addresses for guests, `first-last`.
    #[schemars(with = "Option<String>", regex(pattern = r"^[0-9.]{7,15} ?- ?[0-9.]{7,15}$"))]
    pub guests: Option<Typed<String>>,
    /// How long an address is lent, such as `1h`.
    #[schemars(with = "Option<String>", regex(pattern = r"^([0-9]+(ms|s|m|h))+$"))]
    pub lease: Option<Typed<String>>,
    /// `own-ports`: TFTP answers come from ports of their own. `single-port`: from port 69, for firewalls and relays
    /// that let nothing else through.
    #[schemars(with = "Option<String>", extend("enum" = ["own-ports", "single-port"]))]
    pub tftp: Option<Typed<String>>,
    /// Further subnets, whose machines come through DHCP relays.
    pub relays: Option<Vec<RelayFile>>,
    /// IPv6 on this segment; without it the boss speaks none.
    pub ipv6: Option<Ipv6File>,
}

/// A subnet behind a DHCP relay.
#[derive(Debug, Clone, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RelayFile {
    /// Where it begins.
    #[schemars(skip)]
    pub place: Place,
    /// Subnet with its prefix, such as `10.20.0.0/24`.
    #[schemars(with = "String", regex(pattern = r"^[0-9.]{7,15}/[0-9]{1,2}$"))]
    pub subnet: Option<Typed<String>>,
    /// Default router of that subnet.
    #[schemars(with = "String", extend("format" = "ipv4"))]
    pub gateway: Option<Typed<String>>,
    /// Addresses there for machines that are not on the board, `first-last`.
    #[schemars(with = "Option<String>", regex(pattern = r"^[0-9.]{7,15} ?- ?[0-9.]{7,15}$"))]
    pub pool: Option<Typed<String>>,
}

/// IPv6: DHCPv6, router advertisements, and boot files over it.
#[derive(Debug, Clone, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Ipv6File {
    /// Its key.
    #[schemars(skip)]
    pub place: Place,
    /// The prefix, of 64 bits, such as `fd00:1ab::/64`.
    #[schemars(with = "String", regex(pattern = r"^[0-9a-fA-F:.]{2,45}/64$"))]
    pub prefix: Option<Typed<String>>,
    /// Address of the boss in that prefix.
    #[schemars(with = "String", extend("format" = "ipv6"))]
    pub boss: Option<Typed<String>>,
    /// Addresses for machines that are not on the board, `first-last`; at most 65536 of them.
    #[schemars(with = "Option<String>", regex(pattern = r"^[0-9a-fA-F:.]{2,45} ?- ?[0-9a-fA-F:.]{2,45}$"))]
    pub pool: Option<Typed<String>>,
    /// Name servers that machines are told.
    #[schemars(with = "Option<Vec<String>>")]
    pub dns: Option<Typed<Vec<Typed<String>>>>,
    /// The boss's address, where the boss is to be the default router; without it there is none.
    #[schemars(with = "Option<String>", extend("format" = "ipv6"))]
    pub gateway: Option<Typed<String>>,
    /// `on`: machines may make addresses of the prefix by themselves, too. `off` unless told.
    #[schemars(with = "Option<String>", extend("enum" = ["on", "off"]))]
    pub slaac: Option<Typed<String>>,
}

/// Who answers names.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum DnsFile {
    /// Others do: these are told to machines.
    Others(#[schemars(with = "Vec<String>")] Typed<Vec<Typed<String>>>),
    /// Nobody does.
    Off(#[schemars(with = "String", extend("const" = "off"))] Place),
    /// The boss does.
    Boss(DnsBossFile),
}

/// The boss as name server.
#[derive(Debug, Clone, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DnsBossFile {
    /// Its key.
    #[schemars(skip)]
    pub place: Place,
    /// Servers that are asked for other names, each an address, with `:PORT` where it is not 53. None: other names are
    /// refused.
    #[schemars(with = "Option<Vec<String>>")]
    pub forward: Option<Typed<Vec<Typed<String>>>>,
    /// Where every name below `apps.DOMAIN` leads: machines by name, or addresses.
    #[schemars(with = "Option<Vec<String>>")]
    pub ingress: Option<Typed<Vec<Typed<String>>>>,
}

/// Something that switches machines.
#[derive(Debug, Clone, Default)]
pub struct PowerFile {
    /// Its key.
    pub place: Place,
    /// Which driver.
    pub driver: Option<Typed<String>>,
    /// Memory of each virtual machine, such as `512MiB`.
    pub memory: Option<Typed<String>>,
    /// Pause between two starts, such as `500ms`.
    pub stagger: Option<Typed<String>>,
    /// Disk of each virtual machine, `/dev/vda`, such as `10GiB`. It takes only the room that is written to.
    pub disk: Option<Typed<String>>,
    /// Ports that nobody may switch.
    pub protect: Option<Vec<Typed<String>>>,
    /// A machine that takes this much or less is off.
    pub standby: Option<Typed<String>>,
    /// Options of one driver or another.
    pub options: Vec<Given>,
}

/// A switch.
#[derive(Debug, Clone, Default)]
pub struct SwitchFile {
    /// Its key.
    pub place: Place,
    /// Which driver.
    pub driver: Option<Typed<String>>,
    /// The port that the boss hangs on.
    pub boss: Option<Typed<String>>,
    /// The port that leads to the router, or to another switch.
    pub uplink: Option<Typed<String>>,
    /// Further ports that nobody may disable.
    pub protect: Option<Vec<Typed<String>>>,
    /// Pause between two looks.
    pub every: Option<Typed<String>>,
    /// Options of one driver or another.
    pub options: Vec<Given>,
}

/// The board.
#[derive(Debug, Clone, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BoardFile {
    /// Its key.
    #[schemars(skip)]
    pub place: Place,
    /// Columns of the board.
    #[schemars(with = "u8", range(min = 1))]
    pub columns: Option<Typed<u64>>,
    /// Rows of the board; as many as the machines need unless told.
    #[schemars(with = "Option<u8>", range(min = 1))]
    pub rows: Option<Typed<u64>>,
    /// The machines, by name.
    #[schemars(with = "Option<Entries<NodeFile>>")]
    pub nodes: Option<Entries<NodeFile>>,
    /// Machines that stand and count alike, written once for all of them.
    #[schemars(with = "Option<Entries<RackFile>>")]
    pub racks: Option<Entries<RackFile>>,
}

/// A rack: its machines are called `NAME-1`, `NAME-2` and so on, stand beside each other from `at` on, and count
/// their addresses and power ports up from the first one's.
#[derive(Debug, Clone, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RackFile {
    /// Its key.
    #[schemars(skip)]
    pub place: Place,
    /// Cell of the first machine: `[column, row]`, both from 1.
    #[schemars(with = "[u8; 2]")]
    pub at: Option<Typed<Vec<Typed<u64>>>>,
    /// Machines beside each other before the next row begins; all unless told.
    #[schemars(with = "Option<u8>", range(min = 1))]
    pub columns: Option<Typed<u64>>,
    /// How many machines; with a list of addresses, as many as it has.
    #[schemars(with = "Option<u16>", range(min = 1))]
    pub count: Option<Typed<u64>>,
    /// Zone of all of them.
    #[schemars(with = "Option<u8>")]
    pub zone: Option<Typed<u64>>,
    /// Ethernet addresses: a list in the order of the machines, or the first one, from which the others count up.
    #[schemars(with = "OneOrMore")]
    pub mac: Option<Typed<Vec<Typed<String>>>>,
    /// Reserved address of the first machine; the others follow.
    #[schemars(with = "String", extend("format" = "ipv4"))]
    pub ip: Option<Typed<String>>,
    /// Power port of the first machine, `driver/port`; the number at its end counts up.
    #[schemars(with = "String", regex(pattern = r"^[a-z0-9-]+/.*[0-9]$"))]
    pub power: Option<Typed<String>>,
    /// Memory in each box, such as `8GiB`.
    #[schemars(with = "Option<String>", regex(pattern = r"^[0-9]+ ?[MG]iB$"))]
    pub memory: Option<Typed<String>>,
    /// Firmware, for virtual machines only.
    #[schemars(with = "Option<String>", extend("enum" = ["bios", "uefi-pxe", "uefi-http"]))]
    pub firmware: Option<Typed<String>>,
}

/// One machine: the only place where its wiring is written down.
#[derive(Debug, Clone, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NodeFile {
    /// Its key.
    #[schemars(skip)]
    pub place: Place,
    /// Its cell: `[column, row]`, both from 1.
    #[schemars(with = "[u8; 2]")]
    pub at: Option<Typed<Vec<Typed<u64>>>>,
    /// Its zone.
    #[schemars(with = "Option<u8>")]
    pub zone: Option<Typed<u64>>,
    /// Ethernet address of the port it boots from.
    #[schemars(with = "model::MacAddr")]
    pub mac: Option<Typed<String>>,
    /// Its reserved address.
    #[schemars(with = "String", extend("format" = "ipv4"))]
    pub ip: Option<Typed<String>>,
    /// Its reserved IPv6 address; made from the prefix and the last part of `ip` unless told.
    #[schemars(with = "Option<String>", extend("format" = "ipv6"))]
    pub ip6: Option<Typed<String>>,
    /// What switches it: `driver/port`.
    #[schemars(with = "String", regex(pattern = r"^[a-z0-9-]+/.+$"))]
    pub power: Option<Typed<String>>,
    /// Memory in the box, such as `8GiB`.
    #[schemars(with = "Option<String>", regex(pattern = r"^[0-9]+ ?[MG]iB$"))]
    pub memory: Option<Typed<String>>,
    /// Firmware, for virtual machines only.
    #[schemars(with = "Option<String>", extend("enum" = ["bios", "uefi-pxe", "uefi-http", "uefi-pxe6"]))]
    pub firmware: Option<Typed<String>>,
    /// What the templates of this machine know.
    #[schemars(with = "Option<VarsFile>")]
    pub vars: VarsFile,
    /// Disk that Talos installs itself to, such as `/dev/nvme0n1`; `/dev/sda` unless told.
    #[schemars(with = "Option<String>", regex(pattern = "^/dev/.+$"))]
    pub disk: Option<Typed<String>>,
    /// What UEFI firmware of x86-64 boots from the network; `ipxe` unless told.
    #[schemars(with = "Option<String>", extend("enum" = ["ipxe", "labinator"]))]
    pub loader: Option<Typed<String>>,
    /// Port of a switch that it is plugged into, `switch/port`.
    #[schemars(with = "Option<String>", regex(pattern = r"^[a-z0-9-]+/.+$"))]
    pub port: Option<Typed<String>>,
}

/// One way to run the lab.
#[derive(Debug, Clone, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(extend("anyOf" = [{ "required": ["image", "nodes"] }, { "required": ["control-plane", "talos"] }]))]
pub struct ScenarioFile {
    /// Its key.
    #[schemars(skip)]
    pub place: Place,
    /// What the machines boot; `talos` unless told, in a cluster.
    pub image: Option<ImageFile>,
    /// Machines that take part; in a cluster `control-plane` and `workers` say so.
    pub nodes: Option<ChoiceFile>,
    /// The cluster that they become.
    #[schemars(flatten)]
    pub talos: TalosFile,
    /// Kernel arguments after the image's own.
    #[schemars(with = "Option<String>")]
    pub args: Option<Typed<String>>,
    /// How many must be ready for the lab to be ready; all unless told.
    #[schemars(with = "Option<u16>", range(min = 1))]
    pub enough: Option<Typed<u64>>,
    /// What each machine can fetch.
    #[schemars(flatten)]
    pub seed: SeedFile,
    /// What some machines get instead, by the name of a group or a machine.
    #[schemars(rename = "for")]
    pub special: Option<Entries<OverrideFile>>,
    /// When a machine counts as ready: `address`, `fetched`, `done`, or `{ port: 22 }`.
    pub ready: Option<ReadyFile>,
    /// How long that may take after the whole image; `limits.start` unless told.
    #[schemars(with = "Option<String>", regex(pattern = r"^([0-9]+(ms|s|m|h))+$"))]
    pub within: Option<Typed<String>>,
    /// In a cluster, the manifests it gets, each a file or a folder of files. Else: the image installs itself to the
    /// disk, once; and how the disk is booted afterwards.
    #[schemars(with = "Option<InstallFile>")]
    pub install: Option<Typed<String>>,
    /// Machines that run guests: a list, or `all` that do not take part themselves.
    pub hypervisors: Option<ChoiceFile>,
    /// What they boot; `hypervisor` unless told.
    pub hypervisor_image: Option<ImageFile>,
    /// Kernel arguments after those of their image, such as `console=ttyS0`.
    #[schemars(with = "Option<String>")]
    pub hypervisor_args: Option<Typed<String>>,
    /// Guests that boot the scenario's image; in a cluster `control-plane` and `workers` say so.
    pub guests: Option<GuestsFile>,
    /// `before-use`: once a start, the agent wipes the machines' disks that are recorded as this lab's.
    #[schemars(with = "Option<String>", regex(pattern = r"^before-use$"))]
    pub wipe: Option<Typed<String>>,
    /// After the run, machines wait for the next start, at most so long; then they go off. With `loader: labinator` they wait
    /// in it, else in their live image, where that can start the next kernel by kexec; Talos where `park-by` says so.
    #[schemars(with = "Option<String>", regex(pattern = r"^([0-9]+(ms|s|m|h))+$"))]
    pub park: Option<Typed<String>>,
}

/// Files a machine can fetch below its own address, and variables for them.
#[derive(Debug, Clone, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub struct SeedFile {
    /// Templates, by the name under which they are served.
    #[schemars(with = "Option<PathsFile>")]
    pub seed: PathsFile,
    /// Files served as they are, by the name under which they are served.
    #[schemars(with = "Option<PathsFile>")]
    pub files: PathsFile,
    /// A folder whose files are served as they are, such as the boot folder of a Raspberry Pi.
    #[schemars(with = "Option<String>")]
    pub folder: Option<Typed<String>>,
    /// What these templates know.
    #[schemars(with = "Option<VarsFile>")]
    pub vars: VarsFile,
}

/// What one group or machine gets instead of what the scenario says.
#[derive(Debug, Clone, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub struct OverrideFile {
    /// Its key.
    #[schemars(skip)]
    pub place: Place,
    /// Another image.
    pub image: Option<ImageFile>,
    /// Kernel arguments after the scenario's.
    #[schemars(with = "Option<String>")]
    pub args: Option<Typed<String>>,
    /// More files, and others under the same name.
    #[schemars(flatten)]
    pub seed: SeedFile,
}

/// When a machine counts as ready.
#[derive(Debug, Clone)]
pub enum ReadyFile {
    /// When its system got its `address`, its image was `fetched`, or it said that it is `done`.
    When(Typed<String>),
    /// When this port accepts a connection.
    Port(Typed<u64>),
}

impl JsonSchema for ReadyFile {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ReadyFile".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [
                { "enum": ["address", "fetched", "done"] },
                {
                    "type": "object",
                    "properties": { "port": { "type": "integer", "minimum": 1, "maximum": 65535 } },
                    "required": ["port"],
                    "additionalProperties": false
                }
            ]
        })
    }
}

/// Shape of `install`.
#[derive(Debug, JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "only its schema is used")]
enum InstallFile {
    Once(bool),
    Then(String),
    Manifests(Vec<String>),
}

/// An image by name, or files of the owner's.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum ImageFile {
    /// Name of an image in the image folder.
    Named(#[schemars(with = "String")] Typed<String>),
    /// Files of the owner's.
    Files(ImageFilesFile),
}

/// Files of the owner's: a kernel, a UKI, or both. Paths are seen from the lab file's folder.
#[derive(Debug, Clone, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ImageFilesFile {
    /// Its key.
    #[schemars(skip)]
    pub place: Place,
    /// Path of the kernel.
    #[schemars(with = "Option<String>")]
    pub kernel: Option<Typed<String>>,
    /// Path of the initramfs, or several in order.
    #[schemars(with = "Option<OneOrMore>")]
    pub initrd: Option<Typed<Vec<Typed<String>>>>,
    /// Path of a UKI, for firmware that boots one EFI program.
    #[schemars(with = "Option<String>")]
    pub uki: Option<Typed<String>>,
    /// Kernel arguments.
    #[schemars(with = "Option<String>")]
    pub args: Option<Typed<String>>,
}

/// Shape of a path or a list of paths.
#[derive(Debug, JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "only its schema is used")]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// Which machines.
#[derive(Debug, Clone)]
pub enum ChoiceFile {
    /// `all` of the board.
    All(Place),
    /// These.
    Some(Typed<Vec<Typed<String>>>),
}

impl JsonSchema for ChoiceFile {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ChoiceFile".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [{ "const": "all" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }]
        })
    }
}

/// How long each step of a start may take before it is called too long.
#[derive(Debug, Clone, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LimitsFile {
    /// From an order to the power driver until the machine is seen on or off.
    #[schemars(with = "Option<String>", regex(pattern = r"^([0-9]+(ms|s|m|h))+$"))]
    pub power: Option<Typed<String>>,
    /// From power on until the first DHCPDISCOVER.
    #[schemars(with = "Option<String>", regex(pattern = r"^([0-9]+(ms|s|m|h))+$"))]
    pub first_ask: Option<Typed<String>>,
    /// From the first DHCPDISCOVER until the whole image was taken.
    #[schemars(with = "Option<String>", regex(pattern = r"^([0-9]+(ms|s|m|h))+$"))]
    pub fetch: Option<Typed<String>>,
    /// From the whole image until the agent reports.
    #[schemars(with = "Option<String>", regex(pattern = r"^([0-9]+(ms|s|m|h))+$"))]
    pub start: Option<Typed<String>>,
    /// Silence of an agent until it counts as lost.
    #[schemars(with = "Option<String>", regex(pattern = r"^([0-9]+(ms|s|m|h))+$"))]
    pub silence: Option<Typed<String>>,
    /// From lost until the machine is switched off and on again.
    #[schemars(with = "Option<String>", regex(pattern = r"^([0-9]+(ms|s|m|h))+$"))]
    pub lost: Option<Typed<String>>,
    /// From an installer's whole image until the machine boots its own disk.
    #[schemars(with = "Option<String>", regex(pattern = r"^([0-9]+(ms|s|m|h))+$"))]
    pub install: Option<Typed<String>>,
    /// From Talos's new identity until the cluster gives the machine work.
    #[schemars(with = "Option<String>", regex(pattern = r"^([0-9]+(ms|s|m|h))+$"))]
    pub join: Option<Typed<String>>,
    /// From the last machine of a cluster that became ready until the pods of its manifests are.
    #[schemars(with = "Option<String>", regex(pattern = r"^([0-9]+(ms|s|m|h))+$"))]
    pub pods: Option<Typed<String>>,
    /// Starts tried for one machine before it is called bad.
    #[schemars(with = "Option<u8>", range(min = 1))]
    pub tries: Option<Typed<u64>>,
}
