//! Manners of firmware that fetches files over TFTP and HTTP.

use model::Sight;
use sim::{Kind, Manner, Step, Stranding, Way};
use wire::frame::Frame;
use wire::tftp::Packet;

use crate::bench::{Bench, LIMIT, boots, machine};

const PXE: [Kind; 2] = [Kind::BiosPxe, Kind::UefiPxe];

/// TFTP packets the counter sent.
fn sent(bench: &Bench) -> Vec<Packet<'static>> {
    bench.frames(|passed| match (passed.way, Frame::parse(&passed.frame)) {
        (Way::ToMachine(_), Ok(Frame::Udp4(udp))) if udp.from.port() >= 1024 => {
            Packet::decode(udp.payload).ok().map(owned)
        }
        _ => None,
    })
}

fn owned(packet: Packet<'_>) -> Packet<'static> {
    match packet {
        Packet::Data { block, .. } => Packet::Data { block, data: &[] },
        Packet::Read(request) => Packet::Read(request),
        Packet::Write(request) => Packet::Write(request),
        Packet::Ack(block) => Packet::Ack(block),
        Packet::Error { code, message } => Packet::Error { code, message },
        Packet::OptionAck(pairs) => Packet::OptionAck(pairs),
    }
}

fn option(bench: &Bench, wanted: &str) -> Vec<String> {
    let acks = sent(bench).into_iter().filter_map(|packet| match packet {
        Packet::OptionAck(pairs) => Some(pairs),
        _ => None,
    });
    acks.flatten().filter(|(name, _)| name == wanted).map(|(_, value)| value).collect()
}

/// Blocks sent more than once, by the counter's own count.
fn repeats(bench: &Bench) -> u32 {
    let served = |(_, sight)| if let Sight::FileServed { repeats, .. } = sight { repeats } else { 0 };
    bench.told().0.into_iter().map(served).sum()
}

// Cure: the second request is answered like a first (`tftp::read_request` keeps nothing of the one that never came),
// and within its 4 s.
#[tokio::test(start_paused = true)]
async fn tinkerbell_728_first_tftp_attempt_times_out_and_the_size_is_not_zero() {
    for kind in PXE {
        let bench = boots(kind, &[Manner::LosesFirstTftp]).await;
        let sizes = option(&bench, "tsize");
        assert!(!sizes.is_empty() && sizes.iter().all(|size| size != "0"), "{kind:?}: {sizes:?}");
        let probed = bench.steps(0, |s| matches!(s, Step::SizeProbed(_)))[0].0;
        let asked = bench.steps(0, |s| matches!(s, Step::FileAsked(_)))[0].0;
        assert!((4000..4100).contains(&(probed - asked)), "{}", bench.story(0));
    }
}

// Cure: each request has a session of its own (`tftp::serve`); one that is left behind ends by its own clock.
#[tokio::test(start_paused = true)]
async fn maas_1437353_a_probe_that_is_abandoned_keeps_no_seat() {
    for kind in PXE {
        let bench = boots(kind, &[Manner::AbandonsProbe]).await;
        let errors = bench.frames(|passed| match (passed.way, Frame::parse(&passed.frame)) {
            (Way::ToServer, Ok(Frame::Udp4(udp))) => {
                matches!(Packet::decode(udp.payload), Ok(Packet::Error { .. })).then_some(())
            }
            _ => None,
        });
        assert!(errors.is_empty(), "the machine left without a word");
        let (sights, _) = bench.told();
        assert!(!sights.iter().any(|(_, s)| matches!(s, Sight::FileBroken { .. })), "{sights:?}");
    }
}

// Cure: option names are compared without case (`Request::decode`).
#[tokio::test(start_paused = true)]
async fn rfc_2347_options_in_capitals_are_options() {
    let bench = boots(Kind::UefiPxe, &[Manner::ShoutsOptions]).await;
    let fetched = bench.steps(0, |s| matches!(s, Step::FileFetched { block: 1468, window: 4, .. }));
    assert_eq!(fetched.len(), 1, "{}", bench.story(0));
}

// Cure: `Limits::block` keeps a block within an Ethernet frame.
#[tokio::test(start_paused = true)]
async fn rfc_2348_who_asks_for_the_largest_block_gets_one_that_fits_a_frame() {
    for kind in PXE {
        let bench = boots(kind, &[Manner::AsksHugeBlocks]).await;
        let longest = bench.frames(|passed| Some(passed.frame.len())).into_iter().max();
        assert!(longest.is_some_and(|length| length <= 1514), "{kind:?}: {longest:?}");
    }
}

// Cure: patience of a second before anything is sent again (`Limits::wait_ms`), and no more blocks in flight than the
// client asked for.
#[tokio::test(start_paused = true)]
async fn ipxe_145_a_driver_of_15_ms_a_block_is_slow_and_nothing_is_sent_twice() {
    for kind in PXE {
        let bench = boots(kind, &[Manner::SlowDriver { per_frame_ms: 15, ring: 8 }]).await;
        assert_eq!(repeats(&bench), 0, "{kind:?}: {}", bench.story(0));
    }
}

// Cure: a window is as long as the client asked for (`Request::window`), never as long as we like.
#[tokio::test(start_paused = true)]
async fn ipxe_1691_a_card_that_keeps_four_frames_loses_none() {
    let bench = boots(Kind::UefiPxe, &[Manner::SlowDriver { per_frame_ms: 20, ring: 4 }]).await;
    assert_eq!(repeats(&bench), 0, "{}", bench.story(0));
}

// Cure: an ACK that says nothing new is not answered (`Transfer::on_ack`).
#[tokio::test(start_paused = true)]
async fn rfc_1123_a_second_copy_of_each_frame_does_not_double_the_transfer() {
    for kind in PXE {
        let bench = boots(kind, &[Manner::DuplicatesFrames(1000)]).await;
        assert_eq!(repeats(&bench), 0, "{kind:?}");
        let blocks = sent(&bench).iter().filter(|p| matches!(p, Packet::Data { .. })).count();
        // One file for a ROM in blocks of 1456, one for EDK2 in blocks of 1468, each of whose two requests arrives
        // twice and opens a transfer of which the client takes one; then the script.
        assert!(blocks < 200, "{kind:?}: {blocks} blocks");
    }
}

// Cure: `ETag`, `If-Match` and `Range` (`http::range`).
#[tokio::test(start_paused = true)]
async fn a_broken_http_download_goes_on_where_it_stopped() {
    let bench = boots(Kind::UefiHttp, &[Manner::BreaksOffHttp]).await;
    let asked = bench.steps(0, |s| matches!(s, Step::UrlAsked(url) if url.ends_with("/node.efi")));
    assert_eq!(asked.len(), 3, "HEAD, GET, and the rest: {}", bench.story(0));
}

// Cure: UEFI's own client is never told 503; what cannot be served now is a loader that can wait (`boot_of`).
#[tokio::test(start_paused = true)]
async fn firmware_that_gives_up_at_a_503_is_given_a_loader_that_does_not() {
    let mut bench = Bench::open(vec![machine(1, Kind::UefiHttp, &[])]);
    bench.publish(|_, _| model::BootAnswer::Wait { retry_seconds: 3 });
    bench.power_on();
    let limit = std::time::Duration::from_secs(60);
    assert!(bench.sees(0, limit, |s| matches!(s, Step::ScriptStarted(_))).await, "{}", bench.story(0));
    assert!(!bench.sees(0, limit, |s| matches!(s, Step::Failed(_))).await, "{}", bench.story(0));
    bench.publish(|bench, _| bench.boot());
    assert!(bench.sees(0, limit, |s| *s == Step::AgentWelcomed).await, "{}", bench.story(0));
}

// Cure: after a transfer whose blocks were sent again and none taken, the machine is offered smaller ones (`Pace::narrow`).
// A ROM that starts over gets its loader then; UEFI comes up by its HTTP entry, and by PXE from the next boot on.
#[tokio::test(start_paused = true)]
async fn a_path_of_1400_bytes_costs_one_attempt_and_the_next_has_blocks_that_fit() {
    let untaken = |(_, s): &(_, Sight)| matches!(s, Sight::FileBroken { bytes: 0, why, .. } if why.contains("may carry less"));
    let fits = |s: &Step| matches!(s, Step::FileFetched { block: 1228, .. });

    let mut rom = machine(1, Kind::BiosPxe, &[Manner::PathMtu(1400)]);
    rom.stranding = Stranding::Reboots(1000);
    let bench = Bench::open(vec![rom]);
    assert!(bench.comes_up().await, "{}", bench.story(0));
    assert_eq!(bench.steps(0, |s| *s == Step::Reset).len(), 1, "{}", bench.story(0));
    assert_eq!(bench.steps(0, fits).len(), 1, "{}", bench.story(0));
    assert_eq!(bench.told().0.iter().filter(|told| untaken(told)).count(), 1);

    let bench = boots(Kind::UefiPxe, &[Manner::PathMtu(1400)]).await;
    assert_eq!(bench.steps(0, |s| matches!(s, Step::Tries(_))).len(), 3, "{}", bench.story(0));
    assert!(bench.told().0.iter().any(untaken));
    bench.lab.switch(0, model::PowerOrder::Off);
    bench.lab.switch(0, model::PowerOrder::On);
    assert!(bench.sees(0, LIMIT, fits).await, "{}", bench.story(0));
    assert_eq!(bench.steps(0, |s| matches!(s, Step::Tries(_))).len(), 4, "{}", bench.story(0));
}

// Cure: as above, once more: RFC 1350's own blocks are the last that are offered.
#[tokio::test(start_paused = true)]
async fn a_path_of_600_bytes_costs_two_attempts() {
    let mut rom = machine(1, Kind::BiosPxe, &[Manner::PathMtu(600)]);
    rom.stranding = Stranding::Reboots(1000);
    let bench = Bench::open(vec![rom]);
    assert!(bench.comes_up().await, "{}", bench.story(0));
    assert_eq!(bench.steps(0, |s| *s == Step::Reset).len(), 2, "{}", bench.story(0));
    assert_eq!(bench.steps(0, |s| matches!(s, Step::FileFetched { block: 512, .. })).len(), 1);
}
