//! Cables that lose, copy, delay and cut: within bounds everybody arrives, beyond them the failure has a name.

use sim::{Cable, Config, Ipxe, Kind, Lane, Machine, Phase, Step, Stranding};

use crate::stand::{Server, Stand, config, mac};

const KINDS: [Kind; 4] = [Kind::BiosPxe, Kind::BiosIpxeRom, Kind::UefiPxe, Kind::UefiHttp];

/// One machine of each kind, with a watchdog as boards in labs have it.
fn rack(seed: u64) -> Vec<Config> {
    let machine = |(kind, number): (&Kind, u8)| {
        let mut config = config(*kind, Ipxe::Of2025);
        (config.mac, config.seed, config.stranding) = (mac(number), seed, Stranding::Reboots(5000));
        config
    };
    KINDS.iter().zip(1..).map(machine).collect()
}

fn on(cable: Cable, seed: u64) -> Stand {
    let mut stand = Stand::on(cable, rack(seed), Server::default());
    stand.segment = sim::Segment::new(rack(seed).into_iter().map(Machine::new).collect(), cable, seed);
    stand.segment.record();
    stand.power_on();
    stand
}

/// The worst that is still a cable: 3 % lost, 3 % doubled, 3 % held up by 50 ms, 1 % cut, 0 to 2 ms of jitter.
const BAD: Lane = Lane {
    fastest_ms: 0,
    slowest_ms: 2,
    loss_per_mille: 30,
    twice_per_mille: 30,
    late_per_mille: 30,
    late_ms: 50,
    cut_per_mille: 10,
};

#[test]
fn on_a_bad_cable_every_kind_arrives_for_every_seed() {
    for seed in 0..25 {
        let mut stand = on(Cable::alike(BAD), seed);
        let arrived = stand.run_to_hello(1_200_000);
        let stuck: Vec<_> = stand.segment.machines().iter().filter_map(Machine::stuck).collect();
        assert!(arrived, "seed {seed}: {stuck:?}");
    }
}

#[test]
fn each_way_of_a_cable_fails_for_itself() {
    let dead = Lane { loss_per_mille: 1000, ..Lane::default() };
    let deaf = Cable { to_server: Lane::default(), to_machines: dead };
    let mute = Cable { to_server: dead, to_machines: Lane::default() };
    for (cable, arrives) in [(deaf, true), (mute, false)] {
        let mut stand = on(cable, 1);
        assert!(!stand.run_to_hello(70_000));
        assert_eq!(
            !stand.frames.is_empty(),
            arrives,
            "what machines send is heard or not, whatever they hear"
        );
    }
}

#[test]
fn beyond_all_bounds_the_last_good_step_is_named() {
    // Nine of ten frames lost: leases are had now and then, a file of 256 blocks never.
    let lane = Lane { loss_per_mille: 900, ..Lane::default() };
    for seed in 0..10 {
        let mut stand = on(Cable::alike(lane), seed);
        assert!(!stand.run_to_hello(300_000), "seed {seed}");
        for machine in stand.segment.machines() {
            let Some(stuck) = machine.stuck() else { continue };
            let told = stuck.to_string();
            assert!(told.contains(" after "), "{told}");
            if stuck.phase == Phase::Stranded {
                assert!(stuck.failed.is_some(), "seed {seed}: {told}");
            }
        }
    }
}

#[test]
fn the_last_good_step_is_the_one_before_what_failed() {
    let mut stand = Stand::new(rack(3), Server { silent: true, ..Server::default() });
    stand.power_on();
    assert!(!stand.run_to_hello(65_000));
    let stuck = stand.segment.machine(0).unwrap().stuck().unwrap();
    assert_eq!(stuck.last_good, Step::PoweredOn);
    assert!(stuck.to_string().ends_with("PxeRom got no address"), "{stuck}");
}

#[test]
fn the_same_seed_gives_the_same_tape_byte_for_byte() {
    let tape = |seed| {
        let mut stand = on(Cable::alike(BAD), seed);
        assert!(stand.run_to_hello(1_200_000));
        (stand.segment.tape().to_vec(), stand.console)
    };
    for seed in [1, 2, 3] {
        let (first, second) = (tape(seed), tape(seed));
        assert!(first.0.len() > 300, "{} frames", first.0.len());
        assert!(first == second, "seed {seed}");
    }
    assert!(tape(1) != tape(2));
}
