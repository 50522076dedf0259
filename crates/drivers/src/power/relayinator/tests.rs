//! The driver and its owner against a board that answers in memory, so that hours pass in milliseconds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use model::{CommandId, DeviceSight, NodeName, Outcome, PowerState};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::super::DriverReport;
use super::super::guard::Guard;
use super::super::owner::{Ordered, Owner};
use super::*;

/// What the board does, and what arrived on its line.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "three ways to be unwell, each by itself")]
struct Inside {
    believes: [bool; 8],
    ends: BTreeMap<usize, (Instant, bool)>,
    /// Words with the time at which they came.
    words: Vec<(Instant, String)>,
    unplugged: bool,
    mute: bool,
    garbage: bool,
    opened: u32,
    /// How much later than at once its next answer comes.
    late: Option<Duration>,
}

/// A board on a line in memory.
#[derive(Debug, Clone, Default)]
struct Bench(Arc<Mutex<Inside>>);

impl Bench {
    fn inside<T>(&self, look: impl FnOnce(&mut Inside) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    fn words(&self) -> Vec<(Instant, String)> {
        self.inside(|inside| inside.words.iter().filter(|(_, word)| word != "status").cloned().collect())
    }

    async fn serve(self, mut stream: DuplexStream) {
        let mut lines = Lines::default();
        while let Ok(byte) = stream.read_u8().await {
            let Some(line) = lines.take(byte) else { continue };
            let answer = self.inside(|inside| inside.obey(&String::from_utf8(line).unwrap()));
            if let Some(late) = self.inside(|inside| inside.late.take()) {
                tokio::time::sleep(late).await;
            }
            if self.inside(|inside| inside.unplugged) || stream.write_all(&answer).await.is_err() {
                return;
            }
        }
    }
}

impl Inside {
    fn obey(&mut self, line: &str) -> Vec<u8> {
        let now = Instant::now();
        for (at, (until, belief)) in &self.ends {
            if now >= *until {
                self.believes[*at] = *belief;
            }
        }
        self.ends.retain(|_, (until, _)| now < *until);
        if line.starts_with('~') {
            // A frame is no word of this board.
            return Vec::new();
        }
        self.words.push((now, line.to_owned()));
        match line.split_once(' ') {
            _ if self.mute => Vec::new(),
            None if line == "status" => {
                let bits: Vec<&str> = self.believes.iter().map(|on| if *on { "1" } else { "0" }).collect();
                let half = if self.garbage { "\u{1}\u{2}us 0 1\nstat" } else { "" };
                format!("{half}{}status {}\n", if self.garbage { "\r\n" } else { "" }, bits.join(" "))
                    .into_bytes()
            }
            Some((word, port)) => {
                let (at, on) = (port.parse::<usize>().unwrap() - 1, word == "on");
                if self.believes[at] != on {
                    let long = if on { PRESS } else { HOLD };
                    self.ends.insert(at, (now + Duration::from_millis(long), on));
                }
                Vec::new()
            }
            None => Vec::new(),
        }
    }
}

impl Line for Bench {
    type Stream = DuplexStream;

    async fn open(&self) -> io::Result<DuplexStream> {
        if self.inside(|inside| inside.unplugged) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.inside(|inside| inside.opened += 1);
        let (ours, theirs) = tokio::io::duplex(256);
        tokio::spawn(self.clone().serve(theirs));
        Ok(ours)
    }

    fn name(&self) -> String {
        "/dev/bench".to_owned()
    }
}

struct Stand {
    bench: Bench,
    guard: Guard,
    orders: mpsc::Sender<Ordered>,
    reports: mpsc::Receiver<DriverReport>,
}

fn node(port: u8) -> NodeName {
    format!("node{port}").parse().unwrap()
}

impl Stand {
    fn new() -> Self {
        let (bench, guard) = (Bench::default(), Guard::default());
        let (tell, reports) = mpsc::channel(64);
        let (orders, queue) = mpsc::channel(64);
        let nodes = (1..=6).map(|port| (port.to_string(), node(port)));
        let device = ("relays".parse().unwrap(), Relayinator::new(bench.clone()));
        let owner = Owner::new(device, nodes, Duration::from_millis(500), guard.clone(), tell);
        tokio::spawn(owner.run(queue));
        Self { bench, guard, orders, reports }
    }

