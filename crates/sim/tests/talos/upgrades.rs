//! Another release on a node: by Talos's two ways, staged, refused, and cut off.

use std::net::SocketAddr;
use std::time::Duration;

use sim::talos::{Kept, Manner, Node, Place, Stage};
use talos::api::proto::machine::UpgradeReq;
use talos::api::{Bootstrap, Character, NodeError};
use tonic::Code;

use crate::lab::{Lab, until, until_stage};
use crate::{BOTH, pushed};

const LIMIT: Duration = Duration::from_secs(600);

/// A control plane that runs, alone in its cluster.
async fn running(lab: &Lab, character: Character, manners: &[Manner]) -> (Node, SocketAddr) {
    let (node, at) = lab.node(1, character, manners);
    until_stage(&node, Stage::Maintenance).await;
    assert_eq!(pushed(lab, at, &lab.config("controlplane", "c1")).await.code(), "apply/confirmed");
    let begun = lab.ours(at).bootstrap_within(LIMIT).await.unwrap();
    assert!(matches!(begun, Bootstrap::Begun), "{begun:?}");
    until_stage(&node, Stage::Running).await;
    (node, at)
}

fn installer(version: &str) -> String {
    format!("ghcr.io/siderolabs/installer:{version}")
}

#[tokio::test(start_paused = true)]
async fn a_node_comes_back_with_another_release_and_is_who_it_was() {
    for (character, to) in [(Character::UpTo12, "v1.12.8"), (Character::From13, "v1.13.1")] {
        let lab = Lab::new();
        let (node, at) = running(&lab, character, &[]).await;
        let ours = lab.ours(at);
        let (members, boot) = (ours.etcd_members(true).await.unwrap(), ours.boot_id().await.unwrap());
        let before = node.kept();
        let mut said = Vec::new();
        ours.upgrade(&installer(to), |step| said.push(step.to_owned())).await.unwrap();
        if character == Character::UpTo12 {
            assert_eq!(said, ["Upgrade request received"]);
            until_stage(&node, Stage::Upgrading).await;
            assert_eq!(node.version(), "v1.12.11", "it is the old one that writes the new one");
        } else {
            assert!(said[0].starts_with("pulled ghcr.io/siderolabs/installer@sha256:"), "{said:?}");
            assert_eq!(said[1..], [format!("running Talos installer {to}")]);
        }
        ours.next_boot(&boot, LIMIT).await.unwrap();
        assert_eq!(ours.version().await.unwrap().tag, to);
        until_stage(&node, Stage::Running).await;
        assert_eq!(ours.etcd_members(true).await.unwrap(), members);
        assert_eq!((node.applied(), lab.cluster.bootstraps("ours")), (1, 1));
        assert_eq!(node.kept(), Kept { release: Some(to.to_owned()), ..before });
        // Its own disk has it from now on, by firmware as well.
        let boot = ours.boot_id().await.unwrap();
        ours.reboot().await.unwrap();
        ours.next_boot(&boot, LIMIT).await.unwrap();
        assert_eq!(ours.version().await.unwrap().tag, to);
    }
}

