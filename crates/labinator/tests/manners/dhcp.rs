//! Manners of firmware that asks for an address and a file name.

use std::time::Duration;

use model::{MachineUuid, Sight};
use sim::{Kind, Manner, Step, Teller, Way};
use wire::dhcp::{Message, OptionCode};
use wire::frame::Frame;

use crate::bench::{Bench, LIMIT, RELAY, address, boots, mac, machine};

const FIRMWARE: [Kind; 4] = [Kind::BiosPxe, Kind::BiosIpxeRom, Kind::UefiPxe, Kind::UefiHttp];
const PXE: [Kind; 2] = [Kind::BiosPxe, Kind::UefiPxe];

fn is_bound(step: &Step) -> bool {
    matches!(step, Step::Bound { .. })
}

// Cure: the OFFER holds address and file (`Server::compose`); an OFFER without its file fails here.
#[tokio::test(start_paused = true)]
async fn bootimus_77_firmware_that_never_merges_two_offers_boots_from_one() {
    for kind in PXE {
        let bench = boots(kind, &[Manner::RefusesMergedOffer]).await;
        let firmware = |s: &Step| matches!(s, Step::Discovered { by: Teller::PxeRom | Teller::UefiPxe, .. });
        assert_eq!(bench.steps(0, firmware).len(), 1, "it had to ask again: {}", bench.story(0));
    }
}

#[tokio::test(start_paused = true)]
async fn bootimus_77_the_seconds_of_unanswered_firmware_are_0_4_12_and_28() {
    let bench = Bench::open(vec![machine(1, Kind::UefiPxe, &[Manner::Deaf])]);
    bench.power_on();
    let failed = |s: &Step| matches!(s, Step::Unanswered(_));
    assert!(bench.sees(0, LIMIT, failed).await);
    let seconds: Vec<u16> = bench
        .told()
        .0
        .into_iter()
        .filter_map(|(_, sight)| match sight {
            Sight::Discover { secs, .. } => Some(secs),
            _ => None,
        })
        .collect();
    assert_eq!(seconds, [0, 4, 12, 28]);
}

// Cure: as above.
#[tokio::test(start_paused = true)]
async fn netboot_43_hp_gen9_that_ignores_proxy_offers_boots() {
    boots(Kind::UefiPxe, &[Manner::IgnoresProxyOffers]).await;
}

// Cure: as above; this is the same firmware some years earlier.
#[tokio::test(start_paused = true)]
async fn edk2_6944_old_firmware_that_drops_proxy_offers_boots() {
    boots(Kind::UefiPxe, &[Manner::IgnoresProxyOffers, Manner::RefusesMergedOffer]).await;
}

// Cure: option 43.6 = 8 in OFFER and ACK (`wire::dhcp::server::reply`).
#[tokio::test(start_paused = true)]
async fn booter_4_no_machine_is_sent_to_port_4011_in_vain() {
    for kind in PXE {
        let bench = boots(kind, &[Manner::AsksPort4011]).await;
        let asked = bench.steps(0, |s| matches!(s, Step::AskedBootServer(_)));
        assert!(asked.is_empty(), "{kind:?}: {}", bench.story(0));
    }
}

// Cure: as above. There the client asked for ever; here it must not ask at all, iPXE after firmware included.
#[tokio::test(start_paused = true)]
async fn netboot_38_nobody_retries_for_a_proxy_response() {
    for kind in FIRMWARE {
        let bench = boots(kind, &[Manner::AsksPort4011]).await;
        let to_4011 = bench.frames(|passed| match Frame::parse(&passed.frame) {
            Ok(Frame::Udp4(udp)) => (udp.to.port() == 4011).then_some(()),
            _ => None,
        });
        assert!(to_4011.is_empty(), "{kind:?}");
    }
}

// Cure: nothing in the counter asks for option 97 (`Caller::uuid` is an Option).
#[tokio::test(start_paused = true)]
async fn pixiecore_21_cards_without_option_97_boot() {
    for kind in FIRMWARE {
        let bench = boots(kind, &[Manner::NoOption97]).await;
        let none = |(_, sight): &(_, Sight)| !matches!(sight, Sight::Discover { uuid: Some(_), .. });
        assert!(bench.told().0.iter().all(none));
    }
}

// Cure: replies keep `sname` and `file` for names as long as everything fits (`Message::encode`).
#[tokio::test(start_paused = true)]
async fn bootimus_51_firmware_that_reads_names_only_boots() {
    for kind in FIRMWARE {
        boots(kind, &[Manner::IgnoresOverload]).await;
    }
}

