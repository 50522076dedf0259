//! `labinator burn-in` of the built program against a controller that answers from a list: runs that end well and badly, what
//! is kept of them, and when it ends.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::indexing_slicing, reason = "a test may stop")]
#![expect(dead_code, reason = "the parts of other tests are used as they are")]

mod canned;

use std::time::Duration;

use api::{Accepted, ErrorBody, EventPage, Explanations, StreamItem};
use canned::{Answer, Controller, at, busy_lab, machine, said, trace};
use labinator::burn_in::{Ended, Run};
use model::{Fault, FaultCode, Goal, LabView, NodeWord, Phase, Snapshot};

/// How long a program under test may run.
const LIMIT: Duration = Duration::from_secs(60);

/// A lab of two machines in this phase.
fn lab(phase: Phase) -> Snapshot {
    let mut picture = busy_lab();
    let mut machines = [machine(1), machine(2)];
    for machine in &mut machines {
        machine.goal = Goal::Ready;
        machine.word = NodeWord::Ready;
    }
    if phase == Phase::Failed {
        machines[1].word = NodeWord::Bad;
        machines[1].fault =
            Some(Fault { code: FaultCode::NeverAsked, text: "no DISCOVER in 90 s".to_owned() });
    }
    picture.machines = machines.into_iter().map(Into::into).collect();
    picture.epoch = "e1".to_owned();
    picture.through = 42;
    picture.lab = LabView {
        phase,
        phase_since: at(9_000),
        phase_because: "1 of 2 machines is ready".to_owned(),
        scenario: (phase != Phase::Idle).then(|| "all".parse().unwrap()),
        run_since: Some(at(1_000)),
        ..LabView::clone(&picture.lab)
    }
    .into();
    picture
}

/// A controller whose runs end like this, one after the other.
async fn controller(name: &str, ends: &[Phase]) -> Controller {
    let controller = Controller::start(name).await;
    let accepted = Accepted { epoch: "e1".to_owned(), seq: 42, already: false };
    controller.gives("GET /v1/snapshot", &lab(Phase::Idle));
    controller.gives("POST /v1/scenarios/all/start", &accepted).gives("POST /v1/stop", &accepted);
    for phase in ends {
        for phase in [*phase, Phase::Idle] {
            let item = said(&StreamItem::Snapshot(Box::new(lab(phase))), "e1:42");
            controller.answers("GET /v1/stream", Answer::Stream(vec![item]));
        }
    }
    controller.gives("GET /v1/explain", &Explanations { lab: String::new(), nodes: Vec::new() });
    let none = EventPage { epoch: "e1".to_owned(), events: Vec::new(), oldest: 1 };
    controller
        .gives("GET /v1/events?after=41&limit=1000", &none)
        .gives("GET /v1/nodes/node2/trace", &trace());
    controller
}

