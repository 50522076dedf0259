//! The agent in the loader's place, against a controller that answers as it is told.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use model::{AgentKey, Digest, Nic};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use wire::loader::{ANSWER_PURPOSE, DELEGATION_PURPOSE, Delegation, Piece, Sealed, Signed, signed_text};

use super::*;
use crate::link::Port;

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

fn key() -> Ed25519KeyPair {
    let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    Ed25519KeyPair::from_pkcs8(made.as_ref()).unwrap()
}

fn public(key: &Ed25519KeyPair) -> [u8; 32] {
    key.public_key().as_ref().try_into().unwrap()
}

fn signed(key: &Ed25519KeyPair, purpose: &str, text: &str) -> [u8; 64] {
    key.sign(&signed_text(purpose, text.as_bytes())).as_ref().try_into().unwrap()
}

/// What the controller answers, and what it heard.
#[derive(Debug, Default)]
struct Heard {
    asks: Vec<Ask>,
    words: Vec<Word>,
}

type Answers = Box<dyn Fn(usize) -> Order + Send + Sync>;

/// A controller of this lab; the order for each question by its number from 0. Files it has none.
async fn controller(lab: Arc<Ed25519KeyPair>, orders: Answers) -> (SocketAddrV4, Arc<Mutex<Heard>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let std::net::SocketAddr::V4(at) = listener.local_addr().unwrap() else { unreachable!("asked for IPv4") };
    let heard = Arc::<Mutex<Heard>>::default();
    let told = Arc::clone(&heard);
    let own = key();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut got = Vec::new();
            let body = loop {
                if stream.read_buf(&mut got).await.unwrap() == 0 {
                    break None;
                }
                let text = String::from_utf8_lossy(&got).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
                let length: usize = length.map_or(0, |length| length.parse().unwrap());
                if body.len() == length {
                    break Some((head.to_owned(), body.to_owned()));
                }
            };
            let Some((head, body)) = body else { continue };
            let (status, answer) = if head.contains(ASK_PATH) {
                let ask = Ask::read(body.as_bytes()).unwrap();
                let number = told.lock().unwrap().asks.len();
                let answer = Answer {
                    lab: "bench".parse().unwrap(),
                    node: Some("n1".parse().unwrap()),
                    mac: MAC,
                    nonce: ask.nonce,
                    limit_seconds: 60,
                    because: "so".to_owned(),
                    good: Vec::new(),
                    order: orders(number),
                };
                told.lock().unwrap().asks.push(ask);
                let delegation =
                    Delegation { lab: "bench".parse().unwrap(), key: public(&own), number: 1 }.text();
                let text = answer.text();
                let delegation = Signed {
                    text: delegation.as_bytes(),
                    signature: signed(&lab, DELEGATION_PURPOSE, &delegation),
                };
                let answer = Signed { text: text.as_bytes(), signature: signed(&own, ANSWER_PURPOSE, &text) };
                (200, Sealed { delegation, answer }.bytes())
            } else if head.contains(WORD_PATH) {
                told.lock().unwrap().words.push(Word::read(body.as_bytes()).unwrap());
                (200, Vec::new())
            } else {
                (404, Vec::new())
            };
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", answer.len());
            stream.write_all(&[head.as_bytes(), &answer].concat()).await.unwrap();
        }
    });
    (at, heard)
}

fn parking(boss: SocketAddrV4, lab: &Ed25519KeyPair, seconds: u32) -> Parking {
    let port = Port { name: "eth0".to_owned(), index: 2, mac: MAC, carrier: true };
    let held = Held { port, address: Ipv4Addr::LOCALHOST.into(), boss: None, resolver: None };
    Parking { order: ParkOrder { seconds, lab_key: AgentKey(public(lab)) }, boss, held }
}

const fn wait_for(off_seconds: Option<u32>) -> Order {
    Order::Wait { retry_seconds: 1, off_seconds }
}

async fn runs(parking: Parking) -> End {
    let console = Console::nobody();
    let folder = std::env::temp_dir().join(format!("labinator-park-{}", std::process::id()));
    let nic = Nic { name: "eth1".to_owned(), mac: OTHER, driver: "e1000e".to_owned(), speed_mbps: None };
    let inventory = Inventory { nics: vec![nic], ..Inventory::default() };
    Session::new(&console, parking, inventory, &folder).run().await
}

#[tokio::test]
async fn it_asks_as_a_live_image_and_goes_off_when_it_is_told() {
    let lab = Arc::new(key());
    let orders = |number| wait_for(if number < 2 { Some(600) } else { Some(0) });
    let (boss, heard) = controller(Arc::clone(&lab), Box::new(orders)).await;
    assert_eq!(runs(parking(boss, &lab, 600)).await, End::Off);
    let heard = heard.lock().unwrap();
    let asked: Vec<_> = heard.asks.iter().map(|ask| (ask.medium, ask.number, ask.hold)).collect();
    assert_eq!(asked, [(Medium::Image, 1, 0), (Medium::Image, 2, 20), (Medium::Image, 3, 20)]);
    let last = heard.words.last().unwrap();
    assert!(last.text.contains("switches its machine off"), "{last:?}");
    // The board may know it by the other one.
    assert!(heard.asks.iter().all(|ask| ask.macs.contains(&OTHER)) && last.others == [OTHER], "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn with_nobody_there_it_goes_off_when_its_time_is_over() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let std::net::SocketAddr::V4(boss) = listener.local_addr().unwrap() else {
        unreachable!("asked for IPv4")
    };
    drop(listener);
    let began = Instant::now();
    assert_eq!(runs(parking(boss, &key(), 1800)).await, End::Off);
    let took = began.elapsed().as_secs();
    assert!((1800..1815).contains(&took), "{took} s");
}

#[tokio::test]
async fn an_answer_that_the_labs_key_does_not_stand_behind_is_not_followed() {
    let (boss, heard) = controller(Arc::new(key()), Box::new(|_| wait_for(Some(0)))).await;
    let parked = tokio::spawn(runs(parking(boss, &key(), 600)));
    let refused = async {
        loop {
            if let Some(word) = heard.lock().unwrap().words.first() {
                return word.clone();
            }
            tokio::task::yield_now().await;
        }
    };
    let word = timeout(Duration::from_secs(60), refused).await.unwrap();
    assert!(word.error.unwrap().starts_with("answer-of-another-lab"));
    assert!(!parked.is_finished(), "told to go off by somebody who may not");
    parked.abort();
}

#[tokio::test]
async fn what_kexec_cannot_start_goes_through_the_firmware() {
    let lab = Arc::new(key());
    let (boss, heard) = controller(Arc::clone(&lab), Box::new(|_| Order::Disk)).await;
    assert_eq!(runs(parking(boss, &lab, 600)).await, End::Cold);
    let word = heard.lock().unwrap().words.last().unwrap().clone();
    assert!(word.cold && word.text.contains("its disk is wanted"), "{word:?}");

    let huge = Piece { size: 1 << 60, digest: Digest([1; 32]), path: "/f/x/vmlinuz".to_owned() };
    let plan = move |_| Order::Boot(Plan { kernel: huge.clone(), initrd: Vec::new(), args: String::new() });
    let (boss, heard) = controller(Arc::clone(&lab), Box::new(plan)).await;
    assert_eq!(runs(parking(boss, &lab, 600)).await, End::Cold);
    let word = heard.lock().unwrap().words.last().unwrap().clone();
    assert!(word.cold && word.text.contains("does not fit"), "{word:?}");
}
