//! Any path is somebody's configuration file or nobody's, and a name that was built means the machine it was built for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::pxelinux::{Asked, asked};

fuzz_target!(|path: &str| {
    match asked(path) {
        Some(Asked::Mac(mac)) => {
            let again = format!("pxelinux.cfg/01-{}", mac.to_string().replace(':', "-"));
            assert_eq!(asked(&again), Some(Asked::Mac(mac)));
        }
        Some(Asked::Address(address)) => {
            let again = format!("pxelinux.cfg/{:08X}", address.to_bits());
            assert_eq!(asked(&again), Some(Asked::Address(address)));
        }
        Some(Asked::Anyone | Asked::Nobody) | None => {}
    }
});
