//! Manners of links, boards and power: late, looping, dying.

use std::collections::BTreeSet;
use std::time::Duration;

use model::{PowerOrder, Sight};
use sim::{Kind, Manner, Phase, Step, Stranding};

use crate::bench::{Bench, LIMIT, boots, mac, machine};

// Cure: a DISCOVER of the fourth second is as good as a first one, and with the firmware's lease handed on nothing
// asks for an address while the link is counted on (`autoexec.ipxe`).
#[tokio::test(start_paused = true)]
async fn sdcboot_2_a_lag_that_takes_12_seconds_costs_12_seconds_and_no_boot() {
    for kind in [Kind::BiosPxe, Kind::UefiPxe, Kind::UefiHttp] {
        boots(kind, &[Manner::LinkRests(12_500)]).await;
    }
}

// iPXE in the card gives up after 15 s of DISCOVERs and has nothing else: it must come back by itself, or by the core.
#[tokio::test(start_paused = true)]
async fn sdcboot_2_a_burnt_in_ipxe_gives_up_behind_a_slow_lag_and_is_answered_when_it_comes_back() {
    let mut config = machine(1, Kind::BiosIpxeRom, &[Manner::LinkRests(20_000)]);
    config.stranding = Stranding::Silent;
    let bench = Bench::open(vec![config]);
    bench.power_on();
    assert!(bench.sees(0, LIMIT, |s| *s == Step::Stranded).await);
    let (sights, _) = bench.told();
    assert!(sights.is_empty(), "not one frame came through: {sights:?}");
}

// Cure: patience. UEFI walks on and asks again at 120 s; each DISCOVER of a fresh entry is answered.
#[tokio::test(start_paused = true)]
async fn barclamp_provisioner_2_spanning_tree_of_30_seconds_is_outlived_by_uefi() {
    let bench = boots(Kind::UefiPxe, &[Manner::LinkRests(30_000)]).await;
    let tries = bench.steps(0, |s| matches!(s, Step::Tries(_)));
    assert_eq!(tries.len(), 3, "{}", bench.story(0));
}

// A ROM asks at 0, 4, 12 and 28 s and never again: behind 30 s of spanning tree it cannot be helped, and is named.
#[tokio::test(start_paused = true)]
async fn barclamp_provisioner_2_a_bios_rom_behind_spanning_tree_strands_without_a_frame() {
    let bench = Bench::open(vec![machine(1, Kind::BiosPxe, &[Manner::LinkRests(30_000)])]);
    assert!(!bench.comes_up().await);
    let stuck = bench.lab.inspect(|segment| segment.machine(0).unwrap().stuck()).unwrap();
    assert_eq!(stuck.to_string(), "Stranded after power on: PxeRom got no address");
    assert!(bench.told().0.is_empty());
}

// Cure: the table is in force for whoever asks, two minutes late too.
#[tokio::test(start_paused = true)]
async fn mini_lab_196_two_minutes_of_ipv6_before_ipv4_are_borne() {
    let bench = boots(Kind::UefiPxe, &[Manner::StartsWithIpv6]).await;
    let bound = bench.steps(0, |s| matches!(s, Step::Bound { .. }))[0].0;
    assert!(bound > 120_000, "{}", bench.story(0));
}

// Cure: a machine that asks before anything is chosen is given a script that waits, and is never reset for it.
#[tokio::test(start_paused = true)]
async fn warewulf_210_nobody_goes_through_post_twice() {
    for kind in [Kind::BiosPxe, Kind::BiosIpxeRom, Kind::UefiPxe, Kind::UefiHttp] {
        let mut bench = Bench::open(vec![machine(1, kind, &[Manner::SlowFirmware(90_000)])]);
        bench.publish(|_, _| model::BootAnswer::Wait { retry_seconds: 3 });
        bench.power_on();
        assert!(bench.sees(0, LIMIT, |s| matches!(s, Step::ScriptStarted(_))).await);
        // A quarter of an hour later.
        assert!(!bench.sees(0, Duration::from_secs(900), |s| matches!(s, Step::Failed(_))).await);
        bench.publish(|bench, _| bench.boot());
        assert!(bench.sees(0, LIMIT, |s| *s == Step::AgentWelcomed).await, "{kind:?}: {}", bench.story(0));
        assert!(bench.steps(0, |s| *s == Step::Reset).is_empty());
    }
}

