//! What Talos pushes, from its first boot on and without a certificate, through the real receivers to the picture; and
//! what whoever else reaches these ports can do with them: nothing.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

#[path = "feed/house.rs"]
mod house;
#[path = "lost_writes/stand.rs"]
mod stand;

use std::time::{Duration, SystemTime};

use house::{Caller, House, STRANGER, address, connect, dial, field};
use lifecycle::Lab;
use model::{LogSource, Rung, TalosHeard, TalosStage, WallTime};
use sim::talos::{Cluster, Node, Pace, Settings};
use stand::node;
use talos::api::Character;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The first status byte of a node that boots, and of one that runs: stage, and ready.
const BOOTING: [u8; 6] = [8, 1, 18, 2, 8, 0];
const RUNNING: [u8; 6] = [8, 4, 18, 2, 8, 1];

fn heard(lab: &Lab, number: u8) -> TalosHeard {
    lab.machines[&node(number)].talos.heard.clone().unwrap_or_default()
}

fn line(text: &str) -> String {
    format!(
        "{{\"msg\":\"{text}\",\"talos-level\":\"warn\",\"priority\":\"warning\",\"facility\":\"user\",\"seq\":1,\"clock\":1}}\n"
    )
}

fn talos(house: &House, number: u8) -> Node {
    let ms = Duration::from_millis;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let settings = Settings {
        name: format!("talos-{number}"),
        address: (address(number), 50_000).into(),
        character: Character::UpTo12,
        version: "v1.12.11".to_owned(),
        uuid: String::new(),
        seed: [number; 32],
        wall: WallTime(u64::try_from(since.as_millis()).unwrap()),
        pace: Pace { phase: ms(20), install: ms(100), kexec: ms(50), firmware: ms(10), join: ms(50) },
        sink: Some(house.events),
        kernel_log: Some(house.lines),
        wipe: false,
        manners: vec![],
    };
    Node::new(settings, &Cluster::default(), dial(number))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_identity_is_seen_to_boot_and_to_wait() {
    let mut house = House::open("waits").await;
    let one = talos(&house, 1);
    tokio::spawn(async move { one.run().await });
    house.until("it waits", |lab| heard(lab, 1).said.stage == TalosStage::Maintenance).await;
    house.until("its kernel is heard", |lab| heard(lab, 1).line.starts_with("[talos]")).await;
    let told = house.explained(1).join("\n");
    assert!(told.contains("it says of itself, without proof: in maintenance for"), "{told}");
    assert!(told.contains("in phase config of initialize"), "{told}");
    assert!(told.contains("its kernel wrote last: [talos]"), "{told}");
    let machine = &house.lab.machines[&node(1)];
    let log = &machine.boot.as_ref().unwrap().log;
    assert!(log.iter().any(|line| line.source == LogSource::Talos && line.text.starts_with("[talos]")));
    assert_eq!(heard(&house.lab, 2), TalosHeard::default(), "nobody else is taken for it");
    // None of it is in a journal: a core that comes later is told again.
    house.another_core().await;
    house.until("told again", |lab| heard(lab, 1).said.stage == TalosStage::Maintenance).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_or_is_not_known_is_answered_counted_and_spoils_nothing() {
    let mut house = House::open("broken").await;
    let mut caller = Caller::connect(&house, address(1)).await;
    // A payload that is cut off, a kind that no release has, and a message that is none at all.
    assert_eq!(caller.publish("PhaseEvent", b"\x0a\xff").await.unwrap(), "0");
    assert_eq!(caller.publish("NewEvent", b"\xff\xff").await.unwrap(), "0");
    assert_ne!(caller.call(b"\x0a\xff\xff").await.unwrap(), "0", "bytes that are no request are refused");
    assert_eq!(caller.publish("MachineStatusEvent", &BOOTING).await.unwrap(), "0");
    house.until("the good one", |lab| heard(lab, 1).said.stage == TalosStage::Booting).await;
    assert_eq!(heard(&house.lab, 1).said.unread, 2);
    let told = house.explained(1).join("\n");
    assert!(told.contains("2 of its events could not be read"), "{told}");
    // An event of a megabyte is refused, and so is whoever is no HTTP/2 at all.
    let large = field(2, &vec![b'x'; 1 << 20]);
    assert_ne!(caller.call(&large).await.unwrap_or_default(), "0");
    let mut stray = connect(address(1), house.events).await.unwrap();
    stray.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    hung_up(&mut stray).await;
    assert_eq!(caller.publish("MachineStatusEvent", &RUNNING).await.unwrap(), "0");
    house.until("and after it", |lab| heard(lab, 1).said.stage == TalosStage::Running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_that_it_runs_is_shown_and_has_moved_nothing() {
    let mut house = House::open("liar").await;
    let before = house.lab.machines[&node(1)].talos.clone();
    let mut caller = Caller::connect(&house, address(1)).await;
    let boot = [field(1, b"boot"), vec![16, 2]].concat();
    assert_eq!(caller.publish("SequenceEvent", &boot).await.unwrap(), "0");
    assert_eq!(caller.publish("MachineStatusEvent", &RUNNING).await.unwrap(), "0");
    house.until("said", |lab| heard(lab, 1).said.stage == TalosStage::Running).await;
    assert!(heard(&house.lab, 1).said.ready);
    let after = &house.lab.machines[&node(1)].talos;
    assert_eq!(
        lifecycle::TalosKnown { heard: None, ..after.clone() },
        before,
        "applied, known, a push or a key"
    );
    let moment = model::Moment { since_start: model::LabTime(2000), wall: WallTime(2000) };
    let decided = lifecycle::decide(&house.lab, moment);
    let mut unheard = house.lab.clone();
    std::sync::Arc::make_mut(unheard.machines.get_mut(&node(1)).unwrap()).talos.heard = None;
    let without = lifecycle::decide(&unheard, moment);
    assert_eq!((&decided.facts, &decided.wishes), (&without.facts, &without.wishes));
    let climbs =
        |fact: &model::Fact| matches!(fact, model::Fact::Entered { rung, .. } if *rung > Rung::Fetched);
    assert!(!decided.facts.iter().any(climbs), "{:?}", decided.facts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_without_end_a_slow_one_and_a_torn_one_cost_nobody_else() {
    let mut house = House::open("lines").await;
    let mut slow = connect(address(1), house.lines).await.unwrap();
    slow.set_nodelay(true).unwrap();
    let said = line("written letter by letter");
    let (first, last) = said.split_at(said.len() - 1);
    for letter in first.as_bytes() {
        slow.write_all(&[*letter]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut endless = connect(address(1), house.lines).await.unwrap();
    endless.write_all(&vec![b'x'; 700_000]).await.unwrap();
    endless.write_all(format!("\n{}", line("after the long one")).as_bytes()).await.unwrap();
    house.until("the next line", |lab| heard(lab, 1).line == "after the long one").await;
    assert_eq!(heard(&house.lab, 1).said.left_out, 1, "the endless one, once");
    // A torn last line is dropped with its connection.
    let mut torn = connect(address(2), house.lines).await.unwrap();
    torn.write_all(format!("{}{{\"msg\":\"to", line("whole")).as_bytes()).await.unwrap();
    drop(torn);
    house.until("what was whole", |lab| heard(lab, 2).line == "whole").await;
    slow.write_all(last.as_bytes()).await.unwrap();
    house.until("the slow one", |lab| heard(lab, 1).line == "written letter by letter").await;
    let service = "{\"msg\":\"waiting for peers\",\"talos-level\":\"warn\",\"talos-service\":\"etcd\"}\n";
    slow.write_all(service.as_bytes()).await.unwrap();
    let in_log = |lab: &Lab| {
        let boot = lab.machines[&node(1)].boot.as_ref().unwrap();
        boot.log.iter().any(|line| line.text == "etcd: waiting for peers")
    };
    house.until("a service's", in_log).await;
    assert_eq!(heard(&house.lab, 1).line, "written letter by letter", "it is not the kernel's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_connections_leave_room_for_the_next_and_a_stranger_gets_none() {
    let mut house = House::open("crowd").await;
    for to in [house.events, house.lines] {
        let mut stranger = connect(STRANGER, to).await.unwrap();
        hung_up(&mut stranger).await;
        let mut all = Vec::new();
        for _ in 0..1000 {
            all.push(connect(address(1), to).await.unwrap());
        }
        // All but the last four are ended, the oldest first.
        let (old, new) = all.split_at_mut(996);
        for stream in old {
            hung_up(stream).await;
        }
        let ended = new.iter().filter(|stream| matches!(stream.try_read(&mut [0]), Ok(0))).count();
        assert_eq!(ended, 0, "of the last four");
    }
    let mut caller = Caller::connect(&house, address(1)).await;
    assert_eq!(caller.publish("MachineStatusEvent", &BOOTING).await.unwrap(), "0");
    let mut other = connect(address(2), house.lines).await.unwrap();
    other.write_all(line("I am well").as_bytes()).await.unwrap();
    house.until("heard all the same", |lab| heard(lab, 2).line == "I am well").await;
    house.until("and itself", |lab| heard(lab, 1).said.stage == TalosStage::Booting).await;
}

/// Until the other side ended it.
async fn hung_up(stream: &mut TcpStream) {
    let mut buffer = [0; 1024];
    let ended = async { while let Ok(1..) = stream.read(&mut buffer).await {} };
    tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap();
}
