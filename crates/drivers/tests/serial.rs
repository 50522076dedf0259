//! A serial port as a driver has it: opened for it alone, lost and found again, through a real terminal to the original
//! board's firmware.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

#[expect(dead_code, reason = "secrets and readings are for devices on the network")]
mod bench;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bench::{Driven, failed};
use model::{DeviceKind, DeviceSight, Outcome, PowerOrder};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use rustix::termios::{ControlModes, InputModes, LocalModes, OutputModes, tcgetattr};
use sim::buttons::{Cabinet, Doing, Pace, RelayBoard};
use sim::pty::Adapter;
use tokio::sync::Mutex;
use tokio::time::sleep;

/// Descriptors are counted, so that tests take turns.
static ALONE: Mutex<()> = Mutex::const_new(());

fn adapter(name: &str) -> (Adapter<RelayBoard>, PathBuf) {
    let path = std::env::temp_dir().join(format!("serial-{}-{name}", std::process::id()));
    let board = RelayBoard::new([Cabinet::new(Pace { post: 400, stop: 300 }); 8], 0);
    (Adapter::new(&path, 9600, board), path)
}

fn driven(path: &Path) -> Driven {
    let device = path.to_str().unwrap().to_owned();
    Driven::new(DeviceKind::Relayinator { device }, &["1", "2"], &[])
}

/// How often this process has a terminal open where programs open it; once of that is the adapter's own.
fn opened() -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let links = links.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    links.filter(|link| link.starts_with("/dev/pts") && !link.ends_with("ptmx")).count()
}

async fn answers(driven: &mut Driven) {
    let sight = driven.sight().await;
    assert!(matches!(sight, DeviceSight::Answers { .. }), "{sight:?}");
}

#[tokio::test]
async fn a_port_is_raw_at_its_speed_keeps_dtr_and_is_nobody_else_s_until_it_is_given_back() {
    let _alone = ALONE.lock().await;
    let (mut adapter, path) = adapter("raw");
    adapter.plug().unwrap();
    let mut driven = driven(&path);
    answers(&mut driven).await;
    let other = open(&path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    let settings = tcgetattr(&other).unwrap();
    assert_eq!((settings.input_speed(), settings.output_speed()), (9600, 9600));
    assert!(!settings.local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
    assert!(!settings.input_modes.intersects(InputModes::ICRNL | InputModes::IXON | InputModes::IXOFF));
    assert!(!settings.output_modes.contains(OutputModes::OPOST));
    assert!(settings.control_modes.contains(ControlModes::CLOCAL | ControlModes::CREAD | ControlModes::CS8));
    assert!(!settings.control_modes.intersects(ControlModes::HUPCL | ControlModes::CRTSCTS));
    let lock = || flock(&other, FlockOperation::NonBlockingLockExclusive);
    assert_eq!(lock(), Err(Errno::WOULDBLOCK));

    // Another name for the same port is another device to the lab file, and one owner is enough for a line.
    let second = path.with_extension("again");
    std::os::unix::fs::symlink(adapter.path().unwrap(), &second).unwrap();
    let mut twice = self::driven(&second);
    let (code, why) = twice.lost().await;
    assert_eq!(code, "serial");
    assert!(why.contains("another device of the lab file is the same port by another name"), "{why}");
    std::fs::remove_file(&second).unwrap();
    drop(twice);

    assert_eq!(driven.order("1", PowerOrder::On).await, Outcome::Done, "whoever has the port goes on");
    drop(driven);
    let until = tokio::time::Instant::now() + Duration::from_secs(10);
    while lock().is_err() {
        assert!(tokio::time::Instant::now() < until, "the port was not given back");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_press_reaches_the_box_through_a_terminal() {
    let _alone = ALONE.lock().await;
    let (mut adapter, path) = adapter("press");
    adapter.plug().unwrap();
    let mut driven = driven(&path);
    for port in ["1", "2"] {
        assert_eq!(driven.order(port, PowerOrder::On).await, Outcome::Done);
    }
    let doing = |at: usize| {
        adapter.with(|board, now| {
            board.lives(now);
            board.cabinet(at).unwrap().doing()
        })
    };
    assert!(matches!((doing(0), doing(1)), (Doing::Post(_) | Doing::Runs, Doing::Post(_) | Doing::Runs)));
    assert_eq!(driven.order("1", PowerOrder::Off).await, Outcome::Done);
    assert_eq!(doing(0), Doing::Off);
    assert_ne!(doing(1), Doing::Off);
}

#[tokio::test]
async fn an_adapter_that_is_pulled_out_for_an_hour_is_named_comes_back_and_leaks_no_descriptor() {
    let _alone = ALONE.lock().await;
    let (mut adapter, path) = adapter("hour");
    adapter.plug().unwrap();
    let mut driven = driven(&path);
    answers(&mut driven).await;
    let before = opened();
    adapter.unplug();
    let (code, why) = driven.lost().await;
    assert_eq!(code, "serial");
    assert!(why.contains(path.to_str().unwrap()), "{why}");

    // Nothing of the hour needs a real clock: there is nothing to open.
    tokio::time::pause();
    let gone = tokio::time::Instant::now();
    let (code, why) = failed(driven.order("1", PowerOrder::On).await);
    assert_eq!(code, "serial");
    assert!(why.contains("is it plugged in?"), "{why}");
    sleep(Duration::from_secs(3600)).await;
    assert!(gone.elapsed() >= Duration::from_secs(3600));
    assert_eq!(opened(), 0, "what was pulled out is not held");
    tokio::time::resume();

    adapter.plug().unwrap();
    answers(&mut driven).await;
    assert_eq!(opened(), before);
    assert_eq!(driven.order("1", PowerOrder::On).await, Outcome::Done);
}

#[tokio::test]
async fn a_loose_plug_costs_no_descriptors() {
    let _alone = ALONE.lock().await;
    let (mut adapter, path) = adapter("loose");
    adapter.plug().unwrap();
    let mut driven = driven(&path);
    answers(&mut driven).await;
    let before = opened();
    for _ in 0..6 {
        adapter.unplug();
        driven.lost().await;
        adapter.plug().unwrap();
        answers(&mut driven).await;
        assert_eq!(opened(), before);
    }
}

#[tokio::test]
async fn an_end_that_takes_nothing_holds_up_neither_the_exchange_nor_the_closing() {
    let _alone = ALONE.lock().await;
    // A terminal whose other end reads nothing: its buffer fills, as that of an adapter does which hangs.
    let far = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
    rustix::pty::unlockpt(&far).unwrap();
    let path = rustix::pty::ptsname(&far, Vec::new()).unwrap().into_string().unwrap();
    let mut driven = driven(Path::new(&path));
    let (code, why) = driven.lost().await;
    assert_eq!(code, "silent");
    assert!(why.contains("is the board's supply on?"), "{why}");
    assert_eq!(opened(), 0, "it was let go");
}
