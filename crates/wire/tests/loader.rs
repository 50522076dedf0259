//! What a loader follows and what it refuses: texts, seals, and every way in which an answer can be wrong.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

use std::net::SocketAddrV4;

use model::{Digest, MacAddr};
use proptest::prelude::*;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use wire::loader::http::{Head, HeadError, LONGEST_HEAD, Request};
use wire::loader::{
    ANSWER_PURPOSE, Answer, Ask, Asked, DELEGATION_PURPOSE, Delegation, Judged, Medium, Nonce, Order,
    PLACE_SIZE, Piece, Plan, Refusal, Sealed, Seed, SeedError, Signed, Trust, Word, judge, plant, planted,
    read_place, signed_text,
};

const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0x4c, 0x42, 2]);
const NONCE: Nonce = Nonce([7; 16]);

fn check(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
}

fn key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn public(key: &Ed25519KeyPair) -> [u8; 32] {
    key.public_key().as_ref().try_into().unwrap()
}

fn sign(key: &Ed25519KeyPair, purpose: &str, text: &[u8]) -> [u8; 64] {
    key.sign(&signed_text(purpose, text)).as_ref().try_into().unwrap()
}

fn answer() -> Answer {
    let piece = |name: &str, byte: u8| Piece {
        size: u64::from(byte) * 1000,
        digest: Digest([byte; 32]),
        path: format!("/f/{}/{name}", Digest([byte; 32])),
    };
    Answer {
        lab: "kinds".parse().unwrap(),
        node: Some("pxe".parse().unwrap()),
        mac: MAC,
        nonce: NONCE,
        limit_seconds: 30,
        because: "scenario all, run 1".to_owned(),
        good: vec![Digest([8; 32]), Digest([9; 32])],
        order: Order::Boot(Plan {
            kernel: piece("vmlinuz", 1),
            initrd: vec![piece("initrd", 2), piece("more", 3)],
            args: "console=ttyS0 labinator.nonce=00".to_owned(),
        }),
    }
}

/// A controller: its lab's key, its counter's, and the number of its delegation.
struct Controller {
    lab: Ed25519KeyPair,
    counter: Ed25519KeyPair,
    number: u64,
}

impl Controller {
    fn new() -> Self {
        Self { lab: key(1), counter: key(2), number: 5 }
    }

    fn delegation(&self) -> String {
        let lab = "kinds".parse().unwrap();
        Delegation { lab, key: public(&self.counter), number: self.number }.text()
    }

    fn seal(&self, answer: &str) -> Vec<u8> {
        let delegation = self.delegation();
        let delegated = sign(&self.lab, DELEGATION_PURPOSE, delegation.as_bytes());
        let signature = sign(&self.counter, ANSWER_PURPOSE, answer.as_bytes());
        Sealed {
            delegation: Signed { text: delegation.as_bytes(), signature: delegated },
            answer: Signed { text: answer.as_bytes(), signature },
        }
        .bytes()
    }
}

fn trust() -> Trust {
    Trust { lab_key: Some(public(&key(1))), least: 5 }
}

fn judged(body: &[u8], elapsed_ms: u64) -> Result<Judged, Refusal> {
    let macs = [MacAddr([2; 6]), MAC];
    judge(body, &Asked { nonce: NONCE, macs: &macs, elapsed_ms }, trust(), check)
}

fn code(body: &[u8]) -> &'static str {
    judged(body, 10).map_or_else(|refusal| refusal.code(), |_| "followed")
}

#[test]
fn an_answer_in_time_for_this_machine_is_followed() {
    let controller = Controller::new();
    let body = controller.seal(&answer().text());
    assert_eq!(judged(&body, 30_000).unwrap(), Judged { answer: answer(), number: 5 });
}

#[test]
fn each_way_to_be_wrong_has_a_name_of_its_own() {
    let good = Controller::new();
    let text = answer().text();
    assert_eq!(code(&good.seal(&text)), "followed");
    assert_eq!(code(text.as_bytes()), "answer-unsigned");
    assert_eq!(code(b"<html>"), "answer-garbled");
    assert_eq!(code(&Controller { lab: key(9), ..Controller::new() }.seal(&text)), "answer-of-another-lab");
    assert_eq!(code(&Controller { number: 4, ..Controller::new() }.seal(&text)), "delegation-old");
    assert_eq!(code(&Controller { number: 6, ..Controller::new() }.seal(&text)), "followed");
    let other = Answer { nonce: Nonce([8; 16]), ..answer() }.text();
    assert_eq!(code(&good.seal(&other)), "answer-to-another-question");
    let other = Answer { mac: MacAddr([4; 6]), ..answer() }.text();
    assert_eq!(code(&good.seal(&other)), "answer-for-another-machine");
    let other = Answer { lab: "other".parse().unwrap(), ..answer() }.text();
    assert_eq!(code(&good.seal(&other)), "answer-of-another-lab");
    assert_eq!(judged(&good.seal(&text), 30_001).unwrap_err().code(), "answer-late");
    let nobody = Trust { lab_key: None, least: 0 };
    let asked = Asked { nonce: NONCE, macs: &[MAC], elapsed_ms: 0 };
    assert_eq!(judge(&good.seal(&text), &asked, nobody, check), Err(Refusal::NoKey));
}

