//! Nodes of a real cluster that are killed over and over, while clients push, move tags and delete:
//! nothing that was acknowledged is lost, what all clients saw of each tag fits one order, and in
//! the end all nodes have the same catalog.

mod work;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use tokio::task::JoinSet;

use self::work::Work;
use crate::sim::{Chronicle, Dice, History, check_tags};
use crate::{ProcessCluster, eventually};

/// Kills between two audits. Each time the tags are other ones, so that what clients saw of them
/// stays small enough to be put in order.
const ROUND: usize = 20;
/// Clients that work at the same time.
const CLIENTS: usize = 6;
/// How long a cluster may take until it does something again.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kills {
    /// Processes that were killed.
    pub kills: usize,
    /// Changes that were acknowledged.
    pub acknowledged: u64,
    /// Changes of which nobody knows what became.
    pub unknown: u64,
    /// Reads that were answered.
    pub reads: u64,
    /// How long it took.
    pub time: Duration,
}

impl fmt::Display for Kills {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, acknowledged, unknown, reads, time } = self;
        write!(
            f,
            "{kills} kills in {} s: {acknowledged} changes acknowledged, {unknown} of unknown \
             outcome, {reads} reads",
            time.as_secs()
        )
    }
}

/// What clients count. All of them count the same.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) acknowledged: AtomicU64,
    pub(crate) unknown: AtomicU64,
    pub(crate) reads: AtomicU64,
}

/// Kills a process of `cluster` `kills` times, which one and when by chance of `seed`.
///
/// # Errors
/// When anything does not hold that must, or the cluster does not go on.
pub async fn kill_over_and_over(
    cluster: &mut ProcessCluster,
    kills: usize,
    seed: u64,
) -> Result<Kills> {
    let started = Instant::now();
    let counts = Arc::new(Counts::default());
    let mut dice = Dice::new(seed, "kills");
    let mut done = 0;
    for round in 0.. {
        if done >= kills {
            break;
        }
        let chronicle = Chronicle::default();
        let history = History::new(chronicle.clone());
        let work = Work::new(round, cluster.clients()?, history.clone(), Arc::clone(&counts));
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            clients.spawn(work.clone().go_on(number, dice.fork(), Arc::clone(&stop)));
        }
        let until = kills.min(done + ROUND);
        let killing = kill_some(cluster, until - done, &mut dice, &counts, &mut clients).await;
        stop.store(true, Ordering::Relaxed);
        while let Some(client) = clients.join_next().await {
            client??;
        }
        done += killing?;
        cluster.until_ready().await?;
        work.audit().await?;
        check_tags(&history, &chronicle);
        if let Some(violation) = chronicle.violation() {
            bail!("after {done} kills (seed {seed}): {violation}");
        }
        let (applied, fingerprint) = cluster.until_alike().await?;
        tracing::info!(done, applied, fingerprint, "all nodes have the same catalog");
    }
    Ok(Kills {
        kills: done,
        acknowledged: counts.acknowledged.load(Ordering::Relaxed),
        unknown: counts.unknown.load(Ordering::Relaxed),
        reads: counts.reads.load(Ordering::Relaxed),
        time: started.elapsed(),
    })
}

/// Kills at least `count` processes, and starts each again; answers how many it were.
async fn kill_some(
    cluster: &mut ProcessCluster,
    count: usize,
    dice: &mut Dice,
    counts: &Counts,
    clients: &mut JoinSet<Result<()>>,
) -> Result<usize> {
    let mut killed = 0;
    while killed < count {
        something_happens(counts, dice.number(1..=30), clients).await?;
        let size = cluster.nodes().len();
        let victims: Vec<usize> = match dice.number(0..=9) {
            0..=4 => vec![cluster.leader().await?],
            5..=8 => vec![dice.index(size)],
            _ => (0..size).collect(),
        };
        for victim in &victims {
            cluster.nodes()[*victim].kill()?;
            killed += 1;
        }
        // One is enough to lose, while the others go on.
        if victims.len() == 1 && !dice.one_in(4) {
            something_happens(counts, dice.number(1..=10), clients).await?;
        }
        for victim in &victims {
            cluster.nodes()[*victim].start()?;
        }
        // Sometimes it does not come to its senses before it is killed once more.
        if dice.one_in(10) {
            let again = victims[0];
            cluster.nodes()[again].kill()?;
            cluster.nodes()[again].start()?;
            killed += 1;
        }
        cluster.until_ready().await?;
    }
    Ok(killed)
}

/// Waits until clients have been answered `count` more changes.
async fn something_happens(
    counts: &Counts,
    count: u64,
    clients: &mut JoinSet<Result<()>>,
) -> Result<()> {
    let target = counts.acknowledged.load(Ordering::Relaxed) + count;
    eventually("clients are acknowledged what they change", PATIENCE, async || {
        // One that has found something wrong is not waited for.
        if let Some(ended) = clients.try_join_next() {
            return Ok(Err(ended?.err().unwrap_or_else(|| anyhow::anyhow!("a client left"))));
        }
        ensure!(counts.acknowledged.load(Ordering::Relaxed) >= target, "nothing is acknowledged");
        Ok(Ok(()))
    })
    .await?
}
