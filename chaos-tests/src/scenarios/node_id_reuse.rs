//! A machine that comes back with an empty disk is a new node: an id that is used twice would vote
//! twice in one term (a documented split brain of openraft).

use crate::sim::{Plan, Scenario, Stage, Unmet};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "node-id-reuse",
    about: "a machine that comes back with an empty disk gets an id that nobody ever had",
    plan: Plan { snapshot_every: 10, ..Plan::STILL },
    story: |stage| Box::pin(story(stage)),
    must_happen: &["disks emptied"],
};

async fn story(stage: Stage) -> Result<(), Unmet> {
    stage.formed().await?;
    // The first node would found another cluster: it is told to join none.
    let (survivor, victim) = (stage.nodes()[0], stage.nodes()[2]);
    let mut client = stage.client(survivor);
    for _ in 0..3 {
        let image = client.push("tag-1").await?;
        let id = stage.status(victim).map(|status| status.node);
        let id = id.ok_or_else(|| Unmet::new("it runs"))?;
        let outage = stage.kill(victim);
        stage.until("it is down", || stage.status(victim).is_none()).await?;
        stage.empty_disk(victim);
        stage.end(outage);
        let is_new = || stage.status(victim).is_some_and(|status| status.node != id);
        stage.until("it is another node now", is_new).await?;
        stage.remove(survivor, id).await?;
        stage.formed().await?;
        client.through(victim);
        stage.expect(client.look("tag-1").await? == Some(image), "it knows what was pushed")?;
        client.through(survivor);
    }
    Ok(())
}
