//! I19: when nothing is wrong any more, a leader is there, as many nodes vote as are wanted, and
//! all nodes are members, ready, and have applied all that the leader has. That none of them was
//! removed, the caller checks.

use raft::{Role, Status};

/// Whether nodes that say this of themselves have healed, where `voters` are wanted; else what is
/// missing.
pub(crate) fn has_healed(
    statuses: &[(String, Option<Status>)],
    voters: usize,
) -> Result<(), String> {
    let mut leader: Option<&Status> = None;
    for (name, status) in statuses {
        let status = status.as_ref().ok_or_else(|| format!("{name} does not run"))?;
        if status.role == Role::Leader && leader.is_none_or(|other| other.term < status.term) {
            leader = Some(status);
        }
    }
    let leader = leader.ok_or("no node leads")?;
    if leader.members.len() != statuses.len() {
        return Err(format!("the cluster has {} members", leader.members.len()));
    }
    let voting = leader.members.iter().filter(|member| member.voter).count();
    if voting != voters {
        return Err(format!("{voting} nodes vote, and {voters} should"));
    }
    for (name, status) in statuses {
        let status = status.as_ref().ok_or_else(|| format!("{name} does not run"))?;
        if !status.ready {
            return Err(format!("{name} is not ready"));
        }
        if status.leader != Some(leader.node) || status.term != leader.term {
            return Err(format!("{name} follows {:?} in term {}", status.leader, status.term));
        }
        if status.applied != leader.last_log {
            return Err(format!(
                "{name} has applied {:?} of {:?}",
                status.applied, leader.last_log
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use proto::{ClusterId, NodeId, PeerAddress};
    use raft::Member;

    use super::*;

    fn healed() -> Vec<(String, Option<Status>)> {
        let peer_address: PeerAddress = "node:5001".parse().unwrap();
        let member = |node| Member { node, peer_address: peer_address.clone(), voter: node <= 3 };
        let status = |node: NodeId| Status {
            cluster: ClusterId::from_bytes([1; 16]),
            node,
            role: if node == 2 { Role::Leader } else { Role::Follower },
            term: 7,
            leader: Some(2),
            last_log: Some(40),
            applied: Some(40),
            ready: true,
            members: (1..=4).map(member).collect(),
        };
        (1..=4).map(|node| (format!("node-{node}"), Some(status(node)))).collect()
    }

    fn missing(change: impl FnOnce(&mut Vec<(String, Option<Status>)>)) -> String {
        let mut statuses = healed();
        change(&mut statuses);
        has_healed(&statuses, 3).unwrap_err()
    }

    #[test]
    fn a_cluster_is_healed_when_nothing_is_missing() {
        assert_eq!(has_healed(&healed(), 3), Ok(()));
        assert_eq!(missing(|s| s[0].1 = None), "node-1 does not run");
        assert_eq!(missing(|s| s[1].1.as_mut().unwrap().role = Role::Follower), "no node leads");
        assert!(missing(|s| s[3].1.as_mut().unwrap().applied = Some(39)).contains("has applied"));
        assert!(missing(|s| s[3].1.as_mut().unwrap().term = 6).contains("follows"));
        assert!(missing(|s| s[0].1.as_mut().unwrap().ready = false).contains("not ready"));
    }

    #[test]
    fn a_cluster_with_too_few_voters_is_not_healed() {
        let few = missing(|statuses| {
            for member in &mut statuses[1].1.as_mut().unwrap().members {
                member.voter = member.node == 2;
            }
        });
        assert_eq!(few, "1 nodes vote, and 3 should");
    }
}
