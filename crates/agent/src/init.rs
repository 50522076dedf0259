//! Being process 1: mounts, modules, orphans, and never coming back.

use std::fs::{self, File};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use rustix::process::{WaitOptions, WaitStatus, wait};
use rustix::system::{RebootCommand, finit_module, reboot};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::console::Console;
use crate::guests::{Buried, Guests, Place};
use crate::lease;
use crate::live;
use crate::park;
use crate::renew::{self, Renewer, Resumed};
use crate::report::{self, Ended, Identity};
use crate::stick;
use crate::talosd;

/// Modules to load, one path a line, in order. Written by the image builder.
const MODULES: &str = "/etc/labinator/modules";

/// Does everything the machine is started for. It ends only when the machine does.
///
/// # Errors
/// When no task can be run at all; the kernel then panics and restarts the machine after `panic=`.
pub(crate) fn run(resumed: Resumed) -> std::io::Result<()> {
    // Whoever goes on with another build's work finds everything mounted and loaded.
    let faults = if resumed.is_resumed { Vec::new() } else { mount_all() };
    let console = Console::open();
    console.say(&format!("agent {} is up", env!("CARGO_PKG_VERSION")));
    if !resumed.is_resumed {
        for fault in faults.iter().chain(&load_modules()) {
            console.say(fault);
        }
        if live::is_here()
            && let Err(why) = live::enter()
        {
            console.say(&format!("the live root cannot be entered: {why}"));
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    leave(&console, runtime.block_on(live(&console, resumed)));
    // Only reached when the machine cannot switch itself off: the boss cuts its power.
    loop {
        std::thread::park();
    }
}

async fn live(console: &Console, resumed: Resumed) -> RebootCommand {
    let me = Identity::read();
    if !resumed.is_resumed {
        // It ends by itself, and nothing waits for it.
        tokio::spawn(stick::take_back(console.clone()));
    }
    let (tell, mut held) = watch::channel(resumed.held.clone());
    if talosd::wanted(&me.line) {
        // It buries its own: it is the only child, and its end is waited for.
        return tokio::select! {
            end = talosd::run(console, &me.line, &mut held) => match end {
                talosd::End::Off => RebootCommand::PowerOff,
                talosd::End::Again => RebootCommand::Restart,
            },
            () = lease::keep(console, &me.line, &tell) => RebootCommand::PowerOff,
        };
    }
    let (bury, deaths) = mpsc::unbounded_channel();
    let buried = Buried::default();
    let guests = Guests::spawn(console, Place::live(&me.boot_id, buried.clone()));
    let (to_services, board) = (held.clone(), Arc::clone(&resumed.board));
    let renewer = Arc::new(Renewer::new(renew::FOLDER.into(), me.build, &me.boot_id));
    let work = async {
        match report::run((console, &me), &mut held, &guests, (renewer, resumed)).await {
            Ended::Off => RebootCommand::PowerOff,
            Ended::Parked(parking) => match park::wait(console, parking).await {
                park::End::Off => RebootCommand::PowerOff,
                park::End::Cold => RebootCommand::Restart,
                park::End::Jump => RebootCommand::Kexec,
            },
        }
    };
    tokio::select! {
        how = work => return how,
        () = lease::keep(console, &me.line, &tell) => {}
        () = reap(console, &bury, &buried) => {}
        () = live::run(console, &me.line, to_services, (deaths, board)) => {}
    }
    RebootCommand::PowerOff
}

/// Mounts what a kernel shows; what fails is told when there is a console.
fn mount_all() -> Vec<String> {
    let wanted = [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")];
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    wanted
        .into_iter()
        .filter_map(|(kind, at)| {
            let made = fs::create_dir_all(at).map_err(|error| error.to_string());
            let done = made.and_then(|()| match mount(kind, at, kind, flags, None) {
                Ok(()) | Err(Errno::BUSY) => Ok(()),
                Err(error) => Err(error.to_string()),
            });
            done.err().map(|why| format!("{at}: cannot be mounted: {why}"))
        })
        .collect()
}

/// Loads the listed modules; one that fails does not stop the others.
fn load_modules() -> Vec<String> {
    let list = fs::read_to_string(MODULES).unwrap_or_default();
    list.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .filter_map(|path| load_module(path).err().map(|why| format!("module {path}: {why}")))
        .collect()
}

fn load_module(path: &str) -> std::io::Result<()> {
    match finit_module(File::open(path)?, c"", 0) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Buries children, its own and those whose parents died before them, and tells who died and how.
async fn reap(console: &Console, told: &mpsc::UnboundedSender<(i32, String)>, buried: &Buried) {
    let mut deaths = match signal(SignalKind::child()) {
        Ok(deaths) => deaths,
        Err(error) => {
            console.say(&format!("orphans stay unburied: {error}"));
            return std::future::pending().await;
        }
    };
    loop {
        // First of all those whose end was told to a build before this one.
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let (pid, how) = (pid.as_raw_nonzero().get(), how(status));
            buried.note(pid, &how);
            // Nobody listens where nothing is run.
            drop(told.send((pid, how)));
        }
        if deaths.recv().await.is_none() {
            return;
        }
    }
}

fn how(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(0), _) => live::OK.to_owned(),
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "stopped".to_owned(),
    }
}

/// Leaves the machine for good, or for its next start.
fn leave(console: &Console, how: RebootCommand) {
    let how = match how {
        RebootCommand::Kexec => {
            park::leave(console);
            // Nothing runs here any more, and the firmware can always start it.
            RebootCommand::Restart
        }
        how => how,
    };
    rustix::fs::sync();
    if let Err(error) = reboot(how) {
        console.say(&format!("cannot switch off or restart: {error}"));
    }
}
