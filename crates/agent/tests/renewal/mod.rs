//! Another build of the agent in the place of a running one: what is kept, and what happens when it does not stay.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::ground::core::Core;
use crate::ground::kernel::KERNEL;
use crate::ground::{Ground, Told, guest};
use model::{AgentBuild, AgentChannel, AgentKey, AgentWelcome, Asset, GuestState, RenewalState};

/// Nothing here takes more than seconds on an idle machine; each build runs once before it takes over.
const LIMIT: Duration = Duration::from_secs(180);

fn build_of(asset: &Asset) -> AgentBuild {
    AgentBuild { digest: asset.digest, size: asset.size }
}

/// The same program with another digest: what follows an ELF file is nobody's.
fn another_build(ground: &Ground, name: &str) -> AgentBuild {
    let mut program = fs::read(env!("CARGO_BIN_EXE_agent")).unwrap();
    program.extend_from_slice(name.as_bytes());
    build_of(&ground.serve("agent", &program))
}

fn script(ground: &Ground, text: &str) -> AgentBuild {
    build_of(&ground.serve("agent", text.as_bytes()))
}

/// A ground with a core, and an agent that has reported.
fn with_core(options: &[&str]) -> (Ground, Core) {
    let mut ground = Ground::with_bridge();
    let core = Core::new(&ground.name);
    ground.told().besides = core.welcome();
    ground.option(&["--nonce", "word"]);
    ground.option(options);
    ground.wish(&[]);
    ground.start();
    ground.until(LIMIT, "a report", |told| (!told.reports.is_empty()).then_some(()));
    (ground, core)
}

fn refused(told: &Told, build: AgentBuild) -> Option<String> {
    let renewal = told.beat.renewal.as_ref()?;
    (renewal.digest == build.digest && renewal.state == RenewalState::Refused).then(|| renewal.why.clone())
}

#[test]
#[ignore = "stage e2e-qemu"]
fn another_build_takes_over_with_process_key_and_guests() {
    let (ground, core) = with_core(&[]);
    let kernel = ground.serve("kernel", &KERNEL);
    ground.wish(&[guest(1, &kernel, "!wait")]);
    ground.until(LIMIT, "vm1 runs", |told| {
        told.seen.first().filter(|seen| seen.state == GuestState::Running).map(drop)
    });
    let (vm, process) = (ground.pid("vm1").unwrap(), ground.agent_process());
    let first = ground.told().reports[0].clone();
    assert_eq!(
        first.build.map(|build| build.to_string()),
        Some(digest_of(env!("CARGO_BIN_EXE_agent").as_ref()))
    );

    for name in ["second", "third"] {
        let build = another_build(&ground, name);
        assert_eq!(core.order(build), (202, String::new()));
        let report = ground.until(LIMIT, "a report of the other build", |told| {
            told.reports.iter().find(|report| report.build == Some(build.digest)).cloned()
        });
        assert_eq!((report.key, &report.boot_id, &report.nonce), (first.key, &first.boot_id, &first.nonce));
        let place = ground.state().join(".agent").join(build.digest.to_string());
        assert_eq!((ground.agent_process(), ground.agent_program()), (process, place));
        let beats = ground.told().beats;
        let told = ground.until(LIMIT, "its heartbeat", |told| {
            (told.beats > beats + 1).then(|| (told.seen.clone(), told.beat.renewal.clone()))
        });
        assert_eq!(told.1, None, "what was taken is no news");
        assert_eq!((told.0[0].state, told.0[0].starts), (GuestState::Running, 1));
        assert_eq!(ground.pid("vm1"), Some(vm));
        // Its line to the core is another one, of the same key; and it has what it is told to take.
        assert_eq!(core.order(build), (202, String::new()));
        assert!(!ground.state().join(".agent/refused.json").exists());
    }
    let seals = ground.told().seals.clone();
    assert!(seals.windows(2).all(|pair| pair[0] < pair[1]), "no number twice: {seals:?}");
    let files = fs::read_dir(ground.state().join(".agent")).unwrap().flatten();
    let files: Vec<_> = files.filter(|entry| entry.path().is_file()).collect();
    assert_eq!(files.len(), 1, "builds of before are removed: {files:?}");
}

#[test]
#[ignore = "stage e2e-qemu"]
fn a_build_that_is_none_is_refused_and_the_agent_stays() {
    let (ground, core) = with_core(&[]);
    let own = ground.told().reports[0].build;
    let mut wrong = another_build(&ground, "right");
    wrong.digest.0[0] ^= 1;
    let bytes = fs::read(env!("CARGO_BIN_EXE_agent")).unwrap();
    ground.told().files.insert(wrong.digest.to_string(), bytes);
    wrong.size = fs::metadata(env!("CARGO_BIN_EXE_agent")).unwrap().len();
    for (build, word) in [
        (wrong, "was asked for"),
        (script(&ground, "#!/bin/sh\nexit 0\n"), "did not say what it can do"),
        (script(&ground, "#!/no/such/program\n"), "does not start"),
        (script(&ground, "#!/bin/sh\necho '{\"version\":\"9\",\"handover\":0}'\n"), "takes over from nobody"),
    ] {
        assert_eq!(core.order(build).0, 202);
        let why = ground.until(LIMIT, word, |told| refused(told, build));
        assert!(why.contains(word), "{why}");
        assert_eq!(core.order(build), (409, why), "it is not tried again");
    }
    assert_eq!(ground.told().reports.len(), 1, "nothing took over");
    // One that is right is still taken.
    let right = another_build(&ground, "right");
    assert_eq!(core.order(right).0, 202);
    ground.until(LIMIT, "the right one", |told| {
        told.reports.iter().find(|r| r.build == Some(right.digest)).map(drop)
    });
    assert_ne!(own, Some(right.digest));
}

