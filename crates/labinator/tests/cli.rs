//! The verbs of the built program against a controller that answers from a list, over its Unix socket and
//! over TCP; and the pictures they draw.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::indexing_slicing, reason = "a test may stop")]

mod canned;

use std::process::Output;
use std::time::Duration;

use api::{
    Accepted, Change, Check, Diagnosis, ErrorBody, EventPage, Explanations, Finding, Light, Plan, StreamItem,
};
use canned::{Answer, Controller, at, busy_lab, machine, said, same_as_golden, trace};
use labinator::cli::render::{
    Names, render_doctor, render_explain, render_plan, render_power, render_replay, render_scenarios,
    render_status, render_trace, sentence,
};
use labinator::journal::Told;
use model::{
    Command, CommandId, Event, Explanation, Fact, Fault, FaultCode, MacAddr, NodeWord, Origin, Outcome,
    Phase, PortRef, PowerOrder, PowerState, Rung, Sight, Snapshot,
};
use tokio::io::AsyncReadExt;

/// How long a program under test may run.
const LIMIT: Duration = Duration::from_secs(30);

fn program(controller: &Controller, line: &str) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_labinator"));
    command
        .args(line.split_whitespace())
        .env("LABINATOR_SOCKET", &controller.socket)
        .env_remove("LABINATOR_TOKEN")
        .env_remove("NO_COLOR")
        .env("COLUMNS", "120")
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    command
}

async fn run(controller: &Controller, line: &str) -> Output {
    tokio::time::timeout(LIMIT, program(controller, line).output()).await.unwrap().unwrap()
}