// Cure: leases are by Ethernet address, transfers end by themselves, claims by boot: nothing piles up.
#[tokio::test(start_paused = true)]
async fn infra_controller_1834_a_machine_that_reboots_for_ever_takes_nothing_from_the_others() {
    let looping = machine(77, Kind::UefiPxe, &[Manner::RebootsForEver(9_000)]);
    let bench = Bench::open(vec![looping, machine(2, Kind::UefiPxe, &[])]);
    bench.power_on();
    assert!(bench.sees(1, LIMIT, |s| *s == Step::AgentWelcomed).await, "{}", bench.story(1));
    assert!(!bench.sees(0, Duration::from_secs(1800), |s| *s == Step::AgentWelcomed).await);
    assert!(bench.steps(0, |s| *s == Step::Reset).len() > 150);
    let given: BTreeSet<_> = bench
        .told()
        .0
        .into_iter()
        .filter_map(|(of, sight)| match sight {
            Sight::Ack { address, .. } if of == mac(77) => Some(address),
            _ => None,
        })
        .collect();
    assert_eq!(given.len(), 1, "one machine, one address of the pool");
    assert_eq!(bench.counter.ledger().leases().len(), 2);
}

// Cure: a transfer whose client died ends by its own clock, and the next request opens another.
#[tokio::test(start_paused = true)]
async fn a_power_cut_in_the_middle_of_tftp_does_not_stand_in_the_way_of_the_next_boot() {
    for kind in [Kind::BiosPxe, Kind::UefiPxe] {
        let bench = boots(kind, &[Manner::ResetsInDownload]).await;
        assert_eq!(bench.steps(0, |s| *s == Step::PoweredOn).len(), 2, "{}", bench.story(0));
        // The first transfer is told as broken once its time is up, and only that one.
        assert!(!bench.sees(0, Duration::from_secs(120), |s| matches!(s, Step::Failed(_))).await);
        let broken = |(_, s): &(_, Sight)| matches!(s, Sight::FileBroken { .. });
        assert_eq!(bench.told().0.iter().filter(|seen| broken(seen)).count(), 1);
    }
}

// Cure: each boot is told its own nonce, and a reboot after success is one more boot.
#[tokio::test(start_paused = true)]
async fn tink_116_a_reboot_after_success_boots_the_same_again() {
    let bench = boots(Kind::UefiPxe, &[Manner::RebootsAfter(1)]).await;
    let twice = |segment: &sim::Segment| {
        let steps = segment.machines().iter().flat_map(|m| m.history());
        steps.filter(|(_, s)| *s == Step::AgentWelcomed).count() == 2
    };
    assert!(bench.lab.wait_until(LIMIT, twice).await, "{}", bench.story(0));
    let started = bench.steps(0, |s| matches!(s, Step::KernelStarted { .. }));
    let line = |step: &Step| match step {
        Step::KernelStarted { args, .. } => {
            let (nonces, rest): (Vec<String>, Vec<String>) =
                args.split(' ').map(str::to_owned).partition(|word| word.starts_with("labinator.nonce="));
            (nonces, rest)
        }
        _ => (Vec::new(), Vec::new()),
    };
    let ((first, same), (second, again)) = (line(&started[0].1), line(&started[1].1));
    assert_eq!(same, again, "the same boot of the table, the same bytes");
    // The agent's key claimed the first one.
    assert!(first.len() == 1 && second.len() == 1 && first != second, "{first:?} {second:?}");
}

// A machine that never asks cannot be served; nothing is seen of it, which is what the core's limit is for.
#[tokio::test(start_paused = true)]
async fn sidero_1205_a_machine_that_ends_at_its_disk_is_silence() {
    let bench = Bench::open(vec![machine(1, Kind::UefiPxe, &[Manner::NeverAsks])]);
    assert!(!bench.comes_up().await);
    assert!(bench.told().0.is_empty());
    bench.lab.switch(0, PowerOrder::Off);
    assert_eq!(bench.lab.phase(0), Phase::Off);
}
