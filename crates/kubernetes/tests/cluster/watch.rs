//! What is seen of a cluster that behaves.

use std::time::Duration;

use kubernetes::watch::{Counts, Expected, Link, NodeState, PodState};
use serde_json::json;

use crate::bench::{Bench, created, deployment, job, that_does, until};

#[tokio::test(start_paused = true)]
async fn nodes_are_seen_as_they_join_and_fall_silent() {
    let mut bench = Bench::new();
    let watch = bench.watch();
    until(&watch, "a live link", |picture| picture.link() == Link::Live).await;
    bench.join(2);
    let picture = until(&watch, "two nodes", |picture| picture.nodes().count() == 2).await;
    let node = picture.node("node2").unwrap();
    assert_eq!((node.state.clone(), node.version.as_str()), (NodeState::Ready, "v1.33.2"));
    assert_eq!(node.address.as_deref(), Some("10.0.0.12"));
    assert!(picture.node("node1").unwrap().tainted && !node.tainted);
    bench.server.lose("node2");
    let lost = until(&watch, "a silent node", |picture| {
        picture.node("node2").is_some_and(|node| node.state != NodeState::Ready)
    });
    let reason = lost.await.node("node2").unwrap().state.clone();
    let stopped = "NodeStatusUnknown: Kubelet stopped posting node status.".to_owned();
    assert_eq!(reason, NodeState::NotReady { reason: stopped });
    bench.join(2);
    until(&watch, "it is back", |picture| picture.nodes().all(|node| node.state == NodeState::Ready)).await;
}

#[tokio::test(start_paused = true)]
async fn pods_are_followed_from_pending_to_ready_and_done() {
    let mut bench = Bench::new();
    let watch = bench.watch();
    created(&bench, &deployment("web", 3));
    created(&bench, &job("once"));
    let mut expected = Expected::default();
    for object in [deployment("web", 3), job("once")] {
        expected.add(&object);
    }
    let picture = until(&watch, "four pods without a node", |picture| picture.counts().pending == 4).await;
    let why = "Unschedulable: no nodes available to schedule pods".to_owned();
    assert!(picture.pods().all(|pod| pod.state == PodState::Pending { reason: why.clone() }));
    assert!(!expected.outlook(&picture).is_done());
    bench.join(3);
    let picture = until(&watch, "all is done", |picture| expected.outlook(picture).is_done()).await;
    let outlook = expected.outlook(&picture);
    assert_eq!((outlook.done, outlook.wanted), (4, 4));
    let done = Counts { ready: 3, succeeded: 1, ..Counts::default() };
    assert_eq!((picture.counts(), picture.counts().wanted()), (done, 4));
    let by_node = picture.counts_by_node();
    assert!(!by_node.contains_key(&Some("node1")), "the control plane's taint keeps them away: {by_node:?}");
    assert_eq!(by_node.values().map(Counts::done).sum::<usize>(), 4);
    assert_eq!(picture.counts_by_namespace().get("default"), Some(&done));
}

#[tokio::test(start_paused = true)]
async fn each_way_to_get_stuck_is_seen_with_its_reason() {
    let mut bench = Bench::new();
    bench.join(3);
    let watch = bench.watch();
    created(&bench, &that_does(deployment("falls", 1), "crash"));
    created(&bench, &that_does(deployment("pulls", 1), "no-image"));
    created(&bench, &that_does(job("fails"), "fail"));
    let mut big = deployment("big", 1);
    big["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "64"}});
    created(&bench, &big);
    let mut apart = deployment("apart", 3);
    let rule = json!([{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "apart"}}}]);
    let rule = json!({"requiredDuringSchedulingIgnoredDuringExecution": rule});
    apart["spec"]["template"]["spec"]["affinity"] = json!({"podAntiAffinity": rule});
    created(&bench, &apart);
    let state_of = |picture: &kubernetes::watch::Picture, owner: &str| -> Vec<PodState> {
        let of = |pod: &&kubernetes::watch::Pod| pod.owner.as_ref().is_some_and(|(_, name)| name == owner);
        picture.pods().filter(of).map(|pod| pod.state.clone()).collect()
    };
    let picture = until(&watch, "everything stuck", |picture| {
        matches!(state_of(picture, "falls").first(), Some(PodState::CrashLoop { restarts }) if *restarts >= 3)
            && state_of(picture, "fails").len() == 7
            && state_of(picture, "apart").iter().filter(|state| **state == PodState::Ready).count() == 2
    });
    let picture = picture.await;
    let pull = "ImagePullBackOff: Back-off pulling image \"example.org/main:1\"".to_owned();
    assert_eq!(state_of(&picture, "pulls"), [PodState::Starting { waits_for: Some(pull) }]);
    let reason = "Unschedulable: 0/3 nodes are available: 1 node(s) had untolerated taint \
                  {node-role.kubernetes.io/control-plane: }, 2 Insufficient cpu."
        .to_owned();
    assert_eq!(state_of(&picture, "big"), [PodState::Pending { reason }]);
    let failed = state_of(&picture, "fails");
    assert!(
        failed
            .iter()
            .all(|state| matches!(state, PodState::Failed { reason } if reason == "Error, exit code 1"))
    );
    let apart = state_of(&picture, "apart");
    let waits =
        |state: &PodState| matches!(state, PodState::Pending { reason } if reason.contains("anti-affinity"));
    assert_eq!(apart.iter().filter(|state| waits(state)).count(), 1, "{apart:?}");
}

#[tokio::test(start_paused = true)]
async fn pods_that_go_are_terminating_and_then_gone() {
    let mut bench = Bench::new();
    bench.join(2);
    let watch = bench.watch();
    created(&bench, &deployment("web", 2));
    until(&watch, "two ready", |picture| picture.counts().ready == 2).await;
    let mut seen_going = false;
    bench.server.delete(("apps/v1", "Deployment"), "default", "web").unwrap();
    until(&watch, "none left", |picture| {
        seen_going |= picture.counts().terminating > 0;
        picture.pods().count() == 0
    })
    .await;
    assert!(seen_going, "they stop before they are gone");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_cluster_is_watched_for_hours_over_the_same_picture() {
    let mut bench = Bench::new();
    bench.join(2);
    let watch = bench.watch();
    created(&bench, &deployment("web", 2));
    let before = until(&watch, "two ready", |picture| picture.counts().ready == 2).await;
    let (_, lists) = bench.server.asked();
    tokio::time::advance(Duration::ZERO).await;
    let mut picture = watch.picture();
    // Watches end after their time and are opened again; that is no news.
    let lost = tokio::time::timeout(Duration::from_secs(3 * 3600), async {
        loop {
            picture.changed().await.unwrap();
            if *picture.borrow_and_update() != before {
                return picture.borrow().clone();
            }
        }
    });
    assert!(lost.await.is_err(), "nothing changed");
    assert_eq!(bench.server.asked().1, lists, "and nothing was listed again");
    assert!(bench.server.asked().0 >= 2 * 30, "watches did end: {:?}", bench.server.asked());
}