#[test]
fn arguments_that_were_changed_on_the_way_are_refused() {
    let body = String::from_utf8(Controller::new().seal(&answer().text())).unwrap();
    let changed = body.replace("console=ttyS0", "init=/bin/sh0");
    assert_eq!(body.len(), changed.len());
    assert_eq!(code(changed.as_bytes()), "answer-tampered");
}

#[test]
fn a_signature_for_another_purpose_is_none() {
    let good = Controller::new();
    let (delegation, text) = (good.delegation(), answer().text());
    let body = |purpose: (&str, &str)| {
        let delegated = sign(&good.lab, purpose.0, delegation.as_bytes());
        let signature = sign(&good.counter, purpose.1, text.as_bytes());
        let part = |text, signature| Signed { text, signature };
        let (delegation, answer) = (part(delegation.as_bytes(), delegated), part(text.as_bytes(), signature));
        Sealed { delegation, answer }.bytes()
    };
    assert_eq!(code(&body((DELEGATION_PURPOSE, ANSWER_PURPOSE))), "followed");
    assert_eq!(code(&body((ANSWER_PURPOSE, ANSWER_PURPOSE))), "answer-of-another-lab");
    assert_eq!(code(&body((DELEGATION_PURPOSE, DELEGATION_PURPOSE))), "answer-tampered");
}

#[test]
fn every_refusal_says_what_to_do() {
    let name = || "vmlinuz".to_owned();
    let digest = |byte| Digest([byte; 32]);
    for refusal in [
        Refusal::Unsigned,
        Refusal::NoKey,
        Refusal::OtherLab,
        Refusal::Tampered,
        Refusal::OtherQuestion,
        Refusal::WrongSize { name: name(), wanted: 2, got: 1 },
        Refusal::WrongDigest { name: name(), wanted: digest(1), got: digest(2) },
    ] {
        let word = Word::refusal(MAC, &refusal);
        let error = word.error.clone().unwrap();
        assert!(error.starts_with(refusal.code()) && error.ends_with(refusal.advice()), "{error}");
        assert_eq!(Word::read(word.body().as_bytes()).unwrap(), word);
        let of_two = word.of(&[MAC, MacAddr([2; 6])]);
        assert_eq!(of_two.others, [MacAddr([2; 6])]);
        assert_eq!(Word::read(of_two.body().as_bytes()).unwrap(), of_two);
    }
    let text = Refusal::WrongDigest { name: name(), wanted: digest(1), got: digest(2) }.to_string();
    assert_eq!(text, "vmlinuz has the SHA-256 020202020202…, and the answer says 010101010101…");
}

#[test]
fn a_loaders_file_takes_the_key_in_its_one_place() {
    let seed = Seed { lab_key: [3; 32], boss: Some("10.79.0.1:80".parse::<SocketAddrV4>().unwrap()) };
    let mark = [b"labinator:seed:".as_slice(), b"here:3f9a77c1d6e2"].concat();
    let mut file = vec![1; 100];
    assert_eq!(plant(&file, &seed), Err(SeedError::NoPlace));
    file.extend_from_slice(&mark);
    assert_eq!(plant(&file, &seed), Err(SeedError::NoPlace), "no room behind it");
    file.resize(100 + PLACE_SIZE + 20, 0);
    let place = |file: &[u8]| -> [u8; PLACE_SIZE] { file[100..100 + PLACE_SIZE].try_into().unwrap() };
    assert_eq!(read_place(&place(&file)), Ok(None));
    assert_eq!(planted(&file), Ok(None));
    let whole = plant(&file, &seed).unwrap();
    assert_eq!(whole.len(), file.len());
    assert_eq!(read_place(&place(&whole)), Ok(Some(seed.clone())));
    assert_eq!(planted(&whole), Ok(Some(seed.clone())));
    let other = Seed { lab_key: [4; 32], boss: None };
    assert_eq!(read_place(&place(&plant(&whole, &other).unwrap())), Ok(Some(other)));
    file.extend_from_slice(&mark);
    file.resize(2000, 0);
    assert_eq!(plant(&file, &seed), Err(SeedError::Ambiguous));
}

