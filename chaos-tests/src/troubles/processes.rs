//! Processes that are killed, and processes that stand still while the world goes on.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use proto::Digest;
use tokio::time::sleep;

use super::{Ordeal, ROUND, Troubles};
use crate::ProcessCluster;
use crate::sim::Dice;

/// Clients that work at the same time.
const CLIENTS: usize = 6;

/// Troubles processes of `cluster` until `kills` of them were killed, and some paused beside that:
/// which, when and for how long by chance of `seed`. Its repository `team/app` has `layers`, which
/// clients pull beside the blobs of images.
///
/// # Errors
/// When anything does not hold that must, or the cluster does not go on.
pub async fn trouble_processes(
    cluster: &mut ProcessCluster,
    layers: &[Digest],
    kills: usize,
    seed: u64,
) -> Result<Troubles> {
    let started = Instant::now();
    let mut ordeal = Ordeal::new(cluster, Dice::new(seed, "kills"), CLIENTS);
    ordeal.layers = layers.into();
    for round in 0.. {
        let until = kills.min(ordeal.troubles.kills + ROUND);
        if ordeal.troubles.kills >= until {
            break;
        }
        let played = ordeal.play(round, async |ordeal: &mut Ordeal<'_>| {
            while ordeal.troubles.kills < until {
                let before = ordeal.dice.number(1..=30);
                ordeal.something_happens(before).await?;
                if ordeal.dice.one_in(2) {
                    ordeal.pause().await?
                } else {
                    ordeal.kill().await?
                }
                ordeal.cluster.until_ready().await?;
            }
            Ok(())
        });
        played.await.with_context(|| format!("seed {seed}"))?;
    }
    ordeal.end(started).await.with_context(|| format!("seed {seed}"))
}

impl Ordeal<'_> {
    /// One or all nodes: the leader more often than by chance.
    async fn victims(&mut self) -> Result<Vec<usize>> {
        let size = self.cluster.nodes().len();
        Ok(match self.dice.number(0..=9) {
            0..=4 => vec![self.cluster.leader().await?],
            5..=8 => vec![self.dice.index(size)],
            _ => (0..size).collect(),
        })
    }

    /// Kills one or all nodes, and starts them again.
    async fn kill(&mut self) -> Result<()> {
        let victims = self.victims().await?;
        for victim in &victims {
            self.cluster.nodes()[*victim].kill()?;
            self.troubles.kills += 1;
        }
        // One is enough to lose, while the others go on.
        if victims.len() == 1 && !self.dice.one_in(4) {
            let meanwhile = self.dice.number(1..=10);
            self.something_happens(meanwhile).await?;
        }
        for victim in &victims {
            self.cluster.nodes()[*victim].start()?;
        }
        // Sometimes it does not come to its senses before it is killed once more.
        if self.dice.one_in(10) {
            self.restart(victims[0])?;
        }
        Ok(())
    }

    /// Has one or all nodes stand still for a while, with whatever they were about to answer, and
    /// what they are asked meanwhile.
    async fn pause(&mut self) -> Result<()> {
        let mut victims = self.victims().await?;
        for victim in &victims {
            self.cluster.nodes()[*victim].pause().await?;
            self.troubles.pauses += 1;
        }
        match self.dice.number(0..=9) {
            // The others go on without it.
            0..=2 if victims.len() == 1 => {
                let meanwhile = self.dice.number(1..=5);
                self.something_happens(meanwhile).await?;
            }
            kind => {
                // How long it stands still is the trouble.
                let length = self.length_of_pause(kind);
                sleep(length).await;
            }
        }
        while !victims.is_empty() {
            let victim = victims.swap_remove(self.dice.index(victims.len()));
            if self.dice.one_in(6) {
                self.restart(victim)?;
            } else {
                self.cluster.nodes()[victim].resume()?;
            }
        }
        Ok(())
    }

    fn length_of_pause(&mut self, kind: u64) -> Duration {
        match kind {
            // Nobody takes it for dead.
            0..=4 => self.dice.millis(100..=500),
            // Another one leads when it goes on.
            5..=8 => self.dice.millis(1_500..=5_000),
            // Its clients have given up.
            _ if self.dice.one_in(4) => self.dice.millis(15_000..=30_000),
            _ => self.dice.millis(5_000..=10_000),
        }
    }

    /// Kills a node, and starts it again at once.
    fn restart(&mut self, node: usize) -> Result<()> {
        let node = &mut self.cluster.nodes()[node];
        node.kill()?;
        node.start()?;
        self.troubles.kills += 1;
        Ok(())
    }
}
