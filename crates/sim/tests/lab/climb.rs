//! Each kind of machine climbs from the switch to the agent, by the timers of its firmware.

use crate::stand::{Offer, Server, Stand, TftpSkill, config, started};
use model::AgentOrder;
use sim::{Ipxe, Kind, Phase, Step, Teller};
use wire::dhcp::OptionCode;

const UKI: &str = "http://10.0.0.1/uki.efi";
const KINDS: [Kind; 4] = [Kind::BiosPxe, Kind::BiosIpxeRom, Kind::UefiPxe, Kind::UefiHttp];

#[test]
fn every_kind_climbs_to_the_agent() {
    for kind in KINDS {
        for ipxe in [Ipxe::Of2019, Ipxe::Of2025] {
            let mut stand = started(config(kind, ipxe), Server::default());
            assert!(stand.run_to_hello(60_000), "{kind:?} {ipxe:?}: {:#?}", stand.machine().history());
            assert_eq!(stand.machine().phase(), Phase::Agent);
        }
    }
}

#[test]
fn the_same_seed_has_the_same_history_and_another_one_another() {
    let history = |seed| {
        let mut config = config(Kind::UefiPxe, Ipxe::Of2025);
        config.seed = seed;
        let mut stand = started(config, Server::default());
        assert!(stand.run_to_hello(60_000));
        (stand.machine().history().to_vec(), stand.frames)
    };
    assert_eq!(history(3), history(3));
    assert_ne!(history(3), history(4));
}

#[test]
fn edk2_waits_four_seconds_even_for_a_complete_offer() {
    let mut stand = started(config(Kind::UefiPxe, Ipxe::Of2025), Server::default());
    assert!(stand.run_to(Phase::Loader, 30_000));
    let sent = stand.dhcp_sent();
    assert_eq!(sent[1].0 - sent[0].0, 4000, "one DISCOVER, one REQUEST");
    assert!(sent[0].1.broadcast);
    assert_eq!(sent[0].1.options.architectures()[0].0, 7);
    let uuid = stand.machine().config().uuid;
    assert_eq!(sent[0].1.options.machine_uuid(), Some(uuid));
}

#[test]
fn edk2_climbs_its_ladder_and_walks_its_boot_order_when_nobody_answers() {
    let server = Server { silent: true, ..Server::default() };
    let mut stand = started(config(Kind::UefiPxe, Ipxe::Of2025), server);
    assert!(stand.run_to(Phase::Stranded, 300_000));
    let seconds: Vec<u16> = stand.dhcp_sent().iter().take(4).map(|(_, m)| m.secs).collect();
    assert_eq!(seconds, [0, 4, 12, 28]);
    let tries = stand.times(|s| matches!(s, Step::Tries(_)));
    assert_eq!(tries.iter().map(|at| at - tries[0]).collect::<Vec<_>>(), [0, 60_000, 120_000, 180_000]);
}

#[test]
fn edk2_probes_the_size_and_then_asks_for_windows_of_four() {
    let mut stand = started(config(Kind::UefiPxe, Ipxe::Of2025), Server::default());
    assert!(stand.run_to(Phase::Loader, 30_000));
    assert!(stand.has(&Step::SizeProbed(256_512)));
    let fetched =
        Step::FileFetched { name: "snponly.efi".to_owned(), bytes: 256_512, block: 1468, window: 4 };
    assert!(stand.has(&fetched));
}

#[test]
fn a_rom_fetches_in_lock_step_with_and_without_options() {
    for (tftp, block) in [(TftpSkill::Full, 1456), (TftpSkill::NoOptions, 512)] {
        let server = Server { tftp, ..Server::default() };
        let mut stand = started(config(Kind::BiosPxe, Ipxe::Of2019), server);
        assert!(stand.run_to(Phase::Loader, 60_000));
        let name = "undionly.kpxe".to_owned();
        assert!(stand.has(&Step::FileFetched { name, bytes: 97_782, block, window: 1 }));
    }
}

#[test]
fn a_size_of_zero_strands_the_firmware() {
    let server = Server { tftp: TftpSkill::SizeZero, ..Server::default() };
    let mut stand = started(config(Kind::BiosPxe, Ipxe::Of2019), server);
    assert!(stand.run_to(Phase::Stranded, 60_000));
}

#[test]
fn a_rom_wants_the_file_in_its_field_or_ended_by_nul() {
    let server = Server { offer: Offer::InOption, ..Server::default() };
    let mut stand = started(config(Kind::BiosPxe, Ipxe::Of2019), server);
    assert!(stand.run_to(Phase::Stranded, 60_000));
    let asked = |s: &Step| matches!(s, Step::FileAsked(name) if name.starts_with("undionly.kpxe\u{fffd}"));
    assert_eq!(stand.times(asked).len(), 1);
}

