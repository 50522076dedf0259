//! A stick made by `labinator media build`, in real firmware: no PXE, a cache, and what happens where something is cut.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::print_stdout, reason = "what a failed test heard, and what was measured")]

mod e2e;
#[path = "loader_media/faults.rs"]
mod faults;
mod sticks;

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::process::Command;

use e2e::controller::Controller;
use e2e::ground::{self, given, until};
use e2e::house::House;
use e2e::processes::told;
use model::{FileRole, NodeWord};
use sticks::{CACHE, LIMIT, Lab, MAC, OTHER, admitted, fetched, lab_card, read_at, ready, trace, word};
use wire::loader::cache::BLOCK;

#[test]
#[ignore = "stage e2e-qemu"]
fn a_stick_fetches_once_and_then_boots_from_its_cache_also_without_a_controller() {
    let mut lab = Lab::new("authoritative");
    let mut controller = lab.start();
    lab.build(&["--size", "128MiB", "--patience", "20"]);
    admitted(&controller);
    told(&mut controller.verb("start all"));
    let card = lab_card();

    // The first time everything is fetched, and kept.
    let machine = lab.boot(&[(MAC, &card)]);
    let first = ready(&controller, 1);
    assert!(fetched(&first).contains(&"vmlinuz") && fetched(&first).len() >= 2, "{:?}", fetched(&first));
    assert!(
        word(&first).contains("by local") && word(&first).contains("kept in the cache"),
        "{}",
        word(&first)
    );
    assert!(!first.boot.transfers.iter().any(|file| file.role == FileRole::Loader), "no PXE");
    machine.off();
    let kept = lab.record();
    assert!(kept.slots.iter().flatten().count() == 1 && kept.worn > 1 && kept.good.is_none(), "{kept:?}");

    // The second time nothing is.
    let machine = lab.boot(&[(MAC, &card)]);
    let second = ready(&controller, first.boot.number + 1);
    assert_eq!(fetched(&second), Vec::<&str>::new());
    assert!(word(&second).contains("from the cache (written less than once over)"), "{}", word(&second));
    machine.off();
    let good = lab.record();
    assert!(good.good.is_some() && good.least > 0, "the controller said that it started well: {good:?}");
    assert!(good.worn <= kept.worn + 2, "{} blocks more", good.worn - kept.worn);

    // Nobody answers: the same image, although nobody says what is wanted.
    assert_eq!(controller.stop().code(), Some(0));
    let machine = lab.boot(&[(MAC, &card)]);
    let shown = machine.shows("the image that started well last, from the cache");
    assert!(shown.contains("no DHCP server answers"), "{shown}");
    machine.shows(" is up");
    machine.off();
    assert_eq!(lab.record(), good, "a boot without a controller writes nothing");

    // A bit of it is another one: it is not started, and fetched anew.
    let controller = lab.start();
    let slot = good.good.unwrap();
    let place = CACHE + lab.layout().slot(slot) * u64::try_from(BLOCK).unwrap() + 100_000;
    let byte = read_at(&lab.stick, place, 1)[0];
    let mut stick = File::options().write(true).open(&lab.stick).unwrap();
    stick.seek(SeekFrom::Start(place)).unwrap();
    stick.write_all(&[byte ^ 1]).unwrap();
    drop(stick);
    let before = trace(&controller).boot.number;
    let machine = lab.boot(&[(MAC, &card)]);
    let shown = machine.shows("is not what its record says: it is not started");
    assert!(!shown.contains("from the cache (written"), "{shown}");
    let last = ready(&controller, before + 1);
    assert!(fetched(&last).contains(&"vmlinuz"), "{:?}", fetched(&last));
    machine.off();
    assert_eq!(lab.record().slots.iter().flatten().count(), 1);
}

#[test]
#[ignore = "stage e2e-qemu"]
fn without_dhcp_and_with_its_cable_in_the_second_card_a_machine_boots_by_the_address_on_its_stick() {
    let mut lab = Lab::new("off");
    let controller = lab.start();
    // So small that no image fits: it is fetched each time, and that is said.
    lab.build(&["--size", "48MiB", "--node", "one"]);
    admitted(&controller);
    told(&mut controller.verb("start all"));
    let card = lab_card();
    let machine = lab.boot(&[(OTHER, "hubport,hubid=9"), (MAC, &card)]);
    let shown = machine.shows("starts    vmlinuz");
    assert!(shown.contains(&format!("{OTHER}: it has no cable")), "{shown}");
    assert!(shown.contains(&format!("10.79.0.12/20 on {MAC}, set on this medium")), "{shown}");
    assert!(shown.contains("does not keep it: the image takes "), "{shown}");
    let trace = until(LIMIT, "the controller knows of it", || {
        Some(trace(&controller)).filter(|trace| word(trace).contains("starts vmlinuz"))
    });
    assert!(fetched(&trace).contains(&"vmlinuz"), "{:?}", fetched(&trace));
    assert!(word(&trace).contains("not kept: the image takes"), "{}", word(&trace));
    machine.shows(" is up");
    let picture = controller.look().unwrap();
    assert_eq!(picture.machines.first().unwrap().word, NodeWord::Kernel);
    println!("{}", ground::said(&controller.verb("explain one").output().unwrap()));
    machine.off();
}

