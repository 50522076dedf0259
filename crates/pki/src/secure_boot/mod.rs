//! UEFI Secure Boot: EFI programs that are signed, looked into, and the variables in which firmware keeps whom it trusts.
//!
//! ```text
//! program ─ digest (Authenticode) ─▶ SpcIndirectDataContent ─▶ PKCS #7 ─▶ certificate table at the program's end
//! certificate ─▶ EFI_SIGNATURE_LIST ─▶ signed as the variable PK, KEK or db
//! ```
//! The same program, key and certificate give the same bytes: no time is written into a signature, which tools that
//! sign EFI programs mostly do. Sources: "Windows Authenticode Portable Executable Signature Format" (Microsoft, 2008),
//! UEFI 2.10 sections 8.2 and 32.

mod pkcs7;
mod program;
mod signer;
mod variables;

pub use program::{Program, signed_by};
pub use signer::{Certificate, Signer};
pub use variables::{SetVariable, Variable, signature_list};

/// Why something cannot be signed, or a signature not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecureBootError {
    /// It is no EFI program.
    #[error("it is no EFI program: {0}")]
    NotProgram(&'static str),
    /// What comes after its sections is nothing that a signature can be put behind.
    #[error("it has something behind its signatures, so that nothing more can be signed")]
    Trailing,
    /// A certificate or a signature is broken.
    #[error("{what} cannot be read: {why}")]
    Broken {
        /// Which.
        what: &'static str,
        /// What the reader says.
        why: String,
    },
    /// The key is no RSA key that firmware takes.
    #[error("the key is no RSA key of 2048 to 4096 bits in PKCS #8: {0}")]
    Key(String),
    /// Key and certificate are of different owners.
    #[error("the certificate is for another key")]
    Mismatch,
}

impl SecureBootError {
    /// Stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotProgram(_) => "not_efi_program",
            Self::Trailing => "efi_program_trailing",
            Self::Broken { .. } => "secure_boot_broken",
            Self::Key(_) => "secure_boot_key",
            Self::Mismatch => "secure_boot_mismatch",
        }
    }

    fn broken(what: &'static str) -> impl Fn(der::Error) -> Self {
        move |why| Self::Broken { what, why: why.to_string() }
    }
}
