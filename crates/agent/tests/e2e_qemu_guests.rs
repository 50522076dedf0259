//! A hypervisor's agent in a network namespace, with guests in real QEMU: what becomes of them on bad days.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may stop")]

mod ground;
mod renewal;
mod weight;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ground::kernel::KERNEL;
use ground::{Ground, Told, ask, echo, guest, kill, shell, shell_says};
use model::{AgentOrder, GuestCause, GuestSeen, GuestState, Mebibytes, PowerOrder};

/// For what takes a second or two on an idle machine.
const SOON: Duration = Duration::from_secs(60);
/// For the longest: five pauses of 15 s together.
const LATER: Duration = Duration::from_secs(120);

fn find<'a>(told: &'a Told, guest: &str) -> Option<&'a GuestSeen> {
    told.seen.iter().find(|seen| seen.node.as_str() == guest)
}

/// Waits for a guest in this state, and gives what is told of it.
fn state(ground: &Ground, guest: &str, wanted: GuestState, starts: u32) -> GuestSeen {
    let what = format!("{guest} is {wanted} after {starts} starts");
    let fits = |seen: &&GuestSeen| seen.state == wanted && seen.starts == starts;
    ground.until(LATER, &what, |told| find(told, guest).filter(fits).cloned())
}

fn cause(seen: &GuestSeen) -> (GuestCause, &str) {
    let end = seen.ended.as_ref().unwrap();
    (end.cause, &end.evidence)
}

#[test]
#[ignore = "stage e2e-qemu"]
fn guests_that_end_come_back_with_their_cause_or_are_called_crash_looping() {
    let mut ground = Ground::with_bridge();
    let kernel = ground.serve("kernel", &KERNEL);
    let wrong = ground.serve("wrong", b"not what its name says");
    let other = b"something else........";
    ground.told().files.insert(wrong.digest.to_string(), other.to_vec());
    ground.option(&["--memory", "1024"]);
    let mut list: Vec<_> = ["!wait", "!off", "!restart", "!panic"]
        .iter()
        .zip(1..)
        .map(|(word, number)| guest(number, &kernel, word))
        .collect();
    list.push(guest(5, &wrong, ""));
    list.push(guest(6, &kernel, ""));
    list[5].spec.memory = Mebibytes(900);
    ground.wish(&list);
    ground.start();

    // Killed: it comes back, in less than the 10 s that are promised.
    state(&ground, "vm1", GuestState::Running, 1);
    let lost = Instant::now();
    kill(ground.pid("vm1").unwrap());
    let back = state(&ground, "vm1", GuestState::Running, 2);
    assert!(lost.elapsed() < Duration::from_secs(10), "{:?}", lost.elapsed());
    assert_eq!(cause(&back).0, GuestCause::QemuDied);
    assert!(cause(&back).1.starts_with("signal 9"), "{back:?}");

    // Its own restart is no loss, and its next boot has the newest words.
    let again =
        ground.until(SOON, "vm3 restarts", |told| find(told, "vm3").filter(|s| s.starts > 2).cloned());
    assert_eq!(cause(&again).0, GuestCause::Ordered);
    assert!(cause(&again).1.contains("guest-reset"), "{again:?}");
    let panicked = ground
        .until(SOON, "vm4 panics", |told| find(told, "vm4").filter(|seen| seen.ended.is_some()).cloned());
    assert_eq!(cause(&panicked), (GuestCause::Panicked, "Kernel panic - not syncing: as told"));
    list[2].args = "!wait".to_owned();
    list[3].args = "!wait".to_owned();
    ground.wish(&list);
    ground.until(SOON, "vm3 and vm4 stay", |told| {
        let stays = |name| find(told, name).is_some_and(|seen| seen.state == GuestState::Running);
        (stays("vm3") && stays("vm4")).then_some(())
    });

    // What cannot be is refused, with the reason.
    let refused = state(&ground, "vm5", GuestState::Refused, 0);
    for digest in [wrong.digest.to_string(), store::Digest::of(other).to_string()] {
        assert!(refused.evidence.contains(&digest), "{digest} is not in {refused:?}");
    }
    let refused = state(&ground, "vm6", GuestState::Refused, 0);
    assert!(refused.evidence.contains("needs 900 MiB"), "{refused:?}");
    assert!(refused.evidence.contains("1024 in the machine"), "{refused:?}");
    assert_eq!(ground.told().fetched.iter().filter(|line| line.contains("/kernel")).count(), 1);

    // One that does nothing but switch itself off is given up, and another order is another try.
    let given_up = state(&ground, "vm2", GuestState::CrashLooping, 6);
    assert_eq!(cause(&given_up), (GuestCause::PoweredOff, "SHUTDOWN of QEMU, guest-shutdown"));
    list[1].args = "!wait".to_owned();
    list[1].order = 2;
    ground.wish(&list);
    let back = state(&ground, "vm2", GuestState::Running, 7);
    assert_eq!(back.order, 2);

    // Off is asked of its system first. A listed one is left alone, one that is not listed goes.
    let pid = ground.pid("vm3");
    list[1].power = PowerOrder::Off;
    list[1].order = 3;
    list.remove(0);
    ground.wish(&list);
    let off = state(&ground, "vm2", GuestState::Off, 7);
    assert_eq!(cause(&off), (GuestCause::Ordered, "SHUTDOWN of QEMU, guest-shutdown"));
    ground.until(SOON, "vm1 is gone", |_| (ground.pid("vm1").is_none()).then_some(()));
    assert_eq!(ground.pid("vm3"), pid);
}

