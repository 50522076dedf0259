//! `HOST:PORT`, as devices are named.

/// Host and port of `HOST` or `HOST:PORT`. Of an IPv6 address the colons are its own, unless it stands in brackets.
pub(crate) fn host_and_port(text: &str, standard: u16) -> (String, u16) {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            port.parse().map_or((text, standard), |port| (host, port))
        }
        _ => (text, standard),
    };
    (host.trim_start_matches('[').trim_end_matches(']').to_owned(), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_stands_behind_a_name_an_address_and_brackets() {
        let table = [
            ("pdu1", ("pdu1", 161)),
            ("pdu1:1161", ("pdu1", 1161)),
            ("10.0.0.4:7", ("10.0.0.4", 7)),
            ("fd00::4", ("fd00::4", 161)),
            ("[fd00::4]", ("fd00::4", 161)),
            ("[fd00::4]:9", ("fd00::4", 9)),
        ];
        for (text, (host, port)) in table {
            assert_eq!(host_and_port(text, 161), (host.to_owned(), port), "{text}");
        }
    }
}
