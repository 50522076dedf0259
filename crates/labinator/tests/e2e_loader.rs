//! Our own loader in real firmware: OVMF starts it over PXE and over HTTP boot; it boots, waits, and refuses by name.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::print_stdout, reason = "what a failed test heard, and what was measured")]

mod e2e;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use e2e::controller::Controller;
use e2e::ground::{self, until};
use e2e::house::House;
use e2e::lab::of_firmware;
use e2e::machines::machines_below;
use e2e::processes::{lives, told};
use model::{
    Carrier, ClientKind, Fact, FileRole, LogSource, MarkKind, NodeWord, Phase, Sight, Snapshot, Trace,
};
use wire::loader::FILE_X64;

/// One cold machine takes half a minute on an idle machine with two processors, and many times that on a busy one.
const LIMIT: Duration = Duration::from_secs(600);
/// Name, firmware as the lab file writes it, last byte of the Ethernet address.
type Node = (&'static str, &'static str, u8);
const PXE: Node = ("pxe", "uefi-pxe", 2);
const HTTP: Node = ("http", "uefi-http", 3);

/// A lab of machines that get our loader.
struct Lab {
    house: House,
    file: PathBuf,
    loaders: PathBuf,
}

impl Lab {
    fn of(nodes: &[Node]) -> Self {
        Self::with(nodes, "")
    }

    /// The same with more words in its scenario.
    fn with(nodes: &[Node], more: &str) -> Self {
        let house = House::new();
        let mut text = of_firmware(&house, 0x46, nodes, ", loader: labinator");
        text.push_str(&format!("scenarios:\n  all: {{ image: node, nodes: all{more} }}\n"));
        text.push_str("limits: { first-ask: 5m, fetch: 9m, start: 5m }\n");
        let file = house.write("lab.yaml", text);
        let loaders = house.path("loaders");
        fs::create_dir(&loaders).unwrap();
        for name in ["snponly.efi", "undionly.kpxe"] {
            fs::copy(Path::new("/usr/lib/ipxe").join(name), loaders.join(name)).unwrap();
        }
        fs::copy(ground::given("LABINATOR_LOADER"), loaders.join(FILE_X64)).unwrap();
        ground::given("LABINATOR_IMAGES");
        Self { house, file, loaders }
    }

    fn start(&self) -> Controller {
        let loaders = [("LABINATOR_LOADERS", self.loaders.to_str().unwrap())];
        let controller = Controller::start_in(&self.house, &self.file, &self.house.path("state"), &loaders);
        controller.wait(LIMIT, "the images are read", |picture| {
            let found = |s: &model::ScenarioView| s.missing.is_empty() && !s.image.is_empty();
            picture.lab.scenarios.iter().all(found)
        });
        controller
    }
}

fn admitted(controller: &Controller) {
    until(Duration::from_secs(120), "the start is not refused any more", || {
        let plan = controller.verb("start all --plan --json").output().unwrap();
        let plan: api::Plan = serde_json::from_slice(&plan.stdout).ok()?;
        plan.refused.is_none().then_some(())
    });
}

fn trace(controller: &Controller, node: &str) -> Trace {
    serde_json::from_str(&told(&mut controller.verb(&format!("boot trace {node} --json")))).unwrap()
}

fn all(picture: &Snapshot, word: NodeWord) -> bool {
    picture.machines.iter().all(|machine| machine.word == word)
}

/// What a machine shows on its console.
fn console(controller: &Controller, node: &str) -> String {
    ground::said(&controller.verb(&format!("console {node} --log")).output().unwrap())
}

fn stop(mut controller: Controller) {
    told(&mut controller.verb("stop --wait --timeout 3m"));
    assert_eq!(controller.stop().code(), Some(0));
}

