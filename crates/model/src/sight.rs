//! What the boot counter sees of a machine: packets and requests, one kind each.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AgentBeat, AgentClash, AgentReport, Ailment, GuestSeen, MacAddr, MachineUuid, TalosSaid};

/// Which program is asking, as far as it says (DHCP options 60, 77, 93).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientKind {
    /// A BIOS's PXE ROM: `PXEClient`, architecture 0.
    BiosPxe,
    /// UEFI's PXE client: `PXEClient` of any UEFI architecture.
    UefiPxe,
    /// UEFI's HTTP boot client: `HTTPClient` of any UEFI architecture.
    UefiHttp,
    /// iPXE, as a ROM or loaded by firmware: user class `iPXE`.
    Ipxe,
    /// The boot loader in a Raspberry Pi's EEPROM, which fetches files by its serial number.
    RaspberryPi,
    /// U-Boot, which looks for a PXELINUX configuration.
    UBoot,
    /// Our agent inside a live image.
    Agent,
    /// Our loader, started from a stick or disk.
    Loader,
    /// What ran before, in whose place another kernel starts without firmware: a live image that waits in memory, or an
    /// installed Talos that starts itself again.
    #[serde(alias = "live-image")]
    Kexec,
    /// A PXE or HTTP client of an architecture this version has no loader for.
    UnknownFirmware,
    /// Any other DHCP client, such as an operating system.
    Other,
}

impl ClientKind {
    /// True for the programs that a boot begins with.
    #[must_use]
    pub const fn is_firmware(self) -> bool {
        match self {
            Self::BiosPxe
            | Self::UefiPxe
            | Self::UefiHttp
            | Self::RaspberryPi
            | Self::UBoot
            | Self::Loader
            | Self::Kexec
            | Self::UnknownFirmware => true,
            Self::Ipxe | Self::Agent | Self::Other => false,
        }
    }
}

impl fmt::Display for ClientKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::BiosPxe => "BIOS PXE",
            Self::UefiPxe => "UEFI PXE",
            Self::UefiHttp => "UEFI HTTP",
            Self::Ipxe => "iPXE",
            Self::RaspberryPi => "Raspberry Pi",
            Self::UBoot => "U-Boot",
            Self::Agent => "agent",
            Self::Loader => "our loader",
            Self::Kexec => "kexec, no firmware",
            Self::UnknownFirmware => "unknown firmware",
            Self::Other => "DHCP client",
        })
    }
}

/// A step of a boot that only our loader can tell of, or a live image that takes its part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LoaderStep {
    /// It was started from a stick or disk, and asked for the first time; perhaps without DHCP.
    Asks,
    /// It has the whole image, from wherever, and starts it.
    Starts,
    /// A live image has left its run, waits in memory, and asked for the first time.
    Parks,
    /// A live image cannot start what it was given, and goes through the firmware.
    Fails,
}

/// What a file is for in a boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FileRole {
    /// The network boot program, such as `snponly.efi`.
    Loader,
    /// An iPXE script.
    Script,
    /// A kernel.
    Kernel,
    /// An initramfs.
    Initrd,
    /// Kernel, initramfs and command line in one EFI program; or a kernel that has no initramfs.
    Uki,
    /// What an operating system is told: cloud-init, Ignition, an answer file, a root file system.
    Seed,
    /// Anything else that was asked for.
    Other,
}

/// The protocol a file goes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Carrier {
    /// TFTP (RFC 1350).
    Tftp,
    /// HTTP/1.1.
    Http,
}

/// What client and server of a TFTP transfer agreed on (RFC 2348, RFC 7440).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct TftpTerms {
    /// Bytes in a block.
    pub block: u16,
    /// Blocks sent before one is acknowledged.
    pub window: u16,
}

/// What a script told its reader to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ScriptAnswer {
    /// Wait and ask again: nothing is decided yet.
    Wait,
    /// Boot what the scenario says.
    Boot,
    /// Boot your own disk.
    Disk,
    /// This machine is not on the board.
    Stranger,
}