fn said_by(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn accepted(already: bool) -> Accepted {
    Accepted { epoch: "e1".to_owned(), seq: 42, already }
}

fn event(seq: u64, fact: Fact) -> Event {
    Event { seq, at: at(seq * 1000), fact }
}

fn entered(seq: u64, node: &str) -> Event {
    event(seq, Fact::Entered { node: node.parse().unwrap(), rung: Rung::Ready })
}

fn explanations() -> Explanations {
    Explanations {
        lab: "demo is booting for 31.0 s: 4 machines climb.".to_owned(),
        nodes: vec![Explanation {
            node: "node6".parse().unwrap(),
            headline: "node6 is off, and should be ready.".to_owned(),
            wanted: "ready, since 28.0 s, for scenario all".to_owned(),
            seen: vec!["power is off: the virtual machine is not running".to_owned(), "no boot seen".to_owned()],
            because: "the driver answered the order, but the machine was never seen on: the press did not reach it (power-unseen)".to_owned(),
            will: "wait 12.0 s more, then press once more".to_owned(),
            you_can: vec!["labinator power on node6".to_owned(), "read docs/operating/power-unseen.md".to_owned()],
        }],
    }
}

fn light(finding: Finding, broken: u32, warnings: u32) -> Light {
    Light { finding, broken, warnings, text: "no snponly.efi in /usr/lib/ipxe".to_owned() }
}

fn diagnosis() -> Diagnosis {
    let check = |code: &str, finding, seen: &str, help: &str| Check {
        code: code.to_owned(),
        finding,
        seen: seen.to_owned(),
        help: help.to_owned(),
        page: String::new(),
    };
    Diagnosis {
        light: light(Finding::Broken, 2, 1),
        checks: vec![
            check("disk", Finding::Well, "12 GB free", ""),
            check("loaders", Finding::Broken, "no snponly.efi in /usr/lib/ipxe", "apt install ipxe"),
            check("uplink", Finding::Skipped, "no gateway to ask", ""),
            check("clock", Finding::Warning, "the clock says 1970-01-01", "timedatectl set-time …"),
            check("ports", Finding::Well, "67, 69 and 80 are ours", ""),
        ],
        notices: busy_lab().lab.notices.clone(),
        faults: vec![(
            "node4".parse().unwrap(),
            Fault { code: FaultCode::NeverAsked, text: "no DISCOVER within 90.0 s".to_owned() },
        )],
    }
}

#[test]
fn status_shows_a_machine_in_every_state() {
    let lab = busy_lab();
    same_as_golden("status.txt", &render_status(&lab, 120, false));
    same_as_golden("status-narrow.txt", &render_status(&lab, 60, false));
    same_as_golden("status-colour.txt", &render_status(&lab, 120, true));
    for line in render_status(&lab, 60, false).lines() {
        assert!(line.chars().count() <= 60, "{line}");
    }
}

#[test]
fn an_idle_lab_whose_counter_is_away_says_so() {
    let mut lab = busy_lab();
    lab.machines.clear();
    lab.lab = std::sync::Arc::new(model::LabView {
        phase: Phase::Idle,
        phase_because: String::new(),
        scenario: None,
        run: 0,
        run_since: None,
        counter_up: false,
        notices: Vec::new(),
        strangers: Vec::new(),
        ..(*lab.lab).clone()
    });
    same_as_golden("status-idle.txt", &render_status(&lab, 120, false));
}

#[test]
fn a_trace_draws_every_bar_at_its_place() {
    same_as_golden("trace.txt", &render_trace(&trace(), 120, false));
    same_as_golden("trace-narrow.txt", &render_trace(&trace(), 70, false));
    let mut empty = trace();
    empty.waterfall.bars.clear();
    empty.waterfall.total_ms = 0;
    assert!(render_trace(&empty, 120, false).contains("nothing has been seen"));
}

#[test]
fn explain_doctor_plan_power_and_scenarios_read_well() {
    same_as_golden("explain.txt", &render_explain(&explanations(), 100, false));
    same_as_golden("doctor.txt", &render_doctor(&diagnosis(), 100, false));
    let lab = busy_lab();
    same_as_golden("scenarios.txt", &render_scenarios(&lab, 100, false));
    let machines: Vec<_> = lab.machines.iter().map(AsRef::as_ref).collect();
    same_as_golden("power.txt", &render_power(&machines, lab.at.since_start, 100, false));
    same_as_golden("plan.txt", &render_plan(&plan(None), false));
}

fn plan(refused: Option<ErrorBody>) -> Plan {
    let nodes = |names: &[&str]| names.iter().map(|n| n.parse().unwrap()).collect();
    Plan {
        scenario: "all".parse().unwrap(),
        switched_off: nodes(&["node1", "node2"]),
        released: Vec::new(),
        switched_on: nodes(&["node1", "node2", "node3"]),
        by_hand: nodes(&["node4"]),
        about_ms: Some(31_000),
        refused,
    }
}

fn journal() -> Vec<Event> {
    let spec = labinator::config::load(
        &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../labs/demo.yaml"),
    )
    .unwrap();
    let mac: MacAddr = "52:54:00:00:00:01".parse().unwrap();
    let node = || "node1".parse().unwrap();
    let facts = vec![
        Fact::CoreStarted {
            version: "0.1.0".to_owned(),
            spec: Box::new(spec),
            kernel: String::new(),
            boottime_ms: 0,
        },
        Fact::CounterSeen { up: true },
        Fact::StartAccepted { run: 1, scenario: "all".parse().unwrap(), by: Origin::Cli },
        Fact::PhaseEntered { phase: Phase::Booting, because: "6 machines climb".to_owned() },
        Fact::Issued {
            id: CommandId(1),
            command: Command::Power {
                node: node(),
                port: PortRef { driver: "sim".parse().unwrap(), port: "1".to_owned() },
                order: PowerOrder::On,
            },
        },
        Fact::Finished { id: CommandId(1), outcome: Outcome::Done },
        Fact::Sighted { mac, sight: Sight::Frame },
        Fact::Sighted {
            mac,
            sight: Sight::Ack { address: "10.77.0.11".parse().unwrap(), client: model::ClientKind::Ipxe },
        },
        Fact::Sighted {
            mac: "52:54:00:ff:00:01".parse().unwrap(),
            sight: Sight::FileServed { name: "initrd".to_owned(), bytes: 61_000_000, repeats: 2 },
        },
        Fact::Entered { node: node(), rung: Rung::Ready },
        Fact::Faulted {
            node: "node2".parse().unwrap(),
            fault: Fault { code: FaultCode::KernelSilent, text: "no agent within 2 min 0 s".to_owned() },
            bad: true,
        },
        Fact::PhaseEntered {
            phase: Phase::Ready,
            because: "5 of 6 machines are ready, 5 are enough".to_owned(),
        },
    ];
    facts.into_iter().zip(1..).map(|(fact, seq)| event(seq, fact)).collect()
}

#[test]
fn a_journal_is_told_with_names_and_without_chatter() {
    let text = render_replay(&Told { before: 0, spec: None, events: journal() }, 120, false);
    same_as_golden("replay.txt", &text);
    assert!(!text.contains("first frame"), "a fleeting sight is told");
}

#[test]
fn a_stranger_is_called_by_its_address() {
    let told = sentence(&journal()[7], &Names::default());
    assert_eq!(told, "52:54:00:00:00:01: iPXE was given 10.77.0.11");
}

#[tokio::test]
async fn every_reading_verb_prints_the_contracts_own_type_as_json() {
    let controller = Controller::start("json").await;
    let lab = busy_lab();
    controller
        .gives("GET /v1/snapshot", &lab)
        .gives("GET /v1/explain", &explanations())
        .gives("GET /v1/nodes/node3/explain", &explanations())
        .gives("GET /v1/nodes/node3/trace?boot=4", &trace())
        .gives("GET /v1/scenarios/all/plan", &plan(None))
        .gives(
            "GET /v1/doctor",
            &Diagnosis {
                light: light(Finding::Well, 0, 0),
                checks: Vec::new(),
                notices: Vec::new(),
                faults: Vec::new(),
            },
        );
    let json = |value: serde_json::Value| value;
    for (line, expected) in [
        ("status --json", json(serde_json::to_value(&lab).unwrap())),
        ("explain --json", serde_json::to_value(explanations()).unwrap()),
        ("explain node3 --json", serde_json::to_value(explanations()).unwrap()),
        ("boot trace node3 --boot 4 --json", serde_json::to_value(trace()).unwrap()),
        ("scenarios --json", serde_json::to_value(&lab.lab.scenarios).unwrap()),
        ("start all --plan --json", serde_json::to_value(plan(None)).unwrap()),
        ("power status node2 --json", serde_json::to_value([&lab.machines[1]]).unwrap()),
        (
            "doctor --json",
            serde_json::json!({ "light": light(Finding::Well, 0, 0), "checks": [], "notices": [], "faults": [] }),
        ),
        ("schema", labinator::config::schema()),
        ("openapi", api::openapi(env!("CARGO_PKG_VERSION"))),
    ] {
        let (code, out, err) = said_by(&run(&controller, line).await);
        assert_eq!((code, err.as_str()), (0, ""), "{line}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap(), expected, "{line}");
    }
}

#[tokio::test]
async fn what_is_drawn_is_what_is_printed() {
    let controller = Controller::start("text").await;
    let lab = busy_lab();
    controller.gives("GET /v1/snapshot", &lab).gives("GET /v1/doctor", &diagnosis());
    let (code, out, _) = said_by(&run(&controller, "status").await);
    assert_eq!((code, out), (0, render_status(&lab, 120, false)), "no colours in a pipe");
    let (_, out, _) = said_by(&run(&controller, "status --color always").await);
    assert_eq!(out, render_status(&lab, 120, true));
    let (code, out, _) = said_by(&run(&controller, "doctor").await);
    assert_eq!((code, out), (1, render_doctor(&diagnosis(), 120, false)), "something is broken");
}

#[tokio::test]
async fn refusals_failures_and_absence_have_their_own_exit_codes() {
    let controller = Controller::start("codes").await;
    let body = |code: &str, message: &str, advice: &str| {
        serde_json::to_string(&ErrorBody {
            code: code.to_owned(),
            message: message.to_owned(),
            advice: advice.to_owned(),
        })
        .unwrap()
    };
    controller
        .answers(
            "POST /v1/scenarios/all/start",
            Answer::Body(409, body("another_running", "scenario x is running", "stop it first")),
        )
        .answers("POST /v1/stop", Answer::Body(500, body("disk_full", "the journal cannot be written", "")))
        .answers("GET /v1/doctor", Answer::Body(401, String::new()))
        .answers("GET /v1/explain", Answer::Body(200, "{\"odd\":1}".to_owned()))
        .gives("GET /v1/snapshot", &busy_lab());
    for (line, code, words) in [
        ("start all", 3, "refused: scenario x is running\n  help: stop it first\n"),
        ("stop", 1, "error: the journal cannot be written\n"),
        ("doctor", 3, "give the token with --token"),
        ("explain", 1, "is it the same version as this program?"),
        ("power status node9", 3, "there is no machine `node9`"),
        ("start Bad_Name", 2, "`B` cannot stand here"),
        ("--server ftp://boss status", 2, "https://HOST:PORT"),
        ("--server /nowhere/api.sock status", 1, "labinator serve --lab lab.yaml"),
        ("check /nowhere/lab.yaml", 1, ""),
    ] {
        let (got, _, err) = said_by(&run(&controller, line).await);
        assert_eq!(got, code, "{line}: {err}");
        assert!(err.contains(words), "{line}: {err}");
    }
}

#[tokio::test]
async fn the_token_goes_over_tcp_and_the_asker_is_named() {
    let controller = Controller::start("tcp").await;
    controller.gives("POST /v1/nodes/node1/power", &accepted(false));
    let line = format!("power on node1 --server http://{} --token hush", controller.tcp);
    let (code, out, err) = said_by(&run(&controller, &line).await);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "node1: on: accepted\n", ""));
    let asked = controller.asked();
    let head = asked[0].head.to_lowercase();
    assert!(head.contains("authorization: bearer hush"), "{head}");
    assert!(head.contains(&format!("host: {}", controller.tcp)), "{head}");
    let body: serde_json::Value = serde_json::from_str(&asked[0].body).unwrap();
    assert_eq!(body, serde_json::json!({ "order": "on", "by": "cli" }));
}

