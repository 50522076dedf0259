//! Each bad manner does what it says, and good servers get over the milder ones.

use model::{AgentOrder, MacAddr};
use sim::{Cable, Ipxe, Kind, Lane, Manner, Phase, Step, Stranding, Teller};
use wire::dhcp::{Message, OptionCode};
use wire::frame::Frame;

use crate::stand::{Offer, Server, Stand, config, mac, rude, started};

#[test]
fn a_lossy_doubling_delaying_cable_slows_a_boot_and_does_not_stop_it() {
    let manners = [
        Manner::LosesFrames(30),
        Manner::DuplicatesFrames(100),
        Manner::DelaysFrames { per_mille: 100, up_to_ms: 40 },
    ];
    for kind in [Kind::BiosPxe, Kind::BiosIpxeRom, Kind::UefiPxe, Kind::UefiHttp] {
        let mut stand = rude(kind, &manners, Server::default());
        assert!(stand.run_to_hello(600_000), "{kind:?}: {:#?}", stand.machine().history());
    }
}

#[test]
fn a_cable_that_reorders_stops_nobody_of_a_whole_rack() {
    let cable = Cable::alike(Lane { slowest_ms: 3, loss_per_mille: 5, ..Lane::default() });
    let configs = (1..=18).map(|n| {
        let mut config =
            config([Kind::BiosPxe, Kind::UefiPxe, Kind::UefiHttp][usize::from(n % 3)], Ipxe::Of2025);
        config.mac = mac(n);
        config
    });
    let mut stand = Stand::on(cable, configs.collect(), Server::default());
    stand.power_on();
    assert!(stand.run_to_hello(600_000));
    assert!(stand.segment.all_in(Phase::Agent));
}

#[test]
fn slow_firmware_is_slow_by_what_was_said() {
    let first = |manners: &[Manner]| {
        let mut stand = rude(Kind::BiosPxe, manners, Server::default());
        assert!(stand.run_until(60_000, |s| !s.dhcp_sent().is_empty()));
        stand.dhcp_sent()[0].0
    };
    assert_eq!(first(&[Manner::SlowFirmware(7000)]), first(&[]) + 7000);
}

#[test]
fn a_machine_that_never_asks_is_on_and_silent() {
    let mut stand = rude(Kind::UefiPxe, &[Manner::NeverAsks], Server::default());
    assert!(!stand.run_until(600_000, |s| !s.frames.is_empty()));
    assert_eq!(stand.machine().phase(), Phase::Hung);
}

#[test]
fn a_hang_happens_where_it_was_said() {
    let mut stand = rude(Kind::UefiPxe, &[Manner::HangsInLoader], Server::default());
    assert!(stand.run_to(Phase::Hung, 60_000));
    assert!(stand.has(&Step::LoaderStarted));
    let mut stand = rude(Kind::BiosIpxeRom, &[Manner::HangsInKernel], Server::default());
    assert!(!stand.run_to_hello(600_000));
    assert_eq!(stand.machine().phase(), Phase::Kernel);
}

#[test]
fn firmware_merges_two_offers_unless_it_refuses_to() {
    let server = || Server { offer: Offer::Merged, ..Server::default() };
    let mut stand = rude(Kind::UefiPxe, &[], server());
    assert!(stand.run_to(Phase::Loader, 60_000), "{:#?}", stand.machine().history());
    let mut stand = rude(Kind::UefiPxe, &[Manner::DropsDiscoveryOffers], server());
    assert!(!stand.run_to(Phase::Loader, 59_000), "it keeps those without option 43 alone");
    let mut stand = rude(Kind::UefiPxe, &[Manner::RefusesMergedOffer], server());
    assert!(!stand.run_to(Phase::Loader, 59_000));
    let mut stand = rude(Kind::BiosPxe, &[], server());
    assert!(stand.run_to(Phase::Loader, 60_000), "PXE 2.1 section 2.2: {:#?}", stand.machine().history());
    let mut stand = rude(Kind::BiosPxe, &[Manner::RefusesMergedOffer], server());
    assert!(stand.run_to(Phase::Stranded, 120_000));
}

#[test]
fn firmware_that_reads_names_only_is_lost_when_options_stand_there() {
    let server = || Server { offer: Offer::Overloaded, ..Server::default() };
    let mut stand = rude(Kind::UefiPxe, &[], server());
    assert!(stand.run_to(Phase::Loader, 59_000), "{:#?}", stand.machine().history());
    let mut stand = rude(Kind::UefiPxe, &[Manner::IgnoresOverload], server());
    assert!(!stand.run_to(Phase::Loader, 59_000));
}