/// What `labinator` says to these words.
fn labinator(words: &str) -> String {
    told(Command::new(given("LABINATOR_BIN")).args(words.split_whitespace()))
}

#[test]
#[ignore = "stage e2e-qemu"]
fn a_stick_brings_the_owners_keys_and_then_only_what_they_signed_is_started() {
    let house = House::new();
    let images = house.path("images");
    fs::create_dir(&images).unwrap();
    for name in ["vmlinuz", "initrd.img"] {
        fs::copy(given("LABINATOR_IMAGES").join("node").join(name), images.join(name)).unwrap();
    }
    let folder = images.display().to_string();
    let scenario = format!(
        "all: {{ nodes: all, image: {{ kernel: {folder}/vmlinuz, initrd: [{folder}/initrd.img], \
         args: \"console=ttyS0 no_timer_check\" }} }}"
    );
    let mut lab = Lab::of(house, "authoritative", &scenario);
    println!("{}", labinator(&format!("secure-boot keys --name stick --images {folder}")));

    // Firmware without keys takes those of the stick, once.
    let mut loose = lab.start();
    lab.build(&["--size", "48MiB", "--images", &folder, "--enrol"]);
    let card = lab_card();
    let mut machine = lab.boot(&[(MAC, &card)]);
    until(LIMIT, "the machine starts again, which ends it here", || machine.qemu.try_wait().unwrap());
    let shown = machine.console();
    for line in ["db is written", "KEK is written", "PK is written", "the machine starts again"] {
        assert!(shown.contains(line), "{shown}");
    }
    lab.vars = machine.console.with_file_name("vars.fd");

    // Its signed loader starts, and the firmware refuses the kernel that it is told to start.
    admitted(&loose);
    told(&mut loose.verb("start all"));
    let machine = lab.boot(&[(MAC, &card)]);
    let shown = machine.shows("Secure Boot is on, and nobody whom this firmware trusts signed it");
    assert!(shown.contains("Secure Boot is on: nothing is written"), "{shown}");
    machine.off();
    assert_eq!(loose.stop().code(), Some(0));

    // A lab that asks for signatures does not even serve it: its maker's is none of this owner's.
    let strict = lab.house.path("strict");
    fs::create_dir(&strict).unwrap();
    told(Command::new("cp").arg("-a").arg(lab.house.path("state").join("loader")).arg(&strict));
    let text = fs::read_to_string(&lab.file).unwrap();
    fs::write(&lab.file, format!("{text}secure-boot: required\n")).unwrap();
    let begin = || {
        let folder = [("LABINATOR_IMAGES", folder.as_str())];
        Controller::start_in(&lab.house, &lab.file, &strict, &folder)
    };
    let mut controller = begin();
    controller.wait(LIMIT, "the scenario lacks a signature", |picture| {
        let missing = picture.lab.scenarios.iter().flat_map(|scenario| &scenario.missing);
        missing.into_iter().any(|why| why.starts_with("vmlinuz is signed, but not by CN=stick db"))
    });
    assert_eq!(controller.stop().code(), Some(0));
    let kernel = format!("{folder}/vmlinuz");
    println!("{}", labinator(&format!("secure-boot sign {kernel} --output {kernel} --images {folder}")));
    let mut controller = begin();
    admitted(&controller);
    told(&mut controller.verb("start all"));
    let machine = lab.boot(&[(MAC, &card)]);
    machine.shows(" is up");
    machine.off();
    assert_eq!(controller.stop().code(), Some(0));

    // A stick that somebody else made is not started.
    let others = lab.house.path("others").display().to_string();
    lab.build(&["--size", "48MiB", "--force", "--images", &others]);
    let machine = lab.boot(&[(MAC, &card)]);
    machine.shows("Access Denied");
    machine.off();
}
