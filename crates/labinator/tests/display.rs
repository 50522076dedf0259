//! Small displays: golden pictures, the same on a terminal, and what the original's status display is told.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

#[expect(dead_code, reason = "pictures need no controller's every answer")]
mod canned;

use std::path::Path;
use std::sync::Arc;

use canned::{busy_lab, machine, same_as_golden};
use labinator::display::{Canvas, Scene, decode, draw, encode, shown, text};
use lifecycle::may_cut;
use model::{
    Cell, Fault, FaultCode, Goal, LabView, MachineView, NodeWord, Phase, PowerState, Rung, Snapshot, Stage,
};
use proptest::prelude::*;
use sim::status_display::StatusDisplay;

/// Compares dots with those of a golden picture, or writes it when `UPDATE_GOLDEN` is set.
fn same_as_picture(name: &str, canvas: &Canvas) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures").join(format!("{name}.png"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, encode(canvas)).unwrap();
        return;
    }
    let golden = std::fs::read(&path).ok().and_then(|file| decode(&file).ok());
    let is_same = golden.as_ref() == Some(canvas);
    assert!(is_same, "{} is another picture; UPDATE_GOLDEN=1 draws it anew", path.display());
}

fn lab(change: impl FnOnce(&mut LabView), machines: Vec<MachineView>) -> Snapshot {
    let busy = busy_lab();
    let mut lab = LabView { notices: Vec::new(), strangers: Vec::new(), ..(*busy.lab).clone() };
    change(&mut lab);
    Snapshot { lab: Arc::new(lab), machines: machines.into_iter().map(Arc::new).collect(), ..busy }
}

/// Six machines of the original: three zones, two rows.
fn six(word: NodeWord) -> Vec<MachineView> {
    let bay = |at: u8| {
        let mut bay = machine(at);
        bay.cell = Cell { column: at.div_ceil(2), row: 2 - at % 2 };
        bay.zone = Some(at.div_ceil(2));
        bay.word = word;
        if word == NodeWord::Ready {
            (bay.goal, bay.rung, bay.power.state) = (Goal::Ready, Rung::Ready, PowerState::On);
        }
        bay
    };
    (1..=6).map(bay).collect()
}

fn stopped() -> Snapshot {
    lab(
        |lab| (lab.phase, lab.scenario, lab.columns, lab.rows) = (Phase::Idle, None, 3, 2),
        six(NodeWord::Off),
    )
}

fn ready() -> Snapshot {
    lab(|lab| (lab.phase, lab.columns, lab.rows) = (Phase::Ready, 3, 2), six(NodeWord::Ready))
}

/// Machines in every state, two of them hypervisors with guests, one without evidence.
fn climbing() -> Snapshot {
    let mut bays = six(NodeWord::Ready);
    let image = busy_lab().machines[1].boot.clone();
    (bays[1].word, bays[1].boot) = (NodeWord::Image, image);
    bays[2].word = NodeWord::Dhcp;
    bays[2].waiting = busy_lab().machines[2].waiting.clone();
    bays[3].word = NodeWord::Kernel;
    bays[4].word = NodeWord::Bad;
    bays[4].fault =
        Some(Fault { code: FaultCode::NeverAsked, text: "waited 90.0 s for its first DISCOVER".to_owned() });
    (bays[5].word, bays[5].power.state) = (NodeWord::Unknown, PowerState::Unknown);
    for at in 0..3_u8 {
        let mut guest = machine(20 + at);
        (guest.is_guest, guest.host, guest.goal) = (true, Some(bays[0].node.clone()), Goal::Ready);
        guest.word = [NodeWord::Ready, NodeWord::Kernel, NodeWord::Bad][usize::from(at)];
        bays.push(guest);
    }
    lab(
        |lab| {
            (lab.columns, lab.rows) = (3, 2);
            lab.notices = busy_lab().lab.notices.clone();
        },
        bays,
    )
}

/// A rack of eight rows and sixteen columns.
fn many() -> Snapshot {
    let words = [NodeWord::Ready, NodeWord::Image, NodeWord::Off, NodeWord::Bad, NodeWord::Degraded];
    let bay = |at: u8| {
        let mut bay = machine(at);
        bay.cell = Cell { column: at % 16 + 1, row: at / 16 + 1 };
        bay.zone = Some(at % 16 / 4 + 1);
        bay.word = words[usize::from(at) * 7 % 11 % words.len()];
        bay.goal = Goal::Ready;
        bay
    };
    lab(|lab| (lab.columns, lab.rows) = (16, 8), (0..128).map(bay).collect())
}

