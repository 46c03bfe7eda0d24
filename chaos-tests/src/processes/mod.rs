//! A cluster of real processes on this machine, each with its own folder, all over one blob store.

mod layout;
mod node;
mod place;

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use futures::future::try_join_all;
use tempfile::TempDir;

use self::node::{Folders, Store};
use crate::{RegistryClient, Volumes, eventually};

pub use self::layout::Layout;
pub use self::node::{CacheUse, NodeProcess};
pub use self::place::Place;
#[cfg(test)]
pub(crate) use self::place::free_ports;

/// How long a node may take to start and catch up.
const READY: Duration = Duration::from_secs(60);

/// Nodes of one cluster. Dropping it kills them and removes their folders.
#[derive(Debug)]
pub struct ProcessCluster {
    nodes: Vec<NodeProcess>,
    /// Holds their folders, and is removed after they are killed.
    _dir: TempDir,
}

impl ProcessCluster {
    /// A cluster of `size` nodes, to be started: on loopback, with all their folders in one that is
    /// removed at the end, unless the layout is told otherwise.
    pub fn of(size: usize) -> Layout {
        Layout::of(size)
    }

    /// Starts the nodes of `parts`, one after the other, and waits until all are ready.
    async fn start(dir: TempDir, parts: Vec<(Place, Folders)>, store: Store) -> Result<Self> {
        let size = parts.len();
        let mut cluster = Self { nodes: Vec::new(), _dir: dir };
        let mut seed = None;
        for (number, (place, folders)) in (1..).zip(parts) {
            let mut node = NodeProcess::new(number, place, seed.clone(), folders, store.clone())?;
            node.start()?;
            if seed.is_none() && size > 1 {
                seed = Some(node.seed().await?);
            }
            cluster.nodes.push(node);
        }
        cluster.until_ready().await?;
        Ok(cluster)
    }

    /// The nodes, in the order in which they were first started.
    pub fn nodes(&mut self) -> &mut [NodeProcess] {
        &mut self.nodes
    }

    /// A client of each node, in the same order.
    ///
    /// # Errors
    /// When a client cannot be made.
    pub fn clients(&self) -> Result<Vec<RegistryClient>> {
        self.nodes.iter().map(NodeProcess::client).collect()
    }

    /// Brings back the machines of all nodes, which rest on `volumes` and whose power has failed:
    /// the nodes are killed, and started when their file systems are there again.
    ///
    /// # Errors
    /// When a file system or a node does not come back.
    pub async fn power_returns(&mut self, volumes: &Volumes) -> Result<()> {
        for node in &mut self.nodes {
            // A node that finds its disk gone ends by itself.
            node.reap()?;
        }
        volumes.recover().await?;
        self.nodes.iter_mut().try_for_each(NodeProcess::start)
    }

    /// Waits until every node that runs says that it is ready, and all of them are voters.
    ///
    /// # Errors
    /// When they do not become so in a minute; with the end of a log.
    pub async fn until_ready(&mut self) -> Result<()> {
        self.until_ready_within(READY).await
    }

    /// The same, with another deadline, which is one for all of them.
    ///
    /// # Errors
    /// When they do not become so in time; with the end of a log.
    pub async fn until_ready_within(&mut self, deadline: Duration) -> Result<()> {
        let size = self.nodes.len();
        let running = self.nodes.iter_mut().filter(|node| node.is_running());
        try_join_all(running.map(|node| node.until_ready(size, deadline))).await?;
        Ok(())
    }

    /// Waits until all nodes have applied the same entries, while nobody asks for more, and have
    /// the same catalog.
    ///
    /// # Errors
    /// When two of them that have applied equally much have different ones.
    pub async fn until_alike(&self) -> Result<(u64, String)> {
        let all = eventually("all nodes have applied the same", READY, async || {
            let mut all = Vec::new();
            for node in &self.nodes {
                all.push(node.fingerprint().await?);
            }
            ensure!(all.iter().all(|(applied, _)| *applied == all[0].0), "{all:?}");
            Ok(all)
        })
        .await?;
        ensure!(all.iter().all(|one| *one == all[0]), "one index, different catalogs: {all:?}");
        Ok(all[0].clone())
    }

    /// The position of the node that leads, among those that do not stand still.
    ///
    /// # Errors
    /// When none does for a while.
    pub async fn leader(&self) -> Result<usize> {
        eventually("a node leads", READY, async || {
            for (position, node) in self.nodes.iter().enumerate() {
                if node.leads().await {
                    return Ok(position);
                }
            }
            bail!("no node says that it leads")
        })
        .await
    }

    /// Kills all nodes that run. Each test of real processes ends with this.
    ///
    /// # Errors
    /// When one had ended by itself, or any has ever panicked.
    pub fn end(mut self) -> Result<()> {
        for node in &mut self.nodes {
            node.kill()?;
            node.check_log()?;
        }
        Ok(())
    }
}
