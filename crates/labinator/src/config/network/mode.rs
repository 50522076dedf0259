//! Judging `network.dhcp`: who gives the addresses, and what then makes no sense beside it.

use model::DhcpMode;

use crate::config::fields::{Found, Typed};
use crate::config::file::NetworkFile;
use crate::config::mistake::Mistake;

pub(super) fn mode(typed: &Typed<String>, file: &NetworkFile, found: &mut Found) -> Option<DhcpMode> {
    let mode =
        match typed.value.as_str() {
            "authoritative" => DhcpMode::Authoritative,
            "proxy" => DhcpMode::Proxy,
            "off" => DhcpMode::Off,
            word => {
                found.push(
                    Mistake::new(format!("`{word}` is no way to answer DHCP"), typed.place, "not known")
                        .nearest(word, ["authoritative", "proxy", "off"], "ways"),
                );
                return None;
            }
        };
    if mode == DhcpMode::Proxy
        && let Some(pool) = &file.pool
    {
        found.push(
            Mistake::new("a proxy gives no addresses", pool.place, "so this pool is nobody's")
                .other(typed.place, "another server gives them")
                .help("leave `pool` out, or write `dhcp: authoritative`"),
        );
    }
    Some(mode)
}
