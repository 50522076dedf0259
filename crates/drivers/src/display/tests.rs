//! A display on a line in memory, with a clock that jumps.

use std::io;
use std::sync::Arc;

use sim::status_display::StatusDisplay as Firmware;
use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};
use tokio::sync::Mutex;
use tokio::sync::mpsc;

use super::*;

/// A port into which each end is handed when it is opened.
struct Port(Mutex<mpsc::UnboundedReceiver<DuplexStream>>);

impl Line for Port {
    type Stream = DuplexStream;

    async fn open(&self) -> io::Result<DuplexStream> {
        match self.0.lock().await.try_recv() {
            Ok(stream) => Ok(stream),
            Err(_) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn name(&self) -> String {
        "memory".to_owned()
    }
}

/// What the machine shows its states on, and where its ends are plugged in.
fn plugged() -> (StatusDisplay, mpsc::UnboundedSender<DuplexStream>) {
    let display = StatusDisplay::new(Manner::default());
    let (plug, ends) = mpsc::unbounded_channel();
    let (spoken, port) = (display.clone(), Arc::new(Port(Mutex::new(ends))));
    tokio::spawn(async move { spoken.run_on(&*port).await });
    (display, plug)
}

fn state(step: u32) -> Shown {
    let status = wire::display::Status { step: format!("step {step}"), ..Default::default() };
    Shown { status: status.line(), boss: Boss::Ready }
}

fn step(firmware: &Firmware) -> String {
    firmware.shows("/initializer/CurrentStep").and_then(|step| step.as_str()).unwrap_or_default().to_owned()
}

/// Reads for so long, so many bytes a second at most.
async fn reads(firmware: &mut Firmware, end: &mut DuplexStream, speed: u32, span: Duration) {
    let until = Instant::now() + span;
    let mut piece = [0; 64];
    while Instant::now() < until
        && let Ok(count) = tokio::time::timeout_at(until, end.read(&mut piece)).await
    {
        let count = count.unwrap();
        firmware.hear(&piece[..count]);
        sleep(Duration::from_secs(1) * u32::try_from(count).unwrap() / speed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_display_that_follows_shows_the_last_state_and_not_every_one() {
    let (display, plug) = plugged();
    let (end, port) = duplex(4096);
    plug.send(port).unwrap();
    let (mut firmware, mut end) = (Firmware::default(), end);
    // A thousand states in ten seconds.
    for round in 0..100 {
        for at in 0..10 {
            display.show(state(round * 10 + at));
        }
        reads(&mut firmware, &mut end, 11_520, Duration::from_millis(100)).await;
    }
    reads(&mut firmware, &mut end, 11_520, Duration::from_secs(1)).await;
    assert_eq!(step(&firmware), "step 999");
    // 300 bytes and a drawing each: about ten a second, and no more.
    assert!((40..140).contains(&firmware.taken()), "{}", firmware.taken());
    assert_eq!(firmware.bad(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_display_gets_fewer_states_and_is_not_behind_them() {
    let (display, plug) = plugged();
    let (mut end, port) = duplex(512);
    plug.send(port).unwrap();
    let mut firmware = Firmware::default();
    let began = Instant::now();
    for at in 0..600 {
        display.show(state(at));
        display.log(&format!("line {at}"));
        // 300 bytes a second, on a line that could carry 11,520.
        reads(&mut firmware, &mut end, 300, Duration::from_millis(100)).await;
    }
    // A state has some 300 bytes, so about one a second comes over, with no room for half the log's lines beside it.
    let seconds = u32::try_from(began.elapsed().as_secs()).unwrap();
    assert!(
        (seconds / 4..=seconds).contains(&firmware.taken()),
        "{} states in {seconds} s",
        firmware.taken()
    );
    reads(&mut firmware, &mut end, 300, Duration::from_secs(10)).await;
    assert_eq!(step(&firmware), "step 599", "the newest, not the next in a queue");
    reads(&mut firmware, &mut end, 300, Duration::from_secs(20)).await;
    assert_eq!(firmware.logs().front().map(String::as_str), Some("line 599"));
    let said = firmware.logs().iter().any(|line| line.ends_with("lines were left out"));
    assert!(said || firmware.logs().iter().all(|line| line.starts_with("line 5")), "{:?}", firmware.logs());
    assert_eq!(firmware.bad(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_is_named_and_gets_the_state_of_the_moment_when_it_takes_again() {
    let (display, plug) = plugged();
    let (hung, port) = duplex(1000);
    plug.send(port).unwrap();
    let mut condition = display.condition();
    for at in 0..100 {
        display.show(state(at));
        sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(*condition.borrow_and_update(), Condition::Lost("entity not found".to_owned()));
    drop(hung);
    let (mut end, port) = duplex(1000);
    plug.send(port).unwrap();
    let mut firmware = Firmware::default();
    reads(&mut firmware, &mut end, 11_520, Duration::from_secs(35)).await;
    assert_eq!(step(&firmware), "step 99");
    assert_eq!(*condition.borrow_and_update(), Condition::Takes);
}

#[tokio::test(start_paused = true)]
async fn that_it_hangs_is_told() {
    let (display, plug) = plugged();
    let (_hung, port) = duplex(100);
    plug.send(port).unwrap();
    let mut condition = display.condition();
    display.show(state(1));
    condition.wait_for(|now| *now == Condition::Hangs).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_display_that_got_power_anew_is_told_all_again() {
    let (display, plug) = plugged();
    let (mut end, port) = duplex(4096);
    plug.send(port).unwrap();
    display.show(Shown { boss: Boss::Shutdown, ..state(7) });
    let mut firmware = Firmware::default();
    reads(&mut firmware, &mut end, 11_520, Duration::from_secs(1)).await;
    assert!(firmware.says_cut());
    let mut firmware = Firmware::starting();
    end.write_all(&firmware.take_said()).await.unwrap();
    reads(&mut firmware, &mut end, 11_520, Duration::from_secs(1)).await;
    assert_eq!((step(&firmware).as_str(), firmware.says_cut()), ("step 7", true));
    // And one whose greeting nobody heard, after a while.
    let mut firmware = Firmware::default();
    reads(&mut firmware, &mut end, 11_520, Duration::from_secs(11)).await;
    assert_eq!((step(&firmware).as_str(), firmware.says_cut()), ("step 7", true));
}

#[tokio::test(start_paused = true)]
async fn that_the_power_may_be_cut_is_taken_back_before_anything_else_is_said() {
    let (display, plug) = plugged();
    let (mut end, port) = duplex(4096);
    plug.send(port).unwrap();
    display.show(Shown { boss: Boss::Shutdown, ..state(1) });
    let mut firmware = Firmware::default();
    reads(&mut firmware, &mut end, 11_520, Duration::from_secs(1)).await;
    for at in 0..12 {
        display.log(&format!("line {at}"));
    }
    display.show(state(2));
    let mut first = [0; 11];
    end.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"boss:ready\n");
}
