//! The display, fed with snapshots.

use std::sync::Arc;

use model::{
    Bar, Cell, ClientKind, Goal, LabTime, LabView, MacAddr, MachineView, Moment, NodeWord, Phase, PortRef,
    PowerState, PowerView, Rung, Snapshot, Stage, Waiting, WallTime, Waterfall,
};

use super::{Manner, Screen, Verdict, banner, lab, rows, verdict};

fn at(ms: u64) -> Moment {
    Moment { since_start: LabTime(ms), wall: WallTime(0) }
}

fn bar(stage: Stage, took_ms: u64, open: bool) -> Bar {
    let (bytes, size) = if stage == Stage::Image { (61_000_000, 95_000_000) } else { (0, 0) };
    Bar { stage, from_ms: 0, took_ms, open, bytes, size, note: None, median_ms: None }
}

fn machine(name: &str, word: NodeWord, bars: Vec<Bar>) -> MachineView {
    let boot = Waterfall {
        number: 1,
        began: at(0),
        firmware: Some(ClientKind::UefiPxe),
        ipxe: String::new(),
        total_ms: bars.iter().map(|bar| bar.took_ms).sum(),
        open: word != NodeWord::Ready,
        bars,
        median_ms: None,
        median_of: 0,
    };
    MachineView {
        node: name.parse().unwrap(),
        cell: Cell { column: 1, row: 1 },
        zone: Some(1),
        mac: MacAddr::default(),
        ip: [10, 77, 0, 11].into(),
        word,
        since: at(0),
        rung: Rung::On,
        goal: Goal::Ready,
        waiting: None,
        power: PowerView {
            state: PowerState::On,
            evidence: String::new(),
            seen: None,
            port: PortRef { driver: "qemu".parse().unwrap(), port: "1".to_owned() },
        },
        boot: Some(boot),
        ipxe: None,
        agent: None,
        talos: None,
        host: None,
        is_guest: false,
        has_console: false,
        guest: None,
        wipe: None,
        fault: None,
        tries: 1,
    }
}

fn snapshot(phase: Phase, machines: Vec<MachineView>) -> Snapshot {
    Snapshot {
        epoch: String::new(),
        through: 1,
        at: at(12_000),
        lab: Arc::new(LabView {
            name: "demo".parse().unwrap(),
            columns: 2,
            rows: 1,
            phase,
            phase_since: at(10_000),
            phase_because: "all are there".to_owned(),
            scenario: None,
            run: 1,
            run_since: Some(at(1_000)),
            waiting: None,
            pods: None,
            counter_up: true,
            notices: Vec::new(),
            strangers: Vec::new(),
            scenarios: Vec::new(),
            trials: Vec::new(),
        }),
        machines: machines.into_iter().map(Arc::new).collect(),
    }
}

#[test]
fn a_ready_machine_shows_where_its_seconds_went() {
    let bars = vec![bar(Stage::Firmware, 2_200, false), bar(Stage::Kernel, 3_900, false)];
    let lines = rows(&snapshot(Phase::Ready, vec![machine("node1", NodeWord::Ready, bars)]), 120);
    assert_eq!(
        lines,
        [
            "  node1  ▕███████████████▏ ready        6.1 s   UEFI PXE    firmware 2.2 · kernel 3.9",
            "  Ready in 9.0 s."
        ]
    );
}

#[test]
fn a_machine_that_takes_its_image_shows_how_much_it_has() {
    let bars = vec![bar(Stage::Image, 11_000, true)];
    let lines = rows(&snapshot(Phase::Booting, vec![machine("node2", NodeWord::Image, bars)]), 120);
    assert_eq!(lines[0], "  node2  ▕█████████░░░░░░▏ image       11.0 s   UEFI PXE    61 of 95 MB");
    assert_eq!(lines[1], "  booting · 0 of 1 ready · 11.0 s");
}

