//! The pods of a cluster, added up as the lab keeps them.

use std::collections::BTreeMap;

use kubernetes::watch::{Counts, Expected, Picture, Pod, PodState};
use model::{ClusterPods, NodePods, PodCounts, ShortWorkload};

/// Workloads that are named, namespaces that are counted, and troubles that are told of each machine.
const SHORT: usize = 8;
const NAMESPACES: usize = 64;
const TROUBLES: usize = 4;

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn counts(counts: &Counts) -> PodCounts {
    PodCounts {
        ready: number(counts.ready),
        starting: number(counts.starting),
        succeeded: number(counts.succeeded),
        crash_loop: number(counts.crash_loop),
        pending: number(counts.pending),
        failed: number(counts.failed),
    }
}

/// What the manifests ask for and all there are. Jobs that ended are done from now on.
pub(super) fn counted(picture: &Picture, expected: &mut Expected) -> ClusterPods {
    let outlook = expected.outlook(picture);
    for job in &outlook.finished {
        expected.finish(job);
    }
    let few = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    let short = outlook.short.iter().take(SHORT).map(|short| ShortWorkload {
        workload: short.workload.to_string(),
        done: few(short.done),
        wanted: few(short.wanted),
        why: short.why.clone(),
    });
    let by_namespace = picture.counts_by_namespace();
    let namespaces = by_namespace.iter().take(NAMESPACES);
    ClusterPods {
        done: few(outlook.done),
        wanted: few(outlook.wanted),
        short: short.collect(),
        short_besides: number(outlook.short.len().saturating_sub(SHORT)),
        finished: outlook.finished.iter().map(ToString::to_string).collect(),
        away: None,
        counts: counts(&picture.counts()),
        namespaces: namespaces.map(|(name, count)| ((*name).to_owned(), counts(count))).collect(),
    }
}

/// The pods of each node.
pub(super) fn by_node(picture: &Picture) -> BTreeMap<&str, NodePods> {
    let mut nodes: BTreeMap<&str, NodePods> = BTreeMap::new();
    for (node, count) in picture.counts_by_node() {
        let Some(node) = node else { continue };
        nodes.entry(node).or_default().counts = counts(&count);
    }
    for pod in picture.pods().filter(|pod| is_in_trouble(pod)) {
        let Some(about) = pod.node.as_deref().and_then(|node| nodes.get_mut(node)) else { continue };
        if about.troubles.len() < TROUBLES {
            about.troubles.push(format!("{}/{} {}", pod.name.namespace, pod.name.name, pod.state.told()));
        }
    }
    nodes
}

/// One that starts is in trouble only where the kubelet says what it waits for.
const fn is_in_trouble(pod: &Pod) -> bool {
    match &pod.state {
        PodState::CrashLoop { .. } | PodState::Failed { .. } | PodState::Pending { .. } => true,
        PodState::Starting { waits_for } => waits_for.is_some(),
        PodState::Ready | PodState::Succeeded | PodState::Terminating => false,
    }
}
