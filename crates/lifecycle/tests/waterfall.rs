//! The waterfall: bars lie end to end from the beginning of a boot to its end, and slow ones say why.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may stop")]

#[path = "any_order/fate.rs"]
mod fate;
#[expect(dead_code, reason = "other tests use the rest")]
#[path = "any_order/guests.rs"]
mod guests;
#[expect(dead_code, reason = "other tests use the rest")]
mod world;

use std::net::Ipv4Addr;

use fate::{discover, fates, name, reports, sees};
use lifecycle::waterfall;
use model::{
    Bar, Carrier, ClientKind, Fact, FileRole, LabTime, MacAddr, PowerState, ScriptAnswer, Sight, Span, Stage,
    Waterfall,
};
use proptest::prelude::*;
use world::{Board, World};

/// One machine on a bench, and a clock in milliseconds from its power on.
struct Bench {
    world: World,
    began: LabTime,
}

impl Bench {
    fn new() -> Self {
        let mut world = World::new(Board::new(&["n1"], &[])).unwrap();
        sees(&mut world, 1, PowerState::Off).unwrap();
        let began = world.now;
        Self { world, began }
    }

    /// The clock begins again.
    fn begins(&mut self) {
        self.began = self.world.now;
    }

    fn at(&mut self, millis: u64) -> &mut Self {
        self.world.pass(self.began.after(Span(millis))).unwrap();
        self
    }

    fn power(&mut self, state: PowerState) -> &mut Self {
        sees(&mut self.world, 1, state).unwrap();
        self
    }

    fn saw(&mut self, sight: Sight) -> &mut Self {
        self.world.happens(Fact::Sighted { mac: MacAddr([2, 0, 0, 0, 0, 1]), sight }).unwrap();
        self
    }

    fn discovers(&mut self, client: ClientKind) -> &mut Self {
        self.saw(discover(client))
    }

    fn is_offered(&mut self) -> &mut Self {
        self.saw(Sight::Offer { address: Ipv4Addr::new(10, 0, 0, 11) })
    }

    fn gets_address(&mut self, client: ClientKind) -> &mut Self {
        self.saw(Sight::Ack { address: Ipv4Addr::new(10, 0, 0, 11), client })
    }

    fn asks(&mut self, role: FileRole, file: &str, size: u64) -> &mut Self {
        self.saw(Sight::FileAsked { role, name: file.to_owned(), carrier: Carrier::Http, size })
    }

    fn took(&mut self, file: &str, bytes: u64, repeats: u32) -> &mut Self {
        self.saw(Sight::FileServed { name: file.to_owned(), bytes, repeats })
    }

    fn breaks_off(&mut self, file: &str) -> &mut Self {
        self.saw(Sight::FileBroken { name: file.to_owned(), bytes: 10, why: "timed out".to_owned() })
    }

    fn takes_image(&mut self) -> &mut Self {
        self.saw(Sight::ScriptAsked { answer: ScriptAnswer::Boot });
        self.asks(FileRole::Kernel, "vmlinuz", 14_000_000).took("vmlinuz", 14_000_000, 0);
        self.asks(FileRole::Initrd, "initrd", 81_000_000)
    }

    fn reports(&mut self, boot: &str) -> &mut Self {
        reports(&mut self.world, 1, boot).unwrap();
        self
    }

    fn fall(&self) -> Waterfall {
        waterfall(&self.world.lab.machines[&name(1)], self.world.now).unwrap()
    }

    fn bar(&self, stage: Stage) -> Bar {
        let fall = self.fall();
        let bar = fall.bars.iter().find(|bar| bar.stage == stage).cloned();
        bar.unwrap_or_else(|| panic!("no bar {stage} in {fall:#?}"))
    }

    fn note(&self, stage: Stage) -> String {
        self.bar(stage).note.unwrap_or_default()
    }

    /// A whole boot of a UEFI machine whose loader waits for `router` milliseconds.
    fn boots_uefi(&mut self, boot: &str, router: u64) {
        self.begins();
        self.power(PowerState::On).at(3_500).discovers(ClientKind::UefiPxe).is_offered();
        self.at(7_500).gets_address(ClientKind::UefiPxe);
        self.at(7_600).asks(FileRole::Loader, "snponly.efi", 200_000);
        self.at(7_700).took("snponly.efi", 200_000, 0);
        self.at(7_900).discovers(ClientKind::Ipxe);
        self.at(8_000).saw(Sight::RouterAsked { answered: router == 0 });
        self.at(8_000 + router).takes_image();
        self.at(11_000 + router).took("initrd", 81_000_000, 0);
        self.at(14_500 + router).discovers(ClientKind::Agent);
        self.at(14_900 + router).reports(boot);
    }
}

