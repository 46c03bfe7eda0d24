//! An upload goes on through any node: no session sticks to the one that began it, and none is lost
//! with it (distribution #1576: sticky sessions, or a secret that all must share).

use crate::sim::{Plan, Scenario, Stage, Unmet};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "upload-through-many",
    about: "an upload goes on through other nodes when its own has died (distribution #1576)",
    plan: Plan::STILL,
    story: |stage| Box::pin(story(stage)),
    must_happen: &["requests: uploads resumed"],
};

async fn story(stage: Stage) -> Result<(), Unmet> {
    stage.formed().await?;
    let nodes = stage.nodes();
    let mut client = stage.client(nodes[0]);
    for victim in nodes.iter().copied() {
        let others = stage.others(victim);
        client.through(victim);
        let mut upload = client.begin_upload(9000).await?;
        stage.expect(client.send(&mut upload, 3000).await, "a chunk is acknowledged")?;
        let outage = stage.kill(victim);
        client.through(others[0]);
        let extent = client.resume(&mut upload).await?;
        stage.expect(extent == 3000, "what was acknowledged is there")?;
        stage.expect(client.send(&mut upload, 6000).await, "another node takes the next")?;
        client.through(others[1]);
        client.finish(&mut upload).await?;
        client.pull_upload(&upload).await;
        stage.end(outage);
        client.through(victim);
        client.pull_upload(&upload).await;
    }
    Ok(())
}