/// A boot by our loader: it came by the firmware, asked no DHCP, fetched the image, and said so.
fn booted(controller: &Controller, node: &str, carrier: Carrier) {
    println!("{}\n{}", told(&mut controller.verb(&format!("boot trace {node}"))), console(controller, node));
    let trace = trace(controller, node);
    let files: Vec<(&str, FileRole, Carrier)> =
        trace.boot.transfers.iter().map(|file| (file.name.as_str(), file.role, file.carrier)).collect();
    assert!(files.contains(&(FILE_X64, FileRole::Loader, carrier)), "{files:?}");
    assert!(files.contains(&("vmlinuz", FileRole::Kernel, Carrier::Http)), "{files:?}");
    assert!(files.iter().any(|(_, role, _)| *role == FileRole::Initrd), "{files:?}");
    assert!(!files.iter().any(|(name, _, _)| name.starts_with("snponly")), "{files:?}");
    let of_ipxe = |mark: &MarkKind| matches!(mark, MarkKind::Discover { client: ClientKind::Ipxe, .. });
    assert!(!trace.boot.marks.iter().any(|mark| of_ipxe(&mark.what)), "{:?}", trace.boot.marks);
    let said = trace.boot.log.iter().find(|line| line.source == LogSource::Loader).unwrap();
    assert!(said.text.contains("starts vmlinuz") && said.error.is_none(), "{said:?}");
}

#[test]
#[ignore = "stage e2e-qemu"]
fn our_loader_boots_the_node_image_over_pxe_and_over_http_boot() {
    let lab = Lab::of(&[PXE, HTTP]);
    let controller = lab.start();
    admitted(&controller);
    told(&mut controller.verb("start all --wait --timeout 9m"));
    let ready = controller.look().unwrap();
    assert!(ready.lab.phase == Phase::Ready && all(&ready, NodeWord::Ready));
    booted(&controller, "pxe", Carrier::Tftp);
    booted(&controller, "http", Carrier::Http);
    for machine in &ready.machines {
        let inventory = &machine.agent.as_ref().unwrap().report.inventory;
        assert_eq!(inventory.serial, machine.node.as_str());
    }
    stop(controller);
}

#[test]
#[ignore = "stage e2e-qemu"]
fn a_kernel_that_was_changed_is_refused_by_name_and_booted_once_it_is_right() {
    let lab = Lab::of(&[PXE]);
    let controller = lab.start();
    told(&mut controller.verb("power on pxe"));
    controller.wait(LIMIT, "it waits", |picture| all(picture, NodeWord::Waiting));
    let shown = until(LIMIT, "it says that it waits, and why", || {
        Some(console(&controller, "pxe")).filter(|shown| shown.contains("no scenario is chosen"))
    });
    assert!(shown.contains("pxe of the lab kinds"), "{shown}");
    let pids = machines_below(&controller.state);

    let kernel = kernel_on_the_shelf(&controller.state);
    let right = fs::read(&kernel).unwrap();
    let mut changed = right.clone();
    *changed.last_mut().unwrap() ^= 1;
    replace(&kernel, &changed);
    admitted(&controller);
    told(&mut controller.verb("start all"));
    let refused = until(LIMIT, "the boot trace has the refusal", || {
        let boot = trace(&controller, "pxe").boot;
        boot.log.into_iter().find_map(|line| line.error.filter(|_| line.source == LogSource::Loader))
    });
    assert!(refused.starts_with("file-of-another-content: vmlinuz has the SHA-256 "), "{refused}");
    let drawn = told(&mut controller.verb("boot trace pxe"));
    assert!(drawn.contains("its loader refused: file-of-another-content"), "{drawn}");
    let shown = until(LIMIT, "the console has it too", || {
        Some(console(&controller, "pxe")).filter(|shown| shown.contains("(file-of-another-content)"))
    });
    assert!(!shown.contains("starts    vmlinuz"), "{shown}");

    replace(&kernel, &right);
    controller.wait(LIMIT, "it is ready", |picture| all(picture, NodeWord::Ready));
    assert_eq!(machines_below(&controller.state), pids, "nobody switched it");
    booted_in_the_end(&controller);
    stop(controller);
}