/// Bars lie end to end, from nothing to the total.
fn rule_of_bars(fall: &Waterfall) -> Result<(), String> {
    let mut reached = 0;
    for bar in &fall.bars {
        if bar.from_ms != reached {
            return Err(format!("{} begins at {}, not at {reached}: {fall:#?}", bar.stage, bar.from_ms));
        }
        reached += bar.took_ms;
    }
    if reached != fall.total_ms {
        return Err(format!("the bars end at {reached}, not at {}: {fall:#?}", fall.total_ms));
    }
    if !fall.bars.is_sorted_by_key(|bar| bar.stage) {
        return Err(format!("the stages are not in order: {fall:#?}"));
    }
    match fall.bars.iter().rev().skip(1).any(|bar| bar.open) {
        true => Err(format!("only the last bar can be open: {fall:#?}")),
        false => Ok(()),
    }
}

/// What OVMF does over IPv6: its stack asks first, then its boot client.
fn solicits(client: ClientKind) -> Sight {
    Sight::Solicit { client, arch: None, elapsed_ms: 0, uuid: None }
}

fn address6() -> std::net::Ipv6Addr {
    std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x11)
}

#[test]
fn a_boot_over_ipv6_has_the_same_bars_and_says_what_firmware_does_with_its_address() {
    let mut bench = Bench::new();
    bench.at(0).power(PowerState::On);
    bench.at(3_000).saw(solicits(ClientKind::UnknownFirmware)).saw(Sight::Advertise { address: address6() });
    let reply = |client| Sight::Reply { address: Some(address6()), client };
    bench.at(3_100).saw(Sight::Request6 { client: ClientKind::UnknownFirmware });
    bench.saw(reply(ClientKind::UnknownFirmware));
    bench.at(5_000).saw(solicits(ClientKind::UefiPxe)).saw(Sight::Advertise { address: address6() });
    bench.at(5_100).saw(reply(ClientKind::UefiPxe));
    bench.at(9_000).asks(FileRole::Loader, "snponly.efi", 100_000);
    bench.at(9_200).took("snponly.efi", 100_000, 0);
    bench.at(9_500).saw(solicits(ClientKind::Ipxe)).saw(reply(ClientKind::Ipxe));
    bench.at(10_000).asks(FileRole::Uki, "node.efi", 1_000_000);
    bench.at(11_000).took("node.efi", 1_000_000, 0);
    bench.at(14_000).saw(solicits(ClientKind::Agent)).saw(reply(ClientKind::Agent));
    let fall = bench.fall();
    assert_eq!(fall.firmware, Some(ClientKind::UefiPxe), "the stack that asked before it tells less");
    let stages: Vec<Stage> = fall.bars.iter().map(|bar| bar.stage).collect();
    for stage in [Stage::Firmware, Stage::Dhcp, Stage::Loader, Stage::Ipxe, Stage::Kernel, Stage::Agent] {
        assert!(stages.contains(&stage), "no {stage}: {fall:?}");
    }
    let bar = |stage: Stage| fall.bars.iter().find(|bar| bar.stage == stage).unwrap();
    assert_eq!((bar(Stage::Dhcp).from_ms, bar(Stage::Dhcp).took_ms), (3_000, 6_000));
    let note = bar(Stage::Dhcp).note.as_deref().unwrap();
    assert!(note.starts_with("5.9 s of it after its first REPLY"), "{note}");
    assert!(bar(Stage::Kernel).took_ms > 0, "the stack is no system: {fall:?}");
}

#[test]
fn firmware_that_solicits_in_vain_is_told_of() {
    let mut bench = Bench::new();
    bench.at(0).power(PowerState::On);
    bench.at(3_000).saw(solicits(ClientKind::UefiHttp));
    bench.at(7_000).saw(solicits(ClientKind::UefiHttp));
    bench.at(8_000);
    let note = bench.bar(Stage::Dhcp).note;
    assert_eq!(note.as_deref(), Some("asked 2 times over IPv6, not answered"));
}

