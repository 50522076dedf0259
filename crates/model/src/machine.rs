//! What is known of one machine.

use alloc::string::String;
use core::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a machine shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// Nobody wants anything of it: it is left as it is.
    #[default]
    Any,
    /// Off.
    Off,
    /// Ready.
    Ready,
}

/// How far up a machine is. Re-derived from what is seen, never believed.
///
/// ```text
/// off → on → asked → fetched → up → ready
///                              └ Talos: → configured → joined → ready
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// Seen off, or never seen.
    #[default]
    Off,
    /// Seen on; its firmware has not asked yet.
    On,
    /// It asked for an address.
    Asked,
    /// It took the whole image.
    Fetched,
    /// Its agent spoke, then fell silent; or its Talos waits for a config.
    Up,
    /// Its Talos has the cluster's config, proven by its identity.
    Configured,
    /// The cluster knows it.
    Joined,
    /// Its agent reported and is heard; or the cluster gives it work.
    Ready,
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Asked => "asked",
            Self::Fetched => "fetched",
            Self::Up => "up",
            Self::Configured => "configured",
            Self::Joined => "joined",
            Self::Ready => "ready",
        })
    }
}

/// Whether a machine runs, as seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PowerState {
    /// Seen running.
    On,
    /// Seen off.
    Off,
    /// On its way from one to the other: shown while an order is carried out and its result is not seen yet.
    Changing,
    /// Nothing tells.
    #[default]
    Unknown,
}

impl fmt::Display for PowerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Changing => "changing",
            Self::Unknown => "unknown",
        })
    }
}

/// What a person is shown of a machine, one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NodeWord {
    /// Seen off, and may be.
    Off,
    /// Being switched on, or on and silent.
    Starting,
    /// Asking for an address.
    Dhcp,
    /// Its loader waits for a decision.
    Waiting,
    /// Its loader waits for the next start, for as long as it may.
    Parked,
    /// Taking its loader.
    Loader,
    /// Taking its image.
    Image,
    /// Its kernel starts.
    Kernel,
    /// Its Talos waits for a config.
    Maintenance,
    /// It has its config and makes itself part of the cluster.
    Joining,
    /// As wanted.
    Ready,
    /// Was ready; its agent is silent.
    Degraded,
    /// Being switched off.
    Stopping,
    /// Given up for this run.
    Bad,
    /// Nothing tells.
    Unknown,
}

impl fmt::Display for NodeWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Off => "off",
            Self::Starting => "starting",
            Self::Dhcp => "dhcp",
            Self::Waiting => "waiting",
            Self::Parked => "parked",
            Self::Loader => "loader",
            Self::Image => "image",
            Self::Kernel => "kernel",
            Self::Maintenance => "maintenance",
            Self::Joining => "joining",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Stopping => "stopping",
            Self::Bad => "bad",
            Self::Unknown => "unknown",
        })
    }
}

/// What went wrong with a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// Which kind of fault.
    pub code: FaultCode,
    /// For a person: what was waited for, and the last thing seen.
    pub text: String,
}

/// The kinds of fault. Each has a page in the operating guide of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultCode {
    /// Powered, but no DISCOVER came.
    NeverAsked,
    /// It asked, but never took the whole image.
    FetchStalled,
    /// It took the image, but no agent reported.
    KernelSilent,
    /// Its installer did not end.
    InstallStalled,
    /// Its agent, or its system, fell silent.
    AgentLost,
    /// Its Talos took no config, or did not come back with it.
    ConfigLost,
    /// Its Talos refused the config.
    ConfigRefused,
    /// What answered is not the machine that was seen to wait, or belongs to another cluster.
    Impostor,
    /// It has its config and never became part of the cluster.
    NotJoined,
    /// No machine of the control plane is left to join.
    NoControlPlane,
    /// The driver refused or failed.
    PowerRefused,
    /// The driver said done, but the machine was not seen so.
    PowerUnseen,
    /// Whether it runs is not known, so its button is not pressed: a person must look.
    PowerUnknown,
    /// The hypervisor that was to run it was given up.
    HostLost,
    /// Its hypervisor cannot run it.
    GuestRefused,
    /// It ended again and again, and its hypervisor gave up.
    CrashLooping,
}

impl fmt::Display for FaultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NeverAsked => "never-asked",
            Self::FetchStalled => "fetch-stalled",
            Self::KernelSilent => "kernel-silent",
            Self::InstallStalled => "install-stalled",
            Self::AgentLost => "agent-lost",
            Self::ConfigLost => "config-lost",
            Self::ConfigRefused => "config-refused",
            Self::Impostor => "impostor",
            Self::NotJoined => "not-joined",
            Self::NoControlPlane => "no-control-plane",
            Self::PowerRefused => "power-refused",
            Self::PowerUnseen => "power-unseen",
            Self::PowerUnknown => "power-unknown",
            Self::HostLost => "host-lost",
            Self::GuestRefused => "guest-refused",
            Self::CrashLooping => "crash-looping",
        })
    }
}
