//! What a machine went through, for assertions and for the timeline of a story.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Where a machine is on its way up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// No power.
    Off,
    /// Power-on self test: nothing on the wire.
    Post,
    /// The firmware boots from the network.
    Firmware,
    /// iPXE runs.
    Loader,
    /// The kernel runs, its agent does not speak yet.
    Kernel,
    /// The agent runs.
    Agent,
    /// Nothing boots: on, and silent.
    Stranded,
    /// It hangs.
    Hung,
}

/// Which program speaks on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Teller {
    /// A card's PXE ROM.
    PxeRom,
    /// EDK2's PXE client.
    UefiPxe,
    /// EDK2's HTTP client.
    UefiHttp,
    /// iPXE.
    Ipxe,
    /// Our agent.
    Agent,
}

/// One thing that happened to a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Power came.
    PoweredOn,
    /// Power went: a switch, a pulled plug.
    PowerLost,
    /// It switched itself off, as the agent was told.
    ShutDown,
    /// It reset itself.
    Reset,
    /// The firmware starts an entry of its boot order.
    Tries(&'static str),
    /// A DHCPDISCOVER left.
    Discovered {
        /// Who sent it.
        by: Teller,
        /// Its `secs` field.
        secs: u16,
    },
    /// An address was acknowledged.
    Bound {
        /// To whom.
        by: Teller,
        /// Which.
        address: Ipv4Addr,
    },
    /// A DHCP exchange ended without an address.
    Unanswered(Teller),
    /// A DHCPv6 SOLICIT or INFORMATION-REQUEST left.
    Solicited6 {
        /// Who sent it.
        by: Teller,
    },
    /// A DHCPv6 server gave what was asked for.
    Bound6 {
        /// To whom.
        by: Teller,
        /// An address; `None` where only the rest was asked for.
        address: Option<Ipv6Addr>,
    },
    /// A DHCPv6 exchange ended without an answer.
    Unanswered6(Teller),
    /// A router solicitation left (iPXE).
    Solicited,
    /// The wait for an IPv6 router is over.
    RouterKnown {
        /// True when one answered, false when the time was up.
        answered: bool,
    },
    /// A boot server was asked what to boot, at port 4011.
    AskedBootServer(Ipv4Addr),
    /// A file was asked for over TFTP.
    FileAsked(String),
    /// The size probe was answered and thrown away, as firmware does before the real request.
    SizeProbed(u64),
    /// A file came over TFTP.
    FileFetched {
        /// Its name.
        name: String,
        /// Its size in bytes.
        bytes: u64,
        /// Block size agreed.
        block: u16,
        /// Window agreed, in blocks.
        window: u16,
    },
    /// Something was asked for over HTTP.
    UrlAsked(String),
    /// It came.
    UrlFetched {
        /// Where from.
        url: String,
        /// Its size in bytes.
        bytes: u64,
    },
    /// HTTP said not now; it will be asked again.
    ToldToWait {
        /// What was asked.
        url: String,
        /// `Retry-After`, in seconds.
        seconds: u64,
    },
    /// Something it needed was refused or lost; in words.
    Failed(String),
    /// iPXE started.
    LoaderStarted,
    /// A script runs.
    ScriptStarted(String),
    /// A kernel was started.
    KernelStarted {
        /// Its arguments; empty for one that brings its own.
        args: String,
        /// Names of the images passed on beside it.
        initrds: Vec<String>,
    },
    /// The agent's report was accepted.
    AgentWelcomed,
    /// A heartbeat was accepted.
    BeatAccepted,
    /// The agent was ordered to wipe the disk, and began.
    WipeBegun,
    /// The disk is wiped.
    Wiped,
    /// The agent was ordered to switch the machine off.
    ToldPowerOff,
    /// Its agent was told to leave its run, and to wait in memory.
    ToldToPark,
    /// It hangs, here.
    Hung(&'static str),
    /// Nothing is left to boot from.
    Stranded,
}