#[test]
fn the_bars_of_a_boot_are_in_order_and_sum_to_its_length() {
    let mut bench = Bench::new();
    bench.boots_uefi("b1", 0);
    let fall = bench.fall();
    rule_of_bars(&fall).unwrap();
    assert_eq!(fall.total_ms, 14_900);
    assert!(!fall.open);
    let bars: Vec<(Stage, u64, u64)> = fall.bars.iter().map(|b| (b.stage, b.from_ms, b.took_ms)).collect();
    let expected = [
        (Stage::Firmware, 0, 3_500),
        (Stage::Dhcp, 3_500, 4_100),
        (Stage::Loader, 7_600, 100),
        (Stage::Ipxe, 7_700, 300),
        (Stage::Image, 8_000, 3_000),
        (Stage::Kernel, 11_000, 3_500),
        (Stage::Agent, 14_500, 400),
    ];
    assert_eq!(bars, expected);
}

#[test]
fn a_boot_that_goes_on_grows_and_its_last_bar_is_open() {
    let mut bench = Bench::new();
    bench.power(PowerState::On).at(3_000).discovers(ClientKind::BiosPxe);
    bench.at(5_000);
    let fall = bench.fall();
    assert!(fall.open);
    assert_eq!(fall.total_ms, 5_000);
    assert_eq!(bench.bar(Stage::Dhcp).took_ms, 2_000);
    assert!(bench.bar(Stage::Dhcp).open);
    bench.at(6_000);
    assert_eq!(bench.fall().total_ms, 6_000);
    bench.power(PowerState::Off);
    bench.at(60_000);
    assert_eq!(bench.fall().total_ms, 3_000, "a boot that was cut off ends with its last sign");
    rule_of_bars(&bench.fall()).unwrap();
}

#[test]
fn four_seconds_of_edk2_are_called_what_they_are() {
    let mut bench = Bench::new();
    bench.boots_uefi("b1", 0);
    let note = bench.note(Stage::Dhcp);
    assert!(note.contains("4 s timer fires (EDK2)"), "{note}");
    assert!(note.contains("nothing can shorten it"), "{note}");
}

#[test]
fn firmware_that_asks_again_shows_its_ladder() {
    let mut bench = Bench::new();
    bench.power(PowerState::On).at(3_000).discovers(ClientKind::UefiPxe);
    bench.at(7_000).discovers(ClientKind::UefiPxe).at(15_000);
    let note = bench.note(Stage::Dhcp);
    assert!(note.contains("asked 2 times, not answered"), "{note}");
    bench.discovers(ClientKind::UefiPxe).is_offered();
    bench.at(31_000).gets_address(ClientKind::UefiPxe);
    let note = bench.note(Stage::Dhcp);
    assert!(note.contains("asked 3 times: its ladder is 4, 8, 16 s"), "{note}");
}

#[test]
fn an_offer_that_left_late_is_our_fault_and_says_so() {
    let mut bench = Bench::new();
    bench.power(PowerState::On).at(2_000).discovers(ClientKind::BiosPxe);
    bench.at(3_200).is_offered();
    let note = bench.note(Stage::Dhcp);
    assert!(note.contains("the first offer left 1.2 s after the first DISCOVER"), "{note}");
}

#[test]
fn a_router_solicitation_that_nobody_answers_costs_what_it_costs() {
    let mut bench = Bench::new();
    bench.boots_uefi("b1", 15_800);
    let note = bench.note(Stage::Ipxe);
    assert!(note.contains("no answer to its router solicitation for 15.8 s"), "{note}");
    let mut answered = Bench::new();
    answered.boots_uefi("b1", 0);
    assert_eq!(answered.note(Stage::Ipxe), "", "a quick stage needs no cause");
}

#[test]
fn firmware_that_solicited_routers_is_not_the_loader_that_waits() {
    let mut bench = Bench::new();
    bench.power(PowerState::On).at(2_000).saw(Sight::RouterAsked { answered: false });
    bench.at(3_000).discovers(ClientKind::UefiPxe).is_offered();
    bench.at(7_000).asks(FileRole::Loader, "snponly.efi", 200_000).took("snponly.efi", 200_000, 0);
    bench.at(12_000).discovers(ClientKind::Ipxe).takes_image();
    let note = bench.note(Stage::Ipxe);
    assert!(note.contains("the loader needed 5.0 s until its own DISCOVER"), "{note}");
}

