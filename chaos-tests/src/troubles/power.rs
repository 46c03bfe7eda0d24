//! Power that fails: what was not synced is lost.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use futures::future::join_all;

use super::{Ordeal, Troubles};
use crate::sim::Dice;
use crate::volume::{Loss, Volumes};
use crate::{Image, Outcome, ProcessCluster};

/// Clients that work at the same time, in turn. What one of many syncs takes along what others have
/// done before; one that is alone has what was synced for it.
const CROWDS: [usize; 2] = [1, 6];
/// Where is pushed, in vain, when the power has failed, and what.
const REPOSITORY: &str = "team/late";
const IMAGE: u64 = Image::INDEXES - 1;

/// Has the power of `volumes`, which `cluster` rests on, fail `cuts` times, of one machine and of
/// all in turn: when, and what is lost, by chance of `seed`.
///
/// # Errors
/// When anything does not hold that must, or the cluster does not go on.
pub async fn trouble_power(
    cluster: &mut ProcessCluster,
    volumes: &Volumes,
    cuts: usize,
    seed: u64,
) -> Result<Troubles> {
    let started = Instant::now();
    cluster.clients()?[0].push(REPOSITORY, "latest", &Image::numbered(IMAGE)).await?;
    let mut ordeal = Ordeal::new(cluster, Dice::new(seed, "power"), CROWDS[0]);
    for round in 0.. {
        if ordeal.troubles.cuts >= cuts {
            break;
        }
        ordeal.crowd = CROWDS[round % CROWDS.len()];
        let played = ordeal.play(round, async |ordeal: &mut Ordeal<'_>| {
            ordeal.cut_one(volumes, round).await?;
            ordeal.cut_all(volumes).await?;
            ordeal.something_happens(10).await
        });
        played.await.with_context(|| format!("seed {seed}"))?;
    }
    ordeal.end(started).await.with_context(|| format!("seed {seed}"))
}

impl Ordeal<'_> {
    /// Has the power of one machine fail, in turn the leader's, any node's and that of the store,
    /// and come back while the others go on.
    async fn cut_one(&mut self, volumes: &Volumes, turn: usize) -> Result<()> {
        let loss = self.until_power_fails().await?;
        let node = match turn % 3 {
            0 => Some(self.cluster.leader().await?),
            1 => Some(self.dice.index(volumes.nodes.len())),
            _ => None,
        };
        let volume = node.map_or(&volumes.store, |node| &volumes.nodes[node]);
        volume.cut(loss)?;
        if let Some(node) = node {
            // What it still has in memory is nothing to vote or to serve from.
            let said = self.cluster.nodes()[node].until_ended().await?;
            let is_in_order = said.starts_with("the node has stopped");
            ensure!(is_in_order, "node {} has lost its disk, and said: {said}", node + 1);
        }
        let meanwhile = self.dice.number(1..=10);
        self.something_happens(meanwhile).await?;
        volume.recover().await?;
        if let Some(node) = node {
            self.cluster.nodes()[node].start()?;
        }
        self.cluster.until_ready().await
    }

    /// Has the power of all machines fail and come back. Nothing that is asked for in between is
    /// acknowledged, although the processes are still there.
    async fn cut_all(&mut self, volumes: &Volumes) -> Result<()> {
        let loss = self.until_power_fails().await?;
        volumes.cut(loss)?;
        let (clients, image) = (self.cluster.clients()?, Image::numbered(IMAGE));
        let late = clients.iter().map(|client| client.try_put(REPOSITORY, "latest", &image));
        for (node, outcome) in (1..).zip(join_all(late).await) {
            let is_in_vain = matches!(outcome, Outcome::Unknown | Outcome::Unsent);
            ensure!(is_in_vain, "node {node} has lost its disk, and answered: {outcome:?}");
        }
        self.cluster.power_returns(volumes).await?;
        self.cluster.until_ready().await
    }

    /// Lets clients work for a while. What is lost then.
    async fn until_power_fails(&mut self) -> Result<Loss> {
        let before = self.dice.number(1..=30);
        self.something_happens(before).await?;
        self.troubles.cuts += 1;
        Ok(if self.dice.one_in(3) { Loss::Contents } else { Loss::Everything })
    }
}