#[test]
#[ignore = "stage e2e-qemu"]
fn a_build_that_is_not_answered_gives_its_place_back_and_is_not_tried_again() {
    let (ground, core) = with_core(&["--trial", "2"]);
    let first = ground.told().reports[0].clone();
    let build = another_build(&ground, "mute");
    ground.told().ignored = Some(build.digest);
    assert_eq!(core.order(build).0, 202);
    let why = ground.until(LIMIT, "it is back", |told| refused(told, build));
    assert_eq!(why, "no heartbeat of it was answered within 2 s");
    let told = ground.told().reports.clone();
    assert!(told.iter().any(|report| report.build == Some(build.digest)), "it had its trial");
    let last = told.last().unwrap();
    assert_eq!((last.build, last.key), (first.build, first.key), "the first build, with the same key");
    assert_eq!(ground.agent_program(), Path::new(env!("CARGO_BIN_EXE_agent")));
    assert_eq!(core.order(build), (409, why));
    let seals = ground.told().seals.clone();
    assert!(seals.windows(2).all(|pair| pair[0] < pair[1]), "no number twice: {seals:?}");
}

#[test]
#[ignore = "stage e2e-qemu"]
fn killed_at_any_step_the_agent_that_is_started_again_works_and_knows_what_was_on_trial() {
    let (mut ground, core) = with_core(&[]);
    // While it is fetched or checked: the same build is still good.
    let good = another_build(&ground, "good");
    assert_eq!(core.order(good).0, 202);
    ground.kill_agent();
    ground.start();
    // On trial: it says that it can, and ends without a word.
    let text = "#!/bin/sh\nif [ \"$1\" = check ]; then echo '{\"version\":\"9\",\"handover\":1}'; fi\n";
    let bad = script(&ground, text);
    assert_eq!(core.order(bad).0, 202);
    assert_eq!(ground.agent_ended(), Some(0), "it ran in the agent's place");
    ground.start();
    let why = ground.until(LIMIT, "it is remembered", |told| refused(told, bad));
    assert_eq!(why, "it ended before a heartbeat of it was answered");
    assert_eq!(core.order(bad), (409, why));
    assert_eq!(core.order(good).0, 202);
    let took = |told: &Told| told.reports.iter().find(|report| report.build == Some(good.digest)).map(drop);
    ground.until(LIMIT, "the good one", took);
    // As the other build, and killed: what was installed is started, and takes it again without fetching it.
    let (beats, fetched) = {
        let told = ground.told();
        (told.beats, told.fetched.len())
    };
    ground.until(LIMIT, "a heartbeat of it", |told| (told.beats > beats).then_some(()));
    ground.kill_agent();
    ground.told().reports.clear();
    ground.start();
    assert_eq!(core.order(good).0, 202);
    ground.until(LIMIT, "the good one again", took);
    assert_eq!(ground.told().fetched.len(), fetched);
}

#[test]
#[ignore = "stage e2e-qemu"]
fn of_two_bosses_the_one_that_proved_the_nonce_is_obeyed_and_told_of_the_other() {
    let (ground, core) = with_core(&[]);
    let kernel = ground.serve("kernel", &KERNEL);
    ground.wish(&[guest(1, &kernel, "!wait")]);
    ground.until(LIMIT, "vm1 runs", |told| {
        told.seen.first().filter(|seen| seen.state == GuestState::Running).map(drop)
    });
    let vm = ground.pid("vm1");
    let rival = AgentWelcome {
        node: Some("hv1".parse().unwrap()),
        order: model::AgentOrder::PowerOff,
        guests: Some(Vec::new().into()),
        channel: Some(AgentChannel { port: 1, key: AgentKey([7; 32]) }),
        lab: Some("other".parse().unwrap()),
        proven: Some(true),
        word: Some("another".to_owned()),
        ..AgentWelcome::default()
    };
    let away = AgentWelcome { channel: None, ..rival.clone() };
    ground.told().rivals.extend([rival, away]);
    let seen = ground.until(LIMIT, "it tells of the rival", |told| {
        told.beat.rival.clone().filter(|_| told.rivals.is_empty())
    });
    assert_eq!((&seen.lab, seen.at), (&Some("other".parse().unwrap()), ground.boss_address()));
    let beats = ground.told().beats;
    ground.until(LIMIT, "it goes on", |told| (told.beats > beats + 1).then_some(()));
    assert_eq!(ground.pid("vm1"), vm, "its guests are not the other's to end");
    assert_eq!(ground.told().reports.len(), 1, "it did not report to the other");
    let build = another_build(&ground, "own");
    assert_eq!(core.order(build).0, 202, "its line is to its own core");
}

fn digest_of(path: &Path) -> String {
    store::Digest::of(&fs::read(path).unwrap()).to_string()
}
