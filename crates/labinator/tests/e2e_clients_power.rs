//! A whole run over the original relay board: lab file, `serve`, a serial port that is a real terminal, the board's
//! firmware behind it, and boxes on its buttons that boot with clients others wrote.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod e2e;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use e2e::client::Client;
use e2e::controller::Controller;
use e2e::ground::until;
use e2e::house::House;
use e2e::lab::{self, BOSS};
use e2e::processes::told;
use model::{AgentOrder, AgentWelcome, Command, DeviceSight, Fact, Phase, PowerOrder, PowerState};
use sim::buttons::{BOSS as BOSS_BUTTON, Cabinet, Doing, Pace, RelayBoard};
use sim::pty::Adapter;

/// Enough for anything here on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(120);
/// Boxes on the first buttons.
const BOXES: u8 = 3;
/// Between two looks, or heartbeats, of what runs in a box.
const BEAT: Duration = Duration::from_millis(500);

/// The board on its line, with boxes on its buttons.
struct Stand {
    board: Mutex<Adapter<RelayBoard>>,
    name: PathBuf,
    over: AtomicBool,
}

/// Ends what runs in the boxes, also when the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Stand {
    /// A board that is plugged in. A lab file's serial ports lie below `/dev`, and so does its name.
    fn new(house: &House) -> Self {
        let folder = house.folder.0.file_name().unwrap();
        let name = Path::new("/dev/shm").join(folder).with_extension("relays");
        let board = RelayBoard::new([Cabinet::new(Pace { post: 2000, stop: 500 }); 8], 0);
        let mut adapter = Adapter::new(&name, 9600, board);
        adapter.plug().unwrap();
        Self { board: Mutex::new(adapter), name, over: AtomicBool::new(false) }
    }

    fn lab(&self, house: &House) -> PathBuf {
        house.write("vmlinuz", lab::kernel());
        house.write("initrd", b"an initramfs of 28 bytes only");
        let mut text = format!(
            "lab: bench\n\
             network: {{ interface: br0, subnet: 10.79.0.0/20, boss: {BOSS}, dhcp: authoritative }}\n\
             power: {{ relays: {{ driver: relayinator, device: {}, stagger: 500ms, protect: [7] }} }}\n\
             limits: {{ first-ask: 20s }}\n\
             board:\n  columns: {BOXES}\n  nodes:\n",
            self.name.display()
        );
        for number in 1..=BOXES {
            text.push_str(&format!(
                "    node{number}: {{ at: [{number}, 1], mac: {}, ip: 10.79.0.1{number}, power: relays/{number} }}\n",
                lab::mac(number)
            ));
        }
        text.push_str("scenarios:\n  all: { image: { kernel: vmlinuz, initrd: [initrd] }, nodes: all }\n");
        house.write("lab.yaml", text)
    }

    fn adapter<T>(&self, look: impl FnOnce(&mut Adapter<RelayBoard>) -> T) -> T {
        look(&mut self.board.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn doing(&self, button: u8) -> Doing {
        let seen = |board: &mut RelayBoard, now| {
            board.lives(now);
            board.cabinet(usize::from(button) - 1).unwrap().doing()
        };
        self.adapter(|adapter| adapter.with(seen))
    }

    fn all(&self, good: impl Fn(Doing) -> bool) -> bool {
        (1..=BOXES).all(|button| good(self.doing(button)))
    }

    /// What is in a box: whenever its button starts it, it boots, and its agent speaks until it is told to stop.
    fn live(&self, machine: &Client<'_>, number: u8) {
        let mac = lab::mac(number);
        let mut boots = 0;
        while !self.over.load(Ordering::Relaxed) {
            std::thread::park_timeout(BEAT);
            if self.doing(number) != Doing::Runs {
                continue;
            }
            boots += 1;
            let said = format!("\"mac\":\"{mac}\",\"boot_id\":\"boot-{number}-{boots}\",\"uptime_ms\":9000");
            // A line that fails is the network's doing; the box tries again as long as it runs.
            if machine.command(60, "sh").args(["-c", &boot(&mac, &said)]).status().is_ok_and(|s| s.success())
            {
                self.speak(machine, number, &said);
            }
            machine.shell("ip link set eth0 down");
        }
    }

    fn speak(&self, machine: &Client<'_>, number: u8, said: &str) {
        let beat = format!("{{{said},\"load_milli\":0,\"memory_available_mib\":1}}");
        let line = format!("curl -sf --max-time 10 -d '{beat}' http://{BOSS}{}", model::AGENT_BEAT_PATH);
        while self.doing(number) == Doing::Runs && !self.over.load(Ordering::Relaxed) {
            let answer = machine.command(60, "sh").args(["-c", &line]).output().unwrap();
            let welcome: Option<AgentWelcome> = serde_json::from_slice(&answer.stdout).ok();
            if welcome.is_some_and(|welcome| welcome.order == AgentOrder::PowerOff) {
                // Its system stops, as it does when somebody presses its button.
                machine.shell("ip link set eth0 down");
                return self.adapter(|adapter| {
                    adapter.with(|board, now| board.touch(usize::from(number) - 1, now));
                });
            }
            std::thread::park_timeout(BEAT);
        }
    }
}

/// A line of shell that boots a machine: an address, the script, its files, and a report.
fn boot(mac: &str, said: &str) -> String {
    let script = format!("http://{BOSS}/boot/{}.ipxe", mac.replace(':', "-"));
    let report = "\"nonce\":null,\"address\":null,\"version\":\"0\",\"kernel\":\"6.1\",\"inventory\":{\"firmware\":\"\",\
                  \"product\":\"\",\"serial\":\"\",\"uuid\":\"\",\"cpu\":\"\",\"cpus\":1,\"memory_mib\":1,\"disks\":[],\"nics\":[]}";
    format!(
        "set -e; ip link set eth0 up; udhcpc -f -n -q -i eth0 -s /bin/true; text=$(curl -sf --max-time 20 {script}); \
         for url in $(echo \"$text\" | tr ' ' '\\n' | grep -E '/(vmlinuz|initrd)$'); do \
         curl -sf --max-time 20 -o /dev/null $url; done; \
         echo \"$text\" | grep -q /vmlinuz; \
         curl -sf --max-time 20 -o /dev/null -d '{{{said},{report}}}' http://{BOSS}{}",
        model::AGENT_HELLO_PATH
    )
}

/// How often a process has a terminal open where programs open it.
fn terminals(pid: u32) -> usize {
    let links = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let links = links.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    links.filter(|link| link.starts_with("/dev/pts") && !link.ends_with("ptmx")).count()
}

/// Waits until the board was seen so after this event, and returns the number of the event that says so.
fn board_seen(controller: &Controller, after: u64, what: &str, good: impl Fn(&DeviceSight) -> bool) -> u64 {
    until(LIMIT, what, || {
        let events = controller.events(after).into_iter();
        events
            .filter(|event| matches!(&event.fact, Fact::DeviceSeen { sight, .. } if good(sight)))
            .map(|event| event.seq)
            .last()
    })
}

fn orders(controller: &Controller) -> Vec<PowerOrder> {
    let facts = controller.events(0).into_iter().filter_map(|event| match event.fact {
        Fact::Issued { command: Command::Power { order, .. }, .. } => Some(order),
        _ => None,
    });
    facts.collect()
}

const fn answers(sight: &DeviceSight) -> bool {
    matches!(sight, DeviceSight::Answers { .. })
}

#[test]
#[ignore = "stage e2e-clients"]
fn a_lab_on_the_original_board_starts_outlives_its_serial_adapter_and_stops() {
    let house = House::new();
    let stand = Stand::new(&house);
    let lab = stand.lab(&house);
    // A box that is off says nothing, and its link is away.
    let boxes = (1..=BOXES).map(|number| {
        let (name, address) = (format!("node{number}"), format!("10.79.0.1{number}"));
        let machine = Client::with_address(&house, &name, &lab::mac(number), &address);
        machine.shell("ip link set eth0 down");
        (number, machine)
    });
    let boxes: Vec<_> = boxes.collect();
    std::thread::scope(|scope| {
        let _over = Over(&stand.over);
        for (number, machine) in &boxes {
            let stand = &stand;
            scope.spawn(move || stand.live(machine, *number));
        }
        run(&house, &stand, &lab);
    });
}

fn run(house: &House, stand: &Stand, lab: &Path) {
    let controller = Controller::start(house, lab);
    let found = board_seen(&controller, 0, "the board answers", answers);

    // Nobody knows whether anything runs: no button is pressed until somebody has looked.
    controller.wait(LIMIT, "the images are read", |picture| {
        picture.lab.scenarios.iter().all(|scenario| scenario.missing.is_empty())
    });
    told(&mut controller.verb("start all"));
    controller.wait(LIMIT, "each machine waits to be seen", |picture| {
        picture.machines.iter().all(|machine| {
            let waits = machine.waiting.as_ref().is_some_and(|wait| wait.what.contains("to be seen"));
            machine.power.state == PowerState::Unknown && waits
        })
    });
    assert!(stand.all(|doing| doing == Doing::Off), "a button was pressed on a guess");
    assert_eq!(orders(&controller), []);
    for number in 1..=BOXES {
        told(&mut controller.verb(&format!("power set node{number} off")));
    }
    controller.wait(LIMIT, "the lab is ready", |picture| picture.lab.phase == Phase::Ready);
    assert!(stand.all(|doing| doing == Doing::Runs));
    assert_eq!(orders(&controller), vec![PowerOrder::On; usize::from(BOXES)]);

    // The adapter is pulled out: it is named with how long it is gone, nothing of it is held, and the lab stays ready.
    let core = controller.part("core").unwrap();
    assert_eq!(terminals(core), 2, "one to read, one to write");
    stand.adapter(Adapter::unplug);
    let lost = board_seen(&controller, found, "the board is lost", |sight| match sight {
        DeviceSight::Lost { code, why } => code == "serial" && why.contains(stand.name.to_str().unwrap()),
        DeviceSight::Answers { .. } | DeviceSight::Restarted { .. } => false,
    });
    until(LIMIT, "it is told how long", || {
        let text = told(&mut controller.verb("explain node1"));
        let (_, clock) = text.split_once("power control lost 00:00:")?;
        let seconds: u32 = clock.get(..2)?.parse().unwrap();
        (seconds >= 3 && text.contains("stale")).then_some(())
    });
    assert_eq!(terminals(core), 0);
    assert_eq!(controller.look().unwrap().lab.phase, Phase::Ready);

    // It comes back as another terminal under the same name, once and again.
    let mut after = lost;
    for _ in 0..2 {
        stand.adapter(Adapter::plug).unwrap();
        after = board_seen(&controller, after, "the board is back", answers);
        until(LIMIT, "one line to it", || (terminals(core) == 2).then_some(()));
        stand.adapter(Adapter::unplug);
        after = board_seen(&controller, after, "the board is lost again", |sight| !answers(sight));
    }
    stand.adapter(Adapter::plug).unwrap();
    after = board_seen(&controller, after, "the board is back for good", answers);

    // A core that is killed has given nothing back; the next one has the line all the same.
    let core = controller.replace("core");
    board_seen(&controller, after, "the board answers the new core", answers);
    assert_eq!(terminals(core), 2);
    controller.wait(LIMIT, "the lab is ready again", |picture| picture.lab.phase == Phase::Ready);
    assert_eq!(
        orders(&controller),
        vec![PowerOrder::On; usize::from(BOXES)],
        "nothing was pressed meanwhile"
    );

    told(&mut controller.verb("stop"));
    controller.wait(LIMIT, "the lab is off", |picture| {
        picture.lab.phase == Phase::Idle
            && picture.machines.iter().all(|machine| machine.power.state == PowerState::Off)
    });
    assert!(stand.all(|doing| doing == Doing::Off));
    // What runs on the boss's own button was touched by the firmware's start alone.
    assert_ne!(stand.doing(u8::try_from(BOSS_BUTTON + 1).unwrap()), Doing::Off);
    stand.adapter(|adapter| adapter.with(|board, _| assert_eq!(board.began(), 1)));
}