#[tokio::test]
async fn switching_all_goes_on_after_a_refusal() {
    let controller = Controller::start("all").await;
    let mut lab = busy_lab();
    lab.machines.truncate(2);
    let refusal = ErrorBody {
        code: "switched_by_hand".to_owned(),
        message: "node1 is switched by hand".to_owned(),
        advice: String::new(),
    };
    controller
        .gives("GET /v1/snapshot", &lab)
        .answers("POST /v1/nodes/node1/power", Answer::Body(409, serde_json::to_string(&refusal).unwrap()))
        .gives("POST /v1/nodes/node2/power", &accepted(true));
    let (code, out, err) = said_by(&run(&controller, "power off all").await);
    assert_eq!((code, out.as_str()), (3, "node2: off already\n"));
    assert_eq!(err, "node1: node1 is switched by hand\n");
}

/// A lab whose start of `all` is at the given phase, `since` ms after the lab's beginning.
fn started(phase: Phase, since: u64, through: u64) -> Snapshot {
    let mut lab = busy_lab();
    lab.through = through;
    let view = std::sync::Arc::make_mut(&mut lab.lab);
    (view.phase, view.phase_since) = (phase, at(since));
    view.run_since = Some(at(10_000));
    lab
}

fn change(of: &Snapshot) -> String {
    let change =
        Change { through: of.through, at: of.at, lab: Some(of.lab.clone()), machines: of.machines.clone() };
    said(&StreamItem::Change(change), &format!("e1:{}", of.through))
}