    async fn order(&self, id: u64, port: u8, act: Act) {
        self.orders.send(Ordered { id: CommandId(id), port: port.to_string(), act }).await.unwrap();
    }

    async fn next(&mut self) -> DriverReport {
        timeout(Duration::from_secs(7200), self.reports.recv()).await.unwrap().unwrap()
    }

    /// The outcome of a command; reports before it are passed over.
    async fn outcome(&mut self, wanted: u64) -> Outcome {
        loop {
            if let DriverReport::Finished { id, outcome } = self.next().await
                && id == CommandId(wanted)
            {
                return outcome;
            }
        }
    }

    async fn sight(&mut self) -> DeviceSight {
        loop {
            if let DriverReport::DeviceSeen { sight, .. } = self.next().await {
                return sight;
            }
        }
    }
}

fn code(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Unknown => "unknown",
        Outcome::Failed { code, .. } => code,
    }
}

#[tokio::test(start_paused = true)]
async fn starts_are_staggered_and_each_is_read_back() {
    let mut stand = Stand::new();
    for port in 1..=6 {
        stand.order(port.into(), port, Act::On).await;
    }
    for port in 1..=6 {
        assert_eq!(code(&stand.outcome(port).await), "done");
    }
    let words = stand.bench.words();
    let sent: Vec<&str> = words.iter().map(|(_, word)| word.as_str()).collect();
    assert_eq!(sent, ["on 1", "on 2", "on 3", "on 4", "on 5", "on 6"]);
    for pair in words.windows(2) {
        assert!(pair[1].0 - pair[0].0 >= Duration::from_millis(500), "{pair:?}");
    }
    assert_eq!(stand.bench.inside(|inside| inside.opened), 1);
}

#[tokio::test(start_paused = true)]
async fn holds_go_on_at_once_and_no_idle_look_comes_between_an_act_and_its_read_back() {
    let mut stand = Stand::new();
    for port in 1..=2 {
        stand.order(port.into(), port, Act::On).await;
        stand.outcome(port.into()).await;
    }
    stand.bench.inside(|inside| inside.words.clear());
    let began = Instant::now();
    stand.order(11, 1, Act::Off).await;
    stand.order(12, 2, Act::Off).await;
    assert_eq!(code(&stand.outcome(11).await), "done");
    assert_eq!(code(&stand.outcome(12).await), "done");
    let took = began.elapsed();
    assert!(took < Duration::from_millis(2 * HOLD), "both at once: {took:?}");
    let words: Vec<String> =
        stand.bench.inside(|inside| inside.words.iter().map(|(_, w)| w.clone()).collect());
    assert_eq!(
        words,
        ["status", "off 1", "status", "off 2", "status", "status"],
        "one look an act, one a result"
    );
}

#[tokio::test(start_paused = true)]
async fn a_line_unplugged_for_an_hour_is_named_and_comes_back_by_itself() {
    let mut stand = Stand::new();
    assert!(matches!(stand.sight().await, DeviceSight::Answers { .. }));
    let gone = Instant::now();
    stand.bench.inside(|inside| inside.unplugged = true);
    let DeviceSight::Lost { code: word, why } = stand.sight().await else { panic!("not lost") };
    assert_eq!(word, "serial");
    assert!(why.contains("/dev/bench"), "{why}");
    stand.order(1, 1, Act::On).await;
    assert_eq!(code(&stand.outcome(1).await), "serial", "an order is answered, not kept for later");
    tokio::time::sleep_until(gone + Duration::from_secs(3552)).await;
    let opened = stand.bench.inside(|inside| {
        inside.unplugged = false;
        inside.opened
    });
    assert!(matches!(stand.sight().await, DeviceSight::Answers { .. }));
    assert_eq!(stand.bench.inside(|inside| inside.opened), opened + 1, "opened once");
    stand.order(2, 1, Act::On).await;
    assert_eq!(code(&stand.outcome(2).await), "done");
}

