//! A cluster from cold to ready: the conductor and the cluster's hand, eye and ear, against simulated Talos nodes and a
//! simulated API server over real TLS in memory; under paused time.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

#[path = "clusters/board.rs"]
#[expect(dead_code, reason = "each test file uses its own part of the board")]
mod board;
#[path = "lost_writes/stand.rs"]
mod stand;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use board::hypervisors::{Agents, Runs};
use board::{Board, CLUSTER};
use labinator::cluster::AdoptError;
use lifecycle::Lab;
use model::{Fact, FaultCode, Origin, Phase, PowerState, Rung, Sight, TalosSight, TalosStage};
use serde_json::json;
use sim::Visits;
use sim::talos::{Manner, Place, Stage};
use stand::node;
use talos::api::Character;
use tokio::time::Instant;

/// Longest wait for a cluster, in the lab's own time: three tries of a machine that never answers.
const LIMIT: Duration = Duration::from_secs(4 * 3600);

#[tokio::test(start_paused = true)]
async fn machines_of_both_characters_become_one_cluster_and_each_takes_one_config() {
    for character in [Character::UpTo12, Character::From13] {
        let board = Board::new("ready", character, |_| Vec::new());
        let house = board.open().await;
        house.starts().await;
        house.until(LIMIT, |lab| lab.phase == Phase::Ready).await;
        assert_eq!(board.bootstraps(), 1);
        for n in 1..=CLUSTER {
            assert_eq!(board.talos[&node(n)].applied(), 1, "node{n}");
        }
        let known = |lab: &Lab| {
            lab.machines.values().all(|m| matches!(m.talos.sight, TalosSight::Known { ready: true, .. }))
        };
        house.until(LIMIT, known).await;
        let facts = house.written().await;
        let of = |is: fn(&Fact) -> bool| facts.iter().position(is).unwrap();
        let secrets = of(|fact| matches!(fact, Fact::SecretsReady { .. }));
        let push = of(|fact| matches!(fact, Fact::Issued { command: model::Command::Push { .. }, .. }));
        assert!(secrets < push, "secrets are kept before the first push");
        board.exports_what_opens_the_cluster().await;
        // What goes into the journal goes into backups and bug reports.
        let text = serde_json::to_string(&facts).unwrap();
        for marker in ["PRIVATE KEY", "BEGIN CERT", "LS0tLS1CRUdJTi"] {
            assert!(!text.contains(marker), "the journal has {marker}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_core_that_is_killed_at_any_step_begins_one_etcd_and_gives_no_machine_other_secrets() {
    type Moment = fn(&Lab) -> bool;
    let moments: [(&str, Moment); 6] = [
        ("mint", |lab| lab.run.as_ref().is_some_and(|run| run.cluster.mint.is_some())),
        ("secrets", |lab| lab.run.as_ref().is_some_and(|run| run.cluster.secrets.is_some())),
        ("push", |lab| lab.machines.values().any(|m| m.talos.push.is_some())),
        ("known", |lab| lab.machines.values().any(|m| m.talos.known.is_some())),
        ("bootstrap", |lab| lab.run.as_ref().is_some_and(|run| run.cluster.bootstrap.is_some())),
        ("joined", |lab| lab.machines.values().any(|m| m.talos.member != model::Membership::Absent)),
    ];
    for (name, moment) in moments {
        let board = Board::new(&format!("killed-{name}"), Character::UpTo12, |_| Vec::new());
        let house = board.open().await;
        house.starts().await;
        house.until(LIMIT, moment).await;
        let house = house.killed_and_opened(&board).await;
        house.until(LIMIT, |lab| lab.phase == Phase::Ready).await;
        assert_eq!(board.bootstraps(), 1, "{name}");
        let fingerprints: std::collections::BTreeSet<String> = house
            .written()
            .await
            .iter()
            .filter_map(|fact| match fact {
                Fact::SecretsReady { fingerprint, .. } => Some(fingerprint.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(fingerprints.len(), 1, "{name}: secrets were made twice");
    }
}

#[tokio::test(start_paused = true)]
async fn nodes_with_bad_manners_are_lived_with() {
    let slow = Manner::Slow(Duration::from_secs(3));
    for manner in [Manner::LosesReply, Manner::LosesRequest, Manner::RebootsInApply, slow] {
        let name = format!("{manner:?}").to_lowercase().replace(['(', ')'], "");
        let of_one = |n: u8| if n == 2 { vec![manner.clone()] } else { Vec::new() };
        let board = Board::new(&name, Character::UpTo12, of_one);
        let house = board.open().await;
        house.starts().await;
        house.until(LIMIT, |lab| lab.phase == Phase::Ready).await;
        assert_eq!(board.bootstraps(), 1, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_be_trusted_or_will_not_is_given_up_with_its_reason() {
    let refuses = Manner::RefusesConfig("machine.install.disk: no such disk".to_owned());
    let cases = [
        (Manner::Impostor, FaultCode::Impostor, "key"),
        (Manner::OfAnotherCluster, FaultCode::Impostor, "another cluster"),
        (refuses, FaultCode::ConfigRefused, "machine.install.disk"),
        (Manner::DiesAt(Place::Install), FaultCode::ConfigLost, "Talos to come back"),
    ];
    for (manner, code, words) in cases {
        let name = format!("given-up-{code}-{}", words.len());
        let of_one = |n: u8| if n == 2 { vec![manner.clone()] } else { Vec::new() };
        let board = Board::new(&name, Character::UpTo12, of_one);
        let house = board.open().await;
        house.starts().await;
        let second = Arc::new(node(2));
        let bad = Arc::clone(&second);
        house.until(LIMIT, move |lab| lab.machines[&*bad].bad).await;
        let fault = house.look(move |lab| lab.machines[&*second].fault.clone().unwrap()).await;
        assert_eq!(fault.code, code, "{manner:?}: {}", fault.text);
        assert!(fault.text.contains(words), "{manner:?}: {}", fault.text);
        if matches!(manner, Manner::OfAnotherCluster | Manner::Impostor) {
            assert_eq!(board.talos[&node(2)].applied(), 0, "{manner:?} took a config");
        }
        // The others are a cluster without it.
        house.until(LIMIT, |lab| lab.machines.values().filter(|m| m.rung == Rung::Ready).count() == 2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_config_goes_to_the_key_that_was_seen_to_wait_and_to_no_other() {
    // The control plane is pushed to as soon as it was seen once; then somebody else answers.
    let of_one = |n: u8| if n == 1 { vec![Manner::Impostor] } else { Vec::new() };
    let board = Board::new("pinned", Character::UpTo12, of_one);
    let house = board.open().await;
    house.starts().await;
    let first = Arc::new(node(1));
    let bad = Arc::clone(&first);
    house.until(LIMIT, move |lab| lab.machines[&*bad].bad).await;
    let fault = house.look(move |lab| lab.machines[&*first].fault.clone().unwrap()).await;
    assert_eq!(fault.code, FaultCode::Impostor, "{}", fault.text);
    assert!(fault.text.contains("answers"), "{}", fault.text);
    assert_eq!(board.talos[&node(1)].applied(), 0, "the config went to whoever answered");
    house.until(LIMIT, |lab| lab.phase == Phase::Failed).await;
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_runs_is_taken_over_without_a_write_and_then_looked_after() {
    let board = Board::new("adopt", Character::UpTo12, |_| Vec::new());
    board.calls_them_otherwise();
    let house = board.open().await;
    house.starts().await;
    house.until(LIMIT, |lab| lab.phase == Phase::Ready).await;
    house.killed().await;

    let boss = board.other_boss();
    let house = board.open_at(&boss).await;
    let adopt = async |secrets: &str, only_look| {
        house.adopter.adopt("all".to_owned(), secrets, only_look, Origin::Cli).await
    };
    let strange = adopt(include_str!("../../talos/tests/fixtures/secrets.yaml"), false).await;
    assert!(
        matches!(&strange, Err(AdoptError::NotThere(why)) if why.contains("another cluster")),
        "{strange:?}"
    );
    let broken = adopt("cluster: {}", false).await;
    assert!(matches!(&broken, Err(AdoptError::Unreadable(_))), "{broken:?}");
    let secrets = board.secrets();
    let seen = adopt(&secrets, true).await.unwrap();
    assert!(seen.machines.iter().all(|m| matches!(m.sight, TalosSight::Known { .. })), "{seen:?}");
    assert!(seen.accepted.is_none() && house.look(|lab| lab.run.is_none()).await);

    adopt(&secrets, false).await.unwrap();
    house.until(LIMIT, |lab| lab.phase == Phase::Ready).await;
    let issued = |facts: &[Fact]| facts.iter().filter(|fact| matches!(fact, Fact::Issued { .. })).count();
    assert_eq!(issued(&house.written().await), 0, "something was done to it");
    let twice = adopt(&secrets, false).await;
    assert!(matches!(&twice, Err(AdoptError::Refused(_))), "{twice:?}");

    // From now on a machine that is lost is started again, as in a run of one's own.
    let house = house.killed_and_opened_at(&board, &boss).await;
    house.until(LIMIT, |lab| lab.phase == Phase::Ready).await;
    house.loses(&board, &node(3)).await;
    house.until(LIMIT, |lab| lab.phase == Phase::Degraded).await;
    house.until(LIMIT, |lab| lab.phase == Phase::Ready).await;
    let facts = house.written().await;
    let powered = |fact: &Fact| matches!(fact, Fact::Issued { command: model::Command::Power { .. }, .. });
    assert!(facts.iter().any(powered));
    assert!(issued(&facts) == facts.iter().filter(|fact| powered(fact)).count(), "{facts:?}");
    assert_eq!(board.bootstraps(), 1);
    for n in 1..=CLUSTER {
        assert_eq!(board.talos[&node(n)].applied(), 1, "node{n} was given another config");
    }
}

const WEB: &str = "apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: web, image: web }] }
";

#[tokio::test(start_paused = true)]
async fn a_lab_is_ready_when_the_pods_of_its_manifests_are() {
    let board = Board::new("installs", Character::UpTo12, |_| Vec::new()).installs(&[("web.yaml", WEB)]);
    let house = board.open().await;
    house.starts().await;
    house.until(LIMIT, |lab| lab.phase == Phase::Ready).await;
    let facts = house.written().await;
    let at = |is: fn(&Fact) -> bool| facts.iter().position(is).unwrap();
    let applied = at(|fact| matches!(fact, Fact::Issued { command: model::Command::Apply { .. }, .. }));
    let pods = at(|fact| matches!(fact, Fact::PodsSeen { pods, .. } if pods.wanted == 2 && pods.is_done()));
    let ready = at(|fact| matches!(fact, Fact::PhaseEntered { phase: Phase::Ready, .. }));
    assert!(applied < pods && pods < ready, "{applied} {pods} {ready}");
    let because = house.look(|lab| lab.phase_because.clone()).await;
    assert_eq!(because, "3 of 3 machines are ready, and 2 pods of its manifests are");
}

const WIDGETS: &str = "apiVersion: lab.example/v1
kind: Widget
metadata: { name: first }
spec: { size: 3 }
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: widgets.lab.example }
spec:
  group: lab.example
  scope: Namespaced
  names: { kind: Widget, plural: widgets, singular: widget }
  versions: [{ name: v1, served: true, storage: true, schema: { openAPIV3Schema: { type: object } } }]
---
apiVersion: batch/v1
kind: Job
metadata: { name: once }
spec:
  template:
    metadata: { annotations: { labinator.sim/does: end } }
    spec: { restartPolicy: Never, containers: [{ name: once, image: once }] }
";

#[tokio::test(start_paused = true)]
async fn a_core_that_is_killed_while_it_applies_applies_again_and_its_lab_becomes_ready() {
    let files = [("widgets.yaml", WIDGETS), ("web.yaml", WEB)];
    let board = Board::new("installs-killed", Character::UpTo12, |_| Vec::new()).installs(&files);
    let house = board.open().await;
    house.starts().await;
    house.until(LIMIT, |lab| lab.run.as_ref().is_some_and(|run| run.cluster.apply.is_some())).await;
    // What is pinned is applied, whatever becomes of the file.
    board.rewrites("web.yaml", "kind: Nothing\n");
    let house = house.killed_and_opened(&board).await;
    house.until(LIMIT, |lab| lab.phase == Phase::Ready).await;
    let because = house.look(|lab| lab.phase_because.clone()).await;
    assert_eq!(because, "3 of 3 machines are ready, and 3 pods of its manifests are");
    let pods = house.look(|lab| lab.cluster().unwrap().0.pods.clone().unwrap()).await;
    assert_eq!(pods.finished, ["Job default/once"]);
    assert!(board.has(("lab.example/v1", "Widget"), "first") && board.has(("apps/v1", "Deployment"), "web"));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_crashes_and_an_api_that_goes_away_make_the_lab_degraded_and_are_heard_of() {
    let board =
        Board::new("installs-crash", Character::UpTo12, |_| Vec::new()).installs(&[("web.yaml", WEB)]);
    let house = board.open().await;
    house.starts().await;
    house.until(LIMIT, |lab| lab.phase == Phase::Ready).await;
    board.api_goes_away();
    house.until(LIMIT, |lab| lab.phase == Phase::Degraded).await;
    let because = house.look(|lab| lab.phase_because.clone()).await;
    assert!(because.contains("the Kubernetes API, which is not heard"), "{because}");
    board.api_comes_back();
    house.until(LIMIT, |lab| lab.phase == Phase::Ready).await;
    let labels = "metadata: { labels: { app: web } }";
    let crashing = "metadata: { labels: { app: web }, annotations: { labinator.sim/does: crash } }";
    board.applies(&WEB.replace(labels, crashing)).await;
    house.until(LIMIT, |lab| lab.phase == Phase::Degraded).await;
    let because = house.look(|lab| lab.phase_because.clone()).await;
    assert!(
        because.contains("Deployment default/web") && because.contains("ends again and again"),
        "{because}"
    );
    let troubled = |lab: &Lab| {
        let troubles = lab.machines.values().filter_map(|machine| machine.talos.pods.as_ref());
        troubles.flat_map(|pods| &pods.troubles).any(|trouble| trouble.contains("default/web"))
    };
    house.until(LIMIT, troubled).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_that_lasts_less_than_a_look_is_seen_and_a_cut_line_goes_on() {
    for character in [Character::UpTo12, Character::From13] {
        let board = Board::new("followed", character, |_| Vec::new());
        let house = board.open().await;
        house.starts().await;
        house.until(LIMIT, |lab| lab.phase == Phase::Ready).await;
        // Long enough for every stream to be open and every machine to be looked at rarely.
        tokio::time::sleep(Duration::from_secs(60)).await;
        board.talos[&node(2)].cut();
        tokio::time::sleep(Duration::from_secs(15)).await;
        board.ours(2).reboot().await.unwrap();
        // Its stage says so for 200 ms, then its port closes.
        let second = Arc::new(node(2));
        let rebooting = move |lab: &Lab| {
            let sight = &lab.machines[&*second].talos.sight;
            matches!(sight, TalosSight::Known { stage: TalosStage::Rebooting, .. })
        };
        let asked = Instant::now();
        house.until(LIMIT, rebooting).await;
        assert!(asked.elapsed() <= Duration::from_secs(1), "{:?}", asked.elapsed());
        // It comes back by itself, and is followed in its new boot as well.
        let second = Arc::new(node(2));
        let back = move |lab: &Lab| {
            let sight = &lab.machines[&*second].talos.sight;
            matches!(sight, TalosSight::Known { stage: TalosStage::Running, ready: true, .. })
        };
        house.until(LIMIT, back).await;
    }
}

/// A lab that runs for longer than our certificates are used: eye and ear go on as somebody new, and nothing that happens
/// meanwhile is lost.
#[tokio::test(start_paused = true)]
async fn eye_and_ear_renew_their_certificates_and_lose_nothing() {
    const RENEW: Duration = Duration::from_secs(12 * 3600);
    const STRIDE: Duration = Duration::from_secs(80);
    let board = Board::new("renewed", Character::From13, |_| Vec::new());
    let house = board.open().await;
    house.starts().await;
    let open = |visits: BTreeMap<String, Visits>| -> Vec<String> {
        visits.into_iter().filter(|(_, visits)| visits.open > 0).map(|(who, _)| who).collect()
    };
    // The ear begins to listen then, whether or not anybody answers yet.
    house.until(LIMIT, Lab::has_begun_etcd).await;
    let began = Instant::now();
    house.until(LIMIT, |lab| lab.phase == Phase::Ready).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let api = board.api();
    let ears = open(api.visits());
    let eyes: BTreeMap<u8, Vec<String>> =
        (1..=CLUSTER).map(|n| (n, open(board.talos[&node(n)].visits()))).collect();
    assert_eq!(ears.len(), 1, "the ear alone listens");
    assert!(eyes.values().all(|who| who.len() == 1 && *who == eyes[&1]), "{eyes:?}");

    // In strides that no watch takes for silence: half a day in steps of a second takes minutes.
    let churns = began + RENEW - Duration::from_secs(10);
    while Instant::now() + STRIDE < churns {
        tokio::time::advance(STRIDE).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep_until(churns).await;
    assert_eq!(open(api.visits()), ears, "not yet");
    let pod = |n: u32| format!("churn-{n}");
    for n in 0..60 {
        let made = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": pod(n), "namespace": "default"},
            "spec": {"nodeName": "node2", "containers": [{"name": "c", "image": "i"}]}});
        api.create(&made).unwrap();
        if n % 3 == 0 {
            api.delete(("v1", "Pod"), "default", &pod(n)).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let there = |lab: &Lab| {
        let pods = lab.machines[&node(2)].talos.pods.as_ref();
        pods.is_some_and(|pods| pods.counts.ready == 40)
    };
    house.until(LIMIT, there).await;
    let now = api.visits();
    let new = open(now.clone());
    assert!(new.len() == 1 && new != ears, "the ear listens as somebody else: {now:?}");
    let renewed: BTreeMap<u8, Vec<String>> =
        (1..=CLUSTER).map(|n| (n, open(board.talos[&node(n)].visits()))).collect();
    assert!(renewed.values().all(|who| who.len() == 1 && *who == renewed[&1]), "{renewed:?}");
    assert_ne!(renewed[&1], eyes[&1], "the eye looks as somebody else");
    // Nobody comes with an old certificate any more, and everything is still heard of.
    let old = (now[&ears[0]], board.talos[&node(1)].visits()[&eyes[&1][0]]);
    api.cut();
    board.talos[&node(1)].cut();
    api.delete(("v1", "Pod"), "default", &pod(1)).unwrap();
    house
        .until(LIMIT, |lab| {
            lab.machines[&node(2)].talos.pods.as_ref().is_some_and(|pods| pods.counts.ready == 39)
        })
        .await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((api.visits()[&ears[0]], board.talos[&node(1)].visits()[&eyes[&1][0]]), old);
    assert_eq!(house.look(|lab| lab.phase).await, Phase::Ready);
}

/// Node1 is metal and the control plane; node2 and node3 run the others.
fn hybrid(name: &str) -> Board {
    let runs = Runs::from([(2, vec![4, 5]), (3, vec![6, 7])]);
    Board::with(name, 7, vec![node(1)], runs, (Character::UpTo12, |_| Vec::new()))
}

/// Node1 to node3 run all of the cluster, three guests each.
fn virtual_only(name: &str) -> Board {
    let runs = Runs::from([(1, vec![4, 7, 10]), (2, vec![5, 8, 11]), (3, vec![6, 9, 12])]);
    Board::with(name, 12, vec![node(4), node(5), node(6)], runs, (Character::UpTo12, |_| Vec::new()))
}

fn all_ready(lab: &Lab) -> bool {
    lab.machines.values().all(|machine| machine.rung == Rung::Ready)
}

#[tokio::test(start_paused = true)]
async fn guests_climb_as_metal_does_beside_it_and_alone() {
    for board in [hybrid("hybrid"), virtual_only("virtual")] {
        let house = board.open().await;
        house.starts().await;
        house.until(LIMIT, |lab| lab.phase == Phase::Ready && all_ready(lab)).await;
        assert_eq!(board.bootstraps(), 1);
        for guest in board.agents.runs.values().flatten() {
            assert_eq!(board.talos[&node(*guest)].applied(), 1, "node{guest}");
        }
        house.desk.ask(stand::stop()).await.unwrap();
        house.until(LIMIT, |lab| lab.phase == Phase::Idle).await;
        assert_eq!(board.agents.up(), 0);
        let facts = house.written().await;
        let last = |is: &dyn Fn(&Fact) -> bool| facts.iter().rposition(is).unwrap();
        let guests_off = last(
            &|fact| matches!(fact, Fact::Sighted { sight: Sight::Guest { guest }, .. } if !guest.state.runs()),
        );
        for host in board.agents.runs.keys().map(|host| node(*host)) {
            let off = last(
                &|fact| matches!(fact, Fact::PowerSeen { node, state: PowerState::Off, .. } if *node == host),
            );
            assert!(off > guests_off, "{host} went before its guests");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hypervisor_that_starts_again_in_a_ready_lab_brings_its_guests_back_alone() {
    let board = hybrid("host-reboots");
    let house = board.open().await;
    house.starts().await;
    house.until(LIMIT, all_ready).await;
    let boot = board.agents.boots(2);
    for fact in stand::boot_sights(2).into_iter().chain([Agents::reports(2, boot)]) {
        house.tell(fact).await;
    }
    let evidence = house.look(|lab| lab.machines[&node(4)].evidence.clone()).await;
    assert_eq!(evidence, "node2, which runs it, started again");
    house.until(LIMIT, |lab| lab.phase == Phase::Degraded).await;
    house.until(LIMIT, |lab| lab.phase == Phase::Ready && all_ready(lab)).await;
    assert_eq!(board.bootstraps(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_is_killed_while_no_core_runs_is_back_with_its_cause() {
    let board = hybrid("guest-killed");
    let house = board.open().await;
    house.starts().await;
    house.until(LIMIT, all_ready).await;
    house.killed().await;
    board.agents.kills(5);
    let house = board.open().await;
    let again = |lab: &Lab| lab.machines[&node(5)].guest.as_ref().is_some_and(|seen| seen.starts == 2);
    house.until(LIMIT, again).await;
    house.until(LIMIT, all_ready).await;
    let told = house.look(|lab| {
        let explained = lifecycle::explain(lab, &lab.machines[&node(5)], None, lab.latest);
        explained.seen.join(" / ")
    });
    let told = told.await;
    assert!(told.contains("QEMU ended: its process is gone"), "{told}");
    assert_eq!(board.bootstraps(), 1);
}

/// Orders that were given to power ports so far.
async fn switched(house: &board::House) -> usize {
    let power = |fact: &&Fact| matches!(fact, Fact::Issued { command: model::Command::Power { .. }, .. });
    house.written().await.iter().filter(power).count()
}

#[tokio::test(start_paused = true)]
async fn talos_that_is_reset_after_a_run_becomes_the_next_cluster_without_power_or_firmware() {
    for character in [Character::UpTo12, Character::From13] {
        let mut board = Board::new("parked", character, |_| Vec::new());
        let scenario = board.spec.scenarios.get_mut(&stand::all()).unwrap();
        scenario.park = Some(model::Span::secs(1800));
        scenario.talos.as_mut().unwrap().park_by_reset = true;
        let house = board.open().await;
        house.starts().await;
        house.until(LIMIT, all_ready).await;
        let (cold, secrets) = (switched(&house).await, board.secrets());
        assert_eq!(cold, usize::from(CLUSTER));

        house.desk.ask(stand::stop()).await.unwrap();
        let waits = |lab: &Lab| lab.machines.values().all(|machine| machine.parks_in_talos());
        house.until(LIMIT, move |lab| lab.phase == Phase::Idle && waits(lab)).await;
        assert!(board.talos.values().all(|node| node.stage() == Stage::Maintenance));
        assert!(board.talos.values().all(|node| node.kept().config.is_none()), "a reset forgets the cluster");
        board.forgets_its_cluster();
        // The core may be killed meanwhile: whoever waits, waits.
        let house = house.killed_and_opened(&board).await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        house.until(LIMIT, waits).await;

        house.starts().await;
        house.until(LIMIT, all_ready).await;
        assert_eq!(switched(&house).await, cold, "nothing was switched");
        assert_ne!(board.secrets(), secrets);
        assert_eq!(board.bootstraps(), 1);
        let boots = house.look(|lab| lab.machines.values().map(|machine| machine.boots).collect::<Vec<_>>());
        assert_eq!(boots.await, [2; CLUSTER as usize]);
    }
}
