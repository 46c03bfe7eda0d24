//! A machine of the simulated cluster: its disk, and the node that runs on it.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use node::{Config, Listeners, Node, NodeError};
use proto::{NodeId, ObjectKey};
use raft::{Cluster, Ended, StartError, Status};
use storage::Kv;
use storage::blob::{ClaimError, S3OpenError};
use tokio::runtime::{Handle, RuntimeMetrics};
use tokio::sync::watch;
use tokio::time::Instant;

use super::chronicle::Chronicle;
use super::disk::{OpenDisk, SimDisk};
use super::invariant::Invariant;
use super::invariants::{Held, Removals};
use super::ledger::Item;
use super::records::Records;
use super::store::Store;
use super::sweeping::{self, Sweeping};
use super::world::SimWorld;

/// How long whoever watches over a node waits until it starts it again, as service managers do.
const RESTART_PAUSE: Duration = Duration::from_millis(500);

/// As what it is counted that a node runs.
const RUNS: &str = "nodes that ran";

/// Why no node runs.
#[derive(Debug, thiserror::Error)]
enum Unstarted {
    #[error(transparent)]
    Store(#[from] S3OpenError),
    #[error(transparent)]
    Node(#[from] NodeError),
}

/// A node that runs, to look at from outside.
struct Running {
    /// How many ran on the machine before.
    life: u64,
    cluster: Cluster,
    disk: Arc<OpenDisk>,
    tasks: RuntimeMetrics,
}

/// A machine. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) name: String,
    config: Arc<Config>,
    /// The one of those that come after a node that was removed.
    config_anew: Arc<Config>,
    pub(crate) disk: SimDisk,
    world: SimWorld,
    store: Store,
    sweeping: Sweeping,
    removals: Removals,
    chronicle: Chronicle,
    running: Arc<Mutex<Option<Running>>>,
    /// Whether its node is told to stop, and no other may start.
    is_to_stop: watch::Sender<bool>,
    /// Whether the process has ended, and it is not known yet.
    has_ended: Arc<AtomicBool>,
    /// Whether the next one is to wait before it starts.
    is_to_pause: Arc<AtomicBool>,
    /// How many nodes have run on it.
    lives: Arc<AtomicU64>,
    /// Whether its node was removed, and it has no other yet.
    is_vacant: Arc<AtomicBool>,
    /// Whether a node of it was ever removed.
    is_anew: Arc<AtomicBool>,
}

impl Machine {
    pub(crate) fn new(
        name: String,
        [config, config_anew]: [Config; 2],
        disk: SimDisk,
        store: Store,
        records: &Records,
    ) -> Self {
        let Records { sweeping, removals, chronicle, .. } = records.clone();
        let (config, config_anew) = (Arc::new(config), Arc::new(config_anew));
        let world = SimWorld::default();
        let (running, has_ended, is_to_pause) = <(Arc<_>, Arc<_>, Arc<_>)>::default();
        let is_to_stop = watch::Sender::new(false);
        Self {
            name,
            config,
            config_anew,
            disk,
            world,
            store,
            sweeping,
            removals,
            chronicle,
            running,
            is_to_stop,
            has_ended,
            is_to_pause,
            lives: Arc::default(),
            is_vacant: Arc::default(),
            is_anew: Arc::default(),
        }
    }

    /// Runs a process on this machine, until it ends or is killed.
    pub(crate) async fn run(self) -> turmoil::Result {
        if self.is_to_pause.swap(false, Ordering::Relaxed) {
            tokio::time::sleep(RESTART_PAUSE).await;
        }
        self.told(false).await;
        match self.start().await {
            Ok((node, running)) => self.serve(node, running).await,
            Err(Unstarted::Node(NodeError::Stopped)) => match self.end().await {},
            Err(Unstarted::Node(NodeError::Cluster(StartError::Removed(node)))) => {
                self.removals.observe(&self.name, node);
                self.chronicle.note(format_args!(
                    "{} gets an empty disk, since its node {node} was removed",
                    self.name
                ));
                self.chronicle.count("removed nodes that came back as new ones");
                self.disk.empty();
                self.is_vacant.store(true, Ordering::Relaxed);
                self.is_anew.store(true, Ordering::Relaxed);
            }
            Err(error) => {
                self.chronicle.note(format_args!("{} does not start: {error}", self.name));
            }
        }
        match self.fail().await {}
    }

