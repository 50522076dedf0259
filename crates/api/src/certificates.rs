//! Bodies of questions about certificates.

use model::{Moment, Origin, WallTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The lab's certificates, and whether the clock that they go by is believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateList {
    /// The clock.
    pub clock: ClockView,
    /// The root that clients are told; absent until the clock was believed once.
    pub root: Option<CertificateView>,
    /// The lab's own authority, which is thrown away with the lab.
    pub lab: Option<CertificateView>,
    /// What serves with a certificate, or waits for one.
    pub services: Vec<ServiceCertificate>,
}

/// The boss's wall clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClockView {
    /// What it says.
    pub now: WallTime,
    /// True when it is believed.
    pub believed: bool,
    /// Stable word for why not; empty when it is.
    pub code: String,
    /// The same for a person.
    pub why: String,
    /// What a person can do.
    pub help: String,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateView {
    /// SHA-256 of the whole certificate, `sha256:` and 64 hexadecimal digits.
    pub fingerprint: String,
    /// Names and addresses it stands for; none for an authority.
    pub names: Vec<String>,
    /// Valid from.
    pub not_before: WallTime,
    /// Valid until.
    pub not_after: WallTime,
}

/// Whether a service serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// It serves with a valid certificate.
    Serving,
    /// It waits, shows no certificate, and begins by itself.
    Waiting,
}

/// A service and its certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceCertificate {
    /// Which service: `page` is the API and the page.
    pub service: String,
    /// Whether it serves.
    pub state: ServiceState,
    /// Since when.
    pub since: Moment,
    /// Stable word for what it waits for; empty while it serves.
    pub code: String,
    /// The same for a person.
    pub why: String,
    /// Its certificate, valid or not.
    pub certificate: Option<CertificateView>,
    /// When it will be renewed.
    pub renew_at: Option<WallTime>,
    /// When it was made.
    pub renewed_at: Option<WallTime>,
    /// Why it was made.
    pub renewed_because: String,
    /// What the last try said, if it failed.
    pub failed: Option<String>,
}

/// Body of a request to make the lab's certificates anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RenewAsk {
    /// Believe the clock as it is, though it lies before or far behind what was seen already.
    #[serde(default)]
    pub trust_clock: bool,
    /// Throw the root away and make another, which every client must be told.
    #[serde(default)]
    pub new_root: bool,
    /// Who asks.
    pub by: Origin,
}

/// Body of a request for a server's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IssueAsk {
    /// The request (PKCS #10) as PEM. The key stays with whoever asks.
    pub request: String,
    /// How long it shall be valid, in hours; 24 unless told, 8760 at most.
    pub hours: Option<u32>,
    /// Who asks.
    pub by: Origin,
}

/// A certificate that was issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IssuedCertificate {
    /// Leaf and the lab's authority as PEM, as servers take it.
    pub chain: String,
    /// The leaf.
    pub certificate: CertificateView,
}

/// The root, for clients to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RootCertificate {
    /// As PEM.
    pub pem: String,
    /// What of it people compare.
    pub certificate: CertificateView,
}