#[test]
fn a_head_is_read_once_it_is_whole() {
    let head =
        b"HTTP/1.1 206 Partial Content\r\ncontent-length: 90\r\nContent-Range: bytes 10-99/100\r\n\r\n";
    for end in 0..head.len() {
        assert_eq!(Head::read(&head[..end]), Ok(None), "{end}");
    }
    let wanted = Head { status: 206, length: 90, from: 10, retry_after: None, size: head.len() };
    assert_eq!(Head::read(&[head.as_slice(), b"body"].concat()), Ok(Some(wanted)));
    let busy = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(Head::read(busy).unwrap().unwrap().retry_after, Some(3));
    for (wrong, why) in [
        ("HTTP/1.1 200 OK\r\n\r\n", HeadError::NoLength),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HeadError::NoLength),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", HeadError::Garbled),
        ("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", HeadError::Garbled),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", HeadError::Garbled),
        ("HTTP/1.1 2000\r\nContent-Length: 1\r\n\r\n", HeadError::Garbled),
    ] {
        assert_eq!(Head::read(wrong.as_bytes()), Err(why), "{wrong}");
    }
    assert_eq!(Head::read(&vec![b'x'; LONGEST_HEAD + 8]), Err(HeadError::TooLong));
}

#[test]
fn a_request_asks_for_the_rest_of_a_file() {
    let host = "10.79.0.1:80".parse().unwrap();
    let get = Request { host, path: "/f/0/x", version: "1", body: None, from: 5 };
    assert_eq!(
        get.text(),
        "GET /f/0/x HTTP/1.1\r\nHost: 10.79.0.1:80\r\nUser-Agent: LabinatorLoader/1\r\nRange: bytes=5-\r\n\r\n"
    );
    let post = Request { body: Some("a b\n"), from: 0, ..get };
    assert!(
        post.text().starts_with("POST /f/0/x ") && post.text().ends_with("Content-Length: 4\r\n\r\na b\n")
    );
}

/// What a text may hold: anything, control characters too, which do not survive.
fn words() -> impl Strategy<Value = String> {
    "[ -~äß\\n\\r\\t]{0,40}"
}

prop_compose! {
    fn an_ask()(
        nonce: [u8; 16], macs in proptest::collection::vec(any::<[u8; 6]>(), 1..5), serial in words(),
        firmware in words(), medium in prop::sample::select(vec![Medium::Pxe, Medium::Http, Medium::Local]),
        hold: u16, number: u32,
    ) -> Ask {
        Ask {
            nonce: Nonce(nonce),
            macs: macs.into_iter().map(MacAddr).collect(),
            uuid: None,
            serial: Some(serial),
            firmware,
            loader: "0.1.0".to_owned(),
            medium,
            number,
            hold,
        }
    }
}

proptest! {
    #[test]
    fn a_question_is_read_as_it_was_written(ask in an_ask()) {
        let plain = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
        let wanted = Ask {
            serial: ask.serial.as_deref().map(plain), firmware: plain(&ask.firmware), ..ask.clone()
        };
        prop_assert_eq!(Ask::read(ask.text().as_bytes()).unwrap(), wanted);
    }

    #[test]
    fn an_answer_is_read_as_it_was_written_and_cut_nowhere(because in words(), args in words(), cut in 1..200_usize) {
        let mut wanted = answer();
        wanted.because = because;
        if let Order::Boot(plan) = &mut wanted.order {
            plan.args = args;
        }
        let text = wanted.text();
        let read = Answer::read(text.as_bytes()).unwrap();
        prop_assert_eq!(&read.text(), &text);
        let body = Controller::new().seal(&text);
        prop_assert!(judged(&body[..body.len().saturating_sub(cut)], 1).is_err());
    }

    #[test]
    fn no_changed_byte_is_followed(at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let mut body = Controller::new().seal(&answer().text());
        let at = at.index(body.len());
        body[at] ^= flip;
        // What parts the lengths from the texts may be written otherwise; what was signed may not.
        if let Ok(judged) = judged(&body, 1) {
            prop_assert_eq!(judged.answer, answer());
        }
    }

    #[test]
    fn nothing_that_comes_from_outside_stops_a_reader(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        drop(Ask::read(&bytes));
        drop(Answer::read(&bytes));
        drop(Word::read(&bytes));
        drop(Delegation::read(&bytes));
        drop(Sealed::read(&bytes).map(|sealed| sealed.bytes()));
        let _read = Head::read(&bytes);
        prop_assert!(judged(&bytes, 1).is_err());
    }
}