#[test]
fn a_machine_without_option_97_sends_none_and_boots() {
    let mut stand = rude(Kind::BiosPxe, &[Manner::NoOption97], Server::default());
    assert!(stand.run_to_hello(60_000));
    assert!(stand.dhcp_sent().iter().all(|(_, m)| !m.options.has(OptionCode::MACHINE_UUID)));
}

#[test]
fn an_agent_falls_silent_and_its_machine_runs_on() {
    let mut stand = rude(Kind::BiosIpxeRom, &[Manner::AgentFallsSilentAfter(10_000)], Server::default());
    assert!(stand.run_to_hello(60_000));
    let hello = stand.now;
    assert!(!stand.run_until(100_000, |s| s.machine().phase() != Phase::Agent));
    let last = stand.requests.last().unwrap().0;
    assert!(last <= hello + 10_000 && last > hello + 5000);
}

#[test]
fn a_machine_that_reboots_comes_back_once_under_another_boot_id() {
    let mut stand = rude(Kind::BiosIpxeRom, &[Manner::RebootsAfter(5000)], Server::default());
    let welcomes = |s: &Stand| s.times(|s| *s == Step::AgentWelcomed).len();
    assert!(stand.run_until(120_000, |s| welcomes(s) == 2));
    assert!(!stand.run_until(120_000, |s| welcomes(s) == 3));
    assert_eq!(stand.times(|s| *s == Step::Reset).len(), 1);
    let ids: Vec<String> = stand
        .requests
        .iter()
        .filter(|(_, r)| r.url.ends_with(model::AGENT_HELLO_PATH))
        .map(|(_, r)| serde_json::from_slice::<model::AgentReport>(&r.body).unwrap().boot_id)
        .collect();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn an_agent_without_manners_ignores_the_order_to_switch_off() {
    let server = Server { order: AgentOrder::PowerOff, ..Server::default() };
    let mut stand = rude(Kind::BiosIpxeRom, &[Manner::IgnoresPowerOff], server);
    assert!(stand.run_until(60_000, |s| s.has(&Step::ToldPowerOff)));
    assert!(!stand.run_until(60_000, |s| s.machine().phase() != Phase::Agent));
}

#[test]
fn garbage_comes_before_honest_messages_and_each_piece_is_read_or_refused() {
    let mut stand = rude(Kind::UefiPxe, &[Manner::SendsGarbage], Server::default());
    assert!(stand.run_to_hello(60_000));
    let refused = stand.frames.iter().filter(|(_, frame)| match Frame::parse(frame) {
        Ok(Frame::Udp4(udp)) if udp.to.port() == 67 => Message::decode(udp.payload).is_err(),
        _ => false,
    });
    assert!(refused.count() >= 5);
}

#[test]
fn a_liar_writes_another_address_than_its_own() {
    let other = MacAddr([0x16, 9, 1, 0, 0, 99]);
    let mut stand = rude(Kind::UefiPxe, &[Manner::LiesAboutMac(other)], Server::default());
    assert!(stand.run_until(60_000, |s| !s.dhcp_sent().is_empty()));
    assert_eq!(stand.dhcp_sent()[0].1.mac(), Some(other));
    assert_eq!(Frame::parse(&stand.frames[0].1).unwrap().sender(), mac(1));
}

#[test]
fn a_stranded_machine_with_a_watchdog_tries_again() {
    let mut config = config(Kind::BiosPxe, Ipxe::Of2025);
    config.stranding = Stranding::Reboots(5000);
    let mut stand = started(config, Server { silent: true, ..Server::default() });
    assert!(stand.run_to(Phase::Stranded, 120_000));
    stand.server.silent = false;
    assert!(stand.run_to_hello(60_000));
    let asked = stand.times(|s| matches!(s, Step::Discovered { by: Teller::PxeRom, .. }));
    assert_eq!(asked.len(), 5);
}

#[test]
fn five_hundred_machines_at_once_all_arrive() {
    let configs = (0..500_u16).map(|n| {
        let [high, low] = n.to_be_bytes();
        let kind = [Kind::BiosIpxeRom, Kind::UefiPxe, Kind::UefiHttp, Kind::BiosPxe][usize::from(n % 4)];
        let mut config = config(kind, Ipxe::Of2025);
        config.mac = MacAddr([0x16, 9, 2, 0, high, low]);
        config
    });
    let mut stand = Stand::on(
        Cable::alike(Lane { slowest_ms: 2, ..Lane::default() }),
        configs.collect(),
        Server::default(),
    );
    stand.power_on();
    assert!(stand.run_to_hello(120_000));
}
