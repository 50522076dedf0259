//! Words between agent and boss as releases spoke them: both directions must be understood for good.
//!
//! `UPDATE_GOLDEN=1` writes the ones of the present release; those of older ones are never written again.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use model::{
    AgentBeat, AgentBuild, AgentChannel, AgentKey, AgentOrder, AgentReport, AgentWelcome, Asset, Digest,
    Disk, DiskId, DiskLabel, GuestBoot, GuestCause, GuestEnd, GuestNic, GuestSeen, GuestSpec, GuestState,
    GuestWish, Health, Image, Inventory, Kexec, LabelState, MacAddr, MachineUuid, Mebibytes, Nic, ParkOrder,
    PowerOrder, Renewal, RenewalState, Rival, Spoken, WipeOrder, WipePermit, WipeState, WipeTold,
    read_spoken,
};
use serde_json::Value;

/// The release whose words are written from this code.
const PRESENT: &str = "0.1.0";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/spoken")
}

/// True when everything that `said` says is in `read` too; what is null was not said.
fn keeps(said: &Value, read: &Value) -> Result<(), String> {
    match (said, read) {
        (Value::Null, _) => Ok(()),
        (Value::Object(said), Value::Object(read)) => said.iter().try_for_each(|(key, value)| {
            let kept = read.get(key).unwrap_or(&Value::Null);
            keeps(value, kept).map_err(|why| format!("{key}.{why}"))
        }),
        (Value::Array(said), Value::Array(read)) if said.len() == read.len() => {
            said.iter().zip(read).try_for_each(|(said, read)| keeps(said, read))
        }
        (said, read) if said == read => Ok(()),
        (said, read) => Err(format!(" said {said}, read {read}")),
    }
}

/// The same with something in every object that nobody knows.
fn with_news(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut map: serde_json::Map<_, _> =
                map.iter().map(|(key, value)| (key.clone(), with_news(value))).collect();
            map.insert("of_a_later_release".to_owned(), serde_json::json!({ "a": [1, null, "b"] }));
            Value::Object(map)
        }
        Value::Array(all) => Value::Array(all.iter().map(with_news).collect()),
        other => other.clone(),
    }
}

fn understood<T: Spoken + PartialEq + std::fmt::Debug>(name: &str, text: &str) {
    let (read, unknown) = read_spoken::<T>(text.as_bytes()).unwrap();
    assert_eq!(unknown, [""; 0], "{name}");
    let said: Value = serde_json::from_str(text).unwrap();
    let again = serde_json::to_value(&read).unwrap();
    keeps(&said, &again).unwrap_or_else(|why| panic!("{name}: {why}"));
    let (later, unknown) = read_spoken::<T>(with_news(&said).to_string().as_bytes()).unwrap();
    assert_eq!((later, unknown), (read, Vec::new()), "{name}, with fields of a later release");
}

#[test]
fn what_every_release_said_is_understood_with_what_a_later_one_may_add() {
    let mut seen = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        match name.rsplit('-').next().unwrap() {
            "report" => understood::<AgentReport>(&name, &text),
            "beat" => understood::<AgentBeat>(&name, &text),
            "welcome" => understood::<AgentWelcome>(&name, &text),
            "build" => {
                let said: Value = serde_json::from_str(&text).unwrap();
                let read: AgentBuild = serde_json::from_value(with_news(&said)).unwrap();
                keeps(&said, &serde_json::to_value(read).unwrap()).unwrap();
            }
            other => panic!("{name}: {other} is no kind of word"),
        }
        seen += 1;
    }
    assert!(seen >= 7, "{seen} words");
}

#[test]
fn this_release_says_what_was_written_down() {
    let words = [
        ("report", serde_json::to_string_pretty(&report())),
        ("beat", serde_json::to_string_pretty(&beat())),
        ("welcome", serde_json::to_string_pretty(&welcome())),
        ("build", serde_json::to_string_pretty(&build())),
    ];
    for (kind, text) in words {
        let (path, text) = (folder().join(format!("{PRESENT}-{kind}.json")), text.unwrap() + "\n");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            kept,
            text,
            "{}: an agent or boss of this release says it otherwise; UPDATE_GOLDEN=1",
            path.display()
        );
    }
}

const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0, 0, 1]);

fn build() -> AgentBuild {
    AgentBuild { digest: Digest([0xab; 32]), size: 4_665_184 }
}

