//! A leader that has lost the others acknowledges nothing, and what it still has in its log is
//! thrown away (openraft #1802: entries counted as committed without a quorum).

use std::time::Duration;

use crate::sim::{Plan, Scenario, Stage, Told, Unmet};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "commit-without-quorum",
    about: "a leader that has lost the others acknowledges nothing (openraft #1802)",
    plan: Plan { nodes: 5, voters: 5, ..Plan::STILL },
    story: |stage| Box::pin(story(stage)),
    must_happen: &["elections"],
};

async fn story(stage: Stage) -> Result<(), Unmet> {
    stage.formed().await?;
    let old = stage.leader().await?;
    let others = stage.others(old);
    let (mut here, mut there) = (stage.client(old), stage.client(others[0]));
    let first = here.push("tag-1").await?;
    let second = here.push_blobs().await?;

    // One follower stays with the leader: two of five are no quorum either.
    let cut = stage.cut_off(&[old, others[3]]);
    let told = here.try_point("tag-1", second).await;
    stage.expect(told == Told::Nothing, "a leader without a quorum acknowledges nothing")?;
    let new = stage.leader_of(&others[..3]).await?;
    there.through(new);
    let third = there.push("tag-2").await?;
    stage.expect(there.look("tag-1").await? == Some(first), "nothing was committed")?;
    there.point("tag-1", third).await?;

    stage.end(cut);
    // What the old leader has in its log comes too late.
    stage.pass(Duration::from_secs(5)).await;
    stage.expect(here.look("tag-1").await? == Some(third), "the majority's move stays")
}