fn snapshot(of: &Snapshot) -> String {
    said(&StreamItem::Snapshot(Box::new(of.clone())), &format!("e1:{}", of.through))
}

#[tokio::test]
async fn waiting_for_a_start_ends_when_this_run_is_ready_and_not_before() {
    let controller = Controller::start("ready").await;
    controller.gives("POST /v1/scenarios/all/start", &accepted(false)).answers(
        "GET /v1/stream",
        Answer::Silence(vec![
            // From before the request, then the phase of an earlier run, then this one's.
            snapshot(&started(Phase::Ready, 2_000, 41)),
            change(&started(Phase::Ready, 2_000, 42)),
            change(&started(Phase::Booting, 11_000, 43)),
            change(&started(Phase::Ready, 41_000, 90)),
        ]),
    );
    let (code, out, err) = said_by(&run(&controller, "start all --wait").await);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out.lines().count(), 1, "quiet in a pipe: {out}");
    assert!(out.starts_with("14:02:52  ready") && out.trim_end().ends_with("31.0 s"), "{out}");
}

#[tokio::test]
async fn waiting_for_a_start_that_fails_gives_the_reason() {
    let controller = Controller::start("failed").await;
    let mut failed = started(Phase::Failed, 20_000, 50);
    std::sync::Arc::make_mut(&mut failed.lab).phase_because =
        "2 machines are bad, and 5 are needed".to_owned();
    controller.gives("POST /v1/scenarios/all/start", &accepted(false)).answers(
        "GET /v1/stream",
        Answer::Silence(vec![snapshot(&started(Phase::Booting, 11_000, 43)), change(&failed)]),
    );
    let (code, out, err) = said_by(&run(&controller, "start all --wait").await);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.starts_with("error: 2 machines are bad, and 5 are needed\n"), "{err}");
}

