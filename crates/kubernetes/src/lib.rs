//! The cluster: what its API server tells of nodes and pods, and manifests applied to it.