/// One thing seen on the wire or in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "sight", rename_all = "kebab-case")]
pub enum Sight {
    /// The first frame from this machine since it was last silent for 5 s.
    Frame,
    /// DHCPDISCOVER.
    Discover {
        /// Who asks.
        client: ClientKind,
        /// First architecture of option 93 (RFC 4578, IANA registry).
        arch: Option<u16>,
        /// The `secs` field: seconds since the client began, by its own account.
        secs: u16,
        /// Option 97.
        uuid: Option<MachineUuid>,
        /// iPXE's version (option 175.235), empty when it does not say.
        version: String,
    },
    /// DHCPOFFER sent by us.
    Offer {
        /// Address offered.
        #[schemars(with = "String")]
        address: Ipv4Addr,
    },
    /// DHCPREQUEST.
    Request {
        /// Who asks.
        client: ClientKind,
    },
    /// DHCPACK sent by us, after the lease was written; in proxy mode, what another server gave.
    Ack {
        /// Address given.
        #[schemars(with = "String")]
        address: Ipv4Addr,
        /// Who got it.
        client: ClientKind,
    },
    /// DHCPNAK sent by us.
    Nak,
    /// SOLICIT or INFORMATION-REQUEST of DHCPv6 (RFC 8415).
    Solicit {
        /// Who asks.
        client: ClientKind,
        /// First architecture of option 61 (RFC 5970, IANA registry).
        arch: Option<u16>,
        /// Option 8: milliseconds since the client began, by its own account.
        elapsed_ms: u32,
        /// The machine's UUID, where its identifier is one (RFC 6355).
        uuid: Option<MachineUuid>,
    },
    /// ADVERTISE of DHCPv6 sent by us.
    Advertise {
        /// Address offered.
        #[schemars(with = "String")]
        address: Ipv6Addr,
    },
    /// REQUEST of DHCPv6.
    Request6 {
        /// Who asks.
        client: ClientKind,
    },
    /// REPLY of DHCPv6 sent by us, after the lease was written.
    Reply {
        /// Address given; absent for a client that asked for none.
        #[schemars(with = "Option<String>")]
        address: Option<Ipv6Addr>,
        /// Who got it.
        client: ClientKind,
    },
    /// The machine asked for an IPv6 router (RFC 4861 section 4.1), and whether we answered.
    RouterAsked {
        /// True when our advertisement went out.
        answered: bool,
    },
    /// The first byte of a file was asked for.
    FileAsked {
        /// What for.
        role: FileRole,
        /// Its name.
        name: String,
        /// Over what.
        carrier: Carrier,
        /// Whole size in bytes.
        size: u64,
    },
    /// How a file goes over TFTP; told as its first block goes out.
    FileAgreed {
        /// Its name.
        name: String,
        /// What was agreed on.
        terms: TftpTerms,
    },
    /// Some of a file has been sent; told a few times a second at most.
    FileMoved {
        /// Its name.
        name: String,
        /// Bytes sent so far in this transfer.
        bytes: u64,
    },
    /// The last byte of a file was taken.
    FileServed {
        /// Its name.
        name: String,
        /// Bytes sent in this transfer, repeats not counted.
        bytes: u64,
        /// Blocks or ranges that had to be sent again.
        repeats: u32,
    },
    /// A transfer ended early.
    FileBroken {
        /// Its name.
        name: String,
        /// Bytes sent before it ended.
        bytes: u64,
        /// Why, for a person.
        why: String,
    },
    /// Parts of a file went out again within one transfer, because the wire or the client lost them. Told once, at
    /// its end.
    FileRepeated {
        /// Its name.
        name: String,
        /// Bytes sent beyond those the client took.
        bytes: u64,
    },
    /// The heads of this machine's packets were saved, because a start of it failed.
    PacketsSaved {
        /// Number of the boot that failed; 0 when none was seen to begin.
        boot: u32,
        /// Name of the file in the folder `failures` of the state folder.
        file: String,
        /// Frames in it.
        frames: u32,
    },
    /// A script was asked for and answered.
    ScriptAsked {
        /// With what.
        answer: ScriptAnswer,
    },
    /// iPXE told what it is: in option 175, as the name its HTTP client gives itself, or in its banner.
    IpxeTold {
        /// Its version, as long as it told it: `1.21.1`, or `1.0.0+git-20190125.36a4c85-5.1`.
        version: String,
        /// What it was built with, in iPXE's own words; empty when it does not say.
        features: Vec<String>,
    },
    /// iPXE wrote a line to its log (syslog, UDP port 514).
    Logged {
        /// 0 emergency to 7 debug (RFC 5424 table 2).
        severity: u8,
        /// The line.
        text: String,
        /// The error number in it, read: what happened, in which source file, and what helps.
        error: Option<String>,
    },
    /// Labinator's own loader says what it did, or what it refuses. A hint: it is not sealed.
    LoaderSaid {
        /// 0 emergency to 7 debug (RFC 5424 table 2).
        severity: u8,
        /// The line.
        text: String,
        /// A refusal: its code, why, and what helps.
        error: Option<String>,
        /// Where the line tells of a step of the boot.
        #[serde(default)]
        step: Option<LoaderStep>,
    },
    /// Its Talos said what it is doing, to the event sink. A hint: whoever has its address can say so.
    TalosSaid {
        /// All that was said, as far as it still holds.
        said: TalosSaid,
    },
    /// Its Talos sent a line of its kernel's or a service's log. A hint as well.
    TalosLogged {
        /// 0 emergency to 7 debug (RFC 5424 table 2).
        severity: u8,
        /// The service that wrote it; absent for the kernel.
        service: Option<String>,
        /// The line.
        text: String,
    },
    /// The counter was full and asked the client to come back (503 with Retry-After).
    Deferred {
        /// Its name.
        name: String,
    },
    /// Its Talos asked for its config by the word of this boot, from its own address.
    ConfigAsked {
        /// Bytes it was given; none, and it asks again, while its config is not laid ready.
        bytes: Option<u64>,
    },
    /// The system said that it is done (`/n/<mac>/done`).
    Done,
    /// An agent reported.
    Agent {
        /// What it said.
        report: Arc<AgentReport>,
    },
    /// The order to wipe a disk was handed to one boot of it, which may now carry it out.
    WipeGiven {
        /// Which wipe.
        number: u32,
        /// The kernel's boot id of that boot.
        boot_id: String,
    },
    /// Two keys were shown in one boot of it.
    AgentClash {
        /// Which, and from where.
        clash: AgentClash,
    },
    /// An agent's heart beat.
    Beat {
        /// What it said.
        beat: AgentBeat,
    },
    /// The agent of its hypervisor tells something else of it than before.
    Guest {
        /// What it tells.
        guest: GuestSeen,
    },
    /// Its health became worse, by its agent's word.
    Ailing {
        /// In which boot.
        boot_id: String,
        /// How.
        #[serde(flatten)]
        ailment: Ailment,
    },
}

