//! The status display on a real serial port of the kernel (a pseudoterminal), with its firmware at the other end.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use drivers::display::{Condition, Manner, Shown, StatusDisplay};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use sim::status_display::StatusDisplay as Firmware;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use wire::display::{Boss, Status};

/// How long anything is waited for.
const LIMIT: Duration = Duration::from_secs(20);
/// The display's own manner but for patience: the machine that runs the tests is slower than a lab's.
const MANNER: Manner = Manner {
    baud: 115_200,
    redraw: Duration::from_millis(5),
    refresh: Duration::from_secs(60),
    stall: Duration::from_millis(400),
    again: (Duration::from_millis(20), Duration::from_millis(100)),
};

/// The far end of a serial port, and the name under which it is plugged in.
struct Port {
    far: File,
    near: PathBuf,
}

impl Port {
    /// Plugs a new one in under this name.
    fn plug(name: &Path) -> Self {
        let far = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&far).unwrap();
        unlockpt(&far).unwrap();
        let near = PathBuf::from(ptsname(&far, Vec::new()).unwrap().into_string().unwrap());
        drop(std::fs::remove_file(name));
        symlink(&near, name).unwrap();
        rustix::io::ioctl_fionbio(&far, true).unwrap();
        Self { far: File::from(far), near }
    }

    /// Reads what is there, once something is. The kernel has no event for a near end that is opened again, so it is asked
    /// every few milliseconds.
    async fn read(&self, piece: &mut [u8]) -> usize {
        loop {
            match (&self.far).read(piece) {
                Ok(count @ 1..) => return count,
                // Nothing is there, or the near end is closed.
                Ok(_) | Err(_) => sleep(Duration::from_millis(2)).await,
            }
        }
    }

    /// Lets the firmware hear until it shows what is waited for.
    async fn until(&self, firmware: &mut Firmware, is: impl Fn(&Firmware) -> bool) {
        let heard = async {
            let mut piece = [0; 512];
            while !is(firmware) {
                let count = self.read(&mut piece).await;
                firmware.hear(&piece[..count]);
            }
        };
        let in_time = timeout(LIMIT, heard).await.is_ok();
        assert!(in_time, "never shown: {firmware:?}");
    }

    fn say(&self, bytes: &[u8]) {
        (&self.far).write_all(bytes).unwrap();
    }
}

struct Bench {
    folder: PathBuf,
    display: StatusDisplay,
    task: JoinHandle<()>,
}

impl Bench {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("status-display-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let display = StatusDisplay::new(MANNER);
        let (spoken, port) = (display.clone(), folder.join("port"));
        let task = tokio::spawn(async move { spoken.run(port.to_str().unwrap()).await });
        Self { folder, display, task }
    }

    fn plug(&self) -> Port {
        Port::plug(&self.folder.join("port"))
    }

    async fn is(&self, wanted: impl Fn(&Condition) -> bool) {
        let mut condition = self.display.condition();
        timeout(LIMIT, condition.wait_for(wanted)).await.unwrap().unwrap();
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.task.abort();
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn state(step: u32) -> Shown {
    Shown { status: Status { step: format!("step {step}"), ..Status::default() }.line(), boss: Boss::Ready }
}

fn at_step(step: u32) -> impl Fn(&Firmware) -> bool {
    move |firmware| {
        firmware.shows("/initializer/CurrentStep").is_some_and(|shown| *shown == format!("step {step}"))
    }
}

/// Descriptors of this program that lead there.
fn held(name: &str) -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let links = links.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    links.filter(|link| link.to_string_lossy() == name).count()
}

#[tokio::test]
async fn a_display_shows_state_log_and_that_the_power_may_be_cut() {
    let bench = Bench::new("shows");
    let port = bench.plug();
    let mut firmware = Firmware::default();
    bench.display.show(state(1));
    bench.display.log("node1: on → off");
    port.until(&mut firmware, |shown| at_step(1)(shown) && !shown.logs().is_empty()).await;
    assert_eq!(firmware.logs()[0], "node1: on -> off");
    assert!(!firmware.says_cut());
    bench.display.show(Shown { boss: Boss::Shutdown, ..state(2) });
    port.until(&mut firmware, |shown| at_step(2)(shown) && shown.says_cut()).await;
    bench.display.show(state(2));
    port.until(&mut firmware, |shown| !shown.says_cut()).await;
    // It got power anew, and says so.
    let mut firmware = Firmware::starting();
    port.say(&firmware.take_said());
    port.until(&mut firmware, at_step(2)).await;
    assert_eq!(firmware.bad(), 0);
}

#[tokio::test]
async fn one_that_takes_nothing_is_named_and_nobody_waits_for_it() {
    let bench = Bench::new("hangs");
    let port = bench.plug();
    // What the kernel keeps for a port that nobody reads is full one day. The log has lines enough for it.
    let mut told = 0;
    let filled = async {
        let mut condition = bench.display.condition();
        while *condition.borrow_and_update() != Condition::Hangs {
            told += 1;
            bench.display.show(state(told));
            bench.display.log(&"x".repeat(80));
            // Never full of work: the one who shows goes on at once, the display's task in between.
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, filled).await.unwrap();
    bench.display.show(state(1_000_000));
    let mut firmware = Firmware::default();
    port.until(&mut firmware, at_step(1_000_000)).await;
    bench.is(|now| *now == Condition::Takes).await;
    assert!(firmware.taken() < told, "{} states of {told}", firmware.taken());
}

#[tokio::test]
async fn one_that_is_unplugged_again_and_again_comes_back_and_leaks_no_descriptor() {
    let bench = Bench::new("unplugged");
    bench.display.show(state(1));
    bench.is(|now| matches!(now, Condition::Lost(_))).await;
    for round in 2..20 {
        let port = bench.plug();
        let mut firmware = Firmware::default();
        bench.display.show(state(round));
        port.until(&mut firmware, at_step(round)).await;
        bench.is(|now| *now == Condition::Takes).await;
        assert!(held(&port.near.to_string_lossy()) > 0);
        let near = format!("{} (deleted)", port.near.display());
        drop(port);
        bench.is(|now| matches!(now, Condition::Lost(_))).await;
        // Another test may have been given its number since.
        assert_eq!(held(&near), 0);
    }
}
