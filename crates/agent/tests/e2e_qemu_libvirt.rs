//! A hypervisor's agent whose guests run through libvirt, in a network namespace: what becomes of them when QEMU,
//! libvirt or a person with `virsh` does what it likes.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may stop")]

#[expect(dead_code, reason = "the test without libvirt uses the rest")]
mod ground;
#[path = "ground/libvirt.rs"]
mod libvirt;

use std::fs;
use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use ground::kernel::KERNEL;
use ground::{Ground, guest, kill};
use libvirt::Libvirt;
use model::{GuestCause, GuestSeen, GuestState, Mebibytes, PowerOrder};

/// For what takes a second or two on an idle machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Waits for what is told of a guest.
fn told(ground: &Ground, guest: &str, what: &str, fits: impl Fn(&GuestSeen) -> bool) -> GuestSeen {
    ground.until(LIMIT, &format!("{guest} {what}"), |told| {
        let seen = told.seen.iter().find(|seen| seen.node.as_str() == guest);
        seen.filter(|seen| fits(seen)).cloned()
    })
}

fn runs(ground: &Ground, guest: &str, starts: u32) -> GuestSeen {
    let what = format!("runs after {starts} starts");
    told(ground, guest, &what, |seen| seen.state == GuestState::Running && seen.starts == starts)
}

fn cause(seen: &GuestSeen) -> (GuestCause, &str) {
    let end = seen.ended.as_ref().unwrap();
    (end.cause, &end.evidence)
}

/// A namespace with a bridge, libvirt in it, and an agent that is told of it.
fn ground() -> (Libvirt, Ground) {
    let mut ground = Ground::with_bridge();
    let libvirt = Libvirt::start(&ground);
    ground.option(&["--through", &libvirt.uri()]);
    (libvirt, ground)
}

#[test]
#[ignore = "stage e2e-qemu"]
fn guests_that_libvirt_loses_come_back_with_their_cause_and_what_is_not_the_labs_is_not_touched() {
    let (libvirt, mut ground) = ground();
    let kernel = ground.serve("kernel", &KERNEL);
    let mut list = [
        guest(1, &kernel, "a=<b>&\"c\" !wait"),
        guest(2, &kernel, "!wait"),
        guest(3, &kernel, "!wait"),
        guest(4, &kernel, "!restart"),
    ];
    list[0].spec.disk = Some(Mebibytes(8));
    list[0].spec.watchdog = true;
    ground.wish(&list);
    ground.start();
    let uuid = |number: usize| list[number - 1].uuid.to_string();
    let first = runs(&ground, "vm1", 1);
    assert!(first.evidence.starts_with("QEMU answers (process"), "{first:?}");
    let pid = ground.pid("vm1").unwrap();

    // What libvirt was told is valid by its own schema, and reached QEMU as it was meant.
    let folder = ground.state().join("vm1");
    let xml = folder.join("domain.xml");
    let defined = libvirt.says(&["define", "--validate", xml.to_str().unwrap()]);
    assert_eq!(defined, "", "libvirt's schema does not take it");
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    let mut words = words.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    assert!(words.any(|word| word.starts_with("a=<b>&\"c\" !wait labinator.boss=")));
    // The console is the same file and the same socket as without libvirt.
    ground.until(LIMIT, "the console says up", |_| {
        fs::read_to_string(folder.join("console.log")).ok().filter(|text| text.contains("up")).map(drop)
    });
    drop(UnixStream::connect(folder.join("serial.sock")).unwrap());
    let mut hello = [0; 3];
    UnixStream::connect(folder.join("vnc.sock")).unwrap().read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"RFB");

    // Its own restart is no loss. Then it stays.
    let again = told(&ground, "vm4", "restarts itself", |seen| seen.starts > 1);
    assert_eq!(cause(&again).0, GuestCause::Ordered);
    assert!(cause(&again).1.contains("guest-reset"), "{again:?}");

    // Killed: back within the 30 s that are promised.
    runs(&ground, "vm2", 1);
    let lost = Instant::now();
    kill(ground.pid("vm2").unwrap());
    let back = runs(&ground, "vm2", 2);
    assert!(lost.elapsed() < Duration::from_secs(30), "{:?}", lost.elapsed());
    assert_eq!(cause(&back).0, GuestCause::QemuDied);
    assert!(cause(&back).1.contains("libvirt: "), "{back:?}");

    // A person destroys and undefines: named, and back.
    runs(&ground, "vm3", 1);
    let lost = Instant::now();
    libvirt.says(&["undefine", "vm3"]);
    libvirt.says(&["destroy", "vm3"]);
    let back = runs(&ground, "vm3", 2);
    assert!(lost.elapsed() < Duration::from_secs(30), "{:?}", lost.elapsed());
    assert_eq!(cause(&back).0, GuestCause::Undefined);
    assert!(cause(&back).1.contains(&uuid(3)), "{back:?}");

    // Undefined while it runs: it goes on, and libvirt knows it again.
    libvirt.says(&["undefine", "vm1"]);
    libvirt.until(&["list", "--all", "--persistent", "--name"], |said| said.contains("vm1"));
    let same = told(&ground, "vm1", "is told of", |seen| seen.evidence.contains("was told again"));
    assert_eq!((same.starts, ground.pid("vm1")), (1, Some(pid)));

    // A domain of somebody else is left alone, also where it has the name of a guest that is wished.
    let other = fs::read_to_string(&xml).unwrap();
    let other = other.replace(&uuid(1), "99999999-0000-4000-8000-000000000001").replace("vm1<", "theirs<");
    let other = other.replace("52:54:00:00:02:01", "52:54:00:00:99:01").replace("/vm1/", "/theirs/");
    let theirs = ground.root.join("theirs.xml");
    fs::write(&theirs, other.replace("theirs<", "vm5<")).unwrap();
    libvirt.says(&["define", theirs.to_str().unwrap()]);
    let mut more = list.to_vec();
    more[3].args = "!wait".to_owned();
    more.push(guest(5, &kernel, "!wait"));
    // And one that goes.
    more.remove(1);
    ground.wish(&more);
    let refused = told(&ground, "vm5", "is refused", |seen| seen.state == GuestState::Refused);
    assert!(refused.evidence.contains("99999999-0000-4000-8000-000000000001"), "{refused:?}");
    libvirt.until(&["list", "--all", "--uuid"], |said| !said.contains(&uuid(2)));
    assert!(libvirt.says(&["list", "--all", "--uuid"]).contains("99999999-0000-4000-8000-000000000001"));

    // Off is asked of its system, by libvirt.
    more[0].power = PowerOrder::Off;
    more[0].order = 2;
    ground.wish(&more);
    let off = told(&ground, "vm1", "is off", |seen| seen.state == GuestState::Off);
    assert_eq!(cause(&off), (GuestCause::Ordered, "SHUTDOWN of QEMU, guest-shutdown"));
    libvirt.until(&["domstate", "vm1"], |said| said == "shut off");
    // Somebody starts it by hand: it is wished off.
    libvirt.says(&["start", "vm1"]);
    told(&ground, "vm1", "was started by hand", |seen| seen.starts == 2);
    told(&ground, "vm1", "is off again", |seen| seen.state == GuestState::Off);
    libvirt.until(&["domstate", "vm1"], |said| said == "shut off");
}