#[test]
fn a_machine_that_waits_says_for_what_and_until_when() {
    let mut waiting = machine("node3", NodeWord::Dhcp, vec![bar(Stage::Dhcp, 5_200, true)]);
    waiting.waiting = Some(Waiting {
        what: "its image".to_owned(),
        since: LabTime(7_000),
        until: LabTime(97_000),
        then: String::new(),
    });
    let lines = rows(&snapshot(Phase::Booting, vec![waiting]), 120);
    assert!(lines[0].ends_with("waiting: its image · limit in 85 s"), "{}", lines[0]);
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let bars = vec![bar(Stage::Firmware, 1, false); 20];
    let lines = rows(&snapshot(Phase::Ready, vec![machine("node1", NodeWord::Ready, bars)]), 60);
    assert_eq!(lines[0].chars().count(), 60);
    assert!(lines[0].ends_with('…'));
}

#[test]
fn a_pipe_is_told_changes_only() {
    let mut out = Vec::new();
    let mut screen = Screen::new(&mut out, Manner::Lines);
    for word in [NodeWord::Dhcp, NodeWord::Dhcp, NodeWord::Ready] {
        screen.show(&snapshot(Phase::Booting, vec![machine("node1", word, Vec::new())])).unwrap();
    }
    let text = String::from_utf8(out).unwrap();
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [
            "   11.0 s  node1      dhcp",
            "   11.0 s  lab        booting: all are there",
            "   11.0 s  node1      ready"
        ]
    );
}

#[test]
fn a_program_is_told_the_same_as_json() {
    let mut out = Vec::new();
    let mut screen = Screen::new(&mut out, Manner::Json);
    screen.say("not for programs").unwrap();
    screen.show(&snapshot(Phase::Ready, vec![machine("node1", NodeWord::Ready, Vec::new())])).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(
        text,
        "{\"at_ms\":11000,\"node\":\"node1\",\"word\":\"ready\"}\n\
         {\"at_ms\":11000,\"phase\":\"ready\",\"because\":\"all are there\"}\n"
    );
}

#[test]
fn a_terminal_is_drawn_over_and_words_stay_above() {
    let mut out = Vec::new();
    let mut screen = Screen::new(&mut out, Manner::Table { width: 80 });
    let one = snapshot(Phase::Booting, vec![machine("node1", NodeWord::Dhcp, Vec::new())]);
    screen.show(&one).unwrap();
    screen.show(&one).unwrap();
    screen.say("a word").unwrap();
    screen.show(&one).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.matches("\x1b[2A\x1b[J").count(), 1, "the same picture is not drawn twice");
    assert!(text.contains("\x1b[2A\x1b[Ja word\n"), "{text:?}");
}

#[test]
fn the_lab_has_a_fate_only_when_it_is_ready_or_failed() {
    let of = |phase| verdict(&snapshot(phase, Vec::new()));
    assert_eq!(of(Phase::Booting), None);
    assert_eq!(of(Phase::Ready), Some(Verdict::Ready(model::Span(9_000))));
    assert_eq!(of(Phase::Failed), Some(Verdict::Failed("all are there".to_owned())));
}

#[test]
fn the_banner_counts_what_there_is() {
    let mut spec = lab(6).unwrap();
    let lines = banner(&spec, "demo", Some("http://127.0.0.1:8080/?token=x"));
    assert_eq!(
        lines,
        [
            "  page       http://127.0.0.1:8080/?token=x",
            "  lab        demo · 6 nodes · 2 zones · firmware: 2 BIOS, 2 UEFI PXE, 2 UEFI HTTP"
        ]
    );
    let talos = |spec: &model::LabSpec| banner(spec, "physical", None).pop().unwrap();
    assert_eq!(
        talos(&spec),
        "  cluster    physical · 3 control planes · 3 workers · Talos 1.13: simulated, and so is its Kubernetes"
    );
    super::with_genuine_talos(&mut spec, std::path::Path::new("/assets"));
    assert!(talos(&spec).ends_with(" · Talos 1.13: genuine, /assets/vmlinuz-amd64"), "{}", talos(&spec));
}
