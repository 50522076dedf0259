//! The lab as its owner describes it, after every mistake has been found: it cannot be wrong.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AgentUpdates, DeviceSpec, DnsSpec, DriverName, GuestSpec, LabName, LogsSpec, MacAddr, MachineUuid,
    Mebibytes, NodeName, NtpMode, PdudaemonSpec, ScenarioName, Span, SwitchSpec, SystemSpec, TalosSpec,
    Variables,
};

/// A whole lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LabSpec {
    /// Its name.
    pub lab: LabName,
    /// Addresses.
    pub network: NetworkSpec,
    /// Power drivers by name.
    pub power: BTreeMap<DriverName, PowerDriver>,
    /// Switches by name; none of them has the name of a power driver.
    #[serde(default)]
    pub switch: BTreeMap<DriverName, SwitchSpec>,
    /// The machines and where they stand.
    pub board: BoardSpec,
    /// The ways to run it.
    pub scenarios: BTreeMap<ScenarioName, ScenarioSpec>,
    /// How long each step may take.
    pub limits: Limits,
    /// What templates know.
    #[serde(default)]
    pub variables: Variables,
    /// Whether agents take the build that the boss carries.
    #[serde(default)]
    pub agent_updates: AgentUpdates,
    /// Whether what firmware starts must be signed by the owner.
    #[serde(default)]
    pub secure_boot: SecureBootRule,
    /// Whether other programs may switch machines as they do through pdudaemon.
    #[serde(default)]
    pub pdudaemon: Option<PdudaemonSpec>,
    /// What the log stream follows besides what machines send.
    #[serde(default)]
    pub logs: LogsSpec,
}

/// What a lab asks of the programs that firmware starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SecureBootRule {
    /// Nothing: firmware judges for itself.
    #[default]
    Off,
    /// A kernel or unified kernel image that is not signed by the certificate of the folder of images is not served.
    Required,
}

/// How the boot counter answers DHCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DhcpMode {
    /// It is the only DHCP server of the segment.
    Authoritative,
    /// Another server gives the addresses; it only says what to boot (PXE 2.1 section 2.2, `ProxyDHCP`).
    Proxy,
    /// It answers no DHCP at all.
    Off,
}

/// From which port TFTP answers come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TftpPorts {
    /// From ports of their own, as RFC 1350 section 4 has it.
    #[default]
    OwnPorts,
    /// From port 69, for firewalls and relays that let nothing else through.
    SinglePort,
}

/// The lab's segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkSpec {
    /// Interface of the boss that the board hangs on.
    pub interface: String,
    /// Network address of the subnet.
    #[schemars(with = "String")]
    pub subnet: Ipv4Addr,
    /// Prefix length of the subnet, 8 to 30.
    pub prefix: u8,
    /// The boss's own address.
    #[schemars(with = "String")]
    pub boss: Ipv4Addr,
    /// Default router told to clients, if any.
    #[schemars(with = "Option<String>")]
    pub gateway: Option<Ipv4Addr>,
    /// Name servers told to clients.
    #[schemars(with = "Vec<String>")]
    pub dns: Vec<Ipv4Addr>,
    /// The domain that clients are told, if any.
    #[serde(default)]
    pub domain: Option<String>,
    /// The boss as name server, where it is one.
    #[serde(default)]
    pub names: Option<DnsSpec>,
    /// Whether the boss serves time.
    #[serde(default)]
    pub ntp: NtpMode,
    /// First and last address for machines that are not on the board.
    #[schemars(with = "Option<(String, String)>")]
    pub pool: Option<(Ipv4Addr, Ipv4Addr)>,
    /// Whether we are the DHCP server.
    pub dhcp: DhcpMode,
    /// Seconds a lease lasts.
    pub lease_seconds: u32,
    /// From which port TFTP answers come.
    #[serde(default)]
    pub tftp: TftpPorts,
    /// Further subnets, reached through relays.
    #[serde(default)]
    pub relays: Vec<RelayedSubnet>,
    /// IPv6 beside it, or instead of it where `dhcp` is off; absent when the boss speaks none.
    #[serde(default)]
    pub ipv6: Option<Ipv6Spec>,
}

/// A subnet behind a DHCP relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RelayedSubnet {
    /// Network address.
    #[schemars(with = "String")]
    pub subnet: Ipv4Addr,
    /// Prefix length, 8 to 30.
    pub prefix: u8,
    /// Default router told to its machines.
    #[schemars(with = "String")]
    pub gateway: Ipv4Addr,
    /// First and last address for machines that are not on the board.
    #[schemars(with = "Option<(String, String)>")]
    pub pool: Option<(Ipv4Addr, Ipv4Addr)>,
}

