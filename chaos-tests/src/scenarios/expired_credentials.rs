//! Credentials of S3 that have expired are like an outage of the store: nodes go on, and start,
//! clients are told to come again, nothing is taken for gone, and as soon as the store takes their
//! requests all is as before (distribution #1003: pushes are 500, pulls 404 and lists empty;
//! Harbor #16490: after an hour, until a restart).

use crate::sim::{Plan, Scenario, Stage, StoreKind, Unmet};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "expired-credentials",
    about: "a store that refuses the nodes is one that is away for a while (distribution #1003)",
    plan: Plan { store: StoreKind::S3, ..Plan::STILL },
    story: |stage| Box::pin(story(stage)),
    must_happen: &["S3: answered 400", "answers: 503"],
};

async fn story(stage: Stage) -> Result<(), Unmet> {
    stage.formed().await?;
    let node = stage.nodes()[0];
    let mut client = stage.client(node);
    let first = client.push("tag-1").await?;

    let denied = stage.deny_store();
    let mut upload = client.begin_upload(3000).await?;
    stage.expect(!client.send(&mut upload, 3000).await, "nothing is acknowledged")?;
    stage.expect(client.look("tag-1").await? == Some(first), "tags need no store")?;
    // That blobs are "not now" and not "gone" is checked with each answer.
    client.pull("tag-1").await;
    // A node that starts meanwhile takes part: without its vote there would be no majority.
    let (other, third) = (stage.nodes()[1], stage.nodes()[2]);
    let outage = stage.kill(other);
    stage.until("it is down", || stage.status(other).is_none()).await?;
    stage.end(outage);
    stage.until("it takes part again", || stage.has_caught_up(other)).await?;
    let outage = stage.kill(third);
    stage.until("another one is down", || stage.status(third).is_none()).await?;
    client.through(other);
    stage.expect(client.look("tag-1").await? == Some(first), "it serves what needs no store")?;
    stage.end(outage);
    stage.end(denied);

    let take_part = || stage.nodes().into_iter().all(|node| stage.has_caught_up(node));
    stage.until("all take part again", take_part).await?;
    client.resume(&mut upload).await?;
    client.finish(&mut upload).await?;
    for node in stage.nodes() {
        client.through(node);
        client.pull_upload(&upload).await;
        client.pull("tag-1").await;
    }
    Ok(())
}