#[test]
#[ignore = "stage e2e-qemu"]
fn guests_run_on_while_libvirtd_is_dead_and_what_is_lost_meanwhile_comes_back_once() {
    let (mut libvirt, mut ground) = ground();
    let kernel = ground.serve("kernel", &KERNEL);
    let list = [guest(1, &kernel, "!wait"), guest(2, &kernel, "!wait"), guest(3, &kernel, "!wait")];
    ground.wish(&list);
    ground.start();
    for name in ["vm1", "vm2", "vm3"] {
        runs(&ground, name, 1);
    }
    let pids = ["vm1", "vm2"].map(|guest| ground.pid(guest).unwrap());
    libvirt.kill_daemon();
    // One is lost meanwhile, and the agent is another one.
    kill(ground.pid("vm3").unwrap());
    let waits = told(&ground, "vm3", "waits for libvirt", |seen| seen.evidence.contains("does not answer"));
    assert_eq!((waits.state, waits.starts), (GuestState::Starting, 1));
    assert_eq!(cause(&waits).0, GuestCause::QemuDied);
    ground.kill_agent();
    ground.start();
    let again = told(&ground, "vm1", "is found again", |seen| seen.state == GuestState::Running);
    assert_eq!((again.starts, again.ended), (1, None));
    // Off works without libvirt.
    let mut other = list.to_vec();
    other[1].power = PowerOrder::Off;
    other[1].order = 2;
    ground.wish(&other);
    let off = told(&ground, "vm2", "is off", |seen| seen.state == GuestState::Off);
    assert_eq!(cause(&off), (GuestCause::Ordered, "SHUTDOWN of QEMU, guest-shutdown"));

    libvirt.start_daemon();
    let back = runs(&ground, "vm3", 2);
    assert_eq!(cause(&back).0, GuestCause::QemuDied);
    libvirt.until(&["list", "--name"], |said| said.contains("vm1") && said.contains("vm3"));
    other[1].power = PowerOrder::On;
    other[1].order = 3;
    ground.wish(&other);
    runs(&ground, "vm2", 2);
    assert_eq!((ground.pid("vm1"), runs(&ground, "vm1", 1).ended), (Some(pids[0]), None));
    // Nothing of this ground runs twice; others may have guests of these numbers, too.
    let root = ground.root.to_str().unwrap();
    let uuids = list.map(|wish| wish.uuid.to_string());
    for uuid in uuids {
        let lines = fs::read_dir("/proc").unwrap().flatten();
        let of = lines.filter(|entry| {
            let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            words.starts_with(b"/usr/bin/qemu")
                && words.split(|b| *b == 0).any(|w| w == uuid.as_bytes())
                && String::from_utf8_lossy(&words).contains(root)
        });
        assert_eq!(of.count(), 1, "{uuid}");
    }
}