fn report() -> AgentReport {
    AgentReport {
        mac: MAC,
        boot_id: "0ab4b2a0-9e3d-4a48-8a3e-0d6c7f4f2f11".to_owned(),
        nonce: Some("3f2a".to_owned()),
        address: Some("10.0.0.11".parse().unwrap()),
        version: PRESENT.to_owned(),
        kernel: "6.12.43+deb13-amd64".to_owned(),
        uptime_ms: 4100,
        inventory: Inventory {
            firmware: "uefi".to_owned(),
            product: "Maker Box".to_owned(),
            serial: "S1".to_owned(),
            uuid: "01010101-0101-0101-0101-010101010101".to_owned(),
            cpu: "A processor".to_owned(),
            cpus: 4,
            memory_mib: 8192,
            disks: vec![Disk {
                name: "sda".to_owned(),
                model: "M".to_owned(),
                serial: "D1".to_owned(),
                bytes: 1 << 40,
                digest: Some(Digest([3; 32])),
                label: Some(DiskLabel {
                    lab: "lab".parse().unwrap(),
                    node: "node1".parse().unwrap(),
                    number: 2,
                    state: LabelState::Wiped,
                }),
                used: Some("mounted at /".to_owned()),
            }],
            nics: vec![Nic {
                name: "eth0".to_owned(),
                mac: MAC,
                driver: "igc".to_owned(),
                speed_mbps: Some(2500),
            }],
        },
        key: Some(AgentKey([5; 32])),
        build: Some(build().digest),
        kexec: Some(Kexec::Impossible { why: "not in this image".to_owned() }),
    }
}

fn beat() -> AgentBeat {
    AgentBeat {
        mac: MAC,
        boot_id: report().boot_id,
        uptime_ms: 7100,
        load_milli: 250,
        memory_available_mib: 7000,
        guests: vec![GuestSeen {
            node: "g1".parse().unwrap(),
            mac: MacAddr([2, 0, 0, 0, 0, 9]),
            host: "node1".parse().unwrap(),
            host_boot: report().boot_id,
            state: GuestState::Running,
            order: 3,
            starts: 2,
            ended: Some(GuestEnd { cause: GuestCause::QemuDied, evidence: "signal 9".to_owned() }),
            evidence: "process 4711".to_owned(),
        }],
        health: Some(Arc::new(Health::default())),
        wipe: Some(WipeTold {
            number: 2,
            state: WipeState::Wiping { step: "discarding".to_owned(), done: 1, of: 2 },
        }),
        renewal: Some(Arc::new(Renewal {
            digest: Digest([0xcd; 32]),
            state: RenewalState::Refused,
            why: "it panicked".to_owned(),
        })),
        rival: Some(Arc::new(Rival {
            at: "10.0.0.2".parse().unwrap(),
            lab: Some("other".parse().unwrap()),
            key: Some(AgentKey([6; 32])),
        })),
    }
}

fn welcome() -> AgentWelcome {
    let kernel = Asset { name: "vmlinuz".to_owned(), digest: Digest([8; 32]), size: 9 };
    AgentWelcome {
        node: Some("node1".parse().unwrap()),
        order: AgentOrder::PowerOff,
        report_again: false,
        guests: Some(Arc::new(vec![GuestWish {
            node: "g1".parse().unwrap(),
            uuid: MachineUuid([1; 16]),
            mac: MacAddr([2, 0, 0, 0, 0, 9]),
            spec: GuestSpec {
                host: "node1".parse().unwrap(),
                memory: Mebibytes(2048),
                cpus: 2,
                disk: Some(Mebibytes(8192)),
                nic: GuestNic::Virtio,
                boot: GuestBoot::Kernel,
                watchdog: true,
            },
            power: PowerOrder::On,
            order: 3,
            image: Some(Arc::new(Image {
                kernel: Some(kernel),
                args: "quiet".to_owned(),
                ..Image::default()
            })),
            args: "console=ttyS0".to_owned(),
        }])),
        wipe: Some(WipeOrder {
            number: 2,
            boot_id: report().boot_id,
            disk: disk_id(),
            permit: WipePermit::Recorded,
            lab: "lab".parse().unwrap(),
            node: "node1".parse().unwrap(),
        }),
        word: Some("9c1e".to_owned()),
        channel: Some(AgentChannel { port: 8423, key: AgentKey([4; 32]) }),
        lab: Some("lab".parse().unwrap()),
        proven: Some(true),
        park: Some(ParkOrder { seconds: 1800, lab_key: AgentKey([5; 32]) }),
    }
}

fn disk_id() -> DiskId {
    let Disk { name, model, serial, bytes, digest, .. } = report().inventory.disks.remove(0);
    DiskId { name, model, serial, bytes, digest: digest.unwrap() }
}
