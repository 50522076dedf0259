//! The certificates as the API shows them.

use api::{CertificateList, CertificateView, ClockView, RootCertificate, ServiceCertificate, ServiceState};
use pki::x509::Certificate;

use super::Trust;

impl Trust {
    /// Everything that can be told.
    #[must_use]
    pub fn list(&self) -> CertificateList {
        let (now, floor) = (self.0.clock.now().wall, *self.0.floor());
        let fault = floor.judge(now).err();
        let waiting = self.waiting();
        let page = self.0.page();
        let leaf = page.leaf.as_ref();
        let service = ServiceCertificate {
            service: "page".to_owned(),
            state: if waiting.is_some() { ServiceState::Waiting } else { ServiceState::Serving },
            since: page.since,
            code: waiting.as_ref().map_or_else(String::new, |what| what.code().to_owned()),
            why: waiting.as_ref().map_or_else(String::new, ToString::to_string),
            certificate: leaf.map(|leaf| view(&leaf.certificate)),
            renew_at: leaf.map(|leaf| leaf.validity.renew_at),
            renewed_at: leaf.map(|leaf| leaf.made),
            renewed_because: leaf.map_or_else(String::new, |leaf| leaf.why.to_string()),
            failed: page.tries.last_failure().map(str::to_owned),
        };
        CertificateList {
            clock: ClockView {
                now,
                believed: fault.is_none(),
                code: fault.map_or_else(String::new, |fault| fault.code().to_owned()),
                why: fault.map_or_else(String::new, |fault| fault.to_string()),
                help: fault.map_or_else(String::new, |fault| fault.advice().to_owned()),
            },
            root: leaf.map(|leaf| view(&leaf.root)),
            lab: leaf.map(|leaf| view(&leaf.lab)),
            services: vec![service],
        }
    }

    /// The root as PEM; absent until it was made.
    #[must_use]
    pub fn root_view(&self) -> Option<RootCertificate> {
        self.root().map(|root| RootCertificate { pem: root.to_pem(), certificate: view(&root) })
    }
}

/// A certificate as the API shows it.
#[must_use]
pub fn view(certificate: &Certificate) -> CertificateView {
    let addresses = certificate.addresses().iter().map(ToString::to_string);
    CertificateView {
        fingerprint: fingerprint(certificate),
        names: certificate.names().iter().cloned().chain(addresses).collect(),
        not_before: certificate.not_before(),
        not_after: certificate.not_after(),
    }
}

/// `sha256:` and 64 hexadecimal digits.
#[must_use]
pub fn fingerprint(certificate: &Certificate) -> String {
    let digits: String = certificate.fingerprint().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}
