//! Lines of strangers, of any kind: every one is counted, and what is said of them is JSON on one line.
#![no_main]

use std::net::Ipv4Addr;

use libfuzzer_sys::fuzz_target;
use logs::{Intake, Limits, Quota, Store};

fuzz_target!(|input: &[u8]| {
    let quota = Quota { burst: 3, rate: 1 };
    let mut intake = Intake::new(Store::new(Limits { ring: 0, quota }));
    for (at, line) in (0..).zip(input.split(|byte| *byte == b'\n')) {
        let Some((kind, rest)) = line.split_first() else { continue };
        match kind % 4 {
            0 => intake.syslog(Ipv4Addr::LOCALHOST.into(), rest, at),
            1 => intake.talos(Ipv4Addr::LOCALHOST.into(), rest, at),
            2 => intake.heard(rest, at),
            _ => intake.console("node", 1, (rest, 0), at),
        }
    }
    intake.store.tell_folds(9);
    let counted: u64 = intake.store.templates().map(|(_, template)| template.count).sum();
    assert_eq!(counted, intake.store.totals().lines);
    let mut said = Vec::new();
    intake.store.tell_all(&mut said);
    for event in String::from_utf8(said).unwrap().split_terminator("\n\n") {
        let data = event.lines().nth(2).and_then(|line| line.strip_prefix("data: ")).unwrap();
        let value: serde_json::Value = serde_json::from_str(data).unwrap();
        assert!(value.is_object() && event.lines().count() == 3);
    }
});
