//! Ten times as many clients as in any other run, on machines whose disks cannot keep up: they wait
//! or are told to come again, and the leader goes on to lead (etcd #7970: syncs that take long have
//! one election follow another).

use std::time::Duration;

use futures::future::join_all;

use crate::sim::{Hand, Plan, Scenario, Stage, Unmet};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "ten-times-the-load",
    about: "fifty clients at once on slow disks wait, and no election comes of it (etcd #7970)",
    plan: Plan { tags: 6, snapshot_every: 50, ..Plan::STILL },
    story: |stage| Box::pin(story(stage)),
    must_happen: &["snapshots installed", "syncs that were shared"],
};

/// Ten times as many as a seed has at most.
const CLIENTS: usize = 50;
/// How often each of them pushes an image, looks at it and deletes it.
const ROUNDS: usize = 4;
/// How long each sync of a disk takes at most.
const SLOWNESS: Duration = Duration::from_millis(700);

async fn story(stage: Stage) -> Result<(), Unmet> {
    stage.formed().await?;
    let (leader, nodes) = (stage.leader().await?, stage.nodes());
    let elections = stage.count("elections");
    let slow = nodes.iter().map(|node| stage.slow_disk(*node, SLOWNESS)).collect::<Vec<_>>();
    let behind = stage.others(leader)[0];
    let outage = stage.kill(behind);
    let up: Vec<_> = nodes.iter().copied().filter(|node| *node != behind).collect();
    let mut clients: Vec<Hand> =
        (0..CLIENTS).map(|number| stage.client(up[number % up.len()])).collect();
    let work = clients.iter_mut().enumerate().map(|(number, client)| async move {
        let tag = format!("tag-{}", number % 6 + 1);
        for round in 0..ROUNDS {
            let image = client.push(&tag).await?;
            client.pull(&tag).await;
            if round + 1 < ROUNDS {
                client.delete(image).await;
            }
        }
        Ok::<_, Unmet>(())
    });
    join_all(work).await.into_iter().collect::<Result<Vec<()>, _>>()?;
    stage.expect(stage.leader().await? == leader, "whoever led leads")?;
    stage.expect(stage.count("elections") == elections, "nobody else led meanwhile")?;
    // In the middle of more of the same, one that was away comes back.
    stage.end(outage);
    let more = clients.iter_mut().map(|client| client.push("tag-1"));
    join_all(more).await.into_iter().collect::<Result<Vec<u64>, _>>()?;
    stage.until("it has caught up", || stage.has_caught_up(behind)).await?;
    slow.into_iter().for_each(|slow| stage.end(slow));
    Ok(())
}
