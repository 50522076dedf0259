//! Guests inside the real image of hypervisors, emulated in what is emulated.
//!
//! As `e2e_live.rs`, no stage of the test run but of `cargo xtask soak`.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod e2e;

use std::process::{Command, Stdio};
use std::time::Duration;

use e2e::controller::{picture, verb};
use e2e::ground::{Folder, given, limited, said, until};
use e2e::machines::{in_folder, swept};
use e2e::processes::{signal, told};
use model::{ClientKind, GuestState, MachineView, MarkKind, NodeWord, Phase, Proof, Snapshot, Trace};
use rustix::process::Signal;

/// For a hypervisor and its guest, which take some minutes on two processors.
const LIMIT: Duration = Duration::from_secs(5400);
/// For what is seconds on an idle machine.
const SOON: Duration = Duration::from_secs(300);

fn machine<'a>(picture: &'a Snapshot, node: &str) -> Option<&'a MachineView> {
    picture.machines.iter().find(|machine| machine.node.as_str() == node).map(AsRef::as_ref)
}

fn trace(mut command: Command) -> Trace {
    serde_json::from_str(&told(&mut command)).unwrap()
}

#[test]
#[ignore = "soak live"]
fn the_demo_boots_the_real_image_of_hypervisors_and_a_guest_in_it() {
    let folder = Folder::new();
    let socket = folder.0.join("api.sock");
    // Nobody else ends it where this test fails.
    let mut demo = in_folder(limited(6000, given("LABINATOR_BIN")), &folder.0);
    demo.args(["demo", "--scenario", "virtual", "--headless", "--json", "--images"]);
    let mut demo = demo.arg(given("LABINATOR_IMAGES")).stdout(Stdio::null()).spawn().unwrap();
    let ready = until(LIMIT, "hypervisor and guest are ready", || {
        assert_eq!(demo.try_wait().unwrap(), None, "the demo goes on");
        let picture = picture(&socket)?;
        assert_ne!(picture.lab.phase, Phase::Failed, "{}", picture.lab.phase_because);
        (picture.lab.phase == Phase::Ready).then_some(picture)
    });
    let (host, guest) = (machine(&ready, "node1").unwrap(), machine(&ready, "g1").unwrap());
    let boot = |machine: &MachineView| (machine.word, machine.boot.as_ref().map(|boot| boot.number));
    assert_eq!((boot(host), boot(guest)), ((NodeWord::Ready, Some(1)), (NodeWord::Ready, Some(1))));
    assert_eq!(guest.guest.as_ref().map(|seen| (seen.state, seen.starts)), Some((GuestState::Running, 1)));
    // What answered are the agents of both. A guest's kernel line has no word that would prove its boot.
    assert_eq!(host.agent.as_ref().unwrap().proof, Proof::Key);
    assert_eq!(guest.agent.as_ref().unwrap().report.inventory.product, "Labinator guest");
    let host = trace(verb(&socket, "boot trace node1 --json"));
    assert!(host.boot.transfers.iter().any(|file| file.name == "live.img" && file.ended.is_some()));
    let guest = trace(verb(&socket, "boot trace g1 --json"));
    let answered =
        guest.boot.marks.iter().any(|mark| mark.what == MarkKind::Ack { client: ClientKind::Agent });
    assert!(answered, "its DHCP request was answered by the counter: {:?}", guest.boot.marks);
    let console = told(&mut verb(&socket, "console g1 --log"));
    assert!(console.contains("asks for an address"), "its console: {console}");
    for trace in [host, guest] {
        println!("{}: {:?}", trace.node, trace.waterfall.bars);
    }
    signal(demo.id(), Signal::TERM);
    assert!(demo.wait().unwrap().success());
    swept(&folder.0, SOON);
}

#[test]
#[ignore = "soak live"]
fn a_demo_without_the_image_of_hypervisors_says_what_to_type() {
    let folder = Folder::new();
    let images = folder.0.join("images");
    let mut demo = in_folder(limited(60, given("LABINATOR_BIN")), &folder.0);
    let demo = demo.args(["demo", "--scenario", "virtual", "--headless", "--images"]).arg(&images);
    let output = demo.output().unwrap();
    let (text, out) = (said(&output), images.display());
    assert!(!output.status.success(), "{text}");
    for name in ["node", "hypervisor"] {
        assert!(text.contains(&format!("labinator image build {name} --out {out}\n")), "{text}");
    }
}