#[test]
fn broken_and_repeated_transfers_are_named() {
    let mut bench = Bench::new();
    bench.power(PowerState::On).at(3_000).discovers(ClientKind::BiosPxe).is_offered();
    bench.at(3_100).asks(FileRole::Loader, "undionly.kpxe", 70_000).breaks_off("undionly.kpxe");
    assert_eq!(bench.note(Stage::Loader), "broken off: timed out");
    bench.at(3_500).asks(FileRole::Loader, "undionly.kpxe", 70_000).took("undionly.kpxe", 70_000, 12);
    assert_eq!(bench.note(Stage::Loader), "12 blocks had to be sent again");
    bench.at(4_000).discovers(ClientKind::Ipxe).takes_image();
    bench.at(5_000).breaks_off("initrd");
    assert_eq!(bench.note(Stage::Image), "broken off: timed out");
    bench.saw(Sight::Deferred { name: "initrd".to_owned() });
    assert_eq!(bench.note(Stage::Image), "asked to come back once while others were served");
}

#[test]
fn an_aborted_first_try_of_edk2_is_no_fault() {
    let mut bench = Bench::new();
    bench.power(PowerState::On).at(3_000).discovers(ClientKind::UefiPxe).is_offered();
    bench.at(7_000).asks(FileRole::Loader, "snponly.efi", 200_000).breaks_off("snponly.efi");
    bench.asks(FileRole::Loader, "snponly.efi", 200_000).at(7_200).took("snponly.efi", 200_000, 0);
    bench.at(7_500);
    assert_eq!(bench.bar(Stage::Loader).bytes, 200_000);
    assert_eq!(bench.bar(Stage::Loader).size, 200_000, "the same file counts once");
    assert!(!bench.note(Stage::Loader).contains("broken"), "{}", bench.note(Stage::Loader));
}

#[test]
fn an_image_says_how_fast_it_came_and_a_kernel_when_it_began() {
    let mut bench = Bench::new();
    bench.boots_uefi("b1", 0);
    assert_eq!(bench.note(Stage::Image), "95 MB at 31 MB/s");
    assert_eq!(bench.note(Stage::Kernel), "kernel began 3.0 s after the last byte");
}

#[test]
fn waiting_for_a_decision_is_a_bar_of_its_own() {
    let mut bench = Bench::new();
    bench.power(PowerState::On).at(2_000).discovers(ClientKind::Ipxe).gets_address(ClientKind::Ipxe);
    bench.at(2_100).saw(Sight::ScriptAsked { answer: ScriptAnswer::Wait });
    bench.at(62_100).saw(Sight::ScriptAsked { answer: ScriptAnswer::Wait });
    bench.at(64_100).takes_image();
    assert_eq!(bench.bar(Stage::Wait).took_ms, 62_000);
    rule_of_bars(&bench.fall()).unwrap();
}

#[test]
fn a_boot_whose_power_was_not_seen_counts_from_its_first_packet() {
    let mut bench = Bench::new();
    bench.power(PowerState::Unknown).at(9_000).discovers(ClientKind::BiosPxe);
    bench.at(10_000);
    assert_eq!(bench.fall().total_ms, 1_000);
    assert_eq!(bench.bar(Stage::Firmware).took_ms, 0);
    let note = bench.note(Stage::Firmware);
    assert!(note.contains("counted from the first packet"), "{note}");
}

#[test]
fn medians_appear_after_earlier_boots_with_the_same_firmware() {
    let mut bench = Bench::new();
    for (boot, router) in [("b1", 0), ("b2", 15_800), ("b3", 15_800)] {
        bench.boots_uefi(boot, router);
        let later = bench.world.now.after(Span::secs(5));
        bench.world.pass(later).unwrap();
        bench.power(PowerState::Off);
    }
    bench.begins();
    bench.power(PowerState::On).at(1_000);
    assert_eq!(bench.fall().median_of, 0, "which firmware it is has not been seen yet");
    bench.at(3_500).discovers(ClientKind::UefiPxe).at(4_000);
    let fall = bench.fall();
    assert_eq!((fall.median_of, fall.median_ms), (3, Some(30_700)));
    assert_eq!(bench.bar(Stage::Firmware).median_ms, Some(3_500));
    bench.power(PowerState::Off).power(PowerState::On).discovers(ClientKind::BiosPxe);
    assert_eq!(bench.fall().median_ms, None, "another firmware is not compared");
}