    /// Has `node` serve until it cannot go on; when it is told to stop, that is the end.
    async fn serve(&self, node: Node, running: Running) {
        self.chronicle.note(format_args!("{} runs", self.name));
        self.chronicle.count(RUNS);
        *self.running() = Some(running);
        self.is_vacant.store(false, Ordering::Relaxed);
        let ended = tokio::select! {
            biased;
            ended = node.failed() => ended,
            () = self.told(true) => {
                self.stop(node).await;
                match self.end().await {}
            }
            never = self.sweep(&node) => match never {},
        };
        self.chronicle.note(format_args!("{} ends: {ended:?}", self.name));
        self.chronicle.count("nodes that ended by themselves");
        let Some(Running { disk, .. }) = self.running().take() else { return };
        match ended {
            Ended::Removed(node) => self.removals.observe(&self.name, node),
            Ended::Failed(_) if disk.has_refused() => {}
            Ended::Failed(_) => {
                let evidence = format!("{} ends: {ended:?}", self.name);
                self.chronicle.violated(Invariant::OnlyFailedStops, evidence);
            }
        }
    }

    async fn start(&self) -> Result<(Node, Running), Unstarted> {
        let is_first = self.chronicle.times(RUNS) == 0;
        // As in the program the store comes before the node, and may refuse to be used.
        let blobs = tokio::select! {
            biased;
            () = self.told(true) => return Err(NodeError::Stopped.into()),
            opened = self.store.open() => opened,
        };
        let blobs = blobs.inspect_err(|error| {
            if !self.store.has_denied() {
                let evidence = format!("{} does not start: {error}", self.name);
                self.chronicle.violated(Invariant::OnlyFailedStops, evidence);
            }
        })?;
        let disk = Arc::new(self.disk.open());
        let kv: Arc<dyn Kv> = Arc::<OpenDisk>::clone(&disk);
        let world = Arc::new(self.world.clone());
        let is_anew = self.is_anew.load(Ordering::Relaxed);
        let config = if is_anew { &self.config_anew } else { &self.config };
        let listeners = Listeners::bind(config, &*world).await?;
        let node = Node::start_on(listeners, config, world, kv, blobs, self.told(true));
        let node = node.await.inspect_err(|error| {
            let is_founding = is_first && is_unclaimed(error);
            if !may_happen(error) && !is_founding && !disk.has_refused() {
                let evidence = format!("{} does not start: {error}", self.name);
                self.chronicle.violated(Invariant::OnlyFailedStops, evidence);
            }
        })?;
        let cluster = node.cluster().clone();
        let life = self.lives.fetch_add(1, Ordering::Relaxed);
        Ok((node, Running { life, cluster, disk, tasks: Handle::current().metrics() }))
    }

    /// Waits until the machine's node is told to stop, with `to_stop`; without it, until one may
    /// run.
    async fn told(&self, to_stop: bool) {
        // The sender is its own.
        let _ = self.is_to_stop.subscribe().wait_for(|told| *told == to_stop).await;
    }

    /// Stops `node` in order.
    async fn stop(&self, node: Node) {
        self.chronicle.note(format_args!("{} is told to stop", self.name));
        node.stop().await;
        self.forget();
        self.chronicle.note(format_args!("{} has stopped", self.name));
        self.chronicle.count("faults: node stopped in order");
    }

    /// Ends the process, which could not go on, so that the next one waits.
    async fn fail(&self) -> Infallible {
        self.is_to_pause.store(true, Ordering::Relaxed);
        self.end().await
    }

    /// Ends the process: whoever simulates it takes what is left of it, and starts the next one.
    async fn end(&self) -> Infallible {
        self.has_ended.store(true, Ordering::Relaxed);
        std::future::pending().await
    }

