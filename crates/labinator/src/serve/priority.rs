//! How much of the processor and of memory each part asks for. Asking needs rights; without them a part runs on as it is.

use std::fs;

use rustix::process::{getpriority_process, setpriority_process};

/// The counter's: its packets are late at once when something else holds the core.
const COUNTER: i32 = -10;
/// The core's, and so that of the virtual machines that it starts: like everybody's.
const CORE: i32 = 0;
/// Of what is killed when memory runs out the counter is among the last (proc(5)).
const LATE: &str = "-500";

/// For the counter. Threads that it starts inherit it.
pub(super) fn of_counter() {
    if let Err(why) = setpriority_process(None, COUNTER) {
        tracing::debug!("the boot counter runs like everybody else: {why}");
    }
    if let Err(why) = fs::write("/proc/self/oom_score_adj", LATE) {
        tracing::debug!("the boot counter may be killed like everybody else when memory runs out: {why}");
    }
}

/// For the core: what the unit gave the controller as a whole is meant for the counter.
pub(super) fn of_core() {
    if getpriority_process(None).is_ok_and(|now| now < CORE)
        && let Err(why) = setpriority_process(None, CORE)
    {
        tracing::debug!("the core keeps its priority: {why}");
    }
    if let Err(why) = fs::write("/proc/self/oom_score_adj", "0") {
        tracing::debug!("the core keeps its place when memory runs out: {why}");
    }
}
