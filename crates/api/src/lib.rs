//! The contract between the controller and everybody who asks it: paths, bodies, errors, the stream.
//!
//! [`ROUTES`] is the one list of what can be asked; the OpenAPI file is made from it.

mod access;
mod bodies;
mod certificates;
mod images;
mod logs;
mod openapi;
mod routes;
mod switches;

pub use access::{Role, TokenAsk, TokenList, TokenMade, TokenView, route_of};
pub use bodies::*;
pub use certificates::{
    CertificateList, CertificateView, ClockView, IssueAsk, IssuedCertificate, RenewAsk, RootCertificate,
    ServiceCertificate, ServiceState,
};
pub use images::{Aged, AgedKind, Generation, GenerationState, Stock, StoredImage, TrialProgress};
pub use logs::{
    LOG_LEVELS, LogDisk, LogEntry, LogFold, LogGap, LogItem, LogLoss, LogRule, LogSkew, LogSummary,
    LogTemplate, LogsLost,
};
pub use openapi::openapi;
pub use routes::{CAPTURE, Method, ROUTES, Right, Route};
pub use switches::{CutAsk, CutView, MirrorAsk, MirrorPorts, Mirrored, RestoreAsk, SwitchList, SwitchView};
