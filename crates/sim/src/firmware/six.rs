//! What an entry over IPv6 does with the answer: the URL of option 59 (RFC 5970), with a literal address in it.

use std::net::IpAddr;

use wire::tftp;

use super::http_boot::HttpBoot;
use super::{Doing, Entry, Rom};
use crate::body::{Body, Next};
use crate::download::Style;
use crate::exchange6::Verdict6;
use crate::http::place;

impl Rom {
    pub(super) fn after_dhcp6(&mut self, verdict: Verdict6, entry: Entry, body: &mut Body, now: u64) -> Next {
        let url = match verdict {
            Verdict6::Pending => return Next::Stay,
            Verdict6::GaveUp => {
                body.print("PXE-E16: No valid offer received.");
                return self.walk_on(body, now);
            }
            Verdict6::Bound(lease) => lease.url.unwrap_or_default(),
        };
        if entry == Entry::Http6 {
            self.doing = Doing::Http { boot: Box::new(HttpBoot::start(&url, body, now)) };
            return Next::Stay;
        }
        match tftp_place(&url) {
            Some(wanted) => self.fetch_by_tftp(Style::Edk2, wanted, body, now),
            None => self.refuse("no file in the REPLY", body, now),
        }
    }
}

/// Server and file of a `tftp://` URL.
fn tftp_place(url: &str) -> Option<(IpAddr, String)> {
    let (authority, file) = url.strip_prefix("tftp://")?.split_once('/')?;
    Some((place(authority, tftp::PORT)?.ip(), file.to_owned()))
}
