//! The log is purged to its tip while a learner is cut off: it is sent a snapshot, and is as good
//! as any other node then.

use crate::sim::{Plan, Scenario, Stage, Unmet};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "purge-to-the-tip",
    about: "a learner that was cut off while the log was purged catches up from a snapshot",
    plan: Plan { nodes: 4, voters: 3, snapshot_every: 10, ..Plan::STILL },
    story: |stage| Box::pin(story(stage)),
    must_happen: &["snapshots installed"],
};

async fn story(stage: Stage) -> Result<(), Unmet> {
    stage.formed().await?;
    let leader = stage.leader().await?;
    let learner = stage.nodes().into_iter().find(|node| !stage.is_voter(*node));
    let learner = learner.ok_or_else(|| Unmet::new("one node does not vote"))?;
    let (mut client, mut there) = (stage.client(leader), stage.client(learner));
    for round in 1..=3 {
        let cut = stage.cut_off(&[learner]);
        let mut last = 0;
        for _ in 0..20 {
            last = client.push("tag-1").await?;
        }
        stage.expect(there.try_look("tag-1").await.is_none(), "it cannot tell the tag alone")?;
        stage.end(cut);
        let sent = || stage.count("snapshots installed") >= round;
        stage.until("it was sent a snapshot", sent).await?;
        stage.expect(there.look("tag-1").await? == Some(last), "it has caught up")?;
        there.push("tag-2").await?;
    }
    Ok(())
}
