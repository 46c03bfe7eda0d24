//! A cluster of real processes on this machine, each with its own folder, all over one blob store.

mod node;
mod place;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use futures::future::try_join_all;
use tempfile::TempDir;

use self::node::{Folders, Store};
use crate::{RegistryClient, Volumes, eventually};

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
    dir: TempDir,
}

impl ProcessCluster {
    /// Starts `size` nodes and waits until all are ready.
    ///
    /// # Errors
    /// When a node does not become ready.
    pub async fn start(size: usize) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let blobs = dir.path().join("blobs");
        Self::start_with_blobs(size, dir, &blobs).await
    }

    /// Starts `size` nodes with their folders in `dir` and their blobs in `blobs`, and waits until
    /// all are ready.
    ///
    /// # Errors
    /// When a node does not become ready.
    pub async fn start_with_blobs(size: usize, dir: TempDir, blobs: &Path) -> Result<Self> {
        Self::start_with(size, dir, blobs, &[]).await
    }

    /// Starts `size` nodes with their blobs in `blobs` and their folders in `dir`, except that node
    /// `n` keeps what it alone keeps in the `n`th of `elsewhere`, where that is some, and waits
    /// until all are ready.
    ///
    /// # Errors
    /// When a node does not become ready.
    pub async fn start_with(
        size: usize,
        dir: TempDir,
        blobs: &Path,
        elsewhere: &[Option<PathBuf>],
    ) -> Result<Self> {
        Self::start_in(on_loopback(size, elsewhere)?, dir, on_disk(blobs)).await
    }

    /// Starts `size` nodes whose object store is the one that these variables tell, and waits until
    /// all are ready.
    ///
    /// # Errors
    /// When a node does not become ready.
    pub async fn start_over(size: usize, store: Vec<(String, String)>) -> Result<Self> {
        Self::start_in(on_loopback(size, &[])?, tempfile::tempdir()?, store).await
    }

    /// Starts a node at each of `places`, and waits until all are ready.
    ///
    /// # Errors
    /// When a node does not become ready.
    pub async fn start_at(places: Vec<Place>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let store = on_disk(&dir.path().join("blobs"));
        let places = places.into_iter().map(|place| (place, None)).collect();
        Self::start_in(places, dir, store).await
    }

    /// Starts a node on each file system that `volumes` has for one, with their blobs on that for
    /// blobs, and waits until all are ready.
    ///
    /// # Errors
    /// When a node does not become ready.
    pub async fn start_on(volumes: &Volumes) -> Result<Self> {
        let folders: Vec<_> = volumes.nodes.iter().map(|volume| Some(volume.path())).collect();
        let blobs = volumes.store.path();
        Self::start_with(folders.len(), tempfile::tempdir()?, &blobs, &folders).await
    }

    async fn start_in(
        places: Vec<(Place, Option<PathBuf>)>,
        dir: TempDir,
        store: Store,
    ) -> Result<Self> {
        let size = places.len();
        let mut cluster = Self { nodes: Vec::new(), dir };
        let mut seed = None;
        for (number, (place, data)) in (1..).zip(places) {
            let dir = cluster.dir.path();
            let data = data.unwrap_or_else(|| dir.join(format!("node-{number}")));
            let log = dir.join(format!("node-{number}.log"));
            let folders = Folders { data, log };
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

/// Places for `size` nodes, of which the `n`th keeps its data in the `n`th of `elsewhere`, where
/// that is some.
fn on_loopback(
    size: usize,
    elsewhere: &[Option<PathBuf>],
) -> Result<Vec<(Place, Option<PathBuf>)>> {
    let mut places = Vec::new();
    for position in 0..size {
        places.push((Place::on_loopback()?, elsewhere.get(position).cloned().flatten()));
    }
    Ok(places)
}

/// Has nodes keep blobs in the folder `blobs`.
fn on_disk(blobs: &Path) -> Store {
    vec![("ROADSTEAD_STORAGE_PATH".to_owned(), blobs.display().to_string())]
}