fn log() -> Vec<String> {
    let lines = [
        "14:02:12 scenario all is to be started, by the command line",
        "14:02:14 node1: power is on: sim/1 senses that it runs",
        "14:02:16 node1 asked for an address (UEFI PXE)",
        "14:02:31 node1 is ready, 17.3 s after power on",
        "14:02:40 node5 is given up: never-asked",
    ];
    lines.map(str::to_owned).to_vec()
}

#[test]
fn the_pictures_are_as_they_were_looked_at() {
    for (name, picture) in
        [("climbing", climbing()), ("ready", ready()), ("stopped", stopped()), ("many", many())]
    {
        let scene = Scene::new(&picture, &log(), None);
        same_as_picture(&format!("{name}-480x272"), &draw(&scene, 480, 272));
        same_as_picture(&format!("{name}-128x64"), &draw(&scene, 128, 64));
        same_as_golden(&format!("display-{name}.txt"), &text(&scene, 96, 24, false));
    }
    let lost = Scene::new(&stopped(), &log(), Some("no controller answers at /run/labinator/api.sock"));
    same_as_picture("lost-480x272", &draw(&lost, 480, 272));
    same_as_picture("lost-128x64", &draw(&lost, 128, 64));
    same_as_picture("climbing-800x480", &draw(&Scene::new(&climbing(), &log(), None), 800, 480));
    same_as_picture("climbing-1024x600", &draw(&Scene::new(&climbing(), &log(), None), 1024, 600));
}

#[test]
fn a_display_of_any_size_gets_its_own_number_of_dots() {
    let scene = Scene::new(&many(), &log(), None);
    for (w, h) in [(16, 16), (128, 64), (320, 200), (319, 240), (480, 320), (960, 544), (1920, 1080)] {
        let canvas = draw(&scene, w, h);
        assert_eq!((canvas.width(), canvas.height()), (w, h));
        assert_eq!(canvas.rows().count(), usize::try_from(h).unwrap());
    }
    drop(draw(&Scene::blank("nobody answers"), 480, 272));
}

#[test]
fn a_picture_that_is_not_live_never_says_that_the_power_may_be_cut() {
    let live = Scene::new(&stopped(), &[], None);
    assert!(live.cut.is_safe());
    let lost = Scene::new(&stopped(), &[], Some("the controller closed the stream"));
    assert!(!lost.cut.is_safe());
    let says = |scene: &Scene, picture: Option<&Snapshot>| {
        let shown = shown(scene, picture);
        let mut display = StatusDisplay::default();
        display.hear(shown.status.as_bytes());
        display.hear(shown.boss.line().as_bytes());
        let step = display.shows("/initializer/CurrentStep").unwrap().as_str().unwrap().to_owned();
        (step, display.says_cut())
    };
    assert_eq!(says(&live, Some(&stopped())), ("power may be cut".to_owned(), true));
    assert_eq!(says(&lost, Some(&stopped())), ("not live".to_owned(), false));
    assert_eq!(says(&Scene::blank("nobody"), None), ("not live".to_owned(), false));
}

#[test]
fn the_original_display_reads_lamps_and_counts() {
    let mut display = StatusDisplay::default();
    display.hear(shown(&Scene::new(&climbing(), &[], None), Some(&climbing())).status.as_bytes());
    let number = |pointer: &str| display.shows(pointer).unwrap().as_u64().unwrap();
    assert_eq!(number("/initializer/NumNodes"), 9);
    assert_eq!(number("/initializer/InitializedNodes"), 2);
    assert_eq!(
        (number("/initializer/NumHypervisors"), number("/initializer/InitializedHypervisors")),
        (1, 1)
    );
    assert_eq!(display.shows("/initializer/LabName").unwrap(), "demo");
    assert_eq!(display.shows("/initializer/CurrentStep").unwrap(), "booting 0:28");
    let lamps: Vec<bool> =
        (1..=8).map(|at| display.shows(&format!("/power/P{at}")).unwrap().as_bool().unwrap()).collect();
    assert_eq!(lamps, [true, true, true, true, true, false, false, false]);
    // By the number of its port, not by where it stands.
    let mut moved = ready();
    let machines = Arc::make_mut(&mut moved.machines[0]);
    (machines.power.port.port, machines.power.state) = ("8".to_owned(), PowerState::Off);
    let mut display = StatusDisplay::default();
    display.hear(shown(&Scene::new(&moved, &[], None), Some(&moved)).status.as_bytes());
    let lamp = |at: u8| display.shows(&format!("/power/P{at}")).unwrap().as_bool().unwrap();
    assert_eq!((lamp(1), lamp(2), lamp(8)), (false, true, false));
}