// Cure: `Destination::Relay`, and the relay's option is given back (`Server::compose`).
#[tokio::test(start_paused = true)]
async fn smee_382_a_relay_gets_its_answer_by_unicast_with_its_option() {
    for kind in FIRMWARE {
        let bench = boots(kind, &[Manner::BehindRelay(RELAY)]).await;
        let replies = bench.frames(|passed| match (passed.way, Frame::parse(&passed.frame)) {
            (Way::ToMachine(_), Ok(Frame::Udp4(udp))) if udp.from.port() == 67 => Some(udp.to),
            _ => None,
        });
        assert!(!replies.is_empty());
        assert!(replies.iter().all(|to| *to.ip() == RELAY && to.port() == 67), "{kind:?}: {replies:?}");
    }
}

// Cure: option 66 beside `siaddr` (`wire::dhcp::server::reply`).
#[tokio::test(start_paused = true)]
async fn smee_23_a_machine_that_reads_its_server_from_option_66_boots() {
    for kind in PXE {
        boots(kind, &[Manner::WantsOption66]).await;
    }
}

// Cure: `Architecture::is_efi_x64` counts both.
#[tokio::test(start_paused = true)]
async fn rfc_4578_architectures_7_and_9_are_the_same_machine() {
    let bench = boots(Kind::UefiPxe, &[Manner::SaysArchitecture9]).await;
    assert_eq!(bench.steps(0, |s| matches!(s, Step::SizeProbed(_)))[0].1, Step::SizeProbed(256_512));
}

// Cure: leases are kept by Ethernet address (`wire::dhcp::server`), whatever option 61 says.
#[tokio::test(start_paused = true)]
async fn ipxe_188_every_exchange_of_a_boot_gets_the_same_address() {
    for kind in PXE {
        // One that is not on the board: its address comes from the pool.
        let mut stranger = machine(77, kind, &[Manner::ChangesClientId]);
        stranger.ipxe = sim::Ipxe::Of2019;
        let bench = Bench::open(vec![stranger]);
        bench.power_on();
        let waits = |s: &Step| matches!(s, Step::ScriptStarted(_));
        assert!(bench.sees(0, LIMIT, waits).await, "{}", bench.story(0));
        let bound = bench.steps(0, is_bound);
        let addresses: std::collections::BTreeSet<_> = bound
            .iter()
            .filter_map(|(_, s)| if let Step::Bound { address, .. } = s { Some(*address) } else { None })
            .collect();
        assert_eq!((bound.len(), addresses.len()), (2, 1), "{}", bench.story(0));
    }
}

// Cure: option 60 or 175.176 in the OFFER to iPXE (`wire::dhcp::server::reply`); either is enough, and it holds both.
#[tokio::test(start_paused = true)]
async fn barclamp_provisioner_2_nobody_waits_for_a_phantom_proxy() {
    for kind in [Kind::BiosPxe, Kind::BiosIpxeRom] {
        let bench = boots(kind, &[Manner::WaitsForProxy]).await;
        let asked = bench.steps(0, |s| matches!(s, Step::Discovered { by: Teller::Ipxe, .. }));
        let bound = bench.steps(0, |s| matches!(s, Step::Bound { by: Teller::Ipxe, .. }));
        let waited = bound[0].0 - asked[0].0;
        assert!(waited < 100, "{waited} ms: {}", bench.story(0));
    }
}

// Cure: the counter answers without its core (`Clerk::take` asks nobody). Nobody takes what it has to tell here.
#[tokio::test(start_paused = true)]
async fn netboot_32_a_slow_backend_costs_no_boot() {
    for kind in FIRMWARE {
        boots(kind, &[Manner::Hasty(100)]).await;
    }
}

// Cure: reservations are by Ethernet address; a UUID that thousands of boards share names nobody.
#[tokio::test(start_paused = true)]
async fn two_boards_with_the_same_uuid_are_two_machines() {
    let manners = [Manner::SharesUuid];
    let bench = Bench::open(vec![machine(1, Kind::UefiPxe, &manners), machine(2, Kind::BiosPxe, &manners)]);
    assert!(bench.comes_up().await, "{}\n{}", bench.story(0), bench.story(1));
    let blank = MachineUuid([3, 0, 2, 0, 4, 0, 5, 0, 0, 6, 0, 7, 0, 8, 0, 9]);
    for (at, number) in [(0, 1), (1, 2)] {
        for (_, step) in bench.steps(at, is_bound) {
            assert!(matches!(step, Step::Bound { address: given, .. } if given == address(number)));
        }
        let told = bench.lab.inspect(|segment| segment.machine(at).unwrap().config().uuid);
        assert_eq!(told, blank);
    }
}