#[test]
fn old_ipxe_waits_for_a_router_and_a_proxy_unless_both_are_told() {
    let waited = |offer, routers| {
        let server = Server { offer, routers, ..Server::default() };
        let mut stand = started(config(Kind::BiosIpxeRom, Ipxe::Of2019), server);
        assert!(stand.run_to(Phase::Kernel, 60_000));
        let asked = stand.times(|s| *s == Step::UrlAsked("http://10.0.0.1/boot.ipxe".to_owned()))[0];
        asked - stand.dhcp_sent()[0].0
    };
    assert_eq!(waited(Offer::Complete, true), 0);
    assert_eq!(waited(Offer::Plain, true), 3000);
    assert_eq!(waited(Offer::Complete, false), 15_750);
}

#[test]
fn new_ipxe_waits_less_for_a_router() {
    let server = Server { routers: false, ..Server::default() };
    let mut stand = started(config(Kind::BiosPxe, Ipxe::Of2025), server);
    assert!(stand.run_to(Phase::Kernel, 60_000));
    let solicited = stand.times(|s| *s == Step::Solicited);
    let known = stand.times(|s| *s == Step::RouterKnown { answered: false });
    assert_eq!((solicited.len(), known[0] - solicited[0]), (5, 3875));
}

#[test]
fn ipxe_writes_its_state_into_the_seconds() {
    let server = Server { offer: Offer::Plain, ..Server::default() };
    let mut stand = started(config(Kind::BiosIpxeRom, Ipxe::Of2019), server);
    assert!(stand.run_to(Phase::Kernel, 60_000));
    let secs: Vec<u16> = stand.dhcp_sent().iter().map(|(_, m)| m.secs).collect();
    // First message; second, an offer seen; the request, third.
    assert_eq!(secs, [1 << 2, 2 << 2 | 2, 3 << 2 | 2]);
}

#[test]
fn autoexec_saves_new_ipxe_under_uefi_its_banner_and_its_dhcp() {
    let mut server = Server::default();
    server.will_answer(
        "/autoexec.ipxe",
        200,
        &[],
        "#!ipxe\nimgfree autoexec.ipxe ||\nkernel http://10.0.0.1/vmlinuz a\nboot\n",
    );
    let mut stand = started(config(Kind::UefiHttp, Ipxe::Of2025), server);
    assert!(stand.run_to(Phase::Kernel, 60_000));
    let ipxe = |s: &Step| matches!(s, Step::Discovered { by: Teller::Ipxe, .. });
    assert!(stand.times(ipxe).is_empty());
    assert!(stand.has(&Step::KernelStarted { args: "a".to_owned(), initrds: Vec::new() }));
}

#[test]
fn an_autoexec_script_that_is_not_freed_is_passed_on_as_an_initrd() {
    let mut server = Server::default();
    server.will_answer("/autoexec.ipxe", 200, &[], "#!ipxe\nkernel /vmlinuz\nboot\n");
    let mut stand = started(config(Kind::UefiHttp, Ipxe::Of2025), server);
    assert!(stand.run_to(Phase::Kernel, 60_000));
    let initrds = vec!["autoexec.ipxe".to_owned()];
    assert!(stand.has(&Step::KernelStarted { args: String::new(), initrds }));
}

#[test]
fn a_uki_over_http_starts_without_a_loader() {
    let server = Server { http_file: UKI, ..Server::default() };
    let mut stand = started(config(Kind::UefiHttp, Ipxe::Of2025), server);
    assert!(stand.run_to_hello(60_000));
    assert!(!stand.has(&Step::LoaderStarted));
    let methods: Vec<_> = stand.requests.iter().take(2).map(|(_, r)| r.method.as_str()).collect();
    assert_eq!(methods, ["HEAD", "GET"]);
}

#[test]
fn uefi_http_gives_up_at_the_first_503_and_old_ipxe_comes_back() {
    let mut server = Server { http_file: UKI, ..Server::default() };
    server.will_answer("/uki.efi", 503, &[("Retry-After", "2")], "");
    let mut stand = started(config(Kind::UefiHttp, Ipxe::Of2025), server);
    assert!(stand.run_to(Phase::Stranded, 200_000));

    let mut server = Server::default();
    for _ in 0..3 {
        server.will_answer("/boot.ipxe", 503, &[("Retry-After", "2")], "");
    }
    let mut stand = started(config(Kind::BiosIpxeRom, Ipxe::Of2019), server);
    assert!(stand.run_to_hello(60_000));
    let asked = stand.times(|s| *s == Step::UrlAsked("http://10.0.0.1/boot.ipxe".to_owned()));
    assert_eq!(asked.windows(2).map(|w| w[1] - w[0]).collect::<Vec<_>>(), [2000, 2000, 2000]);
}

