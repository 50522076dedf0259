//! Syslog from strangers: whatever comes is one bounded line of printable characters.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::ipxe::{IpxeError, banner_version};
use wire::syslog::{LONGEST_TEXT, Syslog};

fuzz_target!(|bytes: &[u8]| {
    let line = Syslog::parse(bytes);
    assert!(line.text.len() <= LONGEST_TEXT && line.severity <= 7 && line.facility <= 23);
    assert!(![&line.text, &line.host, &line.program].iter().any(|text| text.chars().any(char::is_control)));
    let _version = banner_version(&line.text);
    if let Some(error) = IpxeError::find(&line.text) {
        assert!(!error.to_string().is_empty());
    }
});
