//! Real clusters that are troubled over and over, while clients push, move tags and delete: nothing
//! that was acknowledged is lost, what all clients saw of each tag fits one order, and in the end
//! all nodes have the same catalog.
//!
//! Processes are killed or stand still ([`trouble_processes`]), the network between them is bad
//! ([`trouble_network`]), or machines lose their power ([`trouble_power`]). [`thaw_leaders`] does
//! on purpose what is worst of it.

mod network;
mod power;
mod processes;
mod thaw;
mod work;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use proto::Digest;
use tokio::task::JoinSet;

use self::work::{Work, audit_images};
use crate::sim::{Chronicle, Dice, History, check_tags};
use crate::{ProcessCluster, eventually};

pub use self::network::trouble_network;
pub use self::power::trouble_power;
pub use self::processes::trouble_processes;
pub use self::thaw::{Thaws, thaw_leaders};

/// Troubles between two audits. Each time the tags are other ones, so that what clients saw of them
/// stays small enough to be put in order.
const ROUND: usize = 20;
/// Most images of all rounds that are looked at in the end.
const SAMPLE: usize = 100;
/// How long a cluster may take until it does something again.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Troubles {
    /// Processes that were killed.
    pub kills: usize,
    /// Processes that stood still for a while.
    pub pauses: usize,
    /// Things that were wrong with the network.
    pub faults: usize,
    /// Times that the power failed.
    pub cuts: usize,
    /// Changes that were acknowledged.
    pub acknowledged: u64,
    /// Changes of which nobody knows what became.
    pub unknown: u64,
    /// Reads that were answered.
    pub reads: u64,
    /// Blobs that were pulled whole.
    pub pulls: u64,
    /// How long it took.
    pub time: Duration,
}

impl fmt::Display for Troubles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, pauses, faults, cuts, acknowledged, unknown, reads, pulls, time } = self;
        write!(
            f,
            "{kills} kills, {pauses} pauses, {faults} faults of the network and {cuts} failures of \
             power in {} s: {acknowledged} changes acknowledged, {unknown} of unknown outcome, \
             {reads} reads, {pulls} blobs pulled",
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
    pub(crate) pulls: AtomicU64,
}

/// A cluster, and how far it has come with its troubles.
struct Ordeal<'a> {
    cluster: &'a mut ProcessCluster,
    dice: Dice,
    counts: Arc<Counts>,
    clients: JoinSet<Result<()>>,
    /// Clients that work at the same time.
    crowd: usize,
    /// Blobs that clients pull beside those of images.
    layers: Arc<[Digest]>,
    /// Images of all rounds that must be there.
    kept: Vec<u64>,
    troubles: Troubles,
}

impl<'a> Ordeal<'a> {
    fn new(cluster: &'a mut ProcessCluster, dice: Dice, crowd: usize) -> Self {
        let (counts, clients, troubles) = (Arc::default(), JoinSet::new(), Troubles::default());
        let (layers, kept) = (Arc::default(), Vec::new());
        Self { cluster, dice, counts, clients, crowd, layers, kept, troubles }
    }

    /// Has clients work in round `round` while `trouble` lasts, and then looks whether all is as it
    /// must be.
    async fn play(
        &mut self,
        round: usize,
        trouble: impl AsyncFnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let chronicle = Chronicle::default();
        let history = History::new(chronicle.clone());
        let (nodes, layers) = (self.cluster.clients()?, Arc::clone(&self.layers));
        let work = Work::new(round, nodes, layers, history.clone(), Arc::clone(&self.counts));
        let stop = Arc::new(AtomicBool::new(false));
        for number in 0..self.crowd {
            self.clients.spawn(work.clone().go_on(number, self.dice.fork(), Arc::clone(&stop)));
        }
        let outcome = trouble(self).await;
        stop.store(true, Ordering::Relaxed);
        while let Some(client) = self.clients.join_next().await {
            client??;
        }
        outcome?;
        self.cluster.until_ready().await?;
        self.kept.extend(work.audit().await?);
        check_tags(&history, &chronicle);
        if let Some(violation) = chronicle.violation() {
            bail!("in round {round}: {violation}");
        }
        let (applied, fingerprint) = self.cluster.until_alike().await?;
        tracing::info!(round, applied, fingerprint, "all nodes have the same catalog");
        Ok(())
    }

    /// Waits until clients have been answered `count` more changes, for as long as there is one now
    /// and then: a slow disk is no trouble.
    async fn something_happens(&mut self, count: u64) -> Result<()> {
        let before = self.counts.acknowledged.load(Ordering::Relaxed);
        for more in 1..=count {
            self.until_acknowledged(before + more).await?;
        }
        Ok(())
    }

    async fn until_acknowledged(&mut self, target: u64) -> Result<()> {
        let (counts, clients) = (&self.counts, &mut self.clients);
        eventually("clients are acknowledged what they change", PATIENCE, async || {
            // One that has found something wrong is not waited for.
            if let Some(ended) = clients.try_join_next() {
                return Ok(Err(ended?.err().unwrap_or_else(|| anyhow::anyhow!("a client left"))));
            }
            let acknowledged = counts.acknowledged.load(Ordering::Relaxed);
            ensure!(acknowledged >= target, "nothing is acknowledged");
            Ok(Ok(()))
        })
        .await?
    }

    /// Looks at some images of all rounds once more, and answers what came of what was `started`
    /// then.
    async fn end(mut self, started: Instant) -> Result<Troubles> {
        let count = SAMPLE.min(self.kept.len());
        let sample = (0..count).map(|_| *self.dice.pick(&self.kept)).collect();
        audit_images(&self.cluster.clients()?, &sample).await?;
        Ok(Troubles {
            acknowledged: self.counts.acknowledged.load(Ordering::Relaxed),
            unknown: self.counts.unknown.load(Ordering::Relaxed),
            reads: self.counts.reads.load(Ordering::Relaxed),
            pulls: self.counts.pulls.load(Ordering::Relaxed),
            time: started.elapsed(),
            ..self.troubles
        })
    }
}
