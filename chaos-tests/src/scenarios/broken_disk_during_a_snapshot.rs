//! A node whose disk breaks while it is sent a snapshot ends, and comes to itself after a restart:
//! nothing else makes it write, so that consensus would never notice, and the leader would send it
//! the snapshot again for ever.

use crate::sim::{Plan, Scenario, Stage, Unmet};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "broken-disk-during-a-snapshot",
    about: "a node whose disk breaks while it is sent a snapshot ends",
    plan: Plan { nodes: 4, voters: 3, snapshot_every: 10, ..Plan::STILL },
    story: |stage| Box::pin(story(stage)),
    must_happen: &["failures between two writes", "nodes that ended by themselves"],
};

async fn story(stage: Stage) -> Result<(), Unmet> {
    stage.formed().await?;
    let leader = stage.leader().await?;
    let learner = stage.nodes().into_iter().find(|node| !stage.is_voter(*node));
    let learner = learner.ok_or_else(|| Unmet::new("one node does not vote"))?;
    let mut client = stage.client(leader);
    // Each round the disk breaks with one write more: when what an earlier snapshot left is
    // removed, at the rows, at the pointer to them.
    for writes in 0..8 {
        let outage = stage.kill(learner);
        for _ in 0..20 {
            client.push("tag-1").await?;
        }
        let failures = stage.count("failures between two writes");
        stage.fail_disk_after(learner, writes);
        stage.end(outage);
        stage
            .until("its disk breaks, or it has all it was sent", || {
                stage.count("failures between two writes") > failures
                    || stage.has_caught_up(learner)
            })
            .await?;
        stage.until("it has caught up", || stage.has_caught_up(learner)).await?;
    }
    stage.expect(client.look("tag-1").await?.is_some(), "the cluster goes on")
}
