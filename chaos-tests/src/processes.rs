//! A cluster of real processes on this machine, each with its own folder, all over one blob store.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use crate::{RegistryClient, eventually};

/// How long a node may take to start and catch up.
const READY: Duration = Duration::from_secs(60);

/// Nodes of one cluster. Dropping it kills them and removes their folders.
#[derive(Debug)]
pub struct ProcessCluster {
    nodes: Vec<NodeProcess>,
    dir: TempDir,
}

/// One node: a process, or what is left of one that was killed.
#[derive(Debug)]
pub struct NodeProcess {
    number: usize,
    child: Option<Child>,
    api: u16,
    peer: u16,
    admin: u16,
    join: Option<Seed>,
    data: PathBuf,
    blobs: PathBuf,
    log: PathBuf,
}

/// What a node joins.
#[derive(Clone, Debug)]
struct Seed {
    peer: u16,
    token: String,
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
        let mut cluster = Self { nodes: Vec::new(), dir };
        let mut seed = None;
        for number in 1..=size {
            let [api, peer, admin] = free_ports()?;
            let data = elsewhere.get(number - 1).cloned().flatten();
            let data = data.unwrap_or_else(|| cluster.dir.path().join(format!("node-{number}")));
            let log = cluster.dir.path().join(format!("node-{number}.log"));
            let blobs = blobs.to_owned();
            let join = seed.clone();
            let mut node =
                NodeProcess { number, child: None, api, peer, admin, join, data, blobs, log };
            node.start()?;
            if seed.is_none() && size > 1 {
                seed = Some(Seed { peer: node.peer, token: node.token().await? });
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

    /// Waits until every node that runs says that it is ready, and all of them are voters.
    ///
    /// # Errors
    /// When they do not become so in a minute; with the end of a log.
    pub async fn until_ready(&mut self) -> Result<()> {
        let size = self.nodes.len();
        for node in self.nodes.iter_mut().filter(|node| node.child.is_some()) {
            node.until_ready(size).await?;
        }
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

    /// The position of the node that leads.
    ///
    /// # Errors
    /// When none does for a while.
    pub async fn leader(&self) -> Result<usize> {
        eventually("a node leads", READY, async || {
            for (position, node) in self.nodes.iter().enumerate() {
                if node.metric("roadstead_raft_is_leader").await.is_ok_and(|leads| leads == 1) {
                    return Ok(position);
                }
            }
            bail!("no node says that it leads")
        })
        .await
    }
}

impl NodeProcess {
    /// Starts the process, in its folder and on its ports.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "node {} runs already", self.number);
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(program()?);
        command.arg("serve");
        if let Some(seed) = &self.join {
            command.arg("--join").arg(format!("127.0.0.1:{}", seed.peer));
            command.env("ROADSTEAD_CLUSTER_TOKEN", &seed.token);
        }
        let child = command
            .env("ROADSTEAD_NODE_DATA_DIR", &self.data)
            .env("ROADSTEAD_ACCESS_MODE", "open")
            .env("ROADSTEAD_STORAGE_PATH", &self.blobs)
            .env("ROADSTEAD_API_LISTEN", format!("127.0.0.1:{}", self.api))
            .env("ROADSTEAD_PEER_LISTEN", format!("127.0.0.1:{}", self.peer))
            .env("ROADSTEAD_ADMIN_LISTEN", format!("127.0.0.1:{}", self.admin))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    /// Ends the process with SIGKILL, at whatever it is doing.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Waits until the process has ended by itself, and answers the last line that it wrote.
    ///
    /// # Errors
    /// When it goes on for a minute, or its log cannot be read.
    pub async fn until_ended(&mut self) -> Result<String> {
        eventually("the node ends", READY, async || {
            let child = self.child.as_mut().context("it was killed")?;
            child.try_wait()?.context("it goes on")?;
            Ok(())
        })
        .await?;
        self.child = None;
        let log = std::fs::read_to_string(&self.log)?;
        Ok(log.lines().last().unwrap_or_default().to_owned())
    }

    /// A client of this node.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn client(&self) -> Result<RegistryClient> {
        RegistryClient::new(&format!("http://127.0.0.1:{}", self.api))
    }

    /// A token of its cluster, once it can give one.
    async fn token(&self) -> Result<String> {
        let url = format!("http://127.0.0.1:{}/roadstead/v1/cluster/tokens", self.admin);
        node::install_cryptography();
        eventually("the node gives a join token", READY, async || {
            let answer = reqwest::Client::new().post(&url).send().await?;
            let answer: serde_json::Value = answer.error_for_status()?.json().await?;
            Ok(answer["token"].as_str().context("there is no token")?.to_owned())
        })
        .await
    }

    async fn until_ready(&mut self, voters: usize) -> Result<()> {
        let number = self.number;
        let ready = eventually("the node is ready", READY, async || {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().transpose())
            {
                bail!("node {number} has ended: {}", status?);
            }
            let url = format!("http://127.0.0.1:{}/readyz", self.admin);
            let response = reqwest::get(url).await?;
            ensure!(response.status().is_success(), "{}", response.text().await?);
            let known = self.metric("roadstead_raft_voters").await?;
            ensure!(usize::try_from(known)? == voters, "{known} voters");
            Ok(())
        });
        let ready = ready.await;
        ready.with_context(|| {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            format!("node {number}:\n{}", lines[lines.len().saturating_sub(15)..].join("\n"))
        })
    }

    /// The log index that is applied in the node's catalog, and what tells that from another one.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn fingerprint(&self) -> Result<(u64, String)> {
        let url = format!("http://127.0.0.1:{}/roadstead/v1/cluster/fingerprint", self.admin);
        let told: serde_json::Value = reqwest::get(url).await?.error_for_status()?.json().await?;
        let applied = told["applied"].as_u64().context("nothing is applied")?;
        Ok((applied, told["fingerprint"].as_str().context("a fingerprint")?.to_owned()))
    }

    async fn metric(&self, name: &str) -> Result<u64> {
        let text =
            reqwest::get(format!("http://127.0.0.1:{}/metrics", self.admin)).await?.text().await?;
        let line = text.lines().find(|line| line.split([' ', '{']).next() == Some(name));
        let value = line.and_then(|line| line.rsplit(' ').next());
        Ok(value.with_context(|| format!("there is no metric {name}"))?.parse()?)
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.kill();
    }
}

/// The program under test, which Cargo puts beside the folder of the tests when it builds the
/// workspace's tests.
fn program() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.parent().and_then(Path::parent).context("a test is two folders deep")?;
    let program = folder.join("roadstead");
    ensure!(
        program.is_file(),
        "{} is not built: run `cargo build -p node` first",
        program.display()
    );
    Ok(program)
}

/// Three ports that nobody listens on, below those that the system gives to outgoing connections.
#[expect(clippy::disallowed_methods, reason = "it only looks whether somebody listens")]
pub(crate) fn free_ports() -> Result<[u16; 3]> {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let mut free = Vec::new();
    while free.len() < 3 {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed);
        ensure!(offset < 10_000, "no port is free");
        // Tests of other processes start elsewhere.
        let first = 18_000 + u16::try_from(std::process::id() % 400)? * 30;
        let port = first + offset;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            free.push(port);
        }
    }
    free.try_into().map_err(|_| anyhow::anyhow!("three ports"))
}
