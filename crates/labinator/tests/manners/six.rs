//! Manners of machines in a lab of IPv6 alone.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use model::{PowerOrder, Sight};
use sim::{Kind, Manner, Step, Teller};

use crate::bench::{Bench, LIMIT, address6, machine};

/// What can boot over IPv6: UEFI that begins with it, and iPXE in a card.
const KINDS: [Kind; 3] = [Kind::UefiPxe, Kind::UefiHttp, Kind::BiosIpxeRom];

/// One machine with these manners comes up without IPv4, or the test ends with its story.
async fn boots(kind: Kind, manners: &[Manner]) -> Bench {
    let manners = [&[Manner::StartsWithIpv6], manners].concat();
    let bench = Bench::open_six(vec![machine(1, kind, &manners)]);
    assert!(bench.comes_up().await, "{kind:?} with {manners:?}:\n{}", bench.story(0));
    bench
}

/// Two machines with this manner come up, each with the address that the board has for it.
async fn two_keep_their_own(manner: Manner) {
    let manners = [Manner::StartsWithIpv6, manner];
    let machines = vec![machine(1, Kind::UefiPxe, &manners), machine(2, Kind::UefiHttp, &manners)];
    let bench = Bench::open_six(machines);
    assert!(bench.comes_up().await, "{}\n{}", bench.story(0), bench.story(1));
    for (at, number) in [(0, 1), (1, 2)] {
        assert_eq!(addresses(&bench, at), BTreeSet::from([address6(number)]), "{}", bench.story(at));
    }
}

/// Addresses a machine was given.
fn addresses(bench: &Bench, at: usize) -> BTreeSet<Ipv6Addr> {
    let bound = bench.steps(at, |s| matches!(s, Step::Bound6 { .. }));
    let address = |(_, step)| if let Step::Bound6 { address, .. } = step { address } else { None };
    bound.into_iter().filter_map(address).collect()
}

fn count(bench: &Bench, wanted: impl Fn(&Step) -> bool) -> usize {
    bench.steps(0, wanted).len()
}

// Cure: literal IPv6 addresses in everything that a machine over IPv6 is told (`dhcp6::boot_of`, `script`).
#[tokio::test(start_paused = true)]
async fn every_kind_that_speaks_ipv6_boots_in_a_lab_without_ipv4() {
    for kind in KINDS {
        let bench = boots(kind, &[]).await;
        assert_eq!(addresses(&bench, 0), BTreeSet::from([address6(1)]), "{}", bench.story(0));
        assert_eq!(count(&bench, |s| matches!(s, Step::Bound { .. })), 0, "{}", bench.story(0));
        let fetched = |s: &Step| matches!(s, Step::FileFetched { block: 1448, window: 4, .. });
        assert_eq!(count(&bench, fetched), usize::from(kind == Kind::UefiPxe), "{}", bench.story(0));
    }
}

// Cure: patience, as with IPv6 before IPv4; each entry of the boot order is answered in its own words.
#[tokio::test(start_paused = true)]
async fn a_minute_of_ipv4_before_ipv6_is_borne() {
    let bench = Bench::open_six(vec![machine(1, Kind::UefiPxe, &[])]);
    assert!(bench.comes_up().await, "{}", bench.story(0));
    assert_eq!(count(&bench, |s| matches!(s, Step::Tries(_))), 2, "{}", bench.story(0));
}

// Cure: preference 255 in each ADVERTISE (`dhcp6::server::reply`); without it EDK2 gathers offers for 4 s.
#[tokio::test(start_paused = true)]
async fn rfc_8415_firmware_does_not_wait_for_other_servers() {
    for (kind, by) in [(Kind::UefiPxe, Teller::UefiPxe), (Kind::UefiHttp, Teller::UefiHttp)] {
        let bench = boots(kind, &[]).await;
        let asked = bench.steps(0, |s| *s == Step::Solicited6 { by })[0].0;
        let bound = bench.steps(0, |s| matches!(s, Step::Bound6 { .. }))[0].0;
        assert!(bound - asked < 100, "{}", bench.story(0));
    }
}