#[tokio::test]
async fn waiting_has_a_limit_and_says_what_was_waited_for() {
    let controller = Controller::start("limit").await;
    controller
        .gives("POST /v1/scenarios/all/start", &accepted(false))
        .answers("GET /v1/stream", Answer::Silence(vec![snapshot(&started(Phase::Booting, 11_000, 43))]));
    let (code, _, err) = said_by(&run(&controller, "start all --wait --timeout 300ms").await);
    assert_eq!(code, 4);
    assert!(err.contains("start of all was not done within 0.3 s"), "{err}");
    assert!(err.contains("node3 is dhcp, waiting for: its firmware to collect offers"), "{err}");
    assert!(!err.contains("node1"), "a ready machine is not waited for: {err}");
}

#[tokio::test]
async fn waiting_ends_when_somebody_else_starts_another_scenario() {
    let controller = Controller::start("other").await;
    let mut other = started(Phase::Booting, 11_000, 60);
    std::sync::Arc::make_mut(&mut other.lab).scenario = Some("ubuntu".parse().unwrap());
    controller
        .gives("POST /v1/scenarios/all/start", &accepted(false))
        .answers("GET /v1/stream", Answer::Silence(vec![snapshot(&other)]));
    let (code, _, err) = said_by(&run(&controller, "start all --wait").await);
    assert_eq!(code, 1);
    assert!(err.contains("ubuntu was started while all was waited for"), "{err}");
}

#[tokio::test]
async fn waiting_for_a_stop_ends_when_nothing_runs_even_over_a_broken_line() {
    let controller = Controller::start("stop").await;
    let mut idle = started(Phase::Idle, 50_000, 70);
    std::sync::Arc::make_mut(&mut idle.lab).scenario = None;
    controller
        .gives("POST /v1/stop", &accepted(false))
        .answers("GET /v1/stream", Answer::Stream(vec![snapshot(&started(Phase::Stopping, 45_000, 60))]))
        .answers("GET /v1/stream", Answer::Silence(vec![snapshot(&idle)]));
    let (code, _, err) = said_by(&run(&controller, "stop --wait -q").await);
    assert_eq!((code, err.as_str()), (0, ""));
    let streams: Vec<_> = controller.asked().into_iter().filter(|a| a.line == "GET /v1/stream").collect();
    assert!(!streams[0].head.to_lowercase().contains("last-event-id"));
    assert!(streams[1].head.to_lowercase().contains("last-event-id: e1:60"), "{}", streams[1].head);
}

fn page(events: &[Event], oldest: u64) -> EventPage {
    EventPage { epoch: "e1".to_owned(), events: events.to_vec(), oldest }
}

#[tokio::test]
async fn events_are_paged_to_their_end() {
    let controller = Controller::start("events").await;
    controller
        .gives("GET /v1/snapshot", &busy_lab())
        .gives("GET /v1/events?after=0&limit=1000", &page(&[entered(1, "node1"), entered(2, "node2")], 1))
        .gives("GET /v1/events?after=2&limit=1000", &page(&[entered(3, "node3")], 1))
        .gives("GET /v1/events?after=3&limit=1000", &page(&[], 1));
    let (code, out, _) = said_by(&run(&controller, "events").await);
    assert_eq!(code, 0);
    assert_eq!(
        out,
        "14:02:12       1  node1 is ready\n14:02:13       2  node2 is ready\n14:02:14       3  node3 is ready\n"
    );
    let (_, out, _) = said_by(&run(&controller, "events --after 2 --json").await);
    assert_eq!(serde_json::from_str::<Event>(&out).unwrap(), entered(3, "node3"));
}

