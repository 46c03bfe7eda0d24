//! A leader dies while two sets of voters have to agree: the next one finishes the change.

use std::time::Duration;

use crate::sim::{Plan, Scenario, Stage, Unmet};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "crash-in-joint-configuration",
    about: "a leader that dies between two sets of voters leaves work that the next one finishes",
    plan: Plan { nodes: 4, voters: 3, latency: Duration::from_millis(50), ..Plan::STILL },
    story: |stage| Box::pin(story(stage)),
    must_happen: &["elections"],
};

async fn story(stage: Stage) -> Result<(), Unmet> {
    stage.formed().await?;
    let leader = stage.leader().await?;
    let mut client = stage.client(leader);
    let first = client.push("tag-1").await?;

    // A voter that stays silent gives its place to the learner.
    let silent = stage
        .others(leader)
        .into_iter()
        .find(|node| stage.is_voter(*node))
        .ok_or_else(|| Unmet::new("another node votes"))?;
    let outage = stage.kill(silent);
    let joint = || stage.voters_known_to(leader).len() == 4;
    stage.until("two sets of voters have to agree", joint).await?;
    let crash = stage.kill(leader);
    stage.pass(Duration::from_millis(5)).await;
    // Neither set has a quorum without one of the two.
    stage.end(outage);
    let new = stage.leader_of(&stage.others(leader)).await?;
    client.through(new);
    stage.expect(client.look("tag-1").await? == Some(first), "nothing is lost")?;
    stage.end(crash);
    let settled = || stage.voters_known_to(new).len() == 3;
    stage.until("one set of voters is left", settled).await?;
    client.push("tag-1").await?;
    Ok(())
}
