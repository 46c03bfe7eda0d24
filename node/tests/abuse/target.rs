//! A node as a process, which is watched while clients want it down.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::Child;
use tokio::time::timeout;

use crate::support::{DEADLINE, alone, get, roadstead, until};

/// A node of its own.
pub(crate) struct Target {
    pub(crate) child: Child,
    pub(crate) log: PathBuf,
    pub(crate) api: String,
    admin: String,
}

impl Target {
    /// Starts a node that keeps its blobs on disk, and waits until it is ready.
    pub(crate) async fn start(folder: &Path, filter: &str) -> Self {
        Self::start_with(folder, filter, Vec::new()).await
    }

    /// Starts a node with these variables in its environment.
    pub(crate) async fn start_with(
        folder: &Path,
        filter: &str,
        variables: Vec<(String, String)>,
    ) -> Self {
        let log = folder.join("log");
        let mut command = roadstead(&["serve"]);
        alone(&mut command, folder);
        command.env("ROADSTEAD_LOG_FORMAT", "human").env("ROADSTEAD_LOG_FILTER", filter);
        command.envs(variables);
        let child = command.stderr(File::create(&log).unwrap()).spawn().unwrap();
        let address = |name: &str| {
            let text = fs::read_to_string(&log).ok()?;
            let line = text.lines().find(|line| line.contains(" serving "))?;
            let value = line.split_whitespace().find_map(|word| word.strip_prefix(name))?;
            Some(value.to_owned())
        };
        until("the node serves", async || address("admin=").is_some()).await;
        let (api, admin) = (address("api=").unwrap(), address("admin=").unwrap());
        let ready = format!("http://{admin}/readyz");
        until("the node is ready", async || get(&ready).await.is_some_and(|(s, _)| s == 200)).await;
        Self { child, log, api, admin }
    }

    /// Connects to its API.
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.api).await.unwrap()
    }

    /// Connects from another address of this machine than clients usually have.
    pub(crate) async fn connect_from(&self, address: [u8; 4]) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((address, 0).into()).unwrap();
        socket.connect(self.api.parse().unwrap()).await.unwrap()
    }

    /// Asks over a connection of its own, and answers everything that is said to that.
    pub(crate) async fn ask(&self, request: &[u8]) -> Vec<u8> {
        let mut connection = self.connect().await;
        let mut answer = Vec::new();
        connection.write_all(request).await.unwrap();
        let _ = timeout(DEADLINE, connection.read_to_end(&mut answer)).await.expect("an answer");
        answer
    }

    /// Pushes a blob and answers its path.
    pub(crate) async fn push(&self, content: &[u8]) -> String {
        let digest = proto::Digest::of(proto::Algorithm::Sha256, content);
        let mut request = format!(
            "POST /v2/a/blobs/uploads/?digest={digest} HTTP/1.1\r\nhost: a\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n",
            content.len()
        )
        .into_bytes();
        request.extend(content);
        let answer = self.ask(&request).await;
        assert!(answer.starts_with(b"HTTP/1.1 201"), "{}", String::from_utf8_lossy(&answer));
        format!("/v2/a/blobs/{digest}")
    }

    /// A line of the process's status, in bytes.
    pub(crate) fn memory(&self, line: &str) -> u64 {
        let status = format!("/proc/{}/status", self.child.id().unwrap());
        let status = fs::read_to_string(status).unwrap();
        let value = status.lines().find_map(|l| l.strip_prefix(line)).unwrap();
        value.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Forgets the most memory that the process ever had.
    fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.child.id().unwrap()), "5").unwrap();
    }

    /// Runs `flood`, and checks that it takes no more than `most` bytes at any moment, and that
    /// another client is served after it.
    pub(crate) async fn withstand(&self, what: &str, most: u64, flood: impl Future<Output = ()>) {
        self.forget_peak();
        let (before, begin) = (self.memory("VmRSS:"), Instant::now());
        timeout(DEADLINE, flood).await.unwrap_or_else(|_| panic!("{what} hangs"));
        let peak = self.memory("VmHWM:").saturating_sub(before);
        println!("{what}: {} KiB more at most, {:?}", peak / 1024, begin.elapsed());
        assert!(peak < most, "{what} takes {peak} bytes");
        let served = get(&format!("http://{}/v2/", self.api)).await;
        assert_eq!(served.map(|(status, _)| status), Some(200), "after {what}");
        let ready = get(&format!("http://{}/readyz", self.admin)).await;
        assert_eq!(ready.map(|(status, _)| status), Some(200), "after {what}");
    }
}
