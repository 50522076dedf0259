//! Whether the clock is believed, and what waits for a certificate or soon will.

use api::{CertificateList, Check, Finding, ServiceState};
use model::WallTime;
use pki::clock::Floor;

use super::{check, well_or};
use crate::trust::WRITTEN;

/// A root that ends sooner than this is a warning: half a year, in milliseconds.
const ROOT_SOON: u64 = 183 * 86_400_000;

/// The clock alone, where nothing was written down.
pub(super) fn clock(wall: WallTime) -> Check {
    let fault = Floor { written: WRITTEN, seen: None }.judge(wall).err();
    let seen = format!("the wall clock says {} s since 1970", wall.0 / 1000);
    check("clock", well_or(fault.is_none(), Finding::Warning), seen, fault.map_or("", |fault| fault.advice()))
}

/// The clock, and every certificate.
pub(super) fn examine(list: &CertificateList) -> Vec<Check> {
    let clock = &list.clock;
    let seen = match clock.believed {
        true => format!("the wall clock says {} s since 1970", clock.now.0 / 1000),
        false => format!("{}; certificates wait for it", clock.why),
    };
    let mut checks = vec![check("clock", well_or(clock.believed, Finding::Warning), seen, &clock.help)];
    for service in &list.services {
        let waits = service.state == ServiceState::Waiting;
        let seen = match (&service.certificate, waits) {
            (_, true) => format!("the {} over TLS is {}", service.service, service.why),
            (Some(own), false) => {
                let hours = own.not_after.0.saturating_sub(clock.now.0) / 3_600_000;
                format!(
                    "the certificate of the {} is good for {hours} h, and renewed before",
                    service.service
                )
            }
            (None, false) => continue,
        };
        let help = "`labinator cert status` tells what is waited for; it begins by itself";
        checks.push(check("certificates", well_or(!waits, Finding::Warning), seen, help));
    }
    if let Some(root) = &list.root {
        let left = root.not_after.0.saturating_sub(clock.now.0);
        if left < ROOT_SOON {
            let seen = format!("the lab's root ends in {} days", left / 86_400_000);
            checks.push(check(
                "root",
                Finding::Warning,
                seen,
                "plan a new one: `labinator cert root --replace`",
            ));
        }
    }
    checks
}
