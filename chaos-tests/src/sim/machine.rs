//! A machine of the simulated cluster: its disk, and the node that runs on it.

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::atomic::Ordering;
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

/// How long the service manager of a machine waits until it starts its node again.
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

/// What the node of a machine is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Run,
    /// To stop in order, and no other may start.
    Stop,
}

/// How far the process of a machine is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Process {
    /// It runs, or was killed: the next one begins at once.
    #[default]
    Runs,
    /// It has ended in order, and it is not known yet.
    Stopped,
    /// It could not go on, and it is not known yet.
    Failed,
    /// That is known, and the next one is to wait before it begins.
    Waits,
}

/// Whose the machine is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Tenant {
    /// The node's that the cluster began with.
    #[default]
    First,
    /// Nobody's: its node was removed, and it has no other yet.
    Nobody,
    /// A node's that came after one that was removed.
    Later,
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
    order: watch::Sender<Order>,
    process: Rc<Cell<Process>>,
    tenant: Rc<Cell<Tenant>>,
    /// How many nodes have run on it.
    lives: Rc<Cell<u64>>,
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
        Self {
            name,
            config,
            config_anew,
            disk,
            world: SimWorld::default(),
            store,
            sweeping,
            removals,
            chronicle,
            running: Arc::default(),
            order: watch::Sender::new(Order::Run),
            process: Rc::default(),
            tenant: Rc::default(),
            lives: Rc::default(),
        }
    }

    /// Runs a process on this machine, until it ends or is killed.
    pub(crate) async fn run(self) -> turmoil::Result {
        if self.process.replace(Process::Runs) == Process::Waits {
            tokio::time::sleep(RESTART_PAUSE).await;
        }
        self.until(Order::Run).await;
        match self.start().await {
            Ok((node, running)) => self.serve(node, running).await,
            Err(Unstarted::Node(NodeError::Stopped)) => match self.end(Process::Stopped).await {},
            Err(Unstarted::Node(NodeError::Cluster(StartError::Removed(node)))) => {
                self.removals.observe(&self.name, node);
                self.chronicle.note(format_args!(
                    "{} gets an empty disk, since its node {node} was removed",
                    self.name
                ));
                self.chronicle.count("removed nodes that came back as new ones");
                self.disk.empty();
                self.tenant.set(Tenant::Nobody);
            }
            Err(error) => {
                self.chronicle.note(format_args!("{} does not start: {error}", self.name));
            }
        }
        match self.end(Process::Failed).await {}
    }

    /// Has `node` serve until it cannot go on; when it is told to stop, that is the end.
    async fn serve(&self, node: Node, running: Running) {
        self.chronicle.note(format_args!("{} runs", self.name));
        self.chronicle.count(RUNS);
        *self.running() = Some(running);
        if self.is_vacant() {
            self.tenant.set(Tenant::Later);
        }
        let ended = tokio::select! {
            biased;
            ended = node.failed() => ended,
            () = self.until(Order::Stop) => {
                self.stop(node).await;
                match self.end(Process::Stopped).await {}
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
            () = self.until(Order::Stop) => return Err(NodeError::Stopped.into()),
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
        let is_first_tenant = self.tenant.get() == Tenant::First;
        let config = if is_first_tenant { &self.config } else { &self.config_anew };
        let listeners = Listeners::bind(config, &*world).await?;
        let node = Node::start_on(listeners, config, world, kv, blobs, self.until(Order::Stop));
        let node = node.await.inspect_err(|error| {
            let is_founding = is_first && is_unclaimed(error);
            if !may_happen(error) && !is_founding && !disk.has_refused() {
                let evidence = format!("{} does not start: {error}", self.name);
                self.chronicle.violated(Invariant::OnlyFailedStops, evidence);
            }
        })?;
        let cluster = node.cluster().clone();
        let life = self.lives.replace(self.lives.get() + 1);
        Ok((node, Running { life, cluster, disk, tasks: Handle::current().metrics() }))
    }

    /// Waits until `order` is what its node is told.
    async fn until(&self, order: Order) {
        // The sender is its own.
        let _ = self.order.subscribe().wait_for(|told| *told == order).await;
    }

    /// Stops `node` in order.
    async fn stop(&self, node: Node) {
        self.chronicle.note(format_args!("{} is told to stop", self.name));
        node.stop().await;
        self.forget();
        self.chronicle.note(format_args!("{} has stopped", self.name));
        self.chronicle.count("faults: node stopped in order");
    }

    /// Ends the process, which has ended as `how` says: the simulation takes what is left of it,
    /// and starts the next one.
    async fn end(&self, how: Process) -> Infallible {
        self.process.set(how);
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

    /// Tells this to the node that runs, or to the next one.
    pub(crate) fn order(&self, order: Order) {
        self.order.send_replace(order);
    }

    /// Whether its node is told to stop.
    pub(crate) fn is_told_to_stop(&self) -> bool {
        *self.order.borrow() == Order::Stop
    }

    /// Whether the process has ended by itself since this was last asked.
    pub(crate) fn take_end(&self) -> bool {
        let next = match self.process.get() {
            Process::Stopped => Process::Runs,
            Process::Failed => Process::Waits,
            Process::Runs | Process::Waits => return false,
        };
        self.process.set(next);
        true
    }

    /// Whether its node was removed, and it has no other yet.
    pub(crate) fn is_vacant(&self) -> bool {
        self.tenant.get() == Tenant::Nobody
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