/// A sight with its machine and time, as the counter sends it to the core.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sighting {
    /// Whose packet or request it was.
    pub mac: MacAddr,
    /// Milliseconds of the kernel's `CLOCK_BOOTTIME`, which both processes share.
    pub boottime_ms: u64,
    /// What was seen.
    pub sight: Sight,
}

/// Something the counter noticed that belongs to no machine of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "notice", rename_all = "kebab-case")]
pub enum Notice {
    /// Another DHCP server answers on this segment.
    ForeignDhcp {
        /// Its Ethernet address.
        mac: MacAddr,
        /// Its server identifier (option 54).
        #[schemars(with = "String")]
        server: Ipv4Addr,
    },
    /// A machine of this segment follows a DHCP server that is not this one and was not heard itself.
    ForeignChoice {
        /// The machine.
        mac: MacAddr,
        /// The server it names (option 54).
        #[schemars(with = "String")]
        server: Ipv4Addr,
    },
    /// Another DHCPv6 server answers on this segment.
    ForeignDhcp6 {
        /// Its Ethernet address.
        mac: MacAddr,
        /// Its link-local address.
        #[schemars(with = "String")]
        address: Ipv6Addr,
        /// Its identifier (RFC 8415 section 11), in hexadecimal digits.
        duid: String,
    },
    /// A machine of this segment follows a DHCPv6 server that is not this one. What such a server says goes to the
    /// machine alone, so this is often all that is seen of it.
    ForeignChoice6 {
        /// The machine.
        mac: MacAddr,
        /// The server's identifier, in hexadecimal digits.
        duid: String,
    },
    /// Another Labinator controller serves this segment.
    OtherController {
        /// Its Ethernet address.
        mac: MacAddr,
        /// Its address.
        #[schemars(with = "String")]
        server: Ipv4Addr,
        /// Its lab, by its own account.
        lab: String,
        /// True when that is our lab too: two controllers drive the same machines.
        same: bool,
    },
    /// Another router advertises itself; with a name server it breaks old iPXE.
    ForeignRouter {
        /// Its Ethernet address.
        mac: MacAddr,
        /// Its link-local address.
        #[schemars(with = "String")]
        address: Ipv6Addr,
        /// True when the advertisement carries name servers (RFC 8106).
        names_dns: bool,
    },
    /// The ledger cannot be written: no new lease is acknowledged.
    LedgerFull {
        /// What the system said.
        why: String,
    },
    /// The ledger can be written again.
    LedgerWell,
    /// Packets that could not be read, by reason, since the counter started.
    Malformed {
        /// Which protocol.
        protocol: String,
        /// How many in all.
        count: u64,
    },
    /// A machine asks without end; what is over the limit is left unread.
    Flooding {
        /// Its Ethernet address.
        mac: MacAddr,
        /// Messages left unread.
        count: u32,
    },
    /// Firmware asked for which there is no loader in the loader folder.
    LoaderMissing {
        /// Client architecture (option 93).
        arch: u16,
        /// File names that would do, best first.
        names: Vec<String>,
    },
    /// The boss's clock was set while it served time: whoever took its time before has another now.
    ClockStepped {
        /// By how many seconds, forwards or back.
        seconds: i64,
    },
    /// Sightings merged because the core did not take them in time.
    Merged {
        /// How many in all.
        count: u64,
    },
}
