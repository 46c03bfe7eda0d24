//! The worker that frees, now and then, what was left in the object store.

use std::time::Duration;

use api::Registry;
use proto::limits::SWEEP_AGE;
use raft::{Cluster, Role};
use tokio::time::sleep;

/// Sweeps for as long as it is not dropped, after each `pause`, while this node leads: one look at
/// the object store is enough for all nodes.
pub(crate) async fn run(cluster: Cluster, registry: Registry, pause: Duration) {
    loop {
        sleep(pause).await;
        if cluster.status().role == Role::Leader {
            registry.sweep(SWEEP_AGE).await;
        }
    }
}
