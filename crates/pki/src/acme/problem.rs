//! Problems as documents (RFC 8555 section 6.7, RFC 7807).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The kinds that are used here, by the last word of their type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// The account is not there.
    AccountDoesNotExist,
    /// The certificate was revoked before.
    AlreadyRevoked,
    /// The certificate was replaced before (RFC 9773 section 7.4).
    AlreadyReplaced,
    /// The certificate request is not acceptable.
    #[serde(rename = "badCSR")]
    BadCsr,
    /// The nonce is not one that was given and not used.
    BadNonce,
    /// The key is none that is taken.
    BadPublicKey,
    /// A reason for a revocation that is none.
    BadRevocationReason,
    /// The signature is of a kind that is not checked.
    BadSignatureAlgorithm,
    /// The server could not be reached that shall be proven.
    Connection,
    /// What that server answered is not what was asked for.
    IncorrectResponse,
    /// A profile that there is not.
    InvalidProfile,
    /// The request cannot be read.
    Malformed,
    /// The order is not ready.
    OrderNotReady,
    /// Too much is kept already.
    RateLimited,
    /// No certificate is made for this name.
    RejectedIdentifier,
    /// It is our own fault.
    ServerInternal,
    /// The account may not.
    Unauthorized,
    /// A contact of a kind that is not taken.
    UnsupportedContact,
    /// A kind of name that is not known.
    UnsupportedIdentifier,
}

/// What is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Which kind.
    pub kind: Kind,
    /// For a person.
    pub detail: String,
    /// Status of HTTP.
    pub status: u16,
}

impl Problem {
    /// A problem with the status that belongs to its kind.
    #[must_use]
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let status = match kind {
            Kind::IncorrectResponse | Kind::OrderNotReady | Kind::Unauthorized => 403,
            Kind::AlreadyReplaced => 409,
            Kind::RateLimited => 429,
            Kind::ServerInternal => 500,
            _ => 400,
        };
        Self { kind, detail: detail.into(), status }
    }

    /// There is nothing at this address.
    #[must_use]
    pub fn nowhere() -> Self {
        Self { status: 404, ..Self::new(Kind::Malformed, "there is nothing at this address") }
    }

    /// The address is asked in another way.
    #[must_use]
    pub fn method() -> Self {
        Self { status: 405, ..Self::new(Kind::Malformed, "this address is asked with another method") }
    }

    /// The document.
    #[must_use]
    pub fn document(&self) -> Value {
        let kind = serde_json::to_value(self.kind).unwrap_or_default();
        let kind = kind.as_str().unwrap_or("serverInternal");
        json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": self.detail, "status": self.status })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

/// A request that cannot be read, with why.
pub(super) fn malformed(why: impl Into<String>) -> Problem {
    Problem::new(Kind::Malformed, why)
}
