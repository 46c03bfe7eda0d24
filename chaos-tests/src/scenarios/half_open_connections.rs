//! Connections of which one end has vanished without a word are found out: after a partition in
//! which nothing was told, every node works again.

use std::time::Duration;

use crate::sim::{Hand, Plan, Scenario, Stage, Unmet};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "half-open-connections",
    about: "a connection that was cut without a word does not hang for ever",
    plan: Plan { rests: true, ..Plan::STILL },
    story: |stage| Box::pin(story(stage)),
    must_happen: &["elections"],
};

/// How long a node may take to find out, and to be of use again.
const PATIENCE: Duration = Duration::from_secs(15);

async fn story(stage: Stage) -> Result<(), Unmet> {
    stage.formed().await?;
    let mut client = stage.client(stage.leader().await?);
    // Until then two sets of voters may have to agree, and the leader be needed by one of them.
    recover(&stage, &mut client).await?;
    // Each node once, and then each way between two: one end sends and is never answered.
    for node in stage.nodes() {
        let cut = stage.cut_off(&[node]);
        stage.pass(Duration::from_secs(4)).await;
        stage.end(cut);
        recover(&stage, &mut client).await?;
        for other in stage.others(node) {
            let cut = stage.cut_way(node, other);
            stage.pass(Duration::from_secs(4)).await;
            stage.end(cut);
            recover(&stage, &mut client).await?;
        }
    }
    Ok(())
}

async fn recover(stage: &Stage, client: &mut Hand) -> Result<(), Unmet> {
    let begun = stage.elapsed();
    for node in stage.nodes() {
        client.through(node);
        client.push("tag-1").await?;
    }
    stage.expect(stage.elapsed() - begun < PATIENCE, "all nodes take pushes again")
}
