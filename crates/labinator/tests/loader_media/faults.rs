//! Bad days of a machine that boots from a stick.

use std::fs::{self, File};
use std::process::Command;

use model::Secret;
use pki::vault::Vault;

use crate::e2e::ground::{given, until};
use crate::e2e::house::House;
use crate::e2e::processes::told;
use crate::sticks::{LIMIT, Lab, MAC, admitted, fetched, lab_card, percents, ready, word};

/// Zeros behind an initramfs change nothing for a kernel, and take seconds on their way.
const LONG: u64 = 96 << 20;

#[test]
#[ignore = "stage e2e-qemu"]
fn a_file_goes_on_where_it_broke_off_and_a_cable_that_is_out_is_waited_for() {
    let house = House::new();
    let zeros = house.path("zeros.img");
    File::create(&zeros).unwrap().set_len(LONG).unwrap();
    let node = given("LABINATOR_IMAGES").join("node");
    let scenario = format!(
        "all: {{ nodes: all, image: {{ kernel: {node}/vmlinuz, initrd: [{node}/initrd.img, {zeros}], \
         args: \"console=ttyS0 no_timer_check\" }} }}",
        node = node.display(),
        zeros = zeros.display()
    );
    let mut lab = Lab::of(house, "authoritative", &scenario);
    let controller = lab.start();
    lab.build(&["--size", "48MiB"]);
    admitted(&controller);
    told(&mut controller.verb("start all"));
    let card = lab_card();
    let mut machine = lab.boot(&[(MAC, &card)]);

    // The counter dies in the middle of it: its connection is gone.
    machine.shows("fetches   zeros.img");
    let counter = controller.part("counter").unwrap();
    told(Command::new("kill").args(["-9", &counter.to_string()]));
    until(LIMIT, "another counter", || controller.part("counter").filter(|other| *other != counter));
    let before = machine.percents("zeros.img").last().copied().unwrap_or(0);
    until(LIMIT, "more of it", || {
        machine.percents("zeros.img").last().copied().filter(|percent| *percent > before + 9)
    });
    // And then the cable is out, for as long as the loader tries the file.
    machine.link(false);
    // A connection that fell silent is given up, so the last of those tries is for one that nobody takes.
    let shown = machine.shows("waits     for the controller at 10.79.0.1:80: it does not answer");
    assert!(!shown.contains("starts    vmlinuz"), "the cable was out too late: {shown}");
    machine.link(true);
    let trace = ready(&controller, 1);
    let asked: Vec<u64> =
        trace.boot.transfers.iter().filter(|file| file.name == "zeros.img").map(|file| file.bytes).collect();
    assert!(asked.len() >= 3, "once by each counter, and once more after the cable: {asked:?}");
    let until_then = shown.split("waits     for the controller at").next().unwrap();
    let percents = percents(until_then, "zeros.img");
    assert!(percents.is_sorted(), "what had come by the first counter was not fetched again: {percents:?}");
    machine.off();
}

#[test]
#[ignore = "stage e2e-qemu"]
fn an_older_delegation_is_refused_whatever_the_clocks_say_and_the_last_good_image_starts() {
    let mut lab = Lab::new("authoritative");
    lab.clock = Some("1980-01-02T00:00:00");
    let state = lab.house.path("state");
    let numbers = |number: u64| {
        let vault = Vault::open(&state.join("loader")).unwrap();
        vault.put("number", &Secret::new(number.to_be_bytes().to_vec().into())).unwrap();
    };
    fs::create_dir_all(&state).unwrap();
    // A controller that was started more often, or whose clock was ahead.
    numbers(1 << 60);
    let mut controller = lab.start();
    lab.build(&["--size", "128MiB", "--patience", "20"]);
    admitted(&controller);
    told(&mut controller.verb("start all"));
    let card = lab_card();
    // The second time its controller says that the first was good.
    let mut boot = 1;
    for _ in 0..2 {
        let machine = lab.boot(&[(MAC, &card)]);
        boot = ready(&controller, boot).boot.number + 1;
        machine.off();
    }
    let good = lab.record();
    assert!(good.good.is_some() && good.least > 1 << 60, "{good:?}");
    assert_eq!(controller.stop().code(), Some(0));

    numbers(1);
    let controller = lab.start();
    let machine = lab.boot(&[(MAC, &card)]);
    let shown = machine.shows("the image that started well last, from the cache");
    assert!(shown.contains("(delegation-old)"), "{shown}");
    machine.shows(" is up");
    machine.off();
    assert_eq!(lab.record(), good);
    drop(controller);
}

#[test]
#[ignore = "stage e2e-qemu"]
fn a_stick_that_is_pulled_while_it_is_written_costs_nothing_but_its_cache() {
    let mut lab = Lab::new("authoritative");
    let controller = lab.start();
    lab.build(&["--size", "128MiB"]);
    admitted(&controller);
    told(&mut controller.verb("start all"));
    let card = lab_card();
    let mut machine = lab.boot(&[(MAC, &card)]);
    machine.shows("cache     keeps vmlinuz");
    machine.pull();
    let first = ready(&controller, 1);
    assert!(word(&first).contains("not kept: "), "{}", word(&first));
    machine.off();
    assert!(lab.record().slots.iter().flatten().count() == 0, "{:?}", lab.record());

    // It is as good as before.
    let machine = lab.boot(&[(MAC, &card)]);
    let second = ready(&controller, first.boot.number + 1);
    assert!(word(&second).contains("kept in the cache"), "{}", word(&second));
    assert!(fetched(&second).contains(&"vmlinuz"));
    machine.off();
    let machine = lab.boot(&[(MAC, &card)]);
    let third = ready(&controller, second.boot.number + 1);
    assert_eq!(fetched(&third), Vec::<&str>::new());
    machine.off();
}