#[test]
#[ignore = "stage e2e-qemu"]
fn a_loader_refuses_the_answers_of_a_controller_with_another_key() {
    let lab = Lab::of(&[PXE]);
    let mut controller = lab.start();
    told(&mut controller.verb("power on pxe"));
    controller.wait(LIMIT, "it waits", |picture| all(picture, NodeWord::Waiting));
    // The lab's key is lost while the machine waits: what comes after it could be anybody.
    assert_eq!(controller.stop().code(), Some(0));
    fs::remove_dir_all(lab.house.path("state").join("loader")).unwrap();
    let controller = lab.start();
    admitted(&controller);
    told(&mut controller.verb("start all"));
    let refused = until(LIMIT, "the boot trace has the refusal", || {
        let boot = trace(&controller, "pxe").boot;
        boot.log.into_iter().find_map(|line| line.error.filter(|_| line.source == LogSource::Loader))
    });
    assert!(refused.starts_with("answer-of-another-lab: "), "{refused}");
    let shown = until(LIMIT, "the console has it too", || {
        Some(console(&controller, "pxe")).filter(|shown| shown.contains("(answer-of-another-lab)"))
    });
    assert!(!shown.contains("starts    vmlinuz"), "{shown}");
    stop(controller);
}

#[test]
#[ignore = "stage e2e-qemu"]
fn a_parked_machine_is_released_without_firmware_and_switches_itself_off_when_nobody_is_there() {
    let lab = Lab::with(&[PXE], ", park: 3m");
    let mut controller = lab.start();
    admitted(&controller);
    told(&mut controller.verb("start all --wait --timeout 9m"));
    told(&mut controller.verb("stop --wait --timeout 3m"));
    let parked = controller.wait(LIMIT, "it is parked", |picture| all(picture, NodeWord::Parked));
    let why = parked.machines[0].waiting.as_ref().unwrap();
    assert!(why.what.contains("parked in its loader"), "{why:?}");
    let explained = told(&mut controller.verb("explain pxe"));
    assert!(explained.contains("parked after its run"), "{explained}");
    let pids = machines_below(&controller.state);
    let boots = trace(&controller, "pxe").boot.number;

    let before = parked.through;
    told(&mut controller.verb("start all --wait --timeout 9m"));
    let events = controller.events(before);
    let at =
        |is: &dyn Fn(&Fact) -> bool| events.iter().find(|event| is(&event.fact)).map(|event| event.at.wall.0);
    let started = at(&|fact| matches!(fact, Fact::StartAccepted { .. })).unwrap();
    let asked = at(&|fact| {
        matches!(fact, Fact::Sighted { sight: Sight::FileAsked { role: FileRole::Kernel, .. }, .. })
    });
    println!("from the start of a scenario to the kernel's request: {} ms", asked.unwrap() - started);
    assert!(at(&|fact| matches!(fact, Fact::Issued { .. })).is_none(), "nothing is switched: {events:?}");
    assert_eq!(machines_below(&controller.state), pids);
    assert_eq!(trace(&controller, "pxe").boot.number, boots, "no firmware in between");

    told(&mut controller.verb("stop --wait --timeout 3m"));
    controller.wait(LIMIT, "it is parked again", |picture| all(picture, NodeWord::Parked));
    let [(machine, _)] = machines_below(&controller.state)[..] else { unreachable!("one machine") };
    assert_eq!(controller.stop().code(), Some(0));
    assert!(lives(machine), "it waits for its controller");
    until(LIMIT, "it goes off by itself", || (!lives(machine)).then_some(()));
}

fn booted_in_the_end(controller: &Controller) {
    let log = trace(controller, "pxe").boot.log;
    let last = log.iter().rfind(|line| line.source == LogSource::Loader).unwrap();
    assert!(last.text.contains("starts vmlinuz"), "{log:?}");
}

/// The one file of the shelf that is a kernel: it begins as a program of DOS, and is no unified image.
fn kernel_on_the_shelf(state: &Path) -> PathBuf {
    let mut found = Vec::new();
    let mut folders = vec![state.join("shelf")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = fs::read(&path).unwrap();
            let is_unified = bytes.windows(8).take(4096).any(|name| name == b".cmdline");
            if bytes.starts_with(b"MZ") && !is_unified {
                found.push(path);
            }
        }
    }
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// Another file in its place: what else has the old one by another name keeps it.
fn replace(path: &Path, bytes: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, bytes).unwrap();
    fs::rename(&new, path).unwrap();
}
