//! `roadstead serve`: a node as a process.

use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::Arc;

use api::Appointed;
use clap::Args;
use raft::Ended;
use storage::blob::{CachedBlobs, DiskBlobs, OpenError, S3Blobs};
use storage::kv::RocksKv;
use storage::{Blobs, KvError};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::task::spawn_blocking;
use toml::Value;

use super::{ConfigArgs, Failure, Signals, block_on, config, outlive_hangups, say};
use crate::config::{ConfigError, Source, Storage, StorageKind};
use crate::{Config, DataFolder, Listeners, Node, NodeError, TcpWorld, open_files, telemetry};

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// A peer address of the cluster to join, as host:port; can be repeated. Needed until this node
    /// is a member, and asked again when it hears of no leader.
    #[arg(long, value_name = "ADDR")]
    join: Vec<String>,
    /// The token to join with, as `roadstead cluster token` prints it. Others on this machine can
    /// see it here.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// A file with that token, which nobody else needs to see.
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<String>,
    /// The folder for what this node alone keeps.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Give the administrator `admin` another password and all rights again, and show it: for those
    /// who have lost it. At every start that has this: take it away afterwards.
    #[arg(long)]
    reset_administrator: bool,
    /// Stop when standard input, a pipe, is closed: a parent that dies takes the node with it.
    #[arg(long, hide = true)]
    with_parent: bool,
}

/// Runs a node until a signal asks it to stop, or until it cannot go on.
pub(super) fn run(arguments: &ServeArgs) -> Result<(), Failure> {
    let mut source = source(arguments)?;
    let mut config = Config::read(&mut source)?;
    if arguments.reset_administrator {
        config.access.appoint_anew()?;
    }
    telemetry::start(&config.log, &config.audit)?;
    for name in source.strange_variables() {
        tracing::warn!(name, "an environment variable sets nothing");
    }
    block_on(serve(config, arguments.with_parent))
}

fn source(arguments: &ServeArgs) -> Result<Source, ConfigError> {
    let mut source = config::source(&arguments.config)?;
    if !arguments.join.is_empty() {
        let addresses = arguments.join.iter().cloned().map(Value::String);
        source.set("cluster.join", Value::Array(addresses.collect()));
    }
    if let Some(token) = &arguments.token {
        source.set("cluster.token", Value::String(token.clone()));
    }
    if let Some(file) = &arguments.token_file {
        source.set("cluster.token_file", Value::String(file.clone()));
    }
    if let Some(data_dir) = &arguments.data_dir {
        source.set("node.data_dir", Value::String(data_dir.clone()));
    }
    Ok(source)
}

async fn serve(config: Config, with_parent: bool) -> Result<(), Failure> {
    let mut signals = Signals::receive()?;
    // Who starts a node by hand has it end with the terminal.
    let _outliving = (!io::stderr().is_terminal()).then(outlive_hangups).transpose()?;
    open_files::raise(&config.limits);
    let world = Arc::new(TcpWorld);
    let listeners = Listeners::bind(&config, &*world).await?;
    let folder = DataFolder::open(&config.node.data_dir)?;
    let path = folder.kv();
    // Locked until the process is gone: threads of the store may outlive this function.
    std::mem::forget(folder);

    let opening = async {
        let kv = open_kv(path).await?;
        Ok::<_, Failure>((Arc::new(kv), open_blobs(&config.storage).await?))
    };
    let (kv, blobs) = tokio::select! {
        opened = opening => opened?,
        () = asked_to_end(&mut signals, with_parent) => return Ok(()),
    };
    let stop = asked_to_end(&mut signals, with_parent);
    let mut node = match Node::start_on(listeners, &config, world, kv, blobs, stop).await {
        Err(NodeError::Stopped) => return Ok(()),
        started => started?,
    };
    let addresses = node.addresses();
    tracing::info!(
        api = %addresses.api,
        peer = %addresses.peer,
        admin = %addresses.admin,
        version = env!("CARGO_PKG_VERSION"),
        "serving"
    );
    let appointed = node.appointed();
    let telling = async {
        tell(&appointed.await);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = asked_to_end(&mut signals, with_parent) => tracing::info!("stopping"),
        ended = node.failed() => return end(node, ended, &mut signals).await,
        () = telling => {}
    }
    tokio::select! {
        () = node.stop() => tracing::info!("stopped"),
        () = signals.next() => return Err(Failure::Hurried),
    }
    Ok(())
}

/// Shows who administers the registry, and the password if nobody knows it yet. To standard output:
/// the log is kept, and read by many.
fn tell(appointed: &Appointed) {
    let Appointed { name, password } = appointed;
    if let Some(password) = password {
        say(format!(
            "The administrator of this registry is '{name}', and the password: {password}\n\
             It is not shown again. Log in with it, or change it: roadstead user password {name}"
        ));
    }
}

/// Opens the store in `path`. It may replay its log for minutes, on a thread of its own: a signal
/// to end is heard meanwhile, and the node ends without the store, of which nothing was served yet.
async fn open_kv(path: PathBuf) -> Result<RocksKv, Failure> {
    let opening = {
        let path = path.clone();
        spawn_blocking(move || RocksKv::open(path))
    };
    let opened = opening.await.unwrap_or_else(|error| Err(KvError::Failed(error.to_string())));
    opened.map_err(|reason| Failure::Kv { path, reason })
}

async fn open_blobs(storage: &Storage) -> Result<Arc<dyn Blobs>, Failure> {
    let far: Arc<dyn Blobs> = match storage.kind {
        StorageKind::Disk => Arc::new(open_disk(storage.path.clone()).await?),
        StorageKind::S3 => Arc::new(S3Blobs::open(&storage.s3()).await?),
    };
    let Some(bytes_max) = storage.cache_bytes.bytes() else { return Ok(far) };
    let folder = storage.cache_path.clone();
    let cached = CachedBlobs::open(far, folder.clone(), bytes_max);
    Ok(Arc::new(cached.map_err(|reason| Failure::Cache { folder, reason })?))
}

/// Opens the store of blobs in `path`, on a thread of its own too: the file system may hang.
async fn open_disk(path: PathBuf) -> Result<DiskBlobs, OpenError> {
    let opening = {
        let path = path.clone();
        spawn_blocking(move || DiskBlobs::open(path))
    };
    let not_run = |error| Err(OpenError::Io { folder: path, error: io::Error::other(error) });
    opening.await.unwrap_or_else(not_run)
}

/// Ends a node that cannot go on: in order where that can be.
async fn end(node: Node, ended: Ended, signals: &mut Signals) -> Result<(), Failure> {
    if matches!(ended, Ended::Removed(_)) {
        tokio::select! {
            () = node.stop() => {}
            () = signals.next() => return Err(Failure::Hurried),
        }
    }
    Err(ended.into())
}

/// Resolves at the next signal, or when the parent is gone.
async fn asked_to_end(signals: &mut Signals, with_parent: bool) {
    if with_parent {
        tokio::select! {
            () = signals.next() => {}
            () = parent_gone() => tracing::warn!("the parent process is gone"),
        }
    } else {
        signals.next().await;
    }
}

/// Resolves when the process at the other end of standard input has closed it, or died.
async fn parent_gone() {
    let input = io::stdin().as_fd().try_clone_to_owned().and_then(pipe::Receiver::from_owned_fd);
    match input {
        Ok(mut input) => while matches!(input.read(&mut [0; 64]).await, Ok(1..)) {},
        Err(error) => {
            tracing::warn!(%error, "standard input is no pipe: the parent is not watched");
            std::future::pending().await
        }
    }
}
