//! How a client behaves when it cannot be served at once, by what it calls itself.

use http::HeaderMap;
use http::header::USER_AGENT;

/// What a client does with a 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// It gives up, and with it the boot. Firmware and boot loaders: OVMF at the first 503 (seen on edk2 2022.11), GRUB
    /// and U-Boot know only success. Never refused, never held up: OVMF waits 5 s for a head.
    GivesUp,
    /// It comes back after `Retry-After`: iPXE since 2014 (commit 42bf3b9aa), our loader and our agent.
    ComesBack,
    /// It waits for an answer and may give up at a refusal: curl, wget, and what installers are made of. Ignition waits
    /// 10 s for a head, curl and wget minutes.
    Waits,
}

/// What firmware and loaders call themselves; some say nothing.
const FIRMWARE: [&str; 4] = ["UefiHttpBoot", "GRUB", "U-Boot", "EFI"];

impl Manner {
    /// By the `User-Agent`.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
        let ours = [wire::loader::USER_AGENT, model::AGENT_VENDOR_CLASS];
        if agent.starts_with("iPXE/") || ours.iter().any(|name| agent.starts_with(name)) {
            Self::ComesBack
        } else if agent.is_empty() || FIRMWARE.iter().any(|name| agent.starts_with(name)) {
            Self::GivesUp
        } else {
            Self::Waits
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn clients_are_known_by_what_they_call_themselves() {
        let of = |agent: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, HeaderValue::from_static(agent));
            Manner::of(&headers)
        };
        for agent in ["UefiHttpBoot/1.0", "GRUB 2.06-13+deb12u2", "U-Boot/2025.01", ""] {
            assert_eq!(of(agent), Manner::GivesUp, "{agent}");
        }
        for agent in
            ["iPXE/1.0.0+git-20190125.36a4c85-5.1", model::AGENT_VENDOR_CLASS, "LabinatorLoader/0.1.0"]
        {
            assert_eq!(of(agent), Manner::ComesBack, "{agent}");
        }
        for agent in ["curl/7.88.1", "Wget/1.21.3", "Debian APT-HTTP/1.3 (2.6.1)", "Ignition/2.18.0"] {
            assert_eq!(of(agent), Manner::Waits, "{agent}");
        }
        assert_eq!(Manner::of(&HeaderMap::new()), Manner::GivesUp);
    }
}
