//! A leader that is removed, and cut off while it hands over: openraft sends nothing more from a
//! leader that hands over, and the others tell a node nothing that they have removed. It has to
//! find out by itself.

use std::time::Duration;

use futures::future::join;
use raft::Role;

use crate::sim::{Plan, Scenario, Stage, Unmet};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "removed-while-handing-over",
    about: "a leader that is removed and hears nothing of who leads after it learns that, and ends",
    plan: Plan { nodes: 4, ..Plan::STILL },
    story: |stage| Box::pin(story(stage)),
    must_happen: &["removed nodes that came back as new ones"],
};

async fn story(stage: Stage) -> Result<(), Unmet> {
    stage.formed().await?;
    let old = stage.leader().await?;
    let others = stage.others(old);
    let before = stage.status(old).ok_or_else(|| Unmet::new("it runs"))?;

    // So that there is a time between the first vote for another one and the last.
    let slow = stage.slow_network(Duration::from_millis(300));
    let is_asked_for_votes =
        || others.iter().any(|node| stage.status(*node).is_some_and(|s| s.term > before.term));
    let cut_off = async {
        stage.until("another one asks for votes", is_asked_for_votes).await?;
        Ok(stage.cut_off(&[old]))
    };
    let (removed, cut) = join(stage.remove(others[0], before.node), cut_off).await;
    removed?;
    let cut = cut?;
    stage.end(slow);

    let has_left = |node| {
        stage.status(node).is_some_and(|status| {
            status.leader.is_some() && status.members.iter().all(|it| it.node != before.node)
        })
    };
    stage.until("the others have left it", || others.iter().all(|node| has_left(*node))).await?;
    let leads = stage.status(old).is_some_and(|status| status.role == Role::Leader);
    stage.expect(leads, "it takes itself for the leader")?;
    stage.end(cut);
    let is_new = || stage.status(old).is_some_and(|status| status.node != before.node);
    stage.until("its machine is another node now", is_new).await
}
