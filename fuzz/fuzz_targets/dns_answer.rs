//! DNS from strangers: whatever is answered is an answer that can be written, and none is answered.
#![no_main]

use std::net::Ipv4Addr;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use model::{BootTable, DnsSpec};
use netboot::dns::{Names, Verdict};

static NAMES: LazyLock<Names> = LazyLock::new(|| {
    let table = serde_json::json!({
        "number": 1, "lab": "lab", "nodes": [],
        "network": {
            "interface": "br0", "subnet": "10.0.0.0", "prefix": 24, "boss": "10.0.0.1", "gateway": null, "dns": [],
            "pool": null, "dhcp": "authoritative", "lease_seconds": 600
        }
    });
    let mut table: BootTable = serde_json::from_value(table).expect("a table");
    table.network.names = Some(DnsSpec {
        domain: "lab.internal".to_owned(),
        forward: vec!["10.0.0.2:53".parse().expect("an address")],
        ingress: vec![Ipv4Addr::new(10, 0, 0, 9)],
    });
    Names::of(&table).expect("names")
});

fuzz_target!(|bytes: &[u8]| {
    match NAMES.take(bytes, Ipv4Addr::new(10, 0, 0, 7).into()) {
        Verdict::Ignore => {}
        Verdict::Answer(answer) => {
            if let Ok(written) = answer.to_vec() {
                assert!(matches!(NAMES.take(&written, Ipv4Addr::new(10, 0, 0, 7).into()), Verdict::Ignore));
            }
        }
        Verdict::Forward(question) => assert_eq!(question.queries.len(), 1),
    }
});