#[test]
#[ignore = "stage e2e-qemu"]
fn guests_outlive_their_agent_and_it_goes_on_with_its_last_wish_while_nobody_answers() {
    let mut ground = Ground::with_bridge();
    let kernel = ground.serve("kernel", &KERNEL);
    let list = [guest(1, &kernel, "!wait"), guest(2, &kernel, "!wait")];
    ground.wish(&list);
    ground.start();
    state(&ground, "vm1", GuestState::Running, 1);
    state(&ground, "vm2", GuestState::Running, 1);
    let (stays, dies) = (ground.pid("vm1").unwrap(), ground.pid("vm2").unwrap());
    // The boss is away, the agent dies, and a guest dies while nobody looks.
    ground.told().wishes = None;
    ground.kill_agent();
    kill(dies);
    ground.start();
    let again = wait_for_pid(&ground, "vm2", dies);
    assert_eq!(ground.pid("vm1"), Some(stays));
    // And once more, by an agent that has been there all the time.
    kill(again);
    wait_for_pid(&ground, "vm2", again);
    assert_eq!(ground.pid("vm1"), Some(stays));
    ground.wish(&list);
    assert_eq!(state(&ground, "vm1", GuestState::Running, 1).ended, None);
    let seen = state(&ground, "vm2", GuestState::Running, 3);
    assert_eq!((cause(&seen).0, seen.host_boot.as_str()), (GuestCause::QemuDied, "first"));
    assert_eq!(ground.pid("vm1"), Some(stays));
    // Ordered off, a hypervisor takes its guests with it.
    ground.told().order = AgentOrder::PowerOff;
    assert_eq!(ground.agent_ended(), Some(0));
    assert_eq!(["vm1", "vm2"].map(|guest| ground.pid(guest)), [None, None]);
}

fn wait_for_pid(ground: &Ground, guest: &str, not: i32) -> i32 {
    let end = Instant::now() + SOON;
    loop {
        match ground.pid(guest) {
            Some(pid) if pid != not => return pid,
            _ => assert!(Instant::now() < end, "{guest} does not come back"),
        }
        std::thread::yield_now();
    }
}

#[test]
#[ignore = "stage e2e-qemu"]
fn a_hypervisor_without_room_says_so_and_goes_on_when_there_is_some() {
    let mut ground = Ground::with_bridge();
    let state_folder = ground.state();
    std::fs::create_dir_all(&state_folder).unwrap();
    shell(&format!("mount -t tmpfs -o size=2m tmpfs {}", state_folder.display()));
    // Behind what its header asks for, a kernel may have anything.
    let mut big = KERNEL.to_vec();
    big.resize(4 << 20, 7);
    let kernel = ground.serve("kernel", &big);
    ground.wish(&[guest(1, &kernel, "!wait")]);
    ground.start();
    let full = state(&ground, "vm1", GuestState::Refused, 0);
    assert_eq!(cause(&full).0, GuestCause::NoRoom);
    assert!(full.evidence.contains("No space left on device"), "{full:?}");
    shell(&format!("mount -o remount,size=32m {}", state_folder.display()));
    state(&ground, "vm1", GuestState::Running, 1);
}

#[test]
#[ignore = "stage e2e-qemu"]
fn the_bridge_takes_over_address_and_route_of_the_port_and_hardly_a_packet_is_lost() {
    let mut ground = Ground::new();
    let (here, there) = (ground.name.clone(), ground.peer());
    shell(&format!(
        "ip -n {here} link add up0 address 52:54:00:00:01:09 type veth peer name far netns {there} && \
         ip -n {there} addr add 10.98.0.1/24 dev far && ip -n {there} addr add fd98::1/64 dev far nodad && \
         ip -n {there} link set far up && ip -n {here} link set up0 up && \
         ip -n {here} addr add 10.98.0.2/24 dev up0 && ip -n {here} addr add fd98::2/64 dev up0 nodad && \
         ip -n {here} route add default via 10.98.0.1"
    ));
    echo(&here);
    let kernel = ground.serve("kernel", &KERNEL);
    ground.option(&["--uplink", "up0"]);
    ground.start();
    ground.wish(&[]);
    ground.until(SOON, "the agent reports", |told| (told.beats > 0).then_some(()));
    let spent = ["up0", "br0"]
        .map(|port| shell_says(&format!("ip -n {here} -o addr show {port} 2>/dev/null || true")));
    assert!(spent[0].contains("10.98.0.2/24") && spent[1].is_empty(), "no guests, no bridge: {spent:?}");
    let stop = Arc::new(AtomicBool::new(false));
    let asking = ["10.98.0.2:7", "[fd98::2]:7"].map(|to| {
        let (stop, there) = (Arc::clone(&stop), there.clone());
        std::thread::spawn(move || ask(&there, to.parse().unwrap(), &stop))
    });
    ground.wish(&[guest(1, &kernel, "!wait")]);
    state(&ground, "vm1", GuestState::Running, 1);
    stop.store(true, Ordering::Relaxed);
    let counts = asking.map(|asking| asking.join().unwrap());
    for (asked, lost) in counts {
        assert!(asked > 50 && lost <= 1, "asked and lost, over IPv4 and IPv6: {counts:?}");
    }
    let bridge =
        shell_says(&format!("ip -n {here} -o addr show br0; ip -n {here} route; ip -n {here} -o link"));
    for part in ["10.98.0.2/24", "fd98::2/64", "default via 10.98.0.1 dev br0", "52:54:00:00:01:09"] {
        assert!(bridge.contains(part), "{part} is not in {bridge}");
    }
    for port in ["up0", "vm-0000"] {
        let plugged = bridge.lines().any(|line| line.contains(port) && line.contains("master br0"));
        assert!(plugged, "{port} is not in the bridge: {bridge}");
    }
    assert!(!bridge.contains("dev up0"), "{bridge}");
}
