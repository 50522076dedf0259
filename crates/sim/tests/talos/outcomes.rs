//! Each bad manner, and the outcome by which a caller knows it.

use std::time::Duration;

use sim::talos::{Manner, Place, Stage};
use talos::api::{Apply, ApplyOutcome, Character, Limits, Node, NodeError, Push, Seen, push};

use crate::lab::{Lab, until_stage};
use crate::{BOTH, pushed};

#[tokio::test(start_paused = true)]
async fn a_lost_reply_is_looked_at_and_not_sent_again() {
    for character in BOTH {
        let lab = Lab::new();
        let (node, at) = lab.node(1, character, &[Manner::LosesReply]);
        until_stage(&node, Stage::Maintenance).await;
        let outcome = pushed(&lab, at, &lab.config("controlplane", "c1")).await;
        assert_eq!(outcome.code(), "apply/confirmed", "{outcome:?}");
        assert_eq!(node.applied(), 1, "one config, one yes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_request_is_sent_again_to_the_same_node() {
    for character in BOTH {
        let lab = Lab::new();
        let (node, at) = lab.node(1, character, &[Manner::LosesRequest]);
        until_stage(&node, Stage::Maintenance).await;
        let once = lab.waiting(at).apply_configuration(b"", Apply::default()).await;
        assert_eq!(once.code(), "apply/reply-lost", "{once:?}");
        assert_eq!(node.applied(), 0);
        let outcome = pushed(&lab, at, &lab.config("controlplane", "c1")).await;
        assert_eq!(outcome.code(), "apply/confirmed", "{outcome:?}");
    }
    let lab = Lab::new();
    let (node, at) = lab.node(1, Character::UpTo12, &[Manner::LosesRequest]);
    until_stage(&node, Stage::Maintenance).await;
    assert_eq!(pushed(&lab, at, &lab.config("controlplane", "c1")).await.code(), "apply/confirmed");
    assert_eq!(node.applied(), 1, "the first was never taken");
}

#[tokio::test(start_paused = true)]
async fn an_impostor_gets_nothing() {
    for character in BOTH {
        let lab = Lab::new();
        let (node, at) = lab.node(1, character, &[Manner::Impostor]);
        until_stage(&node, Stage::Maintenance).await;
        let first = lab.waiting(at).fingerprint().await.unwrap();
        let pinned = Node::in_maintenance(at, Some(first)).over(lab.dial.clone());
        let outcome = pinned.apply_configuration(&lab.config("controlplane", "c1"), Apply::default()).await;
        let ApplyOutcome::Impostor { expected, seen } = outcome else { panic!("{outcome:?}") };
        assert!(expected == first && seen != first);
        assert_eq!(
            pinned.probe().await,
            Seen::Impostor { seen: lab.waiting(at).fingerprint().await.unwrap() }
        );
        assert_eq!(node.applied(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_booted_anew_after_its_yes_is_not_taken_for_configured() {
    for character in BOTH {
        let lab = Lab::new();
        let (node, at) = lab.node(1, character, &[Manner::RebootsInApply]);
        until_stage(&node, Stage::Maintenance).await;
        let outcome = pushed(&lab, at, &lab.config("controlplane", "c1")).await;
        assert_eq!(outcome.code(), "apply/impostor", "its key is another in each boot: {outcome:?}");
        assert_eq!(pushed(&lab, at, &lab.config("controlplane", "c1")).await.code(), "apply/confirmed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_its_field_in_either_character() {
    for character in BOTH {
        let lab = Lab::new();
        let (node, at) =
            lab.node(1, character, &[Manner::RefusesConfig("machine.network.mtu is wrong".to_owned())]);
        until_stage(&node, Stage::Maintenance).await;
        let outcome = pushed(&lab, at, &lab.config("controlplane", "c1")).await;
        let ApplyOutcome::Refused(refusal) = outcome else { panic!("{outcome:?}") };
        assert_eq!(refusal.field.as_deref(), Some("machine.network.mtu"));

        let text = String::from_utf8(lab.config("controlplane", "c1")).unwrap();
        let unknown = text.replace("    install:", "    instal:");
        let ApplyOutcome::Refused(refusal) = pushed(&lab, at, unknown.as_bytes()).await else { panic!() };
        assert_eq!(refusal.field.as_deref(), Some("machine.instal"));
        let old = character == Character::UpTo12;
        let expected = if old { tonic::Code::Unknown } else { tonic::Code::InvalidArgument };
        assert_eq!(refusal.status, expected);

        let worker = text.replace("controlplane", "worker");
        let ApplyOutcome::Refused(refusal) = pushed(&lab, at, worker.as_bytes()).await else { panic!() };
        assert_eq!(refusal.problems, ["issuing Talos API CA key is not allowed on non-controlplane nodes"]);
        assert_eq!((node.stage(), node.applied()), (Stage::Maintenance, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_changes_nothing() {
    for character in BOTH {
        let lab = Lab::new();
        let (node, at) = lab.node(1, character, &[]);
        until_stage(&node, Stage::Maintenance).await;
        let dry = Apply { dry_run: true, ..Apply::default() };
        let outcome = lab.waiting(at).apply_configuration(&lab.config("controlplane", "c1"), dry).await;
        let ApplyOutcome::Unconfirmed { details, .. } = outcome else { panic!("{outcome:?}") };
        assert!(details.starts_with("Dry run summary:"), "{details}");
        assert_eq!((node.stage(), node.applied()), (Stage::Maintenance, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_of_another_cluster_is_never_pushed_to() {
    for character in BOTH {
        let lab = Lab::new();
        let (node, at) = lab.node(1, character, &[Manner::OfAnotherCluster]);
        let waiting = lab.waiting(at);
        crate::lab::until("configured", || node.connect().is_ok()).await;
        assert_eq!(waiting.probe().await, Seen::Configured);
        let outcome = pushed(&lab, at, &lab.config("controlplane", "c1")).await;
        assert_eq!(outcome.code(), "apply/wrong-cluster", "{outcome:?}");
        let as_ours =
            lab.ours(at).apply_configuration(&lab.config("controlplane", "c1"), Apply::default()).await;
        assert_eq!(as_ours.code(), "apply/wrong-cluster", "{as_ours:?}");
        assert_eq!(node.applied(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wiped_disk_forgets_the_other_cluster_and_a_saved_config_wins_over_waiting() {
    let lab = Lab::new();
    let (node, at) = lab.node_as(1, Character::UpTo12, |settings| {
        settings.manners = vec![Manner::OfAnotherCluster];
        settings.wipe = true;
    });
    until_stage(&node, Stage::Maintenance).await;
    assert_eq!(pushed(&lab, at, &lab.config("controlplane", "c1")).await.code(), "apply/confirmed");
    // The argument was for one boot: the next one keeps what is on the disk.
    let ours = lab.ours(at);
    let before = ours.boot_id().await.unwrap();
    ours.reboot().await.unwrap();
    ours.next_boot(&before, Duration::from_secs(300)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_ours_already_is_told_from_what_was_just_configured() {
    let lab = Lab::new();
    let (node, at) = lab.node(1, Character::UpTo12, &[]);
    until_stage(&node, Stage::Maintenance).await;
    let config = lab.config("controlplane", "c1");
    assert_eq!(pushed(&lab, at, &config).await.code(), "apply/confirmed");
    let again = pushed(&lab, at, &config).await;
    assert!(matches!(again, ApplyOutcome::AlreadyConfigured { ours: true }), "{again:?}");
    assert_eq!(node.applied(), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_there_is_unreachable() {
    let lab = Lab::new();
    let at = "10.0.0.99:50000".parse().unwrap();
    let outcome = pushed(&lab, at, b"").await;
    assert!(
        matches!(outcome, ApplyOutcome::Unreachable(NodeError::Unreachable { refused: false, .. })),
        "{outcome:?}"
    );
    assert!(matches!(lab.waiting(at).probe().await, Seen::Silent { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_slow_node_is_waited_for_up_to_the_limit() {
    let lab = Lab::new();
    let (node, at) = lab.node(1, Character::UpTo12, &[Manner::Slow(Duration::from_secs(5))]);
    until_stage(&node, Stage::Maintenance).await;
    let hasty = Limits { read: Duration::from_secs(1), change: Duration::from_secs(1), ..Limits::default() };
    let error = lab.waiting(at).within(hasty).disks().await.unwrap_err();
    assert_eq!(error.code(), "talos/timed-out");
    let config = lab.config("controlplane", "c1");
    let sent = lab.waiting(at).within(hasty).apply_configuration(&config, Apply::default()).await;
    assert_eq!(sent.code(), "apply/reply-lost", "a limit after sending proves nothing: {sent:?}");
    assert_eq!(pushed(&lab, at, &config).await.code(), "apply/confirmed");
}

#[tokio::test(start_paused = true)]
async fn an_expired_certificate_is_not_taken_for_another_clusters() {
    let lab = Lab::new();
    let (node, at) = lab.node(1, Character::From13, &[Manner::OldCertificate]);
    until_stage(&node, Stage::Maintenance).await;
    let (waiting, configured) = (lab.waiting(at), lab.ours(at));
    let config = lab.config("controlplane", "c1");
    let limit = Duration::from_secs(120);
    let outcome = push(Push { waiting: &waiting, configured: &configured, config: &config, limit }).await;
    assert_eq!(outcome.code(), "apply/unconfirmed", "{outcome:?}");
    assert_eq!(configured.version().await.unwrap_err().code(), "talos/certificate-time");
}

#[tokio::test(start_paused = true)]
async fn a_clock_far_behind_is_not_taken_for_another_cluster() {
    let lab = Lab::new();
    let year = Duration::from_secs(365 * 24 * 3600);
    let (node, at) = lab.node(1, Character::From13, &[Manner::ClockBehind(year)]);
    until_stage(&node, Stage::Maintenance).await;
    let config = lab.config("controlplane", "c1");
    let sent = lab.waiting(at).apply_configuration(&config, Apply::default()).await;
    assert_eq!(sent.code(), "apply/unconfirmed");
    until_stage(&node, Stage::Installing).await;
    let error = lab.ours(at).version().await.unwrap_err();
    assert_eq!(error.code(), "talos/certificate-time", "its own certificate ended a year ago: {error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_dies_is_unconfirmed_at_its_limit_wherever_it_died() {
    for place in [Place::Install, Place::Kexec, Place::Boot] {
        for character in BOTH {
            let lab = Lab::new();
            let (node, at) = lab.node(1, character, &[Manner::DiesAt(place)]);
            until_stage(&node, Stage::Maintenance).await;
            let (waiting, configured) = (lab.waiting(at), lab.ours(at));
            let config = lab.config("worker", "w1");
            let limit = Duration::from_secs(300);
            let outcome =
                push(Push { waiting: &waiting, configured: &configured, config: &config, limit }).await;
            assert_eq!(outcome.code(), "apply/unconfirmed", "{place:?} {character:?} {outcome:?}");
            assert_eq!(node.stage(), Stage::Off);
        }
    }
}