/// Exit code and all that was said.
async fn ran(controller: &Controller, words: &[&str]) -> (i32, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_labinator"));
    command.arg("burn-in").args(words).args(["--history", "runs.jsonl"]).current_dir(&controller.folder);
    command.env("LABINATOR_SOCKET", &controller.socket).stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await.unwrap().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

fn kept(controller: &Controller) -> Vec<Run> {
    let text = std::fs::read_to_string(controller.folder.join("runs.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn asked(controller: &Controller, line: &str) -> usize {
    controller.asked().iter().filter(|asked| asked.line == line).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_run_is_kept_with_what_is_known_of_the_one_that_failed() {
    let controller = controller("burnt", &[Phase::Ready, Phase::Failed, Phase::Ready]).await;
    let words = ["all", "--runs", "3", "--junit", "junit.xml", "--csv", "runs.csv", "--evidence", "found"];
    let (code, said) = ran(&controller, &words).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("2 of 3 runs were ready, 66.7 % (95 % confidence: 20.8 to 93.9 %)"), "{said}");
    assert!(said.contains("1 x  never-asked: run 2; node2 1 x"), "{said}");
    let runs = kept(&controller);
    let ends: Vec<bool> = runs.iter().map(|run| run.ended.is_good()).collect();
    assert_eq!(ends, [true, false, true]);
    assert_eq!(asked(&controller, "POST /v1/stop"), 3);

    let read = |name: &str| std::fs::read_to_string(controller.folder.join(name)).unwrap();
    assert!(read("junit.xml").contains("tests=\"3\" failures=\"1\""));
    assert_eq!(read("runs.csv").lines().count(), 1 + 3 * 2);
    let evidence = controller.folder.join("found").join(format!("{}-run-2", runs[0].session.0));
    let mut names: Vec<String> = std::fs::read_dir(&evidence)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["events.jsonl", "explain.json", "picture.json", "run.json", "trace-node2.json"]);

    let (code, said) = ran(&controller, &["--report", "--json"]).await;
    assert_eq!(code, 0, "{said}");
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((report["runs"].as_u64(), report["good"].as_u64()), (Some(3), Some(2)), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_when_a_claim_is_decided_and_after_so_many_failures() {
    let claimed = controller("claim", &[Phase::Ready; 5]).await;
    let (code, said) = ran(&claimed, &["all", "--claim", "50", "--runs", "50"]).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("4 of 4 runs were ready") && said.contains("at least 50 %: holds"), "{said}");

    let words = ["all", "--runs", "50", "--abort-after", "2"];
    let aborted = controller("abort", &[Phase::Failed; 3]).await;
    let (code, said) = ran(&aborted, &words).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("0 of 2 runs were ready"), "{said}");
    assert_eq!((kept(&claimed).len(), kept(&aborted).len()), (4, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_run_before_and_after_and_one_that_fails_ends_it() {
    let words = ["all", "--runs", "2", "--before", "[ $1 -lt 2 ]", "--after", "echo $1 $2 $3 >> said"];
    let controller = controller("commands", &[Phase::Ready]).await;
    let (code, said) = ran(&controller, &words).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("run 2: ") && said.contains("1 of 1 runs were ready"), "{said}");
    assert_eq!(std::fs::read_to_string(controller.folder.join("said")).unwrap(), "1 all ready\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lab_in_use_and_one_that_refuses_are_left_alone() {
    let controller = Controller::start("busy").await;
    controller.gives("GET /v1/snapshot", &lab(Phase::Ready));
    let (code, said) = ran(&controller, &["all"]).await;
    assert!(code == 1 && said.contains("a burn-in begins with a lab that is off"), "{said}");
    assert_eq!(asked(&controller, "POST /v1/scenarios/all/start"), 0);

    let controller = Controller::start("refuses").await;
    let no = ErrorBody {
        code: "missing".to_owned(),
        message: "its image is missing".to_owned(),
        advice: String::new(),
    };
    controller.gives("GET /v1/snapshot", &lab(Phase::Idle));
    controller
        .answers("POST /v1/scenarios/all/start", Answer::Body(409, serde_json::to_string(&no).unwrap()));
    let (code, said) = ran(&controller, &["all"]).await;
    assert!(
        code == 3 && said.contains("its image is missing") && said.contains("no run has ended"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lab_that_does_not_go_off_again_was_no_good_run() {
    let controller = Controller::start("stuck").await;
    let accepted = Accepted { epoch: "e1".to_owned(), seq: 42, already: false };
    let ready = said(&StreamItem::Snapshot(Box::new(lab(Phase::Ready))), "e1:42");
    controller.gives("GET /v1/snapshot", &lab(Phase::Idle));
    controller.gives("POST /v1/scenarios/all/start", &accepted).gives("POST /v1/stop", &accepted);
    controller.answers("GET /v1/stream", Answer::Silence(vec![ready]));
    let (code, said) = ran(&controller, &["all", "--runs", "1", "--limit", "1s"]).await;
    assert_eq!(code, 1, "{said}");
    assert!(
        matches!(&kept(&controller)[0].ended, Ended::StuckOn(why) if why.contains("stop was not done within")),
        "{said}"
    );
}
