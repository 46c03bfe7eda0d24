//! Bytes that the object store has lost are said to be absent, whole or in part, and the next push
//! of them heals every repository that has them (distribution #2788: a corrupt blob never heals,
//! since it is taken for one that is there). Bytes that are others are found when they are pulled.

use std::time::Duration;

use crate::sim::{Hand, Plan, Scenario, Stage, StoreKind, Unmet};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "damaged-object",
    about: "what the store has lost is absent until a push brings it back (distribution #2788)",
    plan: Plan::STILL,
    story: |stage| Box::pin(story(stage)),
    must_happen: &[],
};

pub(super) const ON_S3: Scenario = Scenario {
    name: "damaged-object-on-s3",
    about: "the same with a store that is an S3",
    plan: Plan { store: StoreKind::S3, ..Plan::STILL },
    story: |stage| Box::pin(story(stage)),
    must_happen: &["S3: requests answered"],
};

async fn story(stage: Stage) -> Result<(), Unmet> {
    stage.formed().await?;
    let nodes = stage.nodes();
    let mut client = stage.client(nodes[0]);
    for left in [0, 100] {
        let image = client.push("tag-1").await?;
        client.pull("tag-1").await;
        stage.shorten_objects_of(image, left).await?;
        for node in &nodes {
            client.through(*node);
            let is_there = client.has_layer(image).await;
            stage.expect(is_there == Some(false), "what is damaged is not there")?;
        }
        heal(&stage, &mut client, image).await?;
    }

    let image = client.push("tag-1").await?;
    stage.change_objects_of(image, 50).await?;
    for node in &nodes {
        client.through(*node);
        while client.count_blobs(image).await != Some(0) {
            client.pull("tag-1").await;
            stage.pass(Duration::from_millis(100)).await;
        }
    }
    heal(&stage, &mut client, image).await
}

/// A push through one node brings the image back for all.
async fn heal(stage: &Stage, client: &mut Hand, image: u64) -> Result<(), Unmet> {
    client.through(stage.nodes()[1]);
    stage.expect(client.push_blobs_of(image).await, "it can be pushed again")?;
    for node in stage.nodes() {
        client.through(node);
        stage.expect(client.count_blobs(image).await == Some(3), "it is healed")?;
        client.pull("tag-1").await;
    }
    Ok(())
}