// Cure: an offer binds nobody, and the second card's is its own (`Server::remember_offer`).
#[tokio::test(start_paused = true)]
async fn two_cards_of_one_machine_that_ask_at_once_do_not_keep_it_from_booting() {
    for kind in FIRMWARE {
        let second = mac(200);
        let bench = boots(kind, &[Manner::AsksOnTwoPorts(second)]).await;
        let (sights, _) = bench.told();
        let of_second = |wanted: fn(&Sight) -> bool| sights.iter().any(|(m, s)| *m == second && wanted(s));
        assert!(of_second(|s| matches!(s, Sight::Offer { .. })), "{kind:?}: it is answered as itself");
        assert!(!of_second(|s| matches!(s, Sight::Ack { .. })));
    }
}

// Cure: whoever is not on the board gets a script that says so and waits (`script::compose`), and no 404.
#[tokio::test(start_paused = true)]
async fn a_machine_that_changes_its_address_in_the_middle_of_a_boot_is_told_and_waits() {
    let later = mac(201);
    let mut config = machine(1, Kind::BiosPxe, &[Manner::ChangesMac(later)]);
    config.ipxe = sim::Ipxe::Of2019;
    let bench = Bench::open(vec![config]);
    bench.power_on();
    assert!(bench.sees(0, LIMIT, |s| matches!(s, Step::ScriptStarted(_))).await, "{}", bench.story(0));
    assert!(!bench.sees(0, Duration::from_secs(120), |s| matches!(s, Step::Failed(_))).await);
    let (sights, _) = bench.told();
    let stranger = Sight::ScriptAsked { answer: model::ScriptAnswer::Stranger };
    assert!(sights.contains(&(later, stranger)), "the core is told of a machine that is not on the board");
    let screen: Vec<String> = bench.lab.screen().into_iter().map(|line| line.text).collect();
    assert!(screen.iter().any(|line| line.contains("is not on the board")), "{screen:?}");
}

// Nobody can serve it: what is told shows DISCOVERs and OFFERs and never a REQUEST.
#[tokio::test(start_paused = true)]
async fn sidero_1286_a_machine_our_replies_never_reach_is_seen_to_ask_and_never_to_take() {
    let bench = Bench::open(vec![machine(1, Kind::BiosPxe, &[Manner::Deaf])]);
    assert!(!bench.comes_up().await);
    let stuck = bench.lab.inspect(|segment| segment.machine(0).unwrap().stuck()).unwrap();
    assert_eq!(stuck.last_good, Step::PoweredOn, "{stuck}");
    let (sights, _) = bench.told();
    let count = |wanted: fn(&Sight) -> bool| sights.iter().filter(|(_, s)| wanted(s)).count();
    assert_eq!(count(|s| matches!(s, Sight::Discover { .. })), 4);
    assert_eq!(count(|s| matches!(s, Sight::Offer { .. })), 4);
    assert_eq!(count(|s| matches!(s, Sight::Request { .. } | Sight::Ack { .. })), 0);
}

// Cure: `Message::decode` refuses without a panic, and the honest message behind is read.
#[tokio::test(start_paused = true)]
async fn garbage_before_each_honest_message_is_counted_and_costs_nothing() {
    for kind in FIRMWARE {
        let bench = boots(kind, &[Manner::SendsGarbage]).await;
        let (_, notices) = bench.told();
        assert!(notices.iter().any(|n| matches!(n, model::Notice::Malformed { count: 1.., .. })), "{kind:?}");
    }
}

// Appendix A: one complete OFFER. What is in it, byte for byte of the options that firmware looks at.
#[tokio::test(start_paused = true)]
async fn an_offer_holds_everything_firmware_was_ever_seen_to_look_for() {
    let bench = boots(Kind::UefiPxe, &[]).await;
    let offers = bench.frames(|passed| match (passed.way, Frame::parse(&passed.frame)) {
        (Way::ToMachine(_), Ok(Frame::Udp4(udp))) if udp.to.port() == 68 => Message::decode(udp.payload).ok(),
        _ => None,
    });
    let offer = &offers[0];
    assert_eq!((offer.yiaddr, offer.siaddr), (address(1), crate::bench::BOSS));
    assert_eq!(offer.file, b"snponly.efi");
    let text = |code| offer.options.text(code).map(|t| t.trim_end_matches('\0').to_owned());
    assert_eq!(text(OptionCode::BOOT_FILE).as_deref(), Some("snponly.efi"));
    assert_eq!(text(OptionCode::BOOT_SERVER).as_deref(), Some("10.0.0.1"));
    assert_eq!(text(OptionCode::VENDOR_CLASS).as_deref(), Some("PXEClient"));
    assert_eq!(offer.options.get(OptionCode::VENDOR_SPECIFIC), Some(&[6, 1, 8, 255][..]));
    assert!(offer.options.has(OptionCode::MACHINE_UUID), "given back where it was told");
    let raw = offer.options.get(OptionCode::BOOT_FILE).unwrap();
    assert_eq!(raw.last(), Some(&0), "old ROMs read a C string");
}
