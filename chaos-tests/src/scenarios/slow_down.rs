//! An object store that asks to slow down, or is away, is no error of the registry: clients are
//! told to come again, and succeed then (distribution #3456 and Harbor #23005: a SlowDown of S3
//! becomes a 500).

use std::time::Duration;

use crate::sim::{Plan, Scenario, Stage, StoreKind, Unmet};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "slow-down",
    about: "a store that says SlowDown makes clients wait and nothing else (distribution #3456)",
    plan: Plan::STILL,
    story: |stage| Box::pin(story(stage, 2)),
    must_happen: &["answers: 503", "calls to the object store that failed"],
};

/// The client of S3 repeats what fails, so that its users see less of it and wait longer.
pub(super) const ON_S3: Scenario = Scenario {
    name: "slow-down-on-s3",
    about: "the same with a store that is an S3",
    plan: Plan { store: StoreKind::S3, ..Plan::STILL },
    story: |stage| Box::pin(story(stage, 3)),
    must_happen: &["S3: answered 503", "S3: connections cut"],
};

/// While one in `one_in` calls to the store fails, and while it is away.
async fn story(stage: Stage, one_in: u64) -> Result<(), Unmet> {
    stage.formed().await?;
    let mut client = stage.client(stage.nodes()[0]);
    let first = client.push("tag-1").await?;
    // That no answer is a 500, and each 503 says when to come again, is checked with each answer.
    let failing = stage.fail_store(one_in);
    for node in stage.nodes() {
        client.through(node);
        let image = client.push("tag-2").await?;
        client.pull("tag-2").await;
        client.delete(image).await;
    }
    stage.end(failing);

    let away = stage.take_store_away();
    let mut upload = client.begin_upload(3000).await?;
    stage
        .expect(!client.send(&mut upload, 3000).await, "nothing is acknowledged without a store")?;
    stage.expect(client.look("tag-1").await? == Some(first), "tags need no store")?;
    stage.pass(Duration::from_secs(5)).await;
    stage.end(away);
    client.resume(&mut upload).await?;
    client.finish(&mut upload).await?;
    client.pull_upload(&upload).await;
    Ok(())
}