#[test]
fn a_boot_that_never_became_ready_is_in_no_median() {
    let mut bench = Bench::new();
    bench.power(PowerState::On).at(3_500).discovers(ClientKind::UefiPxe);
    bench.power(PowerState::Off).power(PowerState::On).discovers(ClientKind::UefiPxe);
    assert_eq!(bench.fall().median_of, 0);
}

proptest! {
    #[test]
    fn whatever_is_seen_the_bars_lie_end_to_end(fates in fates()) {
        let mut world = World::new(Board::new(&["n1", "n2", "n3", "n4"], &[])).map_err(TestCaseError::fail)?;
        for fate in &fates {
            fate.befalls(&mut world).map_err(TestCaseError::fail)?;
            for machine in world.lab.machines.values() {
                if let Some(fall) = waterfall(machine, world.now) {
                    rule_of_bars(&fall).map_err(TestCaseError::fail)?;
                }
            }
        }
    }
}

#[test]
fn every_byte_of_a_boot_is_counted_by_file_repeated_and_aborted_ones_too() {
    let mut bench = Bench::new();
    bench.begins();
    bench.power(PowerState::On).at(1_000).discovers(ClientKind::UefiPxe);
    bench.asks(FileRole::Loader, "snponly.efi", 200_000).took("snponly.efi", 200_000, 3);
    bench.saw(Sight::FileRepeated { name: "snponly.efi".to_owned(), bytes: 4_404 });
    // One kernel, begun twice: the first try broke off after 10 bytes, of which 6 had been told of before.
    bench.asks(FileRole::Kernel, "vmlinuz", 14_000_000);
    bench.saw(Sight::FileMoved { name: "vmlinuz".to_owned(), bytes: 6 });
    bench.breaks_off("vmlinuz");
    bench.asks(FileRole::Kernel, "vmlinuz", 14_000_000).took("vmlinuz", 14_000_000, 0);
    bench.asks(FileRole::Other, "metal-amd64.iso", 100_000_000).took("metal-amd64.iso", 100_000_000, 0);
    // More files than are told one by one share a line, and none is lost.
    for number in 0..40 {
        let name = format!("file{number}");
        bench.asks(FileRole::Other, &name, 10).took(&name, 10, 0);
    }
    let boot = bench.world.lab.machines[&name(1)].boot.clone().unwrap();
    let line = |name: &str| boot.files.iter().find(|file| file.name == name).unwrap();
    let cost = |name: &str| (line(name).begun, line(name).whole, line(name).sent, line(name).again());
    assert_eq!(cost("snponly.efi"), (1, 1, 204_404, 4_404));
    assert_eq!(cost("vmlinuz"), (2, 1, 14_000_010, 10));
    assert_eq!(cost("metal-amd64.iso"), (1, 1, 100_000_000, 0));
    assert_eq!(boot.files.len(), model::FILES_KEPT + 1);
    let sent: u64 = boot.files.iter().map(|file| file.sent).sum();
    assert_eq!(sent, 204_404 + 14_000_010 + 100_000_000 + 400);
    assert_eq!(line("…").again(), 0);
}

#[test]
fn saved_packets_belong_to_the_boot_that_failed() {
    let mut bench = Bench::new();
    bench.boots_uefi("first", 0);
    let first = bench.world.lab.machines[&name(1)].boot.clone().unwrap().number;
    bench.power(PowerState::Off).power(PowerState::On);
    bench.saw(Sight::PacketsSaved { boot: first, file: "n1-1-1.pcap".to_owned(), frames: 7 });
    let machine = &bench.world.lab.machines[&name(1)];
    let saved = machine.boot_number(first).unwrap().packets.unwrap();
    assert_eq!((saved.file.as_str(), saved.frames), ("n1-1-1.pcap", 7));
    assert_eq!(machine.boot.as_ref().unwrap().packets, None);
}
