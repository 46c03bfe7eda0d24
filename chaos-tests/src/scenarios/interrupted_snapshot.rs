//! A node that dies while it is sent a snapshot, in the middle of it or as it puts it in the place
//! of its catalog, comes back with the old state or the new one, and never with half of each.

use std::time::Duration;

use crate::sim::{Plan, Scenario, Stage, Unmet};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "interrupted-snapshot",
    about: "a crash while a snapshot is installed leaves the old state or the new one",
    plan: Plan { nodes: 4, voters: 3, snapshot_every: 10, ..Plan::STILL },
    story: |stage| Box::pin(story(stage)),
    must_happen: &["snapshots installed", "crashes between two writes"],
};

async fn story(stage: Stage) -> Result<(), Unmet> {
    stage.formed().await?;
    let leader = stage.leader().await?;
    let learner = stage.nodes().into_iter().find(|node| !stage.is_voter(*node));
    let learner = learner.ok_or_else(|| Unmet::new("one node does not vote"))?;
    let mut client = stage.client(leader);
    // Each round the node dies after one write more: the rows, the pointer to them, the removal of
    // the old ones.
    for writes in 0..12 {
        let outage = stage.kill(learner);
        for _ in 0..20 {
            client.push("tag-1").await?;
        }
        stage.crash_after(learner, writes);
        stage.end(outage);
        let crashes = stage.count("crashes between two writes");
        stage
            .until("it dies, or has all it was sent", || {
                stage.count("crashes between two writes") > crashes || stage.has_caught_up(learner)
            })
            .await?;
        stage.pass(Duration::from_millis(500)).await;
        stage.until("it has caught up", || stage.has_caught_up(learner)).await?;
    }
    stage.expect(client.look("tag-1").await?.is_some(), "the cluster goes on")
}