fn any_machine() -> impl Strategy<Value = MachineView> {
    let words = [
        NodeWord::Off,
        NodeWord::Ready,
        NodeWord::Waiting,
        NodeWord::Parked,
        NodeWord::Bad,
        NodeWord::Unknown,
    ];
    let states = [PowerState::On, PowerState::Off, PowerState::Changing, PowerState::Unknown];
    let goals = [Goal::Any, Goal::Off, Goal::Ready];
    let picked = (
        proptest::sample::select(words.to_vec()),
        proptest::sample::select(states.to_vec()),
        proptest::sample::select(goals.to_vec()),
    );
    (picked, any::<bool>(), 0..4_u8).prop_map(|((word, state, goal), seen, guest)| {
        let mut one = machine(1);
        (one.word, one.goal, one.power.state) = (word, goal, state);
        one.power.seen = one.power.seen.filter(|_| seen);
        one.is_guest = guest == 0;
        one
    })
}

proptest! {
    /// What a cut would hurt, told apart once more in other words than those of the judgment.
    #[test]
    fn the_power_may_be_cut_only_while_nothing_runs_that_a_cut_would_hurt(
        mut machines in proptest::collection::vec(any_machine(), 0..4),
        calm in proptest::collection::vec(any_machine(), 0..2),
        phase in proptest::sample::select(&[Phase::Idle, Phase::Idle, Phase::Ready, Phase::Stopping, Phase::Booting, Phase::Failed]),
        counter_up in proptest::bool::weighted(0.8),
        stranger in proptest::bool::weighted(0.2),
        off in any::<bool>(),
    ) {
        machines.extend(calm);
        if off {
            for one in &mut machines {
                (one.word, one.goal, one.power.state) = (NodeWord::Off, Goal::Any, PowerState::Off);
            }
        }
        let picture = lab(|lab| {
            (lab.phase, lab.counter_up) = (phase, counter_up);
            if stranger {
                lab.strangers = busy_lab().lab.strangers.clone();
            }
        }, machines.clone());
        let known = |one: &MachineView| one.power.seen.is_some();
        let dark = |one: &MachineView| one.power.state == PowerState::Off && matches!(one.word, NodeWord::Off | NodeWord::Bad);
        let idles = |one: &MachineView| one.power.state == PowerState::On && matches!(one.word, NodeWord::Waiting | NodeWord::Parked);
        // A guest that has no host and was not seen on is not there.
        let there = |one: &&MachineView| !(one.is_guest && one.power.state != PowerState::On);
        let harmless = machines.iter().filter(there).all(|one| known(one) && one.goal != Goal::Ready && (dark(one) || idles(one)));
        let safe = phase == Phase::Idle && counter_up && !stranger && harmless;
        let cut = may_cut(&picture);
        prop_assert_eq!(cut.is_safe(), safe, "{}", cut.because());
        prop_assert!(!cut.because().is_empty());
        let scene = Scene::new(&picture, &[], None);
        prop_assert_eq!(shown(&scene, Some(&picture)).boss == wire::display::Boss::Shutdown, safe);
        prop_assert_eq!(text(&scene, 80, 24, false).contains("YOU MAY CUT"), safe);
    }
}

#[test]
fn an_image_counts_by_its_bytes() {
    let scene = Scene::new(&climbing(), &[], None);
    assert_eq!(scene.bays[1].part, 45 + 64 / 4);
    assert!(climbing().machines[1].boot.as_ref().unwrap().bars.iter().any(|bar| bar.stage == Stage::Image));
}
