//! Why a call on a node's machine API failed, and what to do about it.

use std::net::SocketAddr;
use std::time::Duration;

use super::fingerprint::Fingerprint;

/// A call that did not do what it should.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NodeError {
    /// No connection: refused, no route, or nobody there.
    #[error("{at} cannot be reached: {why}")]
    Unreachable {
        /// Whom we dialled.
        at: SocketAddr,
        /// The system's words.
        why: String,
        /// The port is closed, so the machine itself is up.
        refused: bool,
    },
    /// It took longer than the limit before anything was sent, or a reading call did not end.
    #[error("{at} did not answer {what} within {limit:?}")]
    TimedOut {
        /// Whom we asked.
        at: SocketAddr,
        /// What we asked.
        what: &'static str,
        /// How long we waited.
        limit: Duration,
    },
    /// Something answers there, but it does not speak TLS and HTTP/2 as a Talos node does.
    #[error("what answers at {at} is not Talos: {why}")]
    NotTalos {
        /// Whom we dialled.
        at: SocketAddr,
        /// What was wrong.
        why: String,
    },
    /// The node has no server certificate yet: a worker from 1.13 on before a control plane's trustd answered.
    #[error("{at} has no certificate of its own yet")]
    NoCertificateYet {
        /// Whom we dialled.
        at: SocketAddr,
    },
    /// The pinned fingerprint is not that of who answers.
    #[error("{at} shows certificate {seen}, expected {expected}")]
    Impostor {
        /// Whom we dialled.
        at: SocketAddr,
        /// What was pinned.
        expected: Fingerprint,
        /// What answers.
        seen: Fingerprint,
    },
    /// The node asks for a client certificate, and this connection has none: it has a config.
    #[error("{at} asks for a client certificate: it has a config")]
    IdentityWanted {
        /// Whom we dialled.
        at: SocketAddr,
    },
    /// The node turned our client certificate down.
    #[error("{at} refuses our client certificate: {why}")]
    IdentityRefused {
        /// Whom we dialled.
        at: SocketAddr,
        /// The alert it sent.
        why: String,
    },
    /// The node's certificate is not from our cluster's authority.
    #[error("{at} has a certificate from another authority than our cluster's")]
    WrongCluster {
        /// Whom we dialled.
        at: SocketAddr,
    },
    /// The node's certificate is not valid at our time.
    #[error("the certificate of {at} is {why} by our clock")]
    CertificateTime {
        /// Whom we dialled.
        at: SocketAddr,
        /// "expired" or "not valid yet".
        why: &'static str,
    },
    /// The node's certificate is from our cluster, but does not name this address.
    #[error("the certificate of {at} names other addresses: {why}")]
    WrongName {
        /// Whom we dialled.
        at: SocketAddr,
        /// What it names.
        why: String,
    },
    /// The node answered no.
    #[error("{at} refuses {what}: {text} ({status})")]
    Refused {
        /// Who refused.
        at: SocketAddr,
        /// What we asked.
        what: &'static str,
        /// gRPC's name for the kind of refusal.
        status: tonic::Code,
        /// The node's words.
        text: String,
    },
    /// The connection ended, or the limit passed, after the request left: whether it was carried out is unknown.
    #[error("the reply of {at} to {what} was lost: {why}")]
    ReplyLost {
        /// Whom we asked.
        at: SocketAddr,
        /// What we asked.
        what: &'static str,
        /// How it ended.
        why: String,
    },
    /// A reply that cannot be what Talos says.
    #[error("{at} answered {what} with something unreadable: {why}")]
    Unreadable {
        /// Who answered.
        at: SocketAddr,
        /// What we asked.
        what: &'static str,
        /// What was wrong.
        why: String,
    },
    /// The client config cannot be used.
    #[error("{place}: {why}")]
    Identity {
        /// Which part of it.
        place: String,
        /// What was expected.
        why: String,
    },
}

impl NodeError {
    /// A stable name for scripts and tests.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "talos/unreachable",
            Self::TimedOut { .. } => "talos/timed-out",
            Self::NotTalos { .. } => "talos/not-talos",
            Self::NoCertificateYet { .. } => "talos/no-certificate-yet",
            Self::Impostor { .. } => "talos/impostor",
            Self::IdentityWanted { .. } => "talos/identity-wanted",
            Self::IdentityRefused { .. } => "talos/identity-refused",
            Self::WrongCluster { .. } => "talos/wrong-cluster",
            Self::CertificateTime { .. } => "talos/certificate-time",
            Self::WrongName { .. } => "talos/wrong-name",
            Self::Refused { .. } => "talos/refused",
            Self::ReplyLost { .. } => "talos/reply-lost",
            Self::Unreadable { .. } => "talos/unreadable",
            Self::Identity { .. } => "talos/identity",
        }
    }

    /// What a person can do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Unreachable { refused: true, .. } => {
                "the machine is up without its API: it installs or boots; look at its kernel log"
            }
            Self::Unreachable { .. } => "look whether the machine is on and has this address",
            Self::TimedOut { .. } => "ask again; if it stays silent, look at its console or kernel log",
            Self::NotTalos { .. } => "look what runs at this address; Talos listens on port 50000",
            Self::NoCertificateYet { .. } => {
                "a worker gets its certificate from a control plane: bring one up, and make the endpoint's name resolve"
            }
            Self::Impostor { .. } => {
                "it rebooted since, or somebody else answers: compare with the fingerprint on the node's console"
            }
            Self::IdentityWanted { .. } => "give a talosconfig of the cluster it belongs to, or reset it",
            Self::IdentityRefused { .. } => {
                "look whether the talosconfig is of this cluster and not expired, and whether the node's clock is right"
            }
            Self::WrongCluster { .. } => {
                "it belongs to another cluster, or waits for a config: nothing was sent to it"
            }
            Self::CertificateTime { .. } => {
                "compare the clocks of this boss and of the node; the node needs NTP"
            }
            Self::WrongName { .. } => "dial an address of the node, or add this one to machine.certSANs",
            Self::Refused { .. } => "change what the node names and ask again",
            Self::ReplyLost { .. } => "look what the node is now before you ask again",
            Self::Unreadable { .. } => "look at the versions: this release knows Talos 1.9 to 1.14",
            Self::Identity { .. } => "write the talosconfig anew, for example with `labinator talos gen`",
        }
    }

    /// May be over in a while without anyone doing something.
    #[must_use]
    pub const fn passes(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::NoCertificateYet { .. }
            | Self::ReplyLost { .. }
            | Self::IdentityRefused { .. }
            | Self::CertificateTime { .. } => true,
            Self::Refused { status, .. } => {
                matches!(
                    status,
                    tonic::Code::Unavailable
                        | tonic::Code::FailedPrecondition
                        | tonic::Code::DeadlineExceeded
                )
            }
            Self::NotTalos { .. }
            | Self::Impostor { .. }
            | Self::IdentityWanted { .. }
            | Self::WrongCluster { .. }
            | Self::WrongName { .. }
            | Self::Unreadable { .. }
            | Self::Identity { .. } => false,
        }
    }
}