#[tokio::test(start_paused = true)]
async fn a_board_that_forgot_is_seen_and_what_waits_is_decided_anew() {
    let mut stand = Stand::new();
    stand.order(1, 1, Act::On).await;
    stand.outcome(1).await;
    stand.bench.inside(|inside| inside.believes = [false; 8]);
    stand.order(2, 2, Act::On).await;
    assert_eq!(code(&stand.outcome(2).await), "restarted");
    loop {
        match stand.sight().await {
            DeviceSight::Restarted { how } => {
                assert!(how.contains("forgot that 1 is on"), "{how}");
                break;
            }
            DeviceSight::Answers { .. } => {}
            DeviceSight::Lost { why, .. } => panic!("{why}"),
        }
    }
    assert_eq!(stand.bench.words().len(), 1, "nothing was pressed by what was known before");
}

#[tokio::test(start_paused = true)]
async fn where_its_belief_is_wrong_the_other_word_brings_it_in_step_and_the_order_is_refused() {
    let mut stand = Stand::new();
    stand.bench.inside(|inside| inside.believes[0] = true);
    stand.order(1, 1, Act::On).await;
    assert_eq!(code(&stand.outcome(1).await), OUT_OF_STEP);
    stand.order(2, 2, Act::Off).await;
    assert_eq!(code(&stand.outcome(2).await), OUT_OF_STEP);
    let words: Vec<String> = stand.bench.words().into_iter().map(|(_, word)| word).collect();
    assert_eq!(words, ["off 1", "on 2"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_seen_since_the_order_keeps_a_button_from_being_pressed() {
    let mut stand = Stand::new();
    stand.guard.saw(&node(1), PowerState::On);
    stand.guard.saw(&node(2), PowerState::Unknown);
    stand.guard.saw(&node(3), PowerState::Off);
    for port in 1..=3 {
        stand.order(port.into(), port, Act::On).await;
    }
    assert_eq!(code(&stand.outcome(1).await), "done", "it runs already");
    assert_eq!(code(&stand.outcome(2).await), "power-unknown");
    assert_eq!(code(&stand.outcome(3).await), "done");
    let words: Vec<String> = stand.bench.words().into_iter().map(|(_, word)| word).collect();
    assert_eq!(words, ["on 3"]);
}

#[tokio::test(start_paused = true)]
async fn half_lines_and_garbage_are_passed_over_and_silence_ends() {
    let mut stand = Stand::new();
    stand.bench.inside(|inside| inside.garbage = true);
    stand.order(1, 1, Act::On).await;
    assert_eq!(code(&stand.outcome(1).await), "done");
    stand.bench.inside(|inside| inside.mute = true);
    stand.order(2, 2, Act::On).await;
    assert_eq!(code(&stand.outcome(2).await), "silent");
    assert!(
        stand.bench.words().iter().all(|(_, word)| word != "on 2"),
        "nothing is pressed by a board that is silent"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_came_too_late_is_not_taken_for_that_of_the_next_question() {
    let mut stand = Stand::new();
    assert!(matches!(stand.sight().await, DeviceSight::Answers { .. }));
    // The next question is answered twice as late as is waited for: by then it was asked again.
    stand.bench.inside(|inside| inside.late = Some(2 * ANSWER));
    stand.order(1, 1, Act::On).await;
    assert_eq!(code(&stand.outcome(1).await), "done");
    stand.bench.inside(|inside| inside.believes = [false; 8]);
    stand.order(2, 2, Act::On).await;
    assert_eq!(
        code(&stand.outcome(2).await),
        "restarted",
        "what it said before it forgot was taken for news"
    );
    assert_eq!(stand.bench.words().len(), 1);
}

#[test]
fn ports_that_are_none_are_refused() {
    for port in ["0", "9", "all", "", "-1", "1 2", "999999999999"] {
        assert!(button(port).is_err(), "{port}");
    }
    assert_eq!(button("8"), Ok(8));
}
