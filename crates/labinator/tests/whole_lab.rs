//! The whole lab under paused time and over memory: simulated machines, the counter, the conductor, power ports.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

#[path = "whole_lab/floor.rs"]
mod floor;
#[path = "whole_lab/house.rs"]
mod house;
#[path = "whole_lab/hypervisors.rs"]
mod hypervisors;
#[path = "whole_lab/links.rs"]
mod links;
#[path = "whole_lab/park.rs"]
mod park;
#[path = "lost_writes/stand.rs"]
mod stand;
#[path = "whole_lab/wipe.rs"]
mod wipe;

use std::time::Duration;

use house::{House, Plan};
use model::{FaultCode, Notice, Phase, PowerOrder, PowerState, Rung};
use sim::{Cable, Config, Ipxe, Kind, Lane, Manner, PortConfig};
use stand::{mac, node};

/// What a machine may take that fails at every step as late as it can, three times.
const WORST: Duration = Duration::from_secs(3 * (90 + 240 + 120 + 60) + 120);

fn machine(number: u8, kind: Kind) -> Config {
    Config::new(mac(number), kind, Ipxe::Of2025, u64::from(number))
}

/// A house of one machine with one manner.
async fn rude(kind: Kind, manner: Manner) -> House {
    House::open(Plan::of(vec![machine(1, kind).with([manner])])).await
}

#[tokio::test(start_paused = true)]
async fn six_machines_of_all_kinds_go_from_cold_to_ready_and_back() {
    let kinds =
        [Kind::BiosIpxeRom, Kind::UefiPxe, Kind::UefiHttp, Kind::BiosPxe, Kind::BiosIpxeRom, Kind::UefiHttp];
    let house = House::open(Plan::of((1..).zip(kinds).map(|(n, kind)| machine(n, kind)).collect())).await;
    house.start().await;
    let ready = |look: labinator::desk::Look<'_>| look.lab.phase == Phase::Ready;
    let took = house.until(Duration::from_secs(120), ready).await.unwrap();
    assert!(took < Duration::from_secs(40), "{took:?}");
    for standing in house.standings().await {
        assert_eq!((standing.rung, standing.boots, standing.fault), (Rung::Ready, 1, None));
    }
    // Nobody waited for a router in vain: that alone would be 16 s with the iPXE of 2019.
    house.lab.inspect(|segment| {
        let steps = segment.machines().iter().flat_map(|m| m.history());
        let waits = steps.filter(|(_, step)| matches!(step, sim::Step::RouterKnown { .. }));
        let answers: Vec<bool> =
            waits.map(|(_, step)| *step == sim::Step::RouterKnown { answered: true }).collect();
        assert!(answers.len() >= 3 && answers.iter().all(|answered| *answered), "{answers:?}");
    });
    // Ready, and it stays so.
    let left = house.until(Duration::from_secs(600), |look| look.lab.phase != Phase::Ready).await;
    assert_eq!(left, None);
    house.stop().await;
    let took = house.until(Duration::from_secs(60), |look| look.lab.phase == Phase::Idle).await.unwrap();
    // Their agents switch them off; the ports need not.
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!((0..6).all(|port| house.lab.see(port) == PowerState::Off));
    assert!(house.notices().await.is_empty(), "{:?}", house.notices().await);
}

#[tokio::test(start_paused = true)]
async fn a_lab_of_ipv6_alone_goes_from_cold_to_ready_and_back() {
    let kinds = [Kind::UefiPxe, Kind::UefiHttp, Kind::BiosIpxeRom];
    let six = |(number, kind)| machine(number, kind).with([Manner::StartsWithIpv6]);
    let house = House::open(Plan { six_only: true, ..Plan::of((1..).zip(kinds).map(six).collect()) }).await;
    house.start().await;
    let ready = |look: labinator::desk::Look<'_>| look.lab.phase == Phase::Ready;
    let took = house.until(Duration::from_secs(120), ready).await.unwrap();
    // iPXE asks for an IPv4 address for 15 s before it goes on without.
    assert!(took < Duration::from_secs(50), "{took:?}");
    let looked = house.desk.look(|look| {
        let reports = look.lab.machines.values().filter_map(|m| m.agent.as_ref());
        reports.filter_map(|agent| agent.report.address).collect::<Vec<_>>()
    });
    let addresses = looked.await.unwrap();
    assert!(addresses.len() == 3 && addresses.iter().all(std::net::IpAddr::is_ipv6), "{addresses:?}");
    house.stop().await;
    let idle = |look: labinator::desk::Look<'_>| look.lab.phase == Phase::Idle;
    house.until(Duration::from_secs(60), idle).await.unwrap();
    assert!(house.notices().await.is_empty(), "{:?}", house.notices().await);
}