    /// Has `node` sweep for as long as it runs: all machines do, so that sweeps meet.
    async fn sweep(&self, node: &Node) -> Infallible {
        loop {
            let begun = Instant::now();
            // When a run ends, sweeps follow each other sooner.
            while begun.elapsed() < self.sweeping.pause() {
                tokio::time::sleep(sweeping::PAUSE).await;
            }
            for _ in 0..node.sweep(self.sweeping.age()).await {
                self.chronicle.count("objects swept");
            }
        }
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the node that runs, which has ended or is about to be killed.
    pub(crate) fn forget(&self) {
        *self.running() = None;
    }

    /// Tells the node that runs to stop in order, and that none is to start; or that one may run.
    pub(crate) fn tell(&self, to_stop: bool) {
        self.is_to_stop.send_replace(to_stop);
    }

    /// Whether its node is told to stop.
    pub(crate) fn is_told_to_stop(&self) -> bool {
        *self.is_to_stop.borrow()
    }

    /// Whether the process has ended by itself since this was last asked.
    pub(crate) fn take_end(&self) -> bool {
        self.has_ended.swap(false, Ordering::Relaxed)
    }

    /// Whether its node was removed, and it has no other yet.
    pub(crate) fn is_vacant(&self) -> bool {
        self.is_vacant.load(Ordering::Relaxed)
    }

    /// What the node that runs says of itself.
    pub(crate) fn status(&self) -> Option<Status> {
        self.running().as_ref().map(|running| running.cluster.status())
    }

    /// The same, and how many nodes have run on the machine before; `None` also when the node that
    /// runs cannot go on. It is about to end then, and says what it could not make durable.
    pub(crate) fn word(&self) -> Option<(u64, Status)> {
        let running = self.running();
        let Running { life, cluster, .. } = running.as_ref()?;
        let is_well = cluster.failed().now_or_never().is_none();
        is_well.then(|| (*life, cluster.status()))
    }

    /// What the node that runs holds.
    pub(crate) fn held(&self) -> Option<Held> {
        self.running().as_ref().map(|running| Held {
            tasks: running.tasks.num_alive_tasks(),
            views: running.disk.frozen(),
        })
    }

    /// Whether the catalog of the node that runs names `object`; false when none runs.
    pub(crate) fn names(&self, object: ObjectKey) -> bool {
        let running = self.running();
        let blob = running
            .as_ref()
            .and_then(|running| running.cluster.local().ok()?.blob_in(object).ok()?);
        blob.is_some_and(|blob| blob.object == object)
    }

    /// The object that `blob` is in, as the catalog of the node that runs says.
    pub(crate) fn object_of(&self, blob: &Item) -> Option<ObjectKey> {
        let running = self.running();
        let view = running.as_ref()?.cluster.local().ok()?;
        let found = view.blob(&blob.repository.parse().ok()?, &blob.digest).ok()??;
        Some(found.object)
    }

    /// A member of the cluster that it leaves in a moment: the catalog of the node that runs says
    /// that it was removed.
    pub(crate) fn leaver(&self) -> Option<NodeId> {
        let running = self.running();
        let cluster = &running.as_ref()?.cluster;
        let view = cluster.local().ok()?;
        let members = cluster.status().members.into_iter().map(|member| member.node);
        members.into_iter().find(|node| view.is_removed(*node).unwrap_or(false))
    }

    /// Sets by how many milliseconds the machine's clock is wrong.
    pub(crate) fn skew(&self, millis: i64) {
        self.world.skew.store(millis, Ordering::Relaxed);
    }
}

/// Whether a node may not start for this reason, whose disk works: nobody of its cluster answers,
/// it was removed, it was told to stop, or the object store does not answer. All else it could
/// complain of is right.
const fn may_happen(error: &NodeError) -> bool {
    match error {
        NodeError::Cluster(error) => {
            matches!(error, StartError::Join { .. } | StartError::Removed(_))
        }
        NodeError::Blobs(error) => matches!(error, ClaimError::Store(_)),
        NodeError::Ended(ended) => matches!(ended, Ended::Removed(_)),
        NodeError::Stopped => true,
        _ => false,
    }
}

/// Whether a node does not start because no node has taken the object store for its cluster, which
/// the founder does when others may have joined already.
const fn is_unclaimed(error: &NodeError) -> bool {
    matches!(error, NodeError::Blobs(ClaimError::Empty))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::cell::RefCell;
    use std::future::pending;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn a_node_whose_disk_works_starts_unless_others_do_not_answer_or_it_was_removed() {
        let (reason, address) = (String::new, || "node-1:5001".to_owned());
        let join = StartError::Join { addresses: address(), reason: reason() };
        for error in [join, StartError::Removed(3)] {
            assert!(may_happen(&error.into()));
        }
        let refused = StartError::NotAdmitted { address: address(), reason: reason() };
        let damaged = StartError::Inconsistent(reason());
        for error in [refused, damaged, StartError::ClocksApart { address: address() }] {
            assert!(!may_happen(&error.into()));
        }
        assert!(!may_happen(&ClaimError::Empty.into()), "it is the store of their cluster");
        assert!(!may_happen(&NodeError::Astray(proto::ClusterId::from_bytes([1; 16]))));
    }

    #[test]
    fn tasks_that_the_software_of_a_host_begins_are_counted_until_they_end() {
        let mut sim = turmoil::Builder::new().build();
        let seen: Rc<RefCell<Option<RuntimeMetrics>>> = Rc::default();
        let tasks = Rc::clone(&seen);
        sim.client("node-1", async move {
            *tasks.borrow_mut() = Some(Handle::current().metrics());
            for _ in 0..3 {
                tokio::spawn(pending::<()>());
            }
            tokio::spawn(async {});
            pending().await
        });
        sim.step().unwrap();
        let seen = seen.borrow().as_ref().map(RuntimeMetrics::num_alive_tasks);
        assert_eq!(seen, Some(3), "without the software itself");
    }
}