#[tokio::test(start_paused = true)]
async fn the_new_release_behaves_as_itself() {
    let lab = Lab::new();
    let (node, at) = running(&lab, Character::UpTo12, &[]).await;
    let ours = lab.ours(at);
    let boot = ours.boot_id().await.unwrap();
    ours.upgrade(&installer("v1.13.9"), |_| ()).await.unwrap();
    ours.next_boot(&boot, LIMIT).await.unwrap();
    until_stage(&node, Stage::Running).await;
    // The second upgrade finds the services that came with 1.13.
    let (boot, mut said) = (ours.boot_id().await.unwrap(), Vec::new());
    let factory = format!("factory.talos.dev/metal-installer/{}:v1.14.0-rc.1", "3".repeat(64));
    ours.upgrade(&factory, |step| said.push(step.to_owned())).await.unwrap();
    assert!(said[0].starts_with("pulled factory.talos.dev/"), "{said:?}");
    ours.next_boot(&boot, LIMIT).await.unwrap();
    assert_eq!(ours.version().await.unwrap().tag, "v1.14.0-rc.1");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_boots_from_the_network_runs_what_the_network_gives_it() {
    let lab = Lab::new();
    let (node, at) = running(&lab, Character::From13, &[]).await;
    let ours = lab.ours(at);
    let boot = ours.boot_id().await.unwrap();
    ours.upgrade(&installer("v1.13.1"), |_| ()).await.unwrap();
    ours.next_boot(&boot, LIMIT).await.unwrap();
    ours.shutdown(true).await.unwrap();
    until_stage(&node, Stage::Off).await;
    node.boots_with("talos.platform=metal");
    let again = node.clone();
    tokio::spawn(async move { again.run().await });
    until_stage(&node, Stage::Running).await;
    assert_eq!(node.version(), "v1.13.9");
    let boot = ours.boot_id().await.unwrap();
    ours.reboot().await.unwrap();
    ours.next_boot(&boot, LIMIT).await.unwrap();
    assert_eq!(
        ours.version().await.unwrap().tag,
        "v1.13.1",
        "the next kernel without firmware is the disk's"
    );
}

#[tokio::test(start_paused = true)]
async fn images_that_are_not_there_are_refused_and_nothing_is_rebooted() {
    for character in BOTH {
        let lab = Lab::new();
        let (node, at) = running(&lab, character, &[]).await;
        let ours = lab.ours(at);
        let boot = ours.boot_id().await.unwrap();
        for (image, old, new, text) in [
            (installer("v1.99.0"), Code::Unknown, Code::NotFound, "not found"),
            ("no image".to_owned(), Code::Unknown, Code::Unknown, "invalid reference format"),
        ] {
            let error = ours.upgrade(&image, |_| ()).await.unwrap_err();
            let NodeError::Refused { status, text: said, .. } = &error else { panic!("{error:?}") };
            assert_eq!(*status, if character == Character::UpTo12 { old } else { new }, "{said}");
            assert!(said.contains(text) && said.contains(&image), "{said}");
        }
        assert_eq!((node.kept().release, ours.boot_id().await.unwrap()), (None, boot));
        let reader = lab.shown_as(at, "os:reader");
        let error = reader.upgrade(&installer("v1.13.1"), |_| ()).await.unwrap_err();
        assert!(matches!(error, NodeError::Refused { status: Code::PermissionDenied, .. }), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_two_members_of_etcd_is_not_taken_away() {
    let lab = Lab::new();
    let (_, first) = running(&lab, Character::UpTo12, &[]).await;
    let (second, at) = lab.node(2, Character::UpTo12, &[]);
    until_stage(&second, Stage::Maintenance).await;
    assert_eq!(pushed(&lab, at, &lab.config("controlplane", "c2")).await.code(), "apply/confirmed");
    until_stage(&second, Stage::Running).await;
    let ours = lab.ours(first);
    assert_eq!(ours.etcd_members(true).await.unwrap().len(), 2);
    let error = ours.upgrade(&installer("v1.12.8"), |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("etcd member count(2) is insufficient to maintain quorum"), "{error}");
    // Who insists may.
    let forced = UpgradeReq { image: installer("v1.12.8"), force: true, ..UpgradeReq::default() };
    let boot = ours.boot_id().await.unwrap();
    ours.upgrade_at_once(forced).await.unwrap();
    ours.next_boot(&boot, LIMIT).await.unwrap();
    assert_eq!(ours.version().await.unwrap().tag, "v1.12.8");
}

#[tokio::test(start_paused = true)]
async fn a_staged_release_is_written_in_the_next_boot_and_only_then() {
    let lab = Lab::new();
    let (node, at) = running(&lab, Character::UpTo12, &[]).await;
    let ours = lab.ours(at);
    let boot = ours.boot_id().await.unwrap();
    let staged = UpgradeReq { image: installer("v1.12.8"), stage: true, ..UpgradeReq::default() };
    ours.upgrade_at_once(staged).await.unwrap();
    assert_eq!(node.kept().staged.as_deref(), Some("v1.12.8"), "it lies on the disk before the answer");
    until_stage(&node, Stage::Installing).await;
    assert_eq!(
        (node.version(), node.kept().staged, node.kept().release),
        ("v1.12.11".to_owned(), None, None)
    );
    ours.next_boot(&boot, LIMIT).await.unwrap();
    until_stage(&node, Stage::Running).await;
    assert_eq!(ours.version().await.unwrap().tag, "v1.12.8");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_dies_while_it_is_written_keeps_the_release_before() {
    let lab = Lab::new();
    let (node, at) = running(&lab, Character::UpTo12, &[Manner::DiesAt(Place::Upgrade)]).await;
    let before = node.kept();
    lab.ours(at).upgrade(&installer("v1.12.8"), |_| ()).await.unwrap();
    until_stage(&node, Stage::Off).await;
    assert_eq!(node.kept(), before);
    let again = node.clone();
    tokio::spawn(async move { again.run().await });
    until("it runs again", || node.stage() == Stage::Running).await;
    assert_eq!(lab.ours(at).version().await.unwrap().tag, "v1.12.11");
}
