//! What the node itself counts: its part in the cluster, read when it is asked for, connections
//! that it does not take, and which version it is.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use raft::{Cluster, Role, Status};
use storage::Blobs;
use storage::blob::CacheCounts;

use crate::telemetry;

/// Has `registry` show the state of `cluster`, what the cache before `blobs` does, if there is one,
/// what the audit log has lost, and the program's version.
pub(crate) fn register(registry: &mut Registry, cluster: Cluster, blobs: Arc<dyn Blobs>) {
    let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("roadstead_build", "The program", build);
    registry.register_collector(Box::new(RaftCollector(cluster)));
    let help = "Records of the audit log that could not be written";
    registry.register("roadstead_audit_lost", help, telemetry::lost());
    if blobs.cached().is_some() {
        registry.register_collector(Box::new(CacheCollector(blobs)));
    }
}

/// Connections that a listener closed because their client had too many.
pub(crate) struct Refused(Family<[(&'static str, &'static str); 1], Counter>);

impl Refused {
    /// Counts that `registry` shows.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let counts = Family::default();
        let help = "Connections closed because their client had its part of them, by listener";
        registry.register("roadstead_connections_refused", help, counts.clone());
        Self(counts)
    }

    /// The count of `listener`.
    pub(crate) fn by(&self, listener: &'static str) -> Counter {
        self.0.get_or_create_owned(&[("listener", listener)])
    }
}

struct RaftCollector(Cluster);

impl Collector for RaftCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        write_status(&self.0.status(), encoder)
    }
}

impl fmt::Debug for RaftCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RaftCollector")
    }
}

fn write_status(status: &Status, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
    let voters = status.members.iter().filter(|member| member.voter).count();
    let gauges = [
        (
            "is_leader",
            "1 while this node leads its cluster.",
            u64::from(status.role == Role::Leader),
        ),
        ("has_leader", "1 while this node knows a leader.", u64::from(status.leader.is_some())),
        ("term", "The term.", status.term),
        ("last_log_index", "The last entry of the log.", status.last_log.unwrap_or(0)),
        ("applied_index", "The last entry that is applied.", status.applied.unwrap_or(0)),
        ("voters", "How many nodes vote.", u64::try_from(voters).unwrap_or(u64::MAX)),
    ];
    for (name, help, value) in gauges {
        let name = format!("roadstead_raft_{name}");
        let gauge = ConstGauge::new(value);
        let kind = gauge.metric_type();
        gauge.encode(encoder.encode_descriptor(&name, help, None, kind)?)?;
    }
    Ok(())
}

struct CacheCollector(Arc<dyn Blobs>);

impl Collector for CacheCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let CacheCounts { hits, misses, bytes } = self.0.cached().unwrap_or_default();
        let hits_help = "Reads of objects that were on this node's disk, or on their way there";
        let misses_help = "Reads of objects that went to the store";
        let counters = [("hits", hits_help, hits), ("misses", misses_help, misses)];
        for (name, help, value) in counters {
            let name = format!("roadstead_cache_{name}");
            let counter = ConstCounter::new(value);
            let kind = counter.metric_type();
            counter.encode(encoder.encode_descriptor(&name, help, None, kind)?)?;
        }
        let gauge = ConstGauge::new(bytes);
        let (help, kind) = ("Bytes of objects on this node's disk", gauge.metric_type());
        gauge.encode(encoder.encode_descriptor("roadstead_cache_bytes", help, None, kind)?)
    }
}

impl fmt::Debug for CacheCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CacheCollector")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use prometheus_client::encoding::text::encode;
    use proto::ClusterId;
    use raft::Member;

    use super::*;

    #[derive(Debug)]
    struct Fixed(Status);

    impl Collector for Fixed {
        fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
            write_status(&self.0, encoder)
        }
    }

    #[test]
    fn the_part_in_the_cluster_shows_as_gauges() {
        let member = |node, voter| Member { node, peer_address: "n:1".parse().unwrap(), voter };
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Fixed(Status {
            cluster: ClusterId::from_bytes([7; 16]),
            node: 1,
            role: Role::Leader,
            term: 3,
            leader: Some(1),
            last_log: Some(12),
            applied: Some(11),
            ready: true,
            members: vec![member(1, true), member(4, true), member(9, false)],
        })));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "roadstead_raft_is_leader 1",
            "roadstead_raft_term 3",
            "roadstead_raft_last_log_index 12",
            "roadstead_raft_applied_index 11",
            "roadstead_raft_voters 2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
    }
}