/// IPv6 on the lab's segment: DHCPv6, router advertisements, and boot files over it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ipv6Spec {
    /// First address of the prefix, which has 64 bits.
    #[schemars(with = "String")]
    pub prefix: Ipv6Addr,
    /// The boss's own address in it.
    #[schemars(with = "String")]
    pub boss: Ipv6Addr,
    /// First and last address for machines that are not on the board.
    #[schemars(with = "Option<(String, String)>")]
    pub pool: Option<(Ipv6Addr, Ipv6Addr)>,
    /// Name servers told to clients.
    #[schemars(with = "Vec<String>")]
    pub dns: Vec<Ipv6Addr>,
    /// True when the boss announces itself as the default router.
    pub router: bool,
    /// True when machines may make further addresses of the prefix by themselves.
    pub autonomous: bool,
}

impl LabSpec {
    /// Whether the serial console and the screen of this machine are reached through the boss: guests by the agents of
    /// their hypervisors, virtual machines because they run there.
    #[must_use]
    pub fn has_console(&self, node: &NodeSpec) -> bool {
        let driver = self.power.get(&node.power.driver);
        node.guest.is_some() || matches!(driver, Some(PowerDriver::Virtual { .. }))
    }
}

impl Ipv6Spec {
    /// Length of the prefix in bits: what firmware takes for granted, and what addresses made of Ethernet addresses
    /// need (RFC 4291 section 2.5.1).
    pub const PREFIX: u8 = 64;

    /// True for an address of the prefix.
    #[must_use]
    pub const fn holds(&self, address: Ipv6Addr) -> bool {
        address.to_bits() >> 64 == self.prefix.to_bits() >> 64
    }
}

impl NetworkSpec {
    /// The subnet's mask.
    #[must_use]
    pub fn mask(&self) -> Ipv4Addr {
        let host_bits = 32_u32.saturating_sub(u32::from(self.prefix));
        Ipv4Addr::from_bits(u32::MAX.checked_shl(host_bits).unwrap_or(0))
    }

    /// True for an address of the subnet that a machine can have.
    #[must_use]
    pub fn holds(&self, address: Ipv4Addr) -> bool {
        let mask = self.mask().to_bits();
        let (net, ip) = (self.subnet.to_bits() & mask, address.to_bits());
        ip & mask == net && ip != net && ip != net | !mask
    }
}

/// How machines are switched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "driver", rename_all = "kebab-case")]
pub enum PowerDriver {
    /// Virtual machines of this computer with real firmware.
    Virtual {
        /// Memory of each.
        memory: Mebibytes,
        /// How long to wait between two starts, in milliseconds.
        stagger: Span,
        /// Size of a disk that each has, `/dev/vda`; none unless told. It takes only the room that is written to.
        #[serde(default)]
        disk: Option<Mebibytes>,
    },
    /// A person presses the button; the lab says when and sees what happens.
    Manual,
    /// The agents of the hypervisors that run the lab's guests.
    Guests,
    /// A device that switches machines.
    Device(DeviceSpec),
}

/// A port of a power driver or a switch, written `relays/1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct PortRef {
    /// Which driver or switch.
    pub driver: DriverName,
    /// Which of its ports.
    pub port: String,
}

impl fmt::Display for PortRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.driver, self.port)
    }
}

/// The board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BoardSpec {
    /// Columns, from 1.
    pub columns: u8,
    /// Rows, from 1.
    pub rows: u8,
    /// The machines.
    pub nodes: BTreeMap<NodeName, NodeSpec>,
}

/// Where a machine stands on the board. Both count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Cell {
    /// From the left.
    pub column: u8,
    /// From the top.
    pub row: u8,
}

/// Firmware of a virtual machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VirtualFirmware {
    /// `SeaBIOS` with the network card's iPXE ROM.
    Bios,
    /// OVMF with its own PXE client.
    UefiPxe,
    /// OVMF with its own HTTP boot client.
    UefiHttp,
    /// OVMF with its PXE client over IPv6 alone.
    UefiPxe6,
}

/// Which program UEFI firmware of x86-64 is given to boot from the network. All others get iPXE.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LoaderChoice {
    /// iPXE over the firmware's own driver.
    #[default]
    Ipxe,
    /// Labinator's own loader, where the counter has it and a key to sign its answers with; else iPXE.
    Labinator,
}

