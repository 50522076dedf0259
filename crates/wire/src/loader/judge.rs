//! What a sealed answer is worth: by whom it is, to which question, for which machine, and whether it is in time.
//!
//! No wall clock is asked: firmware's is often wrong. That an answer is fresh is known by the nonce, that it is in time by
//! counting from the question, and that a delegation is no old one by its number.

use model::MacAddr;

use super::answer::Answer;
use super::ask::Nonce;
use super::refusal::Refusal;
use super::sealed::{ANSWER_PURPOSE, DELEGATION_PURPOSE, Delegation, Sealed, Signed, signed_text};

/// Checks an Ed25519 signature: key, message, signature. Given by the caller, who has a library for it.
pub type Check = fn(&[u8; 32], &[u8], &[u8; 64]) -> bool;

/// What was asked.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The nonce of the question.
    pub nonce: Nonce,
    /// All Ethernet addresses of this machine.
    pub macs: &'a [MacAddr],
    /// Milliseconds since the question, by a clock that only goes forward.
    pub elapsed_ms: u64,
}

/// Whom this loader believes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trust {
    /// The lab's key; none in a loader that nobody wrote one into.
    pub lab_key: Option<[u8; 32]>,
    /// The least number of a delegation that is followed.
    pub least: u64,
}

/// An answer that may be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// It.
    pub answer: Answer,
    /// Number of its delegation, to be remembered.
    pub number: u64,
}

/// Judges a body that came as the answer.
///
/// # Errors
/// [`Refusal`]: nothing of it is followed.
pub fn judge(body: &[u8], asked: &Asked<'_>, trust: Trust, check: Check) -> Result<Judged, Refusal> {
    let lab_key = trust.lab_key.ok_or(Refusal::NoKey)?;
    if body.starts_with(b"labinator answer ") {
        return Err(Refusal::Unsigned);
    }
    let sealed = Sealed::read(body).map_err(Refusal::Garbled)?;
    let signed = |key: &[u8; 32], purpose: &str, part: &Signed<'_>| {
        check(key, &signed_text(purpose, part.text), &part.signature)
    };
    if !signed(&lab_key, DELEGATION_PURPOSE, &sealed.delegation) {
        return Err(Refusal::OtherLab);
    }
    let delegation = Delegation::read(sealed.delegation.text).map_err(Refusal::Garbled)?;
    if delegation.number < trust.least {
        return Err(Refusal::OldDelegation { number: delegation.number, least: trust.least });
    }
    if !signed(&delegation.key, ANSWER_PURPOSE, &sealed.answer) {
        return Err(Refusal::Tampered);
    }
    let answer = Answer::read(sealed.answer.text).map_err(Refusal::Garbled)?;
    if answer.lab != delegation.lab {
        return Err(Refusal::OtherLab);
    }
    if answer.nonce != asked.nonce {
        return Err(Refusal::OtherQuestion);
    }
    if !asked.macs.contains(&answer.mac) {
        return Err(Refusal::OtherMachine { mac: answer.mac });
    }
    if asked.elapsed_ms > u64::from(answer.limit_seconds) * 1_000 {
        let after_seconds = asked.elapsed_ms / 1_000;
        return Err(Refusal::Late { after_seconds, limit_seconds: answer.limit_seconds });
    }
    Ok(Judged { answer, number: delegation.number })
}
