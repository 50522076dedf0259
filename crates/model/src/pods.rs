//! What is installed into a cluster, and its pods, counted.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Asset;

/// The manifests of a scenario, as they were read last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ManifestFiles {
    /// Files in the order of the lab file, each by content: what was read is what is applied.
    pub files: Vec<Asset>,
    /// What is wrong with them, for a person; then nothing of them is used.
    pub mistakes: Vec<String>,
}

/// Pods by what they are doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PodCounts {
    /// Every container runs and answers its probes.
    pub ready: u32,
    /// On their way.
    pub starting: u32,
    /// Ended well.
    pub succeeded: u32,
    /// End again and again.
    pub crash_loop: u32,
    /// No node takes them.
    pub pending: u32,
    /// Ended badly, with no other in their place.
    pub failed: u32,
}

impl PodCounts {
    /// Pods that are where they should be: ready, or ended well.
    #[must_use]
    pub const fn done(&self) -> u32 {
        self.ready.saturating_add(self.succeeded)
    }

    /// Pods that somebody waits for, and those that are done.
    #[must_use]
    pub const fn all(&self) -> u32 {
        let others = self.starting.saturating_add(self.crash_loop);
        self.done().saturating_add(others).saturating_add(self.pending).saturating_add(self.failed)
    }
}

/// The pods of one machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodePods {
    /// How many, by what they are doing.
    pub counts: PodCounts,
    /// Those that are in trouble, each in a sentence; the first few.
    pub troubles: Vec<String>,
}

/// A workload of the manifests that has not all its pods.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShortWorkload {
    /// `Deployment default/web`.
    pub workload: String,
    /// Pods that are where they should be.
    pub done: u32,
    /// Pods that should be.
    pub wanted: u32,
    /// Which pod keeps it waiting, and why.
    pub why: String,
}

/// The pods of a cluster: what its manifests ask for, and all there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterPods {
    /// Pods of the manifests that are where they should be.
    pub done: u32,
    /// Pods that the manifests ask for.
    pub wanted: u32,
    /// Workloads of the manifests that have not all their pods; the first few.
    pub short: Vec<ShortWorkload>,
    /// How many such workloads there are besides.
    pub short_besides: u32,
    /// Jobs of the manifests that were seen to end well. They stay done when their pods are cleared away.
    pub finished: Vec<String>,
    /// Why the API server is not heard, once it has been silent for longer than a hiccup: all of this is how it was.
    pub away: Option<String>,
    /// All pods of the cluster.
    pub counts: PodCounts,
    /// The same by namespace; the first sixty-four.
    pub namespaces: BTreeMap<String, PodCounts>,
}

impl ClusterPods {
    /// True when every workload of the manifests has its pods, and that is how it is now.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.short.is_empty() && self.away.is_none()
    }

    /// True when somebody who judges by `other` judges the same: only numbers differ.
    #[must_use]
    pub fn tells_the_same(&self, other: &Self) -> bool {
        let short = |pods: &Self| {
            let short = pods.short.iter().map(|short| (short.workload.clone(), short.why.clone()));
            short.collect::<Vec<_>>()
        };
        self.away == other.away && self.finished == other.finished && short(self) == short(other)
    }
}
