//! Manners of iPXE, burnt in or handed over, and of the kernel it starts.

use model::Sight;
use sim::{Kind, Manner, Step};

use crate::bench::{Bench, LIMIT, boots, machine};

// Cure: `snponly.efi` and `undionly.kpxe`, which keep the firmware's driver (`netboot::loaders`).
#[tokio::test(start_paused = true)]
async fn ipxe_1097_a_card_whose_native_driver_sees_no_link_boots_over_the_firmwares() {
    for kind in [Kind::BiosPxe, Kind::UefiPxe, Kind::UefiHttp] {
        boots(kind, &[Manner::NativeDriverFails]).await;
    }
}

// Cure: as above; no link is trained a second time.
#[tokio::test(start_paused = true)]
async fn a_loader_that_would_reset_the_card_for_20_seconds_is_not_served() {
    for kind in [Kind::BiosPxe, Kind::UefiPxe] {
        let bench = boots(kind, &[Manner::LoaderRetrains(20_000)]).await;
        let started = bench.steps(0, |s| *s == Step::LoaderStarted)[0].0;
        let kernel = bench.steps(0, |s| matches!(s, Step::KernelStarted { .. }))[0].0;
        assert!(kernel - started < 8000, "{kind:?}: {}", bench.story(0));
    }
}

// Nobody can cure it from here: the machine is seen to take its loader and nothing after; the core's limit ends that
// (`whole_lab`: a machine that hangs is bad after its tries).
#[tokio::test(start_paused = true)]
async fn ipxe_541_a_hang_at_initialising_devices_is_seen_as_a_loader_and_then_silence() {
    let bench = Bench::open(vec![machine(1, Kind::UefiPxe, &[Manner::HangsInLoader])]);
    assert!(!bench.comes_up().await);
    let stuck = bench.lab.inspect(|segment| segment.machine(0).unwrap().stuck()).unwrap();
    assert_eq!(stuck.to_string(), "Hung after loader started: iPXE initialising devices");
    let (sights, _) = bench.told();
    let last = sights.iter().rfind(|(_, s)| !matches!(s, Sight::Frame | Sight::FileMoved { .. })).unwrap();
    assert!(matches!(&last.1, Sight::FileServed { name, .. } if name == "snponly.efi"), "{last:?}");
}

// Cure: `autoexec.ipxe` is answered for each machine, over TFTP and over HTTP (`tftp::find`, `http::route`).
#[tokio::test(start_paused = true)]
async fn tinkerbell_424_a_boot_that_stops_when_autoexec_is_refused_does_not_stop() {
    for kind in [Kind::UefiPxe, Kind::UefiHttp] {
        let mut config = machine(1, kind, &[Manner::StopsWithoutAutoexec]);
        // UEFI over HTTP gets its kernel whole where one is chosen; undecided it gets the loader.
        config.seed = 3;
        let mut bench = Bench::open(vec![config]);
        bench.publish(|_, _| model::BootAnswer::Wait { retry_seconds: 3 });
        bench.power_on();
        assert!(bench.sees(0, LIMIT, |s| matches!(s, Step::ScriptStarted(_))).await, "{}", bench.story(0));
        bench.publish(|bench, _| bench.boot());
        assert!(bench.sees(0, LIMIT, |s| *s == Step::AgentWelcomed).await, "{kind:?}: {}", bench.story(0));
    }
}

// Cure: `imgfree autoexec.ipxe ||` is the first command of a boot script (`BootScript::text`).
#[tokio::test(start_paused = true)]
async fn ipxe_1723_autoexec_does_not_leak_into_the_initramfs() {
    let bench = boots(Kind::UefiPxe, &[Manner::ChokesOnStrayInitrd]).await;
    let started = bench.steps(0, |s| matches!(s, Step::KernelStarted { .. }));
    let Step::KernelStarted { initrds, .. } = &started[0].1 else { unreachable!() };
    assert_eq!(initrds, &["initrd0"]);
}

// Cure: option 175 says what it can do, and what cannot HTTP gets a loader over TFTP (`boot_of`).
#[tokio::test(start_paused = true)]
async fn sidero_1123_a_burnt_in_ipxe_without_http_is_handed_a_newer_one() {
    let bench = boots(Kind::BiosIpxeRom, &[Manner::IpxeLacksHttp]).await;
    let loaders = bench.steps(0, |s| *s == Step::LoaderStarted);
    assert_eq!(loaders.len(), 2, "{}", bench.story(0));
}

// Cure: a version below 1.0 gets a loader over TFTP as well (`boot_of`).
#[tokio::test(start_paused = true)]
async fn warewulf_689_a_burnt_in_ipxe_that_lacks_commands_is_handed_a_newer_one() {
    let mut bench = Bench::open(vec![machine(1, Kind::BiosIpxeRom, &[Manner::IpxeLacksCommands])]);
    bench.publish(|_, _| model::BootAnswer::Wait { retry_seconds: 3 });
    bench.power_on();
    assert!(bench.sees(0, LIMIT, |s| matches!(s, Step::ScriptStarted(_))).await, "{}", bench.story(0));
    bench.publish(|bench, _| bench.boot());
    assert!(bench.sees(0, LIMIT, |s| *s == Step::AgentWelcomed).await, "{}", bench.story(0));
}

// Cure: the bare router advertisement (`sniff::Watch::take`) and literal addresses in scripts.
#[tokio::test(start_paused = true)]
async fn ipxe_1428_no_timer_of_ipxe_is_ever_waited_for() {
    for (kind, limit) in [(Kind::BiosPxe, 100), (Kind::BiosIpxeRom, 100)] {
        let bench = boots(kind, &[]).await;
        let asked = bench.steps(0, |s| matches!(s, Step::Discovered { by: sim::Teller::Ipxe, .. }))[0].0;
        let script = bench.steps(0, |s| matches!(s, Step::ScriptStarted(_)))[0].0;
        assert!(script - asked < limit, "{kind:?} {}: {}", script - asked, bench.story(0));
        let unanswered = bench.steps(0, |s| *s == Step::RouterKnown { answered: false });
        assert!(unanswered.is_empty());
    }
}

// What the counter does: nothing; it must not take a kernel that is slow to start for one that has to start over.
#[tokio::test(start_paused = true)]
async fn ipxe_1397_five_minutes_at_the_hand_over_are_borne() {
    let bench = boots(Kind::BiosIpxeRom, &[Manner::SlowHandOver(300_000)]).await;
    let started = bench.steps(0, |s| matches!(s, Step::KernelStarted { .. }))[0].0;
    let hello = bench.steps(0, |s| *s == Step::AgentWelcomed)[0].0;
    assert!(hello - started > 300_000);
}