// Cure: an offer is remembered and a lease given on (`Server::lend`): a repeated question has the same answer.
#[tokio::test(start_paused = true)]
async fn rfc_8415_who_asks_again_because_an_answer_was_lost_gets_the_same_address() {
    for kind in KINDS {
        let bench = boots(kind, &[Manner::LosesFirstAnswers6]).await;
        assert_eq!(addresses(&bench, 0).len(), 1, "{}", bench.story(0));
        let asked = count(&bench, |s| matches!(s, Step::Solicited6 { .. }));
        let bound = count(&bench, |s| matches!(s, Step::Bound6 { .. }));
        assert_eq!(asked, 2 * bound, "each asked twice: {}", bench.story(0));
        assert_eq!(bench.counter.ledger().leases6().len(), 1);
    }
}

// Nobody can serve it: what is told shows ADVERTISEs and REQUESTs without end, and one lease at most is kept for it.
#[tokio::test(start_paused = true)]
async fn a_machine_that_no_reply_reaches_is_seen_to_ask_and_costs_one_lease() {
    let bench =
        Bench::open_six(vec![machine(1, Kind::UefiPxe, &[Manner::StartsWithIpv6, Manner::NeverHearsReply])]);
    assert!(!bench.comes_up().await);
    let stuck = bench.lab.inspect(|segment| segment.machine(0).unwrap().stuck()).unwrap();
    assert_eq!(stuck.last_good, Step::PoweredOn, "{stuck}");
    let (sights, _) = bench.told();
    let count = |wanted: fn(&Sight) -> bool| sights.iter().filter(|(_, s)| wanted(s)).count();
    // Two entries of the boot order, ten REQUESTs each.
    assert_eq!(count(|s| matches!(s, Sight::Request6 { .. })), 20);
    assert_eq!(count(|s| matches!(s, Sight::Reply { .. })), 20);
    assert_eq!(bench.counter.ledger().leases6().len(), 1);
}

// Cure: a machine is known by the Ethernet address of its frames before its identifier (`Envelope::senders`), and an
// identifier is compared whole.
#[tokio::test(start_paused = true)]
async fn rfc_8415_identifiers_of_every_type_are_one_machine() {
    for kind in KINDS {
        for duid in [1, 2, 3, 4, 0x7b7b] {
            let bench = boots(kind, &[Manner::OddDuid(duid)]).await;
            assert_eq!(addresses(&bench, 0), BTreeSet::from([address6(1)]), "{duid}: {}", bench.story(0));
        }
    }
}

// Cure: as above. Each calls itself by the Ethernet address of the other, which is on the board as well.
#[tokio::test(start_paused = true)]
async fn two_machines_that_call_themselves_by_each_others_address_keep_their_own() {
    for duid in [1, 3] {
        two_keep_their_own(Manner::OddDuid(duid)).await;
    }
}

// Cure: as above. EDK2's identifier is the UUID, and thousands of boards share one.
#[tokio::test(start_paused = true)]
async fn two_boards_with_the_same_uuid_are_two_machines_over_ipv6() {
    two_keep_their_own(Manner::SharesUuid).await;
}

// Cure: that of IPv4. The blocks that fit are smaller by the 20 bytes that IPv6's header is longer.
#[tokio::test(start_paused = true)]
async fn a_path_of_1280_bytes_carries_the_second_attempt_over_ipv6() {
    let bench = boots(Kind::UefiPxe, &[Manner::PathMtu(1280)]).await;
    assert_eq!(count(&bench, |s| matches!(s, Step::Tries(_))), 2, "HTTP was next: {}", bench.story(0));
    bench.lab.switch(0, PowerOrder::Off);
    bench.lab.switch(0, PowerOrder::On);
    let fits = |s: &Step| matches!(s, Step::FileFetched { block: 1228, .. });
    assert!(bench.sees(0, LIMIT, fits).await, "{}", bench.story(0));
}