/// One machine of the board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeSpec {
    /// Its cell.
    pub at: Cell,
    /// Its zone, where the board has zones.
    pub zone: Option<u8>,
    /// The network port it boots from.
    pub mac: MacAddr,
    /// Its reserved address.
    #[schemars(with = "String")]
    pub ip: Ipv4Addr,
    /// Its reserved IPv6 address, where the lab has IPv6.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub ip6: Option<Ipv6Addr>,
    /// What switches it.
    pub power: PortRef,
    /// The port of a switch that it is plugged into, where that is written down.
    #[serde(default)]
    pub port: Option<PortRef>,
    /// Memory in the box, where written down.
    pub memory: Option<Mebibytes>,
    /// Firmware, for virtual machines only.
    pub firmware: Option<VirtualFirmware>,
    /// Disk that an installation may use; `/dev/sda` unless told.
    #[serde(default)]
    pub disk: Option<String>,
    /// What tells a guest from others, made of lab and name; absent for a machine of metal. A guest has no cell of its
    /// own: `at` is where the hypervisor of the first scenario that has it stands.
    #[serde(default)]
    pub guest: Option<MachineUuid>,
    /// What its firmware is given to boot from the network.
    #[serde(default)]
    pub loader: LoaderChoice,
}

/// One way to run the lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScenarioSpec {
    /// Machines that take part, in the board's order.
    pub nodes: Vec<NodeName>,
    /// What they boot.
    pub image: ImageRef,
    /// Kernel arguments after the image's own.
    pub args: String,
    /// How many must be ready for the lab to be ready; the others may be bad.
    pub enough: u16,
    /// What is said about an operating system without our agent.
    #[serde(default)]
    pub system: SystemSpec,
    /// The cluster that its machines become, where it boots Talos.
    #[serde(default)]
    pub talos: Option<TalosSpec>,
    /// The machines among them that run its guests: they boot `hypervisor_image`, and are no part of its cluster.
    #[serde(default)]
    pub hypervisors: Vec<NodeName>,
    /// What hypervisors boot.
    #[serde(default)]
    pub hypervisor_image: Option<ImageRef>,
    /// Kernel arguments of hypervisors after their image's own; `args` are for what runs in them.
    #[serde(default)]
    pub hypervisor_args: String,
    /// Its guests and where they run.
    #[serde(default)]
    pub guests: BTreeMap<NodeName, GuestSpec>,
    /// Disks of its machines that are recorded as this lab's are wiped once a start, before the machines count as ready.
    #[serde(default)]
    pub wipe_before_use: bool,
    /// After its end machines wait for the next start, in our loader or in a live image that can kexec, at most so long;
    /// then they go off.
    #[serde(default)]
    pub park: Option<Span>,
}

impl ScenarioSpec {
    /// True for a machine that boots the scenario's own image, and is part of its cluster where it builds one.
    #[must_use]
    pub fn is_member(&self, node: &NodeName) -> bool {
        self.nodes.contains(node) && !self.hypervisors.contains(node)
    }

    /// The machines that boot the scenario's own image, in the board's order.
    pub fn members(&self) -> impl Iterator<Item = &NodeName> {
        self.nodes.iter().filter(|node| !self.hypervisors.contains(node))
    }
}

/// Which image a scenario boots, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ImageRef {
    /// An image of the image folder, by name.
    Named(String),
    /// Files of the owner's.
    Files {
        /// Path of the kernel.
        kernel: Option<String>,
        /// Paths of initramfs files, in order.
        initrd: Vec<String>,
        /// Path of a UKI.
        uki: Option<String>,
        /// Kernel arguments.
        args: String,
    },
}

/// How long each step may take before it is called too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// From an order to the driver until the machine is seen on or off.
    pub power: Span,
    /// From power on until the first DISCOVER.
    pub first_ask: Span,
    /// From the first DISCOVER until the whole image was taken.
    pub fetch: Span,
    /// From the whole image until the agent reports.
    pub start: Span,
    /// Silence of an agent until it counts as lost.
    pub silence: Span,
    /// From lost until the machine is switched off and on again.
    pub lost: Span,
    /// From an installer's whole image until the machine boots its own disk.
    #[serde(default = "install_limit")]
    pub install: Span,
    /// From Talos's new identity until the cluster gives the machine work.
    #[serde(default = "join_limit")]
    pub join: Span,
    /// From the last machine of a cluster that became ready until the pods of its manifests are.
    #[serde(default = "pods_limit")]
    pub pods: Span,
    /// Starts tried for one machine before it is called bad.
    pub tries: u8,
}

/// Half an hour: a Debian installer over a slow mirror takes twenty minutes.
const fn install_limit() -> Span {
    Span::secs(1800)
}

/// A quarter of an hour: control planes pull their images one after the other.
const fn join_limit() -> Span {
    Span::secs(900)
}

/// A quarter of an hour: every node pulls its images from the Internet.
const fn pods_limit() -> Span {
    Span::secs(900)
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            power: Span::secs(15),
            first_ask: Span::secs(90),
            fetch: Span::secs(240),
            start: Span::secs(120),
            silence: Span::secs(30),
            lost: Span::secs(90),
            install: install_limit(),
            join: join_limit(),
            pods: pods_limit(),
            tries: 3,
        }
    }
}
