//! A right that was taken back is taken back on every node, also on one that has yet to hear of it;
//! and so is one that was given. In registries whose nodes remember who may do what, a key that was
//! revoked goes on to work until they forget it.

use std::time::Duration;

use crate::sim::{Plan, Scenario, Stage, Unmet};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "rights-through-a-node-that-is-behind",
    about: "who may do what is the same through every node, as soon as it is decided",
    plan: Plan { is_closed: true, ..Plan::STILL },
    story: |stage| Box::pin(story(stage)),
    must_happen: &["rights: changed", "rights: seen", "rights: refused"],
};

/// How long the node that is behind takes to write down what the others have decided.
const BEHIND: Duration = Duration::from_millis(600);
/// How often the right is taken and given.
const TIMES: usize = 8;

async fn story(stage: Stage) -> Result<(), Unmet> {
    stage.formed().await?;
    stage.let_in().await?;
    let leader = stage.leader().await?;
    let mut client = stage.client(leader);
    client.push("tag-1").await?;

    let behind = stage.others(leader)[0];
    let slowness = stage.slow_disk(behind, BEHIND);
    for time in 0..TIMES {
        let is_given = time % 2 == 1;
        if stage.grant(leader, is_given).await {
            let is_let_in = stage.lets_in(behind).await;
            stage.expect(
                is_let_in.is_none_or(|is_let_in| is_let_in == is_given),
                "a node that is behind goes by what was decided",
            )?;
        }
    }
    stage.end(slowness);
    Ok(())
}
