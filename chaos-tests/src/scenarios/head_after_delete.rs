//! What was deleted through one node is gone through every other at once (distribution #4269: a
//! cache remembers what is deleted, so that pushes pass over it and pulls fail). No cache of blobs
//! takes part: none is in a simulated run.

use std::time::Duration;

use crate::sim::{Plan, Scenario, Stage, Unmet};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "head-after-delete",
    about: "what is deleted through one node is gone through all at once (distribution #4269)",
    // Followers apply late: what they have is what was there before.
    plan: Plan { nodes: 5, voters: 3, latency: Duration::from_millis(50), ..Plan::STILL },
    story: |stage| Box::pin(story(stage)),
    must_happen: &["manifests deleted", "blobs deleted", "tags deleted"],
};

async fn story(stage: Stage) -> Result<(), Unmet> {
    stage.formed().await?;
    let mut pusher = stage.client(stage.leader().await?);
    for node in stage.nodes() {
        for other in stage.others(node) {
            let mut witness = stage.client(other);
            let image = pusher.push("tag-1").await?;
            stage.expect(witness.look("tag-1").await? == Some(image), "the tag is there")?;
            stage.expect(witness.has_layer(image).await == Some(true), "the layer is there")?;

            pusher.through(node);
            pusher.delete_tag("tag-1").await;
            stage.expect(witness.look("tag-1").await?.is_none(), "the tag is gone")?;
            pusher.delete(image).await;
            stage.expect(witness.has_layer(image).await == Some(false), "the layer is gone")?;
        }
    }
    Ok(())
}
