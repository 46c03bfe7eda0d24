//! Leaders that stand still until another one leads, and then go on where they were.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::task::JoinSet;

use crate::sim::{Action, Chronicle, History, check_tags};
use crate::{Image, Outcome, ProcessCluster, RegistryClient, eventually, if_answered};

/// Where it happens.
const REPOSITORY: &str = "team/app";
/// The tag that is moved while the leader stands still.
const TAG: &str = "latest";
/// Clients that read it through the leader all the time.
const READERS: usize = 4;
/// Requests that the leader gets while it stands still, when all has moved on.
const LATE_READS: usize = 6;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Thaws {
    /// Leaders that stood still.
    pub leaders: usize,
    /// Reads that were answered, of all.
    pub reads: u64,
    /// Those of them that were sent to a leader which stood still, when the tag had moved.
    pub late_reads: u64,
    /// Writes that were sent to one that stood still and acknowledged when it went on.
    pub late_writes: u64,
}

impl fmt::Display for Thaws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { leaders, reads, late_reads, late_writes } = self;
        write!(
            f,
            "{leaders} leaders stood still: {reads} reads, {late_reads} of them and {late_writes} \
             writes were sent while one did"
        )
    }
}

/// Has the leader of `cluster` stand still `times` times: with reads and writes of a tag in flight
/// through it, more of which it gets when another leader has moved the tag, before it goes on.
///
/// # Errors
/// When what all clients saw of the tag does not fit one order: when a read that was sent after the
/// move was acknowledged shows what was before it, or a write was acknowledged and is not there.
pub async fn thaw_leaders(cluster: &mut ProcessCluster, times: usize) -> Result<Thaws> {
    let chronicle = Chronicle::default();
    let story = Story {
        history: History::new(chronicle.clone()),
        nodes: cluster.clients()?,
        next: Arc::new(AtomicU64::new(1)),
        reads: Arc::default(),
    };
    let mut thaws = Thaws::default();
    for _ in 0..times {
        story.freeze_and_thaw(cluster, &mut thaws).await?;
        cluster.until_ready().await?;
        for node in 0..story.nodes.len() {
            ensure!(story.look(node, "audit").await?, "node {node} does not answer");
        }
    }
    check_tags(&story.history, &chronicle);
    if let Some(violation) = chronicle.violation() {
        bail!("{violation}");
    }
    cluster.until_alike().await?;
    thaws.reads = story.reads.load(Ordering::Relaxed);
    Ok(thaws)
}

/// What the clients know. Clones are the same.
#[derive(Clone)]
struct Story {
    history: History,
    nodes: Vec<RegistryClient>,
    next: Arc<AtomicU64>,
    reads: Arc<AtomicU64>,
}

impl Story {
    async fn freeze_and_thaw(&self, cluster: &mut ProcessCluster, thaws: &mut Thaws) -> Result<()> {
        let leader = cluster.leader().await?;
        let other = (leader + 1) % self.nodes.len();
        ensure!(self.push(other, "before").await? == Outcome::Done, "no push before");

        let is_over = Arc::new(AtomicBool::new(false));
        let mut in_flight = JoinSet::new();
        for _ in 0..READERS {
            let (story, is_over) = (self.clone(), Arc::clone(&is_over));
            in_flight.spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    story.look(leader, "reader").await?;
                }
                anyhow::Ok(())
            });
        }
        let (story, over) = (self.clone(), Arc::clone(&is_over));
        in_flight.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                story.push(leader, "writer").await?;
            }
            Ok(())
        });
        let target = self.reads.load(Ordering::Relaxed) + 50;
        eventually("the tag is read all the time", PATIENCE, async || {
            ensure!(self.reads.load(Ordering::Relaxed) >= target, "too few reads");
            Ok(())
        })
        .await?;

        cluster.nodes()[leader].pause().await?;
        thaws.leaders += 1;
        is_over.store(true, Ordering::Relaxed);
        let successor = cluster.leader().await?;
        ensure!(successor != leader, "a node leads that stands still");
        // The first request to a new leader may come before it can decide.
        eventually("the others move the tag", PATIENCE, async || {
            let outcome = self.push(successor, "successor").await;
            let is_silent = matches!(outcome, Ok(Outcome::Unknown | Outcome::Unsent));
            ensure!(!is_silent, "not moved");
            Ok(outcome)
        })
        .await??;

        let (reads, write) = self.ask_the_frozen(cluster, leader).await?;
        cluster.nodes()[leader].resume()?;
        for read in reads.join_all().await {
            thaws.late_reads += u64::from(read?);
        }
        thaws.late_writes += u64::from(write.await?? == Outcome::Done);
        while let Some(client) = in_flight.join_next().await {
            client??;
        }
        Ok(())
    }

    /// Sends reads and a write to a node that stands still, and returns when they wait there.
    async fn ask_the_frozen(
        &self,
        cluster: &mut ProcessCluster,
        node: usize,
    ) -> Result<(JoinSet<Result<bool>>, tokio::task::JoinHandle<Result<Outcome>>)> {
        let image = self.upload((node + 1) % self.nodes.len()).await?;
        let waiting = cluster.nodes()[node].unread()? + LATE_READS + 1;
        let mut reads = JoinSet::new();
        for _ in 0..LATE_READS {
            let story = self.clone();
            reads.spawn(async move { story.look(node, "late reader").await });
        }
        let story = self.clone();
        let write = tokio::spawn(async move { story.put(node, "late writer", image).await });
        eventually("the requests wait at the node", PATIENCE, async || {
            let unread = cluster.nodes()[node].unread()?;
            ensure!(unread >= waiting, "{unread} of {waiting} wait");
            Ok(())
        })
        .await?;
        Ok((reads, write))
    }

    /// Reads the tag through a node; whether that says what it is.
    async fn look(&self, node: usize, who: &str) -> Result<bool> {
        let by = format!("{who} through node {}", node + 1);
        let called = self.history.call();
        let seen = if_answered(self.nodes[node].image_at(REPOSITORY, TAG).await);
        let Some(seen) = seen.with_context(|| by.clone())? else { return Ok(false) };
        self.history.answered(TAG, &by, called, Action::Saw(seen));
        self.reads.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }

    /// Pushes another image and points the tag to it, all through one node.
    async fn push(&self, node: usize, who: &str) -> Result<Outcome> {
        match if_answered(self.upload(node).await)? {
            Some(image) => self.put(node, who, image).await,
            // Nothing has happened to the tag.
            None => Ok(Outcome::Unknown),
        }
    }

    /// Pushes the blobs of another image, and answers its number.
    async fn upload(&self, node: usize) -> Result<u64> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        for (digest, content) in Image::numbered(number).blobs() {
            self.nodes[node].provide_blob(REPOSITORY, digest, content).await?;
        }
        Ok(number)
    }

    async fn put(&self, node: usize, who: &str, number: u64) -> Result<Outcome> {
        let by = format!("{who} through node {}", node + 1);
        let set = Action::Set(Some(number));
        let pending = self.history.begin(TAG, &by, self.history.call(), set);
        let outcome = self.nodes[node].try_put(REPOSITORY, TAG, &Image::numbered(number)).await;
        match outcome {
            Outcome::Done => self.history.done(&pending, &by),
            Outcome::Unsent => self.history.refused(&pending),
            Outcome::Unknown => self.history.doubt(&pending),
            Outcome::Refused(status) | Outcome::Wrong(status) => bail!("{by}: {status}"),
        }
        Ok(outcome)
    }
}
