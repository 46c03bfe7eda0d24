//! One node as a process, and what can be done to it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::Client;
use rustix::process::{Pid, Signal, kill_process};

use super::{Place, READY};
use crate::{RegistryClient, eventually};

/// How long an admin listener may take to answer: a node that stands still never does.
const ADMIN_PATIENCE: Duration = Duration::from_secs(5);

/// One node: a process, or what is left of one that was killed.
#[derive(Debug)]
pub struct NodeProcess {
    number: usize,
    child: Option<Child>,
    is_paused: bool,
    /// Bytes of its log that processes before this one have written.
    told_before: usize,
    place: Place,
    join: Option<Seed>,
    folders: Folders,
    store: Store,
    http: Client,
}

/// Where a node keeps things.
#[derive(Clone, Debug)]
pub(super) struct Folders {
    pub(super) data: PathBuf,
    pub(super) log: PathBuf,
}

/// The variables that tell a node which object store it uses, and how.
pub(super) type Store = Vec<(String, String)>;

/// What a node's cache of blobs has done since the node was started.
#[derive(Clone, Copy, Debug)]
pub struct CacheUse {
    /// Reads of blobs that it had, or was about to have.
    pub hits: u64,
    /// Reads for which the object store was asked.
    pub misses: u64,
    /// Blobs that it has.
    pub kept: u64,
}

/// What a node joins.
#[derive(Clone, Debug)]
pub(super) struct Seed {
    peer: String,
    token: String,
}

impl NodeProcess {
    pub(super) fn new(
        number: usize,
        place: Place,
        join: Option<Seed>,
        folders: Folders,
        store: Store,
    ) -> Result<Self> {
        node::install_cryptography();
        let http = Client::builder().timeout(ADMIN_PATIENCE).build()?;
        let (child, is_paused, told_before) = (None, false, 0);
        Ok(Self { number, child, is_paused, told_before, place, join, folders, store, http })
    }

    /// Starts the process, in its folder and on its ports.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "node {} runs already", self.number);
        let log = File::options().create(true).append(true).open(&self.folders.log)?;
        self.told_before = usize::try_from(log.metadata()?.len())?;
        let mut command = self.place.command(&program()?);
        // It ends with the test, however that does.
        command.args(["serve", "--with-parent"]);
        if let Some(seed) = &self.join {
            command.args(["--join", &seed.peer]).env("ROADSTEAD_CLUSTER_TOKEN", &seed.token);
        }
        let child = command
            .env("ROADSTEAD_NODE_DATA_DIR", &self.folders.data)
            .env("ROADSTEAD_ACCESS_MODE", "open")
            .envs(self.store.clone())
            .env("ROADSTEAD_API_LISTEN", self.place.api())
            .env("ROADSTEAD_PEER_LISTEN", self.place.peer())
            .env("ROADSTEAD_ADMIN_LISTEN", self.place.admin_listen())
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    /// Ends the process with SIGKILL, at whatever it is doing, and also when it stands still.
    ///
    /// # Errors
    /// When it had ended by itself, with the end of its log; or cannot be killed.
    pub fn kill(&mut self) -> Result<()> {
        self.check_runs().with_context(|| self.last_lines())?;
        Ok(self.reap()?)
    }