#[test]
fn a_404_strands_old_ipxe() {
    let mut server = Server::default();
    server.will_answer("/boot.ipxe", 404, &[], "");
    let mut stand = started(config(Kind::BiosIpxeRom, Ipxe::Of2019), server);
    assert!(stand.run_to(Phase::Stranded, 60_000));
    assert!(stand.run_until(0, |s| s.console.last().unwrap() == "No bootable device."));
    assert_eq!(stand.segment.wake_at(), None, "silent");
}

#[test]
fn a_broken_off_uefi_download_goes_on_where_it_stopped() {
    let mut server = Server { http_file: UKI, ..Server::default() };
    let headers = [("ETag", "\"v1\""), ("Content-Length", "100000")];
    server.will_answer("/uki.efi", 200, &headers, "");
    server.will_answer("/uki.efi", 200, &headers, "only this much");
    let rest = "x".repeat(100_000);
    server.will_answer("/uki.efi", 206, &headers, &rest);
    let mut stand = started(config(Kind::UefiHttp, Ipxe::Of2025), server);
    assert!(stand.run_to(Phase::Kernel, 60_000));
    let third = &stand.requests[2].1;
    assert_eq!(third.range_from, Some(14));
    assert!(third.headers.contains(&("If-Match".to_owned(), "\"v1\"".to_owned())));
}

#[test]
fn a_waiting_script_asks_again_until_a_lab_is_chosen() {
    let mut server = Server::default();
    let again = "http://10.0.0.1/boot.ipxe";
    let waiting = wire::ipxe::waiting_script(&["nothing chosen"], 5, again).unwrap();
    for _ in 0..3 {
        server.will_answer("/boot.ipxe", 200, &[], &waiting);
    }
    server.will_answer("/boot.ipxe", 500, &[], "");
    let mut stand = started(config(Kind::BiosIpxeRom, Ipxe::Of2019), server);
    assert!(stand.run_to_hello(60_000));
    let asked = stand.times(|s| *s == Step::UrlAsked(again.to_owned()));
    assert_eq!(asked.windows(2).map(|w| w[1] - w[0]).collect::<Vec<_>>(), [5000, 5000, 5000, 5000]);
}

#[test]
fn a_resolver_from_a_router_breaks_names_for_old_ipxe_and_only_for_it() {
    for (ipxe, works) in [(Ipxe::Of2019, false), (Ipxe::Of2025, true)] {
        let mut server = Server { routers: false, ..Server::default() };
        server.will_answer("/boot.ipxe", 200, &[], "#!ipxe\nchain http://boss.local/next\n");
        server.will_answer(
            "http://boss.local/next",
            200,
            &[],
            "#!ipxe\nkernel http://10.0.0.1/vmlinuz\nboot\n",
        );
        let mut stand = started(config(Kind::BiosPxe, ipxe), server);
        assert!(stand.run_until(60_000, |s| s.has(&Step::Solicited)));
        let frame = crate::stand::router_with_resolver();
        stand.segment.from_server(&frame, stand.now);
        let end = if works { Phase::Kernel } else { Phase::Stranded };
        assert!(stand.run_to(end, 60_000), "{ipxe:?}");
    }
}

#[test]
fn the_agent_says_who_it_is_beats_and_switches_off_when_told() {
    let mut stand = started(config(Kind::BiosIpxeRom, Ipxe::Of2019), Server::default());
    assert!(stand.run_to_hello(60_000));
    let hello = stand.requests.last().unwrap().1.clone();
    let report: model::AgentReport = serde_json::from_slice(&hello.body).unwrap();
    assert_eq!(report.nonce.as_deref(), Some("abc"));
    assert_eq!(report.address, stand.machine().address().map(Into::into));
    let class = stand.dhcp_sent().last().unwrap().1.options.get(OptionCode::VENDOR_CLASS).unwrap().to_vec();
    assert_eq!(class, b"labinator-agent");
    let beats = |s: &Stand| s.times(|s| *s == Step::BeatAccepted);
    assert!(stand.run_until(20_000, |s| beats(s).len() == 3));
    assert_eq!(beats(&stand)[2] - beats(&stand)[1], 3000);
    stand.server.order = AgentOrder::PowerOff;
    assert!(stand.run_to(Phase::Off, 10_000));
    assert!(stand.has(&Step::ShutDown));
}

#[test]
fn a_machine_switched_off_in_the_middle_starts_over() {
    let mut stand = started(config(Kind::UefiPxe, Ipxe::Of2025), Server::default());
    assert!(stand.run_to(Phase::Loader, 30_000));
    stand.segment.switch(0, model::PowerOrder::Off, stand.now);
    assert!(!stand.run_until(10_000, |s| s.machine().phase() != Phase::Off));
    stand.power_on();
    assert!(stand.run_to_hello(60_000));
}
