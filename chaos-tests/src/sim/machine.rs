//! A machine of the simulated cluster: its disk, and the node that runs on it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use node::{Config, Node};
use raft::{Cluster, Status};

use super::chronicle::Chronicle;
use super::disk::SimDisk;
use super::objects::SimObjects;
use super::world::SimWorld;

/// How long whoever watches over a node waits until it starts it again, as service managers do.
const RESTART_PAUSE: Duration = Duration::from_millis(500);

/// A machine. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) name: String,
    config: Arc<Config>,
    pub(crate) disk: SimDisk,
    world: SimWorld,
    objects: SimObjects,
    chronicle: Chronicle,
    /// The node that runs, to look at from outside.
    running: Arc<Mutex<Option<Cluster>>>,
}

impl Machine {
    pub(crate) fn new(
        name: String,
        config: Config,
        disk: SimDisk,
        objects: SimObjects,
        chronicle: Chronicle,
    ) -> Self {
        let (config, world) = (Arc::new(config), SimWorld::default());
        Self { name, config, disk, world, objects, chronicle, running: Arc::default() }
    }

    /// Runs nodes on this machine, one after the other: when one ends, the next one is started.
    pub(crate) async fn run(self) -> turmoil::Result {
        loop {
            let kv = Arc::new(self.disk.open());
            let (world, objects) = (self.world.clone(), self.objects.clone());
            match Node::start(&self.config, Arc::new(world), kv, Arc::new(objects)).await {
                Ok(node) => {
                    self.chronicle.note(format_args!("{} runs", self.name));
                    self.set_running(Some(node.cluster().clone()));
                    let ended = node.failed().await;
                    self.chronicle.note(format_args!("{} ends: {ended:?}", self.name));
                    self.chronicle.count("nodes that ended by themselves");
                    self.set_running(None);
                }
                Err(error) => {
                    self.chronicle.note(format_args!("{} does not start: {error}", self.name));
                }
            }
            tokio::time::sleep(RESTART_PAUSE).await;
        }
    }

    fn set_running(&self, cluster: Option<Cluster>) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = cluster;
    }

    /// Forgets the node that runs, which is about to be killed.
    pub(crate) fn forget(&self) {
        self.set_running(None);
    }

    /// What the node that runs says of itself.
    pub(crate) fn status(&self) -> Option<Status> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.as_ref().map(Cluster::status)
    }

    /// Sets by how many milliseconds the machine's clock is wrong.
    pub(crate) fn skew(&self, millis: i64) {
        self.world.skew.store(millis, Ordering::Relaxed);
    }
}
