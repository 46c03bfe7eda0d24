//! A request whose reply was lost after it was committed is repeated by the node that passed it on,
//! and has no second effect: its client gets the first answer.

use futures::future::join;

use std::time::Duration;

use crate::sim::{Plan, Scenario, Stage, Told, Unmet};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "lost-reply",
    about: "a request that is repeated because its reply was lost gets its first answer",
    plan: Plan { latency: Duration::from_millis(20), ..Plan::STILL },
    story: |stage| Box::pin(story(stage)),
    must_happen: &[ANSWERED],
};

async fn story(stage: Stage) -> Result<(), Unmet> {
    stage.formed().await?;
    let mut client = stage.client(stage.leader().await?);
    let mut before = client.push("tag-1").await?;
    for round in 0..6 {
        let image = client.push_blobs().await?;
        let leader = stage.leader().await?;
        let follower = stage.others(leader)[0];
        client.through(follower);
        let (applied, answered) = (stage.applied(leader), stage.count(ANSWERED));
        let losing = async {
            let cut = stage.cut_way(leader, follower);
            stage.until("the move is decided", || stage.applied(leader) > applied).await?;
            // Every other time there is a new leader by when it comes again.
            let outage = (round % 2 == 1).then(|| stage.kill(leader));
            stage.end(cut);
            let comes_again = || stage.count(ANSWERED) > answered;
            stage.until("it comes again", comes_again).await?;
            outage.into_iter().for_each(|outage| stage.end(outage));
            stage.formed().await
        };
        let moving = client.point_if("tag-1", Some(before), image);
        let (lost, told) = join(losing, moving).await;
        lost?;
        stage.expect(told != Told::Refused, "nobody is told that their own move came first")?;
        before = image;
        stage.expect(client.look("tag-1").await? == Some(before), "the move happened once")?;
    }
    Ok(())
}

/// As what a repeated request is counted.
const ANSWERED: &str = "repeated requests answered from memory";
