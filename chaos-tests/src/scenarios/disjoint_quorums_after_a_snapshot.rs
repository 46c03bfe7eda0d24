//! A node that came back with a snapshot knows who votes by now: it forms no quorum with voters of
//! before (openraft #1808: quorums without a common node after a snapshot).

use std::time::Duration;

use crate::sim::{Plan, Scenario, Stage, Told, Unmet};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "disjoint-quorums-after-a-snapshot",
    about: "a node that was sent a snapshot counts the votes of today (openraft #1808)",
    plan: Plan { nodes: 5, voters: 3, snapshot_every: 10, ..Plan::STILL },
    story: |stage| Box::pin(story(stage)),
    must_happen: &["snapshots installed"],
};

async fn story(stage: Stage) -> Result<(), Unmet> {
    stage.formed().await?;
    let leader = stage.leader().await?;
    let voters: Vec<_> = stage.nodes().into_iter().filter(|node| stage.is_voter(*node)).collect();
    let out = voters.iter().copied().find(|node| *node != leader);
    let out = out.ok_or_else(|| Unmet::new("another node votes"))?;
    let mut client = stage.client(leader);

    // A voter is away until another node has its vote, and the log that tells of it is purged.
    let outage = stage.kill(out);
    let replaced = || {
        let voters = stage.voters_known_to(leader);
        voters.len() == 3 && !voters.contains(&out)
    };
    stage.until("another node has its vote", replaced).await?;
    for _ in 0..20 {
        client.push("tag-1").await?;
    }
    stage.end(outage);
    stage.until("it was sent a snapshot", || stage.count("snapshots installed") > 0).await?;
    stage.formed().await?;
    stage.expect(!stage.is_voter(out), "it votes no more")?;

    // With one of those that voted beside it, it was a quorum once.
    let voters: Vec<_> = stage.nodes().into_iter().filter(|node| stage.is_voter(*node)).collect();
    let lone = voters.iter().copied().find(|node| *node != leader);
    let lone = lone.ok_or_else(|| Unmet::new("another node votes"))?;
    let image = client.push_blobs().await?;
    let cut = stage.cut_off(&[out, lone]);
    let mut there = stage.client(lone);
    stage.pass(Duration::from_secs(5)).await;
    stage.expect(there.try_look("tag-1").await.is_none(), "two of before can say nothing")?;
    stage.expect(there.try_point("tag-1", image).await == Told::Nothing, "nor do anything")?;
    let seen = client.push("tag-1").await?;
    stage.end(cut);
    stage.expect(there.look("tag-1").await? == Some(seen), "the others were the cluster")
}
