//! The machine API's client against simulated nodes: both characters, every manner, every way a push can end.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may stop")]

#[path = "talos/errors.rs"]
mod errors;
#[path = "talos/lab.rs"]
mod lab;
#[path = "talos/metal.rs"]
mod metal;
#[path = "talos/outcomes.rs"]
mod outcomes;
#[path = "talos/streams.rs"]
mod streams;
#[path = "talos/upgrades.rs"]
mod upgrades;

use std::time::Duration;

use lab::{Lab, until_stage};
use sim::talos::Stage;
use talos::api::{
    ApplyOutcome, Bootstrap, Character, Extent, LogSource, NodeError, Push, Reset, Seen, Wipe, push,
};

const BOTH: [Character; 2] = [Character::UpTo12, Character::From13];

/// Pushes to a waiting node and says how that ended.
async fn pushed(lab: &Lab, at: std::net::SocketAddr, config: &[u8]) -> ApplyOutcome {
    let (waiting, configured) = (lab.waiting(at), lab.ours(at));
    push(Push { waiting: &waiting, configured: &configured, config, limit: Duration::from_secs(600) }).await
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_comes_from_maintenance_to_ready() {
    for character in BOTH {
        let lab = Lab::new();
        let (node, at) = lab.node(1, character, &[]);
        until_stage(&node, Stage::Maintenance).await;
        let waiting = lab.waiting(at);
        let Seen::Maintenance { character: seen, fingerprint, version } = waiting.probe().await else {
            panic!()
        };
        assert_eq!(seen, character);
        assert_eq!(version.is_some(), character == Character::From13);
        assert_eq!(waiting.fingerprint().await.unwrap(), fingerprint);
        assert_eq!(waiting.machine_status().await.unwrap().stage, "maintenance");
        assert!(!waiting.volume("STATE").await.unwrap().unwrap().exists());
        assert_eq!(waiting.system_information().await.unwrap().uuid, "00000000-0000-0000-0000-000000000001");
        assert_eq!(waiting.addresses().await.unwrap(), ["10.0.0.101/24"]);
        assert!(waiting.links().await.unwrap()[0].spec.link_state);
        assert!(!waiting.disks().await.unwrap()[0].system);

        let outcome = pushed(&lab, at, &lab.config("controlplane", "c1")).await;
        let ApplyOutcome::Confirmed { version, .. } = &outcome else { panic!("{character:?}: {outcome:?}") };
        assert!(version.starts_with("v1.1"), "{version}");

        let ours = lab.ours(at);
        until_stage(&node, Stage::Booting).await;
        let begun = ours.bootstrap_within(Duration::from_secs(300)).await.unwrap();
        assert!(matches!(begun, Bootstrap::Begun), "{begun:?}");
        until_stage(&node, Stage::Running).await;
        assert!(ours.machine_status().await.unwrap().status.ready);
        assert!(ours.volume("STATE").await.unwrap().unwrap().exists());
        assert!(ours.disks().await.unwrap()[0].system);
        let again = ours.bootstrap().await.unwrap();
        assert!(matches!(again, Bootstrap::AlreadyThere), "{again:?}");
        assert_eq!(lab.cluster.bootstraps("ours"), 1);
        let members = ours.etcd_members(true).await.unwrap();
        assert_eq!((members.len(), members[0].hostname.as_str(), members[0].learner), (1, "c1", false));
        assert_eq!(ours.etcd_status().await.unwrap().leader, members[0].id);
        let services = ours.services().await.unwrap();
        assert!(services.iter().any(|service| service.id == "etcd" && service.healthy == Some(true)));
        let kubeconfig = ours.kubeconfig().await.unwrap();
        assert!(
            kubeconfig.contains("server: https://10.0.0.101:6443")
                && kubeconfig.contains("current-context: admin@lab\n")
        );
        let mut log = ours.log(LogSource::Service("etcd"), Extent::Kept).await.unwrap();
        assert_eq!(log.next().await.unwrap().unwrap(), b"etcd: preparing\n");
        assert_eq!(log.next().await.unwrap().unwrap(), b"etcd: running\n");
        assert_eq!(log.next().await.unwrap(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_port_while_installing_is_not_a_node_that_is_up() {
    for (character, expected) in [(Character::UpTo12, Seen::Closed), (Character::From13, Seen::Configured)] {
        let lab = Lab::new();
        let (node, at) = lab.node(1, character, &[]);
        until_stage(&node, Stage::Maintenance).await;
        let waiting = lab.waiting(at);
        let sent = waiting.apply_configuration(&lab.config("controlplane", "c1"), Default::default()).await;
        assert!(matches!(sent, ApplyOutcome::Unconfirmed { .. }), "{sent:?}");
        until_stage(&node, Stage::Installing).await;
        waiting.hang_up().await;
        assert_eq!(waiting.probe().await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_has_no_api_before_a_control_plane_signs_for_it() {
    let lab = Lab::new();
    let (worker, worker_at) = lab.node(2, Character::UpTo12, &[]);
    until_stage(&worker, Stage::Maintenance).await;
    let outcome = pushed(&lab, worker_at, &lab.config("worker", "w1")).await;
    assert!(matches!(outcome, ApplyOutcome::Unconfirmed { .. }), "{outcome:?}");
    assert_eq!(lab.waiting(worker_at).probe().await, Seen::Closed);

    let (control, control_at) = lab.node(1, Character::UpTo12, &[]);
    until_stage(&control, Stage::Maintenance).await;
    let outcome = pushed(&lab, control_at, &lab.config("controlplane", "c1")).await;
    assert!(matches!(outcome, ApplyOutcome::Confirmed { .. }), "{outcome:?}");
    let worker_api = lab.ours(worker_at);
    assert_eq!(worker_api.version().await.unwrap().tag, "v1.12.11");
    let never = worker_api.bootstrap().await.unwrap();
    assert!(matches!(never, Bootstrap::Never { .. }), "{never:?}");
    assert_eq!(lab.cluster.bootstraps("ours"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reader_reads_and_changes_nothing() {
    let lab = Lab::new();
    let (node, at) = lab.node(1, Character::From13, &[]);
    until_stage(&node, Stage::Maintenance).await;
    assert_eq!(pushed(&lab, at, &lab.config("controlplane", "c1")).await.code(), "apply/confirmed");
    let reader = lab.shown_as(at, "os:reader");
    assert_eq!(reader.version().await.unwrap().tag, "v1.13.9");
    for refused in [
        reader.reboot().await.unwrap_err(),
        reader.kubeconfig().await.unwrap_err(),
        reader.boot_id().await.unwrap_err(),
    ] {
        assert!(
            matches!(refused, NodeError::Refused { status: tonic::Code::PermissionDenied, .. }),
            "{refused:?}"
        );
    }
    assert_eq!(node.stage(), Stage::Installing, "it goes on undisturbed");
}

#[tokio::test(start_paused = true)]
async fn a_reboot_is_proven_by_another_boot_and_a_reset_by_maintenance() {
    let lab = Lab::new();
    let (node, at) = lab.node(1, Character::UpTo12, &[]);
    until_stage(&node, Stage::Maintenance).await;
    assert_eq!(pushed(&lab, at, &lab.config("controlplane", "c1")).await.code(), "apply/confirmed");
    let ours = lab.ours(at);
    let before = ours.boot_id().await.unwrap();
    let actor = ours.reboot().await.unwrap();
    assert_eq!(actor.len(), 36, "{actor}");
    let after = ours.next_boot(&before, Duration::from_secs(300)).await.unwrap();
    assert_ne!(before, after);

    let wipe = Wipe::Partitions(vec!["STATE".to_owned(), "EPHEMERAL".to_owned()]);
    ours.reset(Reset { graceful: false, reboot: true, wipe }).await.unwrap();
    until_stage(&node, Stage::Maintenance).await;
    let waiting = lab.waiting(at);
    assert!(matches!(waiting.probe().await, Seen::Maintenance { .. }));
    assert!(!waiting.volume("STATE").await.unwrap().unwrap().exists());
    // Its old cluster's certificate is no use any more, and says so at once.
    let error = ours.next_boot(&after, Duration::from_secs(300)).await.unwrap_err();
    assert_eq!(error.code(), "talos/wrong-cluster");
    // Talos is still installed, so the same config needs no installation.
    assert_eq!(pushed(&lab, at, &lab.config("controlplane", "c1")).await.code(), "apply/confirmed");
}

#[tokio::test(start_paused = true)]
async fn a_fleet_is_pushed_in_the_time_of_its_slowest() {
    let lab = Lab::new();
    let nodes: Vec<_> = (1..=24).map(|number| lab.node(number, BOTH[usize::from(number % 2)], &[])).collect();
    for (node, _) in &nodes {
        until_stage(node, Stage::Maintenance).await;
    }
    let began = tokio::time::Instant::now();
    let config = lab.config("controlplane", "c");
    let all = nodes.iter().map(|(_, at)| pushed(&lab, *at, &config));
    let outcomes = futures_util::future::join_all(all).await;
    assert!(outcomes.iter().all(|outcome| outcome.code() == "apply/confirmed"), "{outcomes:?}");
    assert!(began.elapsed() < Duration::from_secs(70), "{:?}", began.elapsed());
}
