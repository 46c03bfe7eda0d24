//! Bytes that the object store has lost are said to be absent, whole or in part, and the next push
//! of them heals every repository that has them (distribution #2788: a corrupt blob never heals,
//! since it is taken for one that is there).

use crate::sim::{Plan, Scenario, Stage, Unmet};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "damaged-object",
    about: "what the store has lost is absent until a push brings it back (distribution #2788)",
    plan: Plan::STILL,
    story: |stage| Box::pin(story(stage)),
    must_happen: &[],
};

async fn story(stage: Stage) -> Result<(), Unmet> {
    stage.formed().await?;
    let nodes = stage.nodes();
    let mut client = stage.client(nodes[0]);
    for left in [0, 100] {
        let image = client.push("tag-1").await?;
        client.pull("tag-1").await;
        stage.damage_objects_of(image, left).await?;
        for node in &nodes {
            client.through(*node);
            let is_there = client.has_layer(image).await;
            stage.expect(is_there == Some(false), "what is damaged is not there")?;
        }
        client.through(nodes[1]);
        let is_healed = client.push_blobs_of(image).await;
        stage.expect(is_healed, "it can be pushed again")?;
        for node in &nodes {
            client.through(*node);
            stage.expect(client.has_layer(image).await == Some(true), "it is healed")?;
            client.pull("tag-1").await;
        }
    }
    Ok(())
}
