//! Who is and was connected to a simulated server, by the certificate that each connection showed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};

/// How often a certificate was shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Visits {
    /// Connections so far.
    pub all: u64,
    /// Those of them that are still open.
    pub open: u64,
}

/// The book of a server's visitors.
#[derive(Debug, Clone, Default)]
pub(crate) struct Visitors(Arc<Mutex<BTreeMap<String, Visits>>>);

/// A connection, while it lasts.
#[derive(Debug)]
pub(crate) struct Visit(Visitors, String);

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.change(&self.1, |visits| visits.open = visits.open.saturating_sub(1));
    }
}

impl Visitors {
    /// Somebody comes, and stays until this is dropped.
    pub(crate) fn enter(&self, shown: Option<&[CertificateDer<'_>]>) -> Visit {
        let digest = shown.and_then(<[_]>::first).map(Sha256::digest);
        let name: String = digest.into_iter().flatten().map(|byte| format!("{byte:02x}")).collect();
        self.change(&name, |visits| (visits.all, visits.open) = (visits.all + 1, visits.open + 1));
        Visit(self.clone(), name)
    }

    /// By SHA-256 of the certificate; an empty name where none was shown.
    pub(crate) fn all(&self) -> BTreeMap<String, Visits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Visits)) {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(book.entry(name.to_owned()).or_default());
    }
}