#[tokio::test]
async fn following_events_tells_each_once_over_a_broken_line_and_a_start_over() {
    let controller = Controller::start("follow").await;
    let mut lab = busy_lab();
    lab.through = 3;
    let mut later = lab.clone();
    later.through = 6;
    controller
        .gives("GET /v1/events?after=2&limit=1000", &page(&[entered(3, "node3")], 1))
        .gives("GET /v1/events?after=5&limit=1000", &page(&[entered(6, "node1"), entered(7, "node2")], 1))
        .answers(
            "GET /v1/stream",
            Answer::Stream(vec![
                snapshot(&lab),
                said(&StreamItem::Event(entered(4, "node4")), "e1:4"),
                said(&StreamItem::Event(entered(4, "node4")), "e1:4"),
                said(&StreamItem::Event(entered(5, "node5")), "e1:5"),
            ]),
        )
        .answers(
            "GET /v1/stream",
            Answer::Silence(vec![
                said(&StreamItem::StartOver, ""),
                snapshot(&later),
                said(&StreamItem::Event(entered(7, "node2")), "e1:7"),
            ]),
        );
    let mut child = program(&controller, "events --follow --after 2 --json")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut text = String::new();
    let five_lines = async {
        let mut bytes = [0; 4096];
        while text.lines().count() < 5 {
            let n = out.read(&mut bytes).await.unwrap();
            assert!(n > 0, "it ended after {text}");
            text.push_str(std::str::from_utf8(&bytes[..n]).unwrap());
        }
    };
    tokio::time::timeout(LIMIT, five_lines).await.unwrap();
    child.kill().await.unwrap();
    let told: Vec<u64> = text.lines().map(|l| serde_json::from_str::<Event>(l).unwrap().seq).collect();
    assert_eq!(told, [3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_the_program_quietly() {
    let controller = Controller::start("pipe").await;
    let mut lab = busy_lab();
    // More than a pipe holds, so that the program is still writing when its reader goes.
    lab.machines = (0..2000).map(|_| std::sync::Arc::new(machine(1))).collect();
    controller.gives("GET /v1/snapshot", &lab);
    let mut child = program(&controller, "status")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = tokio::time::timeout(LIMIT, child.wait_with_output()).await.unwrap().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), &b""[..]));
}

#[tokio::test]
async fn watching_in_a_pipe_prints_a_picture_for_each_change() {
    let controller = Controller::start("watch").await;
    let mut lab = busy_lab();
    let first = snapshot(&lab);
    let mut woken = machine(5);
    (woken.word, woken.power.state) = (NodeWord::Starting, PowerState::On);
    let changed =
        Change { through: 42, at: at(32_000), lab: None, machines: vec![std::sync::Arc::new(woken)] };
    labinator::cli::apply(&mut lab, changed.clone());
    controller.answers(
        "GET /v1/stream",
        Answer::Silence(vec![
            first,
            said(&StreamItem::Beat(at(31_500)), ""),
            said(&StreamItem::Change(changed), "e1:42"),
        ]),
    );
    let mut child =
        program(&controller, "status --watch --json").stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut out = tokio::io::BufReader::new(child.stdout.take().unwrap());
    let mut lines = Vec::new();
    let two_lines = async {
        for _ in 0..2 {
            let mut line = String::new();
            tokio::io::AsyncBufReadExt::read_line(&mut out, &mut line).await.unwrap();
            lines.push(serde_json::from_str::<Snapshot>(&line).unwrap());
        }
    };
    tokio::time::timeout(LIMIT, two_lines).await.unwrap();
    child.kill().await.unwrap();
    assert_eq!(lines[0], busy_lab());
    assert_eq!(lines[1], lab);
}

#[tokio::test]
async fn checking_a_lab_file_needs_no_controller() {
    let controller = Controller::start("check").await;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let right = folder.join("../../labs/demo.yaml");
    let (code, out, _) = said_by(&run(&controller, &format!("check {}", right.display())).await);
    assert_eq!(code, 0);
    assert!(out.ends_with("lab demo, 6 machines, 3 scenarios, nothing wrong.\n"), "{out}");
    let wrong = folder.join("tests/check/wiring.yaml");
    let (code, out, err) = said_by(&run(&controller, &format!("check {}", wrong.display())).await);
    assert_eq!((code, err.as_str()), (1, ""));
    assert!(
        out.contains("error: two nodes are wired to the same power port")
            && out.ends_with("6 errors, nothing else wrong.\n"),
        "{out}"
    );
    let (code, out, _) = said_by(&run(&controller, &format!("check --json {}", wrong.display())).await);
    let lines: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, lines.as_array().unwrap().len()), (1, 6));
    assert_eq!(lines[0]["line"], 11);
    assert!(controller.asked().is_empty());
}
