//! Of several clients that point one tag elsewhere at once, on the condition that nobody has, one
//! succeeds and the others are told so (distribution's tag store and Harbor #23118: the last write
//! wins, or 201 without an effect).

use futures::future::join_all;

use std::time::Duration;

use crate::sim::{Hand, Plan, Scenario, Stage, Told, Unmet};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "concurrent-tag-pushes",
    about: "of conditional moves at once, through all nodes, one succeeds (Harbor #23118)",
    plan: Plan { nodes: 5, voters: 3, latency: Duration::from_millis(20), ..Plan::STILL },
    story: |stage| Box::pin(story(stage)),
    must_happen: &[],
};

/// How often they race.
const RACES: usize = 20;

async fn story(stage: Stage) -> Result<(), Unmet> {
    stage.formed().await?;
    let mut clients: Vec<Hand> = stage.nodes().into_iter().map(|node| stage.client(node)).collect();
    let mut before = None;
    for _ in 0..RACES {
        let moves = clients.iter_mut().map(|client| async move {
            let image = client.push_blobs().await?;
            Ok((image, client.point_if("tag-1", before, image).await))
        });
        let moves: Result<Vec<_>, Unmet> = join_all(moves).await.into_iter().collect();
        let moves = moves?;
        let done: Vec<u64> =
            moves.iter().filter(|(_, told)| *told == Told::Done).map(|(image, _)| *image).collect();
        stage.expect(done.len() == 1, "one of them succeeds")?;
        let refused = moves.iter().filter(|(_, told)| *told == Told::Refused).count();
        stage
            .expect(refused == clients.len() - 1, "the others are told that they came too late")?;
        before = done.first().copied();
        for client in &mut clients {
            stage.expect(client.look("tag-1").await? == before, "all see whose move it is")?;
        }
    }
    Ok(())
}
