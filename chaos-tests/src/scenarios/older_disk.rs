//! A disk that is put back to an older copy, as snapshots of machines are, has forgotten entries
//! that its node had confirmed. The others go on, and the node says nothing that is old (etcd
//! #13509: it starts once, and panics at the next start).

use std::time::Duration;

use crate::sim::{Plan, Scenario, Stage, Unmet};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "older-disk",
    about: "a node whose disk is an older copy is ignored until it is a new one (etcd #13509)",
    plan: Plan::STILL,
    story: |stage| Box::pin(story(stage)),
    must_happen: &["disks put back", "disks emptied"],
};

async fn story(stage: Stage) -> Result<(), Unmet> {
    stage.formed().await?;
    let leader = stage.leader().await?;
    // The first node would found another cluster when it begins anew.
    let victim = stage.others(leader).into_iter().find(|node| *node != stage.nodes()[0]);
    let victim = victim.ok_or_else(|| Unmet::new("there are three nodes"))?;
    let id = stage.status(victim).map(|status| status.node);
    let id = id.ok_or_else(|| Unmet::new("it runs"))?;
    let mut client = stage.client(leader);
    client.push("tag-1").await?;
    stage.until("it has that", || stage.has_caught_up(victim)).await?;
    let copy = stage.copy_disk(victim);
    for _ in 0..5 {
        client.push("tag-1").await?;
    }
    stage.until("it has confirmed more", || stage.has_caught_up(victim)).await?;

    let outage = stage.kill(victim);
    stage.until("it is down", || stage.status(victim).is_none()).await?;
    stage.put_back(&copy);
    stage.end(outage);
    stage.until("it runs", || stage.status(victim).is_some()).await?;
    // The others go on without it.
    let mut last = client.push("tag-1").await?;
    for _ in 0..10 {
        stage.pass(Duration::from_millis(500)).await;
        let is_ready = stage.status(victim).is_some_and(|status| status.ready);
        stage.expect(!is_ready, "a node that has lost what it had confirmed is not ready")?;
        stage.expect(stage.leader().await? == leader, "it disturbs nobody")?;
        last = client.push("tag-1").await?;
    }
    client.through(victim);
    if let Some(seen) = client.try_look("tag-1").await {
        stage.expect(seen == Some(last), "it says nothing that is old")?;
    }

    client.through(leader);
    stage.remove(leader, id).await?;
    let outage = stage.kill(victim);
    stage.until("it is down", || stage.status(victim).is_none()).await?;
    stage.empty_disk(victim);
    stage.end(outage);
    stage.formed().await?;
    client.through(victim);
    stage.expect(client.look("tag-1").await? == Some(last), "as a new node it has everything")
}
