//! A node that cannot ask the leader reads nothing: it does not go back to how far it was to see
//! the time before (etcd #20418: a read index that was kept over a change of leaders).

use std::time::Duration;

use crate::sim::{Plan, Scenario, Stage, Unmet};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "stale-read-index",
    about: "a node that no leader confirms says nothing of tags (etcd #20418)",
    plan: Plan::STILL,
    story: |stage| Box::pin(story(stage)),
    must_happen: &["elections"],
};

async fn story(stage: Stage) -> Result<(), Unmet> {
    stage.formed().await?;
    let mut pusher = stage.client(stage.leader().await?);
    for _ in 0..4 {
        let old = stage.leader().await?;
        let others = stage.others(old);
        let (mut by_old, mut by_other) = (stage.client(old), stage.client(others[1]));
        pusher.through(old);
        let first = pusher.push("tag-1").await?;
        stage.expect(by_old.look("tag-1").await? == Some(first), "the leader sees it")?;
        stage.expect(by_other.look("tag-1").await? == Some(first), "a follower sees it")?;

        // The old leader is alone; then a follower is, which has read through the old one.
        let cut = stage.cut_off(&[old]);
        pusher.through(stage.leader_of(&others).await?);
        pusher.push("tag-1").await?;
        stage.expect(by_old.try_look("tag-1").await.is_none(), "who led cannot tell")?;
        stage.end(cut);
        stage.formed().await?;
        let cut = stage.cut_off(&[others[1]]);
        stage.pass(Duration::from_secs(1)).await;
        let leader = stage.leader_of(&[old, others[0]]).await?;
        pusher.through(leader);
        let third = pusher.push("tag-1").await?;
        stage.expect(by_other.try_look("tag-1").await.is_none(), "who followed cannot tell")?;
        stage.end(cut);
        stage.expect(by_other.look("tag-1").await? == Some(third), "it sees what was moved")?;
    }
    Ok(())
}
