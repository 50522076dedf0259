//! Any file name is one of GRUB's or none, and any words stay inside the quotes of its configuration.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use wire::grub::{BootConfig, asked, waiting};

/// What is left of a line outside of single quotes.
fn outside(line: &str) -> String {
    let (mut quoted, mut escaped, mut left) = (false, false, String::new());
    for c in line.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if !quoted => escaped = true,
            '\'' => quoted = !quoted,
            _ if !quoted => left.push(c),
            _ => {}
        }
    }
    assert!(!quoted, "a quote is open at the end of a line");
    left
}

fuzz_target!(|text: &str| {
    let _any = asked(text);
    let boss = IpAddr::from([10, 0, 0, 1]);
    let config = BootConfig { title: text, boss, http: true, kernel: "/f/a/k", args: text, initrds: &["/f/b/i"] };
    for line in config.text().lines().chain(waiting(&[text], 1, boss).lines()) {
        let left = outside(line);
        assert!(!left.contains(['$', '`', '&', '|', '>', '<', '#']), "{line}");
    }
});
