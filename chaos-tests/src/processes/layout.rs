//! How a cluster of real processes is laid out: where its nodes run and what each keeps where.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::node::{Folders, Store};
use super::{Place, ProcessCluster};
use crate::Volumes;

/// A cluster that is to be started.
#[derive(Debug)]
#[must_use = "a layout does nothing until it is started"]
pub struct Layout {
    size: usize,
    /// Where the first nodes run; the others run on loopback.
    places: Vec<Place>,
    /// Where nodes keep what they alone keep, by their positions; the others have it in the folder
    /// of the cluster.
    data: BTreeMap<usize, PathBuf>,
    /// The variables that tell the object store; none for a folder in that of the cluster.
    store: Option<Store>,
}

impl Layout {
    pub(super) const fn of(size: usize) -> Self {
        Self { size, places: Vec::new(), data: BTreeMap::new(), store: None }
    }

    /// Has the nodes run at `places`, in this order.
    pub fn at(self, places: Vec<Place>) -> Self {
        Self { places, ..self }
    }

    /// Has the nodes keep blobs in the folder `blobs`.
    pub fn blobs_in(self, blobs: &Path) -> Self {
        Self { store: Some(on_disk(blobs)), ..self }
    }

    /// Has the nodes use the object store that these variables tell.
    pub fn over(self, store: Vec<(String, String)>) -> Self {
        Self { store: Some(store), ..self }
    }

    /// Has the node at `position` keep what it alone keeps in `data`.
    pub fn data_of(mut self, position: usize, data: PathBuf) -> Self {
        self.data.insert(position, data);
        self
    }

    /// Has each node rest on the file system that `volumes` has for it, and their blobs on that for
    /// blobs.
    pub fn on(self, volumes: &Volumes) -> Self {
        let data = volumes.nodes.iter().map(|volume| volume.path()).enumerate().collect();
        Self { data, ..self.blobs_in(&volumes.store.path()) }
    }

    /// Starts the nodes, and waits until all are ready.
    ///
    /// # Errors
    /// When a node does not become ready.
    pub async fn start(self) -> Result<ProcessCluster> {
        let Self { size, places, mut data, store } = self;
        let dir = tempfile::tempdir()?;
        let store = store.unwrap_or_else(|| on_disk(&dir.path().join("blobs")));
        let mut places = places.into_iter();
        let mut parts = Vec::new();
        for position in 0..size {
            let place = places.next().map_or_else(Place::on_loopback, Ok)?;
            let name = format!("node-{}", position + 1);
            let log = dir.path().join(format!("{name}.log"));
            let data = data.remove(&position).unwrap_or_else(|| dir.path().join(name));
            parts.push((place, Folders { data, log }));
        }
        ProcessCluster::start(dir, parts, store).await
    }
}

/// Has nodes keep blobs in the folder `blobs`.
fn on_disk(blobs: &Path) -> Store {
    vec![("ROADSTEAD_STORAGE_PATH".to_owned(), blobs.display().to_string())]
}
