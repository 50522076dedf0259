//! What a stranger on the cable makes of a simulated boot: whole frames, heads of 96 bytes, and its questions.

use model::{ClientKind, MacAddr, Sight};
use sim::observe::{Observer, Seen};
use sim::replay::{Player, Script, record};
use sim::{Ipxe, Kind};

use crate::stand::{Server, config, mac, started};

/// The tape of one boot, in milliseconds.
fn tape(kind: Kind, ipxe: Ipxe) -> Vec<(u64, Vec<u8>)> {
    let mut stand = started(config(kind, ipxe), Server::default());
    stand.segment.record();
    assert!(stand.run_to_hello(60_000));
    stand.segment.tape().iter().map(|passed| (passed.at, passed.frame.clone())).collect()
}

fn observe(tape: &[(u64, Vec<u8>)], snap: usize) -> (Observer, Vec<Seen>) {
    let mut observer = Observer::new();
    let mut seen = Vec::new();
    for (at, frame) in tape {
        let kept = frame.get(..snap).unwrap_or(frame);
        seen.extend(observer.take(*at, kept, u32::try_from(frame.len()).unwrap()));
    }
    seen.extend(observer.end());
    (observer, seen)
}

/// The kinds of what was seen of the machine, first frames left out.
fn words(seen: &[Seen]) -> String {
    let of = |(_, from, sight): &Seen| {
        let word = serde_json::to_value(sight).unwrap()["sight"].as_str().unwrap().to_owned();
        (*from == mac(1) && word != "frame").then_some(word)
    };
    seen.iter().filter_map(of).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_boot_on_the_cable_is_told_as_the_counter_would_tell_it() {
    let (observer, seen) = observe(&tape(Kind::BiosPxe, Ipxe::Of2025), usize::MAX);
    let expected = "discover offer request ack file-asked file-served discover offer router-asked request ack \
                    discover offer request ack";
    assert_eq!(words(&seen), expected);
    let kinds: Vec<ClientKind> = seen
        .iter()
        .filter_map(|(_, _, s)| if let Sight::Ack { client, .. } = s { Some(*client) } else { None })
        .collect();
    assert_eq!(kinds, [ClientKind::BiosPxe, ClientKind::Ipxe, ClientKind::Agent]);
    let served = Sight::FileServed { name: "undionly.kpxe".to_owned(), bytes: 97_782, repeats: 0 };
    assert!(seen.iter().any(|(_, _, s)| *s == served), "{seen:#?}");
    assert_eq!((observer.cut(), observer.strange()), (0, 0));
}

#[test]
fn heads_of_96_bytes_tell_the_same_story_but_for_who_asks() {
    for kind in [Kind::BiosPxe, Kind::UefiPxe] {
        let tape = tape(kind, Ipxe::Of2019);
        let (whole, of_whole) = observe(&tape, usize::MAX);
        let (heads, of_heads) = observe(&tape, 96);
        assert_eq!(
            words(&of_heads).replace("router-asked ", ""),
            words(&of_whole).replace("router-asked ", "")
        );
        assert_eq!(heads.address_of(mac(1)), whole.address_of(mac(1)));
        assert!(heads.cut() > 0);
        let bytes = |seen: &[Seen]| {
            let of = |(_, _, s): &Seen| if let Sight::FileServed { bytes, .. } = s { *bytes } else { 0 };
            seen.iter().map(of).sum::<u64>()
        };
        assert_eq!(bytes(&of_heads), bytes(&of_whole), "{kind:?}");
        let ipxe = |(_, _, s): &Seen| matches!(s, Sight::Ack { client: ClientKind::Ipxe, .. });
        assert!(of_heads.iter().any(ipxe), "whoever fetched a loader asks as one afterwards");
    }
}

#[test]
fn no_cut_and_no_damage_stops_the_observer_or_the_recorder() {
    let tape = tape(Kind::UefiPxe, Ipxe::Of2025);
    for snap in 0..200 {
        let (observer, seen) = observe(&tape, snap);
        assert!(observer.machines().count() <= 1 && seen.len() <= 40, "{snap}: {}", seen.len());
        record(tape.iter().map(|(at, frame)| (*at, frame.get(..snap).unwrap_or(frame))), "cut");
    }
    let mut luck = 1_u64;
    for _ in 0..50 {
        let damaged: Vec<(u64, Vec<u8>)> = tape
            .iter()
            .map(|(at, frame)| {
                let mut frame = frame.clone();
                luck = luck.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let place = usize::try_from(luck >> 33).unwrap() % frame.len();
                frame[place] ^= 0x55;
                (*at, frame)
            })
            .collect();
        observe(&damaged, usize::MAX);
        record(damaged.iter().map(|(at, frame)| (*at, frame.as_slice())), "damaged");
    }
}

/// Plays a script against the scripted server; the questions with what was missing in their answers.
fn play(script: Script, mut server: Server) -> Vec<(usize, Vec<String>)> {
    let mut player = Player::new(script);
    let mut now = 0;
    while !player.is_over() {
        let frames = player.poll(now);
        for frame in &frames {
            for answer in server.take_frame(frame, now) {
                player.on_frame(&answer);
            }
        }
        if frames.is_empty() {
            now = player.wake_at().unwrap_or(now).max(now + 1);
        }
    }
    let missing = player.answered().iter().map(|answered| {
        (answered.place, answered.missing().into_iter().map(str::to_owned).collect::<Vec<_>>())
    });
    missing.filter(|(_, missing)| !missing.is_empty()).collect()
}

#[test]
fn what_was_asked_once_is_asked_again_and_answered_alike() {
    for kind in [Kind::BiosPxe, Kind::UefiPxe, Kind::BiosIpxeRom] {
        let tape = tape(kind, Ipxe::Of2019);
        let scripts = record(tape.iter().map(|(at, frame)| (*at, frame.as_slice())), "tape");
        let [script] = scripts.as_slice() else { panic!("{} machines", scripts.len()) };
        assert_eq!(script.mac, mac(1));
        assert!(script.asks.len() >= 4, "{}", script.text());
        let again = Script::parse(&script.text()).unwrap();
        assert_eq!(play(again, Server::default()), []);
        // A server that forgot half of its offer is found out.
        let poor = Server { offer: crate::stand::Offer::Plain, ..Server::default() };
        let missing = play(script.clone(), poor);
        assert!(
            missing.iter().any(|(_, words)| words.contains(&"class=PXEClient".to_owned())),
            "{missing:?}"
        );
        let silent = Server { silent: true, ..Server::default() };
        assert!(!play(script.clone(), silent).is_empty());
    }
}

#[test]
fn a_machine_nobody_answered_is_recorded_with_nothing_wanted() {
    let mut stand =
        started(config(Kind::BiosPxe, Ipxe::Of2019), Server { silent: true, ..Server::default() });
    stand.segment.record();
    assert!(!stand.run_to_hello(70_000));
    let tape: Vec<_> = stand.segment.tape().iter().map(|p| (p.at, p.frame.clone())).collect();
    let scripts = record(tape.iter().map(|(at, frame)| (*at, frame.as_slice())), "silence");
    assert_eq!(scripts[0].asks.len(), 4);
    assert!(scripts[0].asks.iter().all(|ask| ask.answer.is_empty()));
    assert_eq!(scripts[0].asks.iter().map(|ask| ask.at).collect::<Vec<_>>(), [0, 4000, 12_000, 28_000]);
    let (observer, seen) = observe(&tape, usize::MAX);
    assert_eq!(words(&seen), "discover discover discover discover");
    assert_eq!(observer.machines().collect::<Vec<MacAddr>>(), [mac(1)]);
}
