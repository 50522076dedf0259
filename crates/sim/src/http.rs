//! HTTP as a simulated machine speaks it: what it asks for, and what comes back piece by piece.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

/// What is done with a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Headers only; EDK2 asks so before each GET.
    Head,
    /// The content.
    Get,
    /// Sends a body; the agent.
    Post,
}

impl Method {
    /// The word of the request line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Head => "HEAD",
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// One request of a machine. Whoever carries it answers with [`HttpEvent`]s under the same id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// Counts up for each machine; never used twice, also over a power cycle.
    pub id: u64,
    /// What is done.
    pub method: Method,
    /// The whole URL, as the script or the firmware was told.
    pub url: String,
    /// Headers besides `Host` and `Content-Length`, in order.
    pub headers: Vec<(String, String)>,
    /// First byte wanted, sent as `Range: bytes=N-` (RFC 9110 section 14.2).
    pub range_from: Option<u64>,
    /// What is sent; empty but for [`Method::Post`].
    pub body: Bytes,
    /// True when the machine reads the content. Of the others only the length counts, and a carrier
    /// may report them as [`HttpEvent::Passed`].
    pub reads_body: bool,
}

/// What happens to a request, in order: one head, then content, then an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpEvent {
    /// The answer's first line and headers.
    Head {
        /// Status code.
        status: u16,
        /// Headers; names in any case.
        headers: Vec<(String, String)>,
    },
    /// A piece of the content.
    Data(Bytes),
    /// So many bytes of content that nobody reads.
    Passed(u64),
    /// The answer is complete, as the server framed it.
    End,
    /// The connection was refused or lost.
    Failed,
}

/// Finds a header, whatever its case.
pub(crate) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// What a reference in a script means beside the URL the script came from (RFC 3986 section 5.2, the
/// part boot scripts use).
pub(crate) fn resolve(base: &str, reference: &str) -> String {
    if reference.contains("://") {
        return reference.to_owned();
    }
    let Some((scheme, rest)) = base.split_once("://") else { return reference.to_owned() };
    let path_at = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(path_at);
    if reference.starts_with('/') {
        return format!("{scheme}://{host}{reference}");
    }
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{scheme}://{host}{folder}/{reference}")
}

/// Where an authority leads; names lead nowhere here.
pub(crate) fn place(authority: &str, port: u16) -> Option<SocketAddr> {
    let bare = authority.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(authority);
    let literal = || bare.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port));
    authority.parse().ok().or_else(literal)
}

/// The host of a URL when it is a name and not an address.
pub(crate) fn host_name(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let host = if authority.starts_with('[') { return None } else { authority.split(':').next()? };
    host.parse::<std::net::Ipv4Addr>().is_err().then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_read_beside_its_script() {
        let base = "http://10.0.0.1/boot/a.ipxe?mac=1/2";
        assert_eq!(resolve(base, "vmlinuz"), "http://10.0.0.1/boot/vmlinuz");
        assert_eq!(resolve(base, "/x/y"), "http://10.0.0.1/x/y");
        assert_eq!(resolve(base, "http://h/z"), "http://h/z");
        assert_eq!(resolve("http://10.0.0.1", "a"), "http://10.0.0.1/a");
    }

    #[test]
    fn an_authority_is_an_address_with_or_without_a_port() {
        for (text, place_of_it) in [
            ("10.0.0.1", "10.0.0.1:80"),
            ("10.0.0.1:8080", "10.0.0.1:8080"),
            ("[fd00::1]", "[fd00::1]:80"),
            ("[fd00::1]:8080", "[fd00::1]:8080"),
        ] {
            assert_eq!(place(text, 80), Some(place_of_it.parse().unwrap()));
        }
        assert_eq!(place("boss.local", 80), None);
    }

    #[test]
    fn a_literal_address_is_no_name() {
        assert_eq!(host_name("http://boss.local:80/x"), Some("boss.local"));
        assert_eq!(host_name("http://10.0.0.1:8080/x"), None);
        assert_eq!(host_name("http://[fe80::1]/x"), None);
    }
}