    /// The same, for one that may have ended by itself.
    pub(super) fn reap(&mut self) -> io::Result<()> {
        self.is_paused = false;
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Stops the process with SIGSTOP, and returns when all of it stands still: its timers, its
    /// connections and whatever it is answering, while the world goes on.
    ///
    /// # Errors
    /// When it does not run, or does not stop.
    pub async fn pause(&mut self) -> Result<()> {
        let pid = self.pid()?;
        kill_process(pid, Signal::STOP)?;
        self.is_paused = true;
        eventually("the process stands still", READY, async || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))?;
            // The name of the program, in brackets, may hold anything.
            let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
            ensure!(state == Some('T'), "its state is {state:?}");
            Ok(())
        })
        .await
    }

    /// Lets a process go on that was paused.
    ///
    /// # Errors
    /// When it is not there any more.
    pub fn resume(&mut self) -> Result<()> {
        kill_process(self.pid()?, Signal::CONT)?;
        self.is_paused = false;
        Ok(())
    }

    /// How many connections to the API have sent what the process has not read.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn unread(&self) -> Result<usize> {
        let sockets = std::fs::read_to_string(format!("/proc/{}/net/tcp", self.pid()?))?;
        let port = format!(":{:04X}", self.place.api_port());
        let unread = sockets.lines().skip(1).filter(|line| {
            let mut columns = line.split_whitespace().skip(1);
            let is_api = columns.next().is_some_and(|local| local.ends_with(&port));
            // Its peer, its state (1: established), and what waits in its queues.
            let is_open = columns.nth(1) == Some("01");
            let queues = columns.next().and_then(|queues| queues.split_once(':'));
            is_api && is_open && queues.is_some_and(|(_, received)| received != "00000000")
        });
        Ok(unread.count())
    }

    /// Waits until the process has ended by itself, and answers why, as it says.
    ///
    /// # Errors
    /// When it goes on for a minute, or does not say why.
    pub async fn until_ended(&mut self) -> Result<String> {
        eventually("the node ends", READY, async || {
            let child = self.child.as_mut().context("it was killed")?;
            child.try_wait()?.context("it goes on")?;
            Ok(())
        })
        .await?;
        self.child = None;
        let log = std::fs::read_to_string(&self.folders.log)?;
        let told = log.get(self.told_before..).unwrap_or_default();
        // A thread that is still at work may have written more.
        let mut lines = told.lines().rev();
        let why = lines.find_map(|line| line.strip_prefix("roadstead: "));
        Ok(why.with_context(|| format!("it does not say why it ended: {told}"))?.to_owned())
    }

    /// A client of this node.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn client(&self) -> Result<RegistryClient> {
        RegistryClient::new(&format!("http://{}", self.place.api()))
    }

    /// The log index that is applied in the node's catalog, and what tells that from another one.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn fingerprint(&self) -> Result<(u64, String)> {
        let told = self.ask("/roadstead/v1/cluster/fingerprint").await?.error_for_status()?;
        let told: serde_json::Value = told.json().await?;
        let applied = told["applied"].as_u64().context("nothing is applied")?;
        Ok((applied, told["fingerprint"].as_str().context("a fingerprint")?.to_owned()))
    }

    /// What its cache of blobs has done since it was started.
    ///
    /// # Errors
    /// When it does not say, or has none.
    pub async fn cache(&self) -> Result<CacheUse> {
        let hits = self.metric("roadstead_cache_hits_total").await?;
        let misses = self.metric("roadstead_cache_misses_total").await?;
        let kept = std::fs::read_dir(self.folders.data.join("cache"))?.count() as u64;
        Ok(CacheUse { hits, misses, kept })
    }

    /// Whether there is `words` in a line of its log, since it was first started.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn has_said(&self, words: &str) -> Result<bool> {
        Ok(std::fs::read_to_string(&self.folders.log)?.contains(words))
    }

    /// Checks that none of its processes has panicked.
    pub(super) fn check_log(&self) -> Result<()> {
        let log = std::fs::read_to_string(&self.folders.log)?;
        if let Some((_, said)) = log.split_once("panicked at") {
            let said: Vec<&str> = said.lines().take(3).collect();
            bail!("node {} has panicked at{}", self.number, said.join("\n"));
        }
        Ok(())
    }

    /// Whether it runs and says that it leads.
    pub(super) async fn leads(&self) -> bool {
        let is_at_work = self.is_running() && !self.is_paused;
        is_at_work && self.metric("roadstead_raft_is_leader").await.is_ok_and(|leads| leads == 1)
    }

    /// Whether its process was started, and not killed since.
    pub(super) const fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// What joins the cluster that this node is of, once it can give a token.
    pub(super) async fn seed(&self) -> Result<Seed> {
        let program = program()?;
        let admin = format!("http://{}", self.place.admin_itself());
        let token = eventually("the node gives a join token", READY, async || {
            let mut command = self.place.command(&program);
            let output = command.args(["cluster", "token", "--admin", &admin]).output()?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Ok(String::from_utf8(output.stdout)?.trim().to_owned())
        })
        .await?;
        Ok(Seed { peer: self.place.peer(), token })
    }

    /// Waits until it is ready, and knows of so many voters.
    pub(super) async fn until_ready(&mut self, voters: usize, deadline: Duration) -> Result<()> {
        let ready = eventually("the node is ready", deadline, async || {
            self.check_runs()?;
            let response = self.ask("/readyz").await?;
            ensure!(response.status().is_success(), "{}", response.text().await?);
            let known = self.metric("roadstead_raft_voters").await?;
            ensure!(usize::try_from(known)? == voters, "{known} voters");
            Ok(())
        });
        let ready = ready.await;
        ready.with_context(|| self.last_lines())
    }

    fn check_runs(&mut self) -> Result<()> {
        let status = self.child.as_mut().map(Child::try_wait).transpose()?.flatten();
        match status {
            Some(status) => bail!("node {} has ended by itself: {status}", self.number),
            None => Ok(()),
        }
    }

    /// The end of its log.
    fn last_lines(&self) -> String {
        let log = std::fs::read_to_string(&self.folders.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        format!("node {}:\n{}", self.number, lines[lines.len().saturating_sub(15)..].join("\n"))
    }

    async fn metric(&self, name: &str) -> Result<u64> {
        let text = self.ask("/metrics").await?.text().await?;
        let line = text.lines().find(|line| line.split([' ', '{']).next() == Some(name));
        let value = line.and_then(|line| line.rsplit(' ').next());
        Ok(value.with_context(|| format!("there is no metric {name}"))?.parse()?)
    }

    async fn ask(&self, path: &str) -> Result<reqwest::Response> {
        Ok(self.http.get(format!("http://{}{path}", self.place.admin())).send().await?)
    }

    fn pid(&self) -> Result<Pid> {
        let child = self.child.as_ref().context("it was killed")?;
        Pid::from_raw(i32::try_from(child.id())?).context("a process has an id")
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.reap();
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
