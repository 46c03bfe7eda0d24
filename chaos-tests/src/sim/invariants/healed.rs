//! I19: when nothing is wrong any more, a leader is there, all nodes are ready, members, and have
//! applied all that it has.

use raft::{Role, Status};

/// Whether nodes that say this of themselves have healed; else what is missing.
pub(crate) fn has_healed(statuses: &[(String, Option<Status>)]) -> Result<(), String> {
    let mut leader: Option<&Status> = None;
    for (name, status) in statuses {
        let status = status.as_ref().ok_or_else(|| format!("{name} does not run"))?;
        if status.role == Role::Leader {
            leader = Some(status);
        }
    }
    let leader = leader.ok_or("no node leads")?;
    if leader.members.len() != statuses.len() {
        return Err(format!("the cluster has {} members", leader.members.len()));
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
