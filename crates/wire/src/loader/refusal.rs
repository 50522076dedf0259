//! Why a loader does not follow an answer or start a file, and what a person can do.

use alloc::string::String;
use core::fmt;

use model::{Digest, MacAddr};

use super::lines::TextError;

/// Why it is not done. Nothing that was refused is ever started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The answer is no text of this protocol.
    Garbled(TextError),
    /// It has no signature at all.
    Unsigned,
    /// This loader knows no key of a lab.
    NoKey,
    /// The lab's key did not sign the delegation: another lab's controller, or nobody's.
    OtherLab,
    /// The delegation is older than one that this loader has seen.
    OldDelegation {
        /// Its number.
        number: u64,
        /// The least that would do.
        least: u64,
    },
    /// The answer was changed after it was signed: its arguments, its digests, or any other letter.
    Tampered,
    /// It answers another question.
    OtherQuestion,
    /// It is for a machine with none of this one's Ethernet addresses.
    OtherMachine {
        /// Whom it is for.
        mac: MacAddr,
    },
    /// It came after its time.
    Late {
        /// Seconds since the question.
        after_seconds: u64,
        /// Seconds that it holds.
        limit_seconds: u16,
    },
    /// A file has another size than the answer says.
    WrongSize {
        /// Which.
        name: String,
        /// As the answer says.
        wanted: u64,
        /// As it came.
        got: u64,
    },
    /// A file has another content than the answer says.
    WrongDigest {
        /// Which.
        name: String,
        /// As the answer says.
        wanted: Digest,
        /// As it came.
        got: Digest,
    },
}

impl Refusal {
    /// A stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Garbled(_) => "answer-garbled",
            Self::Unsigned => "answer-unsigned",
            Self::NoKey => "no-lab-key",
            Self::OtherLab => "answer-of-another-lab",
            Self::OldDelegation { .. } => "delegation-old",
            Self::Tampered => "answer-tampered",
            Self::OtherQuestion => "answer-to-another-question",
            Self::OtherMachine { .. } => "answer-for-another-machine",
            Self::Late { .. } => "answer-late",
            Self::WrongSize { .. } => "file-of-another-size",
            Self::WrongDigest { .. } => "file-of-another-content",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Garbled(_) => {
                "look who answers at the controller's address; update the loader if it is older"
            }
            Self::Unsigned => "the controller has no key yet: see that its core runs",
            Self::NoKey => "start it over the network, or make the stick with `labinator media build`",
            Self::OtherLab => {
                "another controller answers here: look at the cables, or make the stick anew for this lab"
            }
            Self::OldDelegation { .. } => {
                "an earlier state of the controller answers: see that there is only one"
            }
            Self::Tampered | Self::OtherQuestion | Self::OtherMachine { .. } => {
                "something between here and the controller changes or repeats answers: look at the cables and switches"
            }
            Self::Late { .. } => "the controller or the network is too slow: look at `labinator doctor`",
            Self::WrongSize { .. } | Self::WrongDigest { .. } => {
                "the file on the controller is damaged or was changed on its way: run `labinator image verify`"
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Garbled(error) => write!(f, "the answer cannot be read: {error}"),
            Self::Unsigned => f.write_str("the answer is not signed"),
            Self::NoKey => f.write_str("this loader has no key of a lab to check answers with"),
            Self::OtherLab => f.write_str("the answer is not by this lab's controller"),
            Self::OldDelegation { number, least } => {
                write!(f, "the controller's delegation has the number {number}, and {least} was seen before")
            }
            Self::Tampered => f.write_str("the answer was changed after it was signed"),
            Self::OtherQuestion => f.write_str("the answer is to another question"),
            Self::OtherMachine { mac } => write!(f, "the answer is for the machine {mac}"),
            Self::Late { after_seconds, limit_seconds } => {
                write!(f, "the answer came after {after_seconds} s and holds for {limit_seconds} s")
            }
            Self::WrongSize { name, wanted, got } => {
                write!(f, "{name} has {got} bytes, and the answer says {wanted}")
            }
            Self::WrongDigest { name, wanted, got } => {
                let short = |digest: &Digest| alloc::format!("{digest}").chars().take(12).collect::<String>();
                write!(f, "{name} has the SHA-256 {}…, and the answer says {}…", short(got), short(wanted))
            }
        }
    }
}

impl core::error::Error for Refusal {}