#[tokio::test(start_paused = true)]
async fn machines_that_wait_in_their_loaders_are_released_without_being_switched() {
    let house = House::open(Plan::of(vec![machine(1, Kind::BiosIpxeRom), machine(2, Kind::UefiPxe)])).await;
    house.lab.switch(0, PowerOrder::On);
    house.lab.switch(1, PowerOrder::On);
    let waiting = |look: labinator::desk::Look<'_>| {
        look.lab.machines.values().all(|m| {
            let script = |mark: &model::Mark| matches!(mark.what, model::MarkKind::Script { .. });
            m.live_boot().is_some_and(|boot| boot.marks.iter().any(script))
        })
    };
    house.until(Duration::from_secs(60), waiting).await.unwrap();
    house.start().await;
    assert_eq!(house.until_settled(Duration::from_secs(60)).await, Some(Phase::Ready));
    assert!(house.standings().await.iter().all(|s| s.boots == 1));
}

#[tokio::test(start_paused = true)]
async fn a_slow_machine_and_one_that_sends_garbage_become_ready() {
    for manner in [Manner::SlowFirmware(60_000), Manner::SendsGarbage, Manner::LosesFrames(20)] {
        for kind in [Kind::BiosIpxeRom, Kind::UefiPxe, Kind::UefiHttp] {
            let house = rude(kind, manner).await;
            house.start().await;
            let settled = house.until_settled(Duration::from_secs(300)).await;
            let standing = house.standing(1).await;
            assert_eq!(settled, Some(Phase::Ready), "{kind:?} {manner:?}: {standing:?}");
            let garbage = house.notices().await.iter().any(|n| matches!(n, Notice::Malformed { .. }));
            assert_eq!(garbage, manner == Manner::SendsGarbage);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_hangs_is_bad_after_its_tries_and_the_fault_says_where() {
    let cases = [
        (Manner::NeverAsks, FaultCode::NeverAsked, 3 * (90 + 30)),
        (Manner::HangsInLoader, FaultCode::FetchStalled, 3 * (240 + 60)),
        (Manner::HangsInKernel, FaultCode::KernelSilent, 3 * (120 + 60)),
    ];
    for (manner, code, seconds) in cases {
        let house = rude(Kind::UefiPxe, manner).await;
        house.start().await;
        assert_eq!(
            house.until_settled(Duration::from_secs(seconds)).await,
            Some(Phase::Failed),
            "{manner:?}"
        );
        let standing = house.standing(1).await;
        assert!(standing.bad && standing.tries == 3 && standing.boots == 3, "{manner:?}: {standing:?}");
        assert_eq!(standing.fault.unwrap().code, code);
        // It is left as it is, for whoever looks; stopping takes it away.
        house.stop().await;
        let idle = |look: labinator::desk::Look<'_>| look.lab.phase == Phase::Idle;
        house.until(Duration::from_secs(60), idle).await.unwrap();
        assert_eq!(house.lab.see(0), PowerState::Off);
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_falls_silent_is_lost_and_its_machine_started_again() {
    let house = rude(Kind::BiosIpxeRom, Manner::AgentFallsSilentAfter(20_000)).await;
    house.start().await;
    assert_eq!(house.until_settled(Duration::from_secs(60)).await, Some(Phase::Ready));
    let degraded = |look: labinator::desk::Look<'_>| look.lab.phase == Phase::Degraded;
    let took = house.until(Duration::from_secs(300), degraded).await.unwrap();
    assert!((40..65).contains(&took.as_secs()), "{took:?}");
    let again = |look: labinator::desk::Look<'_>| {
        look.lab.phase == Phase::Ready && look.lab.machines.values().all(|m| m.boots == 2)
    };
    let took = house.until(Duration::from_secs(300), again).await.unwrap();
    assert!(took.as_secs() > 85, "{took:?}");
    assert_eq!(house.standing(1).await.tries, 0);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_reboots_by_itself_climbs_again_alone() {
    let reboots = machine(1, Kind::UefiHttp).with([Manner::RebootsAfter(15_000)]);
    let house = House::open(Plan::of(vec![reboots, machine(2, Kind::BiosIpxeRom)])).await;
    house.start().await;
    assert_eq!(house.until_settled(Duration::from_secs(60)).await, Some(Phase::Ready));
    let again = |look: labinator::desk::Look<'_>| {
        look.lab.phase == Phase::Ready && look.lab.machines[&node(1)].boots == 2
    };
    house.until(Duration::from_secs(120), again).await.unwrap();
    assert_eq!(house.standing(2).await.boots, 1);
}

#[tokio::test(start_paused = true)]
async fn a_bad_cable_and_a_board_that_loses_presses_are_tried_again() {
    for seed in 1..=4 {
        let kinds = [Kind::BiosIpxeRom, Kind::UefiPxe, Kind::UefiHttp];
        let plan = Plan {
            cable: Cable::alike(Lane { slowest_ms: 5, loss_per_mille: 20, ..Lane::default() }),
            port: PortConfig { slow_ms: 500, lost_per_mille: 200, ..PortConfig::default() },
            enough: 1,
            seed,
            ..Plan::of((1..).zip(kinds).map(|(n, kind)| machine(n, kind)).collect())
        };
        let house = House::open(plan).await;
        house.start().await;
        let settled = house.until_settled(WORST).await;
        assert_eq!(settled, Some(Phase::Ready), "seed {seed}: {:?}", house.standings().await);
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_will_not_switch_off_is_switched_off_by_its_port() {
    let house = rude(Kind::BiosIpxeRom, Manner::IgnoresPowerOff).await;
    house.start().await;
    assert_eq!(house.until_settled(Duration::from_secs(60)).await, Some(Phase::Ready));
    house.stop().await;
    let idle = |look: labinator::desk::Look<'_>| look.lab.phase == Phase::Idle;
    let took = house.until(Duration::from_secs(60), idle).await.unwrap();
    assert!((10..13).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_port_that_refuses_says_why_and_costs_the_others_nothing() {
    let port = PortConfig { refuses: Some("relay board: coil 1 is open"), ..PortConfig::default() };
    let house = House::open(Plan { port, ..Plan::of(vec![machine(1, Kind::BiosIpxeRom)]) }).await;
    house.start().await;
    assert_eq!(house.until_settled(Duration::from_secs(60)).await, Some(Phase::Failed));
    let fault = house.standing(1).await.fault.unwrap();
    assert_eq!(fault.code, FaultCode::PowerRefused);
    assert!(fault.text.contains("coil 1 is open"), "{}", fault.text);
}

/// The same draws for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn manner(&mut self) -> Option<Manner> {
        let ms = 1000 + self.below(60_000);
        Some(match self.below(18) {
            0 => Manner::LosesFrames(50),
            1 => Manner::DuplicatesFrames(200),
            2 => Manner::DelaysFrames { per_mille: 200, up_to_ms: 300 },
            3 => Manner::SlowFirmware(ms),
            4 => Manner::NeverAsks,
            5 => Manner::HangsInLoader,
            6 => Manner::HangsInKernel,
            7 => Manner::NoOption97,
            8 => Manner::AgentFallsSilentAfter(ms),
            9 => Manner::RebootsAfter(ms),
            10 => Manner::IgnoresPowerOff,
            11 => Manner::SendsGarbage,
            12 => Manner::LiesAboutMac(mac(77)),
            13 => Manner::LosesFirstAnswers6,
            14 => Manner::NeverHearsReply,
            15 => Manner::OddDuid(u16::try_from(self.below(6)).unwrap()),
            16 => Manner::PathMtu(1400),
            _ => return None,
        })
    }

    fn plan(&mut self, seed: u64) -> Plan {
        let count = u8::try_from(1 + self.below(4)).unwrap();
        let six_only = self.below(3) == 0;
        let kinds = [Kind::BiosIpxeRom, Kind::UefiPxe, Kind::UefiHttp, Kind::BiosPxe];
        let machines = (1..=count).map(|number| {
            let kind = kinds[usize::try_from(self.below(4)).unwrap()];
            let ipxe = if self.below(2) == 0 { Ipxe::Of2019 } else { Ipxe::Of2025 };
            let mut manners: Vec<Manner> = (0..self.below(3)).filter_map(|_| self.manner()).collect();
            if six_only && self.below(2) == 0 {
                manners.push(Manner::StartsWithIpv6);
            }
            Config::new(mac(number), kind, ipxe, seed * 10 + u64::from(number)).with(manners)
        });
        let machines = machines.collect();
        let lost = if self.below(4) == 0 { 200 } else { 0 };
        Plan {
            cable: Cable::alike(Lane {
                slowest_ms: self.below(20),
                loss_per_mille: u16::try_from(self.below(3) * 10).unwrap(),
                ..Lane::default()
            }),
            port: PortConfig { slow_ms: self.below(3000), lost_per_mille: lost, ..PortConfig::default() },
            enough: 1,
            seed,
            six_only,
            ..Plan::of(machines)
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_the_manners_a_run_ends_and_says_why_and_stopping_ends_it() {
    for seed in 1..=100 {
        let plan = Dice(seed).plan(seed);
        let told = format!(
            "seed {seed}: {:?}",
            plan.machines.iter().map(|m| (m.kind, &m.manners)).collect::<Vec<_>>()
        );
        let house = House::open(plan).await;
        house.start().await;
        let settled = house.until_settled(WORST).await;
        let standings = house.standings().await;
        assert!(settled.is_some(), "{told} never ends: {standings:#?}");
        assert_eq!(house.overdue().await, Vec::<String>::new(), "{told}");
        for standing in &standings {
            let well = standing.rung == Rung::Ready && !standing.bad;
            let explained = standing.bad && standing.fault.as_ref().is_some_and(|f| !f.text.is_empty());
            assert!(well || explained, "{told}: {standing:?}");
        }
        house.stop().await;
        let idle = |look: labinator::desk::Look<'_>| look.lab.phase == Phase::Idle;
        let ended = house.until(Duration::from_secs(120), idle).await;
        assert!(ended.is_some(), "{told} never stops: {:#?}", house.standings().await);
        for (port, standing) in house.standings().await.iter().enumerate() {
            assert!(house.lab.see(port) == PowerState::Off || standing.bad, "{told}: port {port} is on");
        }
    }
}

/// Requests in a random order at random times: each is answered within a second, a stop takes hold within a second,
/// and the lab ends where the last request says.
#[tokio::test(start_paused = true)]
async fn any_order_of_starts_and_stops_is_answered_at_once_and_the_last_one_holds() {
    let second = Duration::from_secs(1);
    for seed in 1..=12_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut dice = |sides: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % sides
        };
        let kinds = [Kind::BiosIpxeRom, Kind::UefiPxe, Kind::UefiHttp];
        let house = House::open(Plan::of((1..).zip(kinds).map(|(n, kind)| machine(n, kind)).collect())).await;
        for _ in 0..10 {
            let starts = dice(2) == 0;
            let request = if starts { stand::start() } else { stand::stop() };
            let answer = tokio::time::timeout(second, house.desk.ask(request)).await;
            let answer = answer.unwrap_or_else(|_| panic!("seed {seed}: a request hangs"));
            if !starts && answer.is_ok() {
                let held = |look: labinator::desk::Look<'_>| {
                    matches!(look.lab.phase, Phase::Stopping | Phase::Idle)
                        && look.lab.machines.values().all(|m| m.goal != model::Goal::Ready)
                };
                assert!(house.until(second, held).await.is_some(), "seed {seed}: a stop did not take hold");
            }
            tokio::time::sleep(Duration::from_millis(dice(25_000))).await;
            assert_eq!(house.overdue().await, Vec::<String>::new(), "seed {seed}");
        }
        // It may still be on its way down: then a start is refused, at once, and asked again.
        let idle = |look: labinator::desk::Look<'_>| look.lab.phase == Phase::Idle;
        drop(house.desk.ask(stand::stop()).await);
        assert!(house.until(Duration::from_secs(120), idle).await.is_some(), "seed {seed}: it does not stop");
        house.start().await;
        assert_eq!(house.until_settled(Duration::from_secs(120)).await, Some(Phase::Ready), "seed {seed}");
    }
}
