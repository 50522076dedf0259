//! Our loader on the disk of a machine: put there by the live image it runs, started by its firmware from then on, and
//! taken away again. In real firmware, and looked at by efibootmgr and fsck.vfat of the live image.
//!
//! As `e2e_live.rs`, no stage of the test run but of `cargo xtask soak`.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::print_stdout, reason = "what a failed test heard")]

mod e2e;
#[expect(dead_code, reason = "each test file uses its own part")]
mod sticks;

use std::fs::{self, File};
use std::path::Path;

use e2e::controller::Controller;
use e2e::ground::{given, said, until};
use e2e::house::House;
use e2e::live::{there, until_there};
use e2e::processes::told;
use model::{DiskLoaders, FileRole, Trace};
use sticks::{LIMIT, Lab, MAC, admitted, lab_card, ready, trace};
use wire::loader::FILE_X64;

const ADDRESS: &str = "10.79.0.12";

/// The numbers of `BootOrder`, and all that efibootmgr says.
fn firmware(lab: &Lab) -> (Vec<String>, String) {
    let text = there(&lab.house, ADDRESS, "efibootmgr -v");
    println!("{text}");
    let order = text.lines().find_map(|line| line.strip_prefix("BootOrder: ")).unwrap();
    (order.split(',').map(str::to_owned).collect(), text)
}

fn by_network(trace: &Trace) -> bool {
    trace.boot.transfers.iter().any(|file| file.role == FileRole::Loader)
}

fn by_disk(trace: &Trace) -> bool {
    trace.boot.log.iter().any(|line| line.text.contains("by local"))
}

fn show(controller: &Controller) -> DiskLoaders {
    serde_json::from_str(&told(&mut controller.verb("media show one --json"))).unwrap()
}

/// A controller that hands out our loader, and iPXE to whoever comes over the network.
fn with_loader(lab: &Lab) -> Controller {
    let loaders = lab.house.path("loaders");
    fs::create_dir(&loaders).unwrap();
    for name in ["ipxe.efi", "snponly.efi"] {
        fs::copy(Path::new("/usr/lib/ipxe").join(name), loaders.join(name)).unwrap();
    }
    fs::copy(given("LABINATOR_LOADER"), loaders.join(FILE_X64)).unwrap();
    let loaders = [("LABINATOR_LOADERS", loaders.to_str().unwrap())];
    Controller::start_in(&lab.house, &lab.file, &lab.house.path("state"), &loaders)
}

#[test]
#[ignore = "soak live"]
fn the_loader_is_put_onto_a_disk_started_by_its_firmware_and_taken_away_again() {
    let scenario = "all: { image: rescue, nodes: all, args: \"console=ttyS0 no_timer_check\" }";
    given("LABINATOR_IMAGES");
    let mut lab = Lab::of(House::new(), "authoritative", scenario);
    (lab.is_inside, lab.memory) = (true, 1024);
    File::create(&lab.stick).unwrap().set_len(256 << 20).unwrap();
    let controller = with_loader(&lab);
    admitted(&controller);
    told(&mut controller.verb("start all"));
    let card = lab_card();

    // It comes over the network, and has an empty disk.
    let machine = lab.boot(&[(MAC, &card)]);
    let first = ready(&controller, 1);
    assert!(by_network(&first) && !by_disk(&first));
    until_there(&lab.house, ADDRESS);
    let refused = said(&controller.verb("media install one").output().unwrap());
    assert!(refused.contains("no disk of this machine has an EFI system partition"), "{refused}");
    there(
        &lab.house,
        ADDRESS,
        "sgdisk -n 1:0:+64M -t 1:ef00 /dev/vda && udevadm settle 2>/dev/null; mkfs.vfat -F 32 /dev/vda1",
    );
    let installed = told(&mut controller.verb("media install one"));
    println!("{installed}");
    let (order, text) = firmware(&lab);
    let ours = text.lines().find(|line| line.contains("Labinator")).unwrap();
    assert!(ours.contains("HD(1,GPT,") && ours.contains("\\EFI\\LABINATOR\\"), "{ours}");
    assert!(ours.starts_with(&format!("Boot{}*", order[0])), "{order:?} {ours}");
    assert!(installed.contains(&format!("put Boot{} first", order[0])), "{installed}");
    let again = told(&mut controller.verb("media install one --disk vda"));
    assert!(again.contains("all of it is there already"), "{again}");
    there(&lab.house, ADDRESS, "fsck.vfat -n /dev/vda1");
    // Its plug is pulled: nobody unmounts or syncs anything.
    lab.vars = machine.console.with_file_name("vars.fd");
    machine.off();

    // Its firmware starts the loader from the disk.
    let machine = lab.boot(&[(MAC, &card)]);
    machine.shows("had by DHCP");
    let second = ready(&controller, first.boot.number + 1);
    assert!(by_disk(&second) && !by_network(&second), "{:?}", second.boot.log);
    until_there(&lab.house, ADDRESS);
    let how = show(&controller);
    assert_eq!(how.places.len(), 1);
    assert!(how.places[0].loaders[0].lab_key.is_some() && how.entries[0].is_ours, "{how:?}");
    println!("{}", told(&mut controller.verb("media show one")));

    let removed = told(&mut controller.verb("media uninstall one"));
    println!("{removed}");
    let (after, text) = firmware(&lab);
    assert!(!text.contains("Labinator"), "{text}");
    assert_eq!(after, order[1..], "the others keep their places");
    let left = there(
        &lab.house,
        ADDRESS,
        "mount -o ro /dev/vda1 /mnt && ls -R /mnt && umount /mnt && fsck.vfat -n /dev/vda1",
    );
    assert!(!left.to_uppercase().contains("LABINATOR"), "{left}");
    lab.vars = machine.console.with_file_name("vars.fd");
    machine.off();

    // As before.
    let machine = lab.boot(&[(MAC, &card)]);
    let third = until(LIMIT, "the next boot asks for a loader", || {
        Some(trace(&controller)).filter(|trace| trace.boot.number > second.boot.number && by_network(trace))
    });
    assert!(!by_disk(&third));
    machine.off();
    let events = controller.events(0);
    let changes = events.iter().filter(|event| matches!(event.fact, model::Fact::DiskLoaderChanged { .. }));
    assert_eq!(changes.count(), 2, "what changed nothing is no event");
}
