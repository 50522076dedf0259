//! Bad manners of Talos nodes, on request.

use std::time::Duration;

/// A step of a boot at which a node can die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// While it writes itself to disk: nothing is kept.
    Install,
    /// After the config is saved, before the installed system runs.
    Kexec,
    /// While the installed system starts its services.
    Boot,
    /// While another release is written: the one before stays.
    Upgrade,
}

/// One way to misbehave, and what a caller must do to live with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    /// Answers each call so late. Give calls limits, and nodes the same ones.
    Slow(Duration),
    /// Once: says yes to a config, and boots anew before it is saved. "Yes" is no proof.
    RebootsInApply,
    /// Its own certificate has expired: it could not renew it. Say so, and do not take it for another cluster's.
    OldCertificate,
    /// After the first connection in maintenance somebody else answers. The pinned key ties an apply to its probe.
    Impostor,
    /// Its clock is so far behind. It refuses certificates that are not valid yet by its clock.
    ClockBehind(Duration),
    /// Once: takes a config and ends the connection without a reply (siderolabs/talos#8566). Look before repeating.
    LosesReply,
    /// Once: ends the connection before it has taken a config. Looking finds it waiting; only then repeat.
    LosesRequest,
    /// Powers off for good there. A limit must pass and say where it was last.
    DiesAt(Place),
    /// Finds this wrong with every config. Nothing but a new config helps.
    RefusesConfig(String),
    /// Has a config of another cluster on its disk. Never push to it.
    OfAnotherCluster,
}
