//! The playground's story: a cluster in one command, a leader killed, brought back, all stopped,
//! and all resumed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test panics")]
#![allow(clippy::disallowed_methods, reason = "the test takes ports from the program")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

use support::{DEADLINE, code, complaint, free_ports, get, output, roadstead, send, until};

struct Playground {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    dir: PathBuf,
    port: u16,
}

impl Playground {
    async fn start(dir: &Path, port: u16) -> Self {
        Self::start_with(&[], dir, port).await
    }

    async fn start_with(more: &[&str], dir: &Path, port: u16) -> Self {
        let (dir, base) = (dir.to_owned(), port.to_string());
        let arguments = ["playground", "--port", &base, "--dir", dir.to_str().unwrap()];
        let mut child =
            roadstead(&[&arguments[..], more].concat()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut playground = Self { child, lines, dir, port };
        playground.said("3 nodes are ready").await;
        playground
    }

    /// Waits for a line with `text`, and answers it.
    async fn said(&mut self, text: &str) -> String {
        let said = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                if line.contains(text) {
                    return line;
                }
            }
            panic!("it never said {text:?}")
        };
        timeout(DEADLINE, said).await.unwrap_or_else(|_| panic!("never: {text}"))
    }

    fn pid(&self, node: u16) -> Pid {
        let pid = fs::read_to_string(self.dir.join(format!("node-{node}/pid"))).unwrap();
        Pid::from_raw(pid.trim().parse().unwrap()).unwrap()
    }

    fn admin(&self, node: u16, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port + 10 * (node - 1) + 2)
    }

    async fn is_ready(&self, node: u16) -> bool {
        get(&self.admin(node, "/readyz")).await.is_some_and(|(status, _)| status == 200)
    }
}

fn has_ended(pid: Pid) -> bool {
    test_kill_process(pid).is_err()
}

#[tokio::test]
async fn a_killed_leader_is_replaced_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("playground");
    let mut playground = Playground::start(&dir, free_ports()).await;
    let leader = playground.said(" leads the cluster").await;
    let leader: u16 = leader["node-".len()..][..1].parse().unwrap();
    let pid = playground.pid(leader);
    for node in 1..=3 {
        let (_, metrics) = get(&playground.admin(node, "/metrics")).await.unwrap();
        let is_leader = format!("roadstead_raft_is_leader {}\n", u8::from(node == leader));
        assert!(metrics.contains(&is_leader), "node {node}: {metrics}");
    }

    kill_process(pid, Signal::KILL).unwrap();
    playground.said(&format!("node-{leader} has ended")).await;
    assert!(!dir.join(format!("node-{leader}/pid")).exists());
    let next = playground.said(" leads the cluster").await;
    assert!(!next.starts_with(&format!("node-{leader}")), "{next}");

    let arguments = ["playground", "restart", &leader.to_string(), "--dir", dir.to_str().unwrap()];
    let restarted = output(roadstead(&arguments)).await;
    let said = String::from_utf8(restarted.stdout).unwrap();
    assert!(restarted.status.success() && said.contains("is back"), "{said}");
    assert!(playground.is_ready(leader).await);
    assert_ne!(playground.pid(leader), pid);

    let said = complaint(roadstead(&["playground", "--dir", dir.to_str().unwrap()])).await;
    assert!(said.contains("a playground runs in"), "{said}");
    let nine = ["playground", "restart", "9", "--dir", dir.to_str().unwrap()];
    assert!(complaint(roadstead(&nine)).await.contains("there is no node 9"));

    let pids = [1, 2, 3].map(|node| playground.pid(node));
    send(&playground.child, Signal::INT);
    assert_eq!(code(&mut playground.child).await, Some(0));
    assert!(pids.into_iter().all(has_ended));
}

#[tokio::test]
async fn a_playground_that_is_killed_takes_its_nodes_with_it_and_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, port) = (folder.path().join("playground"), free_ports() + 300);
    let mut playground = Playground::start(&dir, port).await;
    let api = format!("http://127.0.0.1:{port}/roadstead/v1/cluster");
    let cluster =
        |body: String| serde_json::from_str::<serde_json::Value>(&body).unwrap()["cluster"].clone();
    let before = cluster(get(&api).await.unwrap().1);
    let pids = [1, 2, 3].map(|node| playground.pid(node));
    send(&playground.child, Signal::KILL);
    code(&mut playground.child).await;

    // At once: it waits for the nodes of the killed one.
    let mut resumed = Playground::start(&dir, port).await;
    assert_eq!(cluster(get(&api).await.unwrap().1), before);
    until("the old nodes have ended", async || pids.into_iter().all(has_ended)).await;
    send(&resumed.child, Signal::TERM);
    assert_eq!(code(&mut resumed.child).await, Some(0));
}

#[tokio::test]
async fn a_closed_playground_resumes_after_its_administrator_has_another_password() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, port) = (folder.path().join("playground"), free_ports() + 900);
    let mut playground = Playground::start_with(&["--auth"], &dir, port).await;
    let drawn = fs::read_to_string(dir.join("administrator-password")).unwrap();
    let server = format!("127.0.0.1:{port}");
    let mut command = roadstead(&["user", "password", "admin", "--server", &server]);
    command.env("ROADSTEAD_USER", "admin").env("ROADSTEAD_PASSWORD", drawn.trim());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut changing = command.spawn().unwrap();
    changing.stdin.take().unwrap().write_all(b"another password\n").await.unwrap();
    let changed = changing.wait_with_output().await.unwrap();
    assert!(String::from_utf8_lossy(&changed.stdout).contains("has another password"));
    send(&playground.child, Signal::INT);
    assert_eq!(code(&mut playground.child).await, Some(0));

    let mut resumed = Playground::start(&dir, port).await;
    resumed.said(" leads the cluster").await;
    send(&resumed.child, Signal::INT);
    assert_eq!(code(&mut resumed.child).await, Some(0));
}

#[tokio::test]
async fn a_taken_port_is_shown_from_the_nodes_log() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, port) = (folder.path().join("playground"), free_ports() + 600);
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let base = port.to_string();
    let arguments = ["playground", "--port", &base, "--dir", dir.to_str().unwrap()];
    let ended = output(roadstead(&arguments)).await;
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        said.contains("node-1 ended") && said.contains("is in use by another process"),
        "{said}"
    );
}

#[tokio::test]
async fn the_password_of_a_first_start_that_failed_is_still_to_be_found() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, port) = (folder.path().join("playground"), free_ports() + 900);
    let taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let base = port.to_string();
    let arguments = ["playground", "--auth", "--port", &base, "--dir", dir.to_str().unwrap()];
    assert_eq!(output(roadstead(&arguments)).await.status.code(), Some(1));
    drop(taken);
    let mut playground = Playground::start_with(&["--auth"], &dir, port).await;
    playground.said(&format!("password is in {}/administrator-password", dir.display())).await;
    send(&playground.child, Signal::INT);
    assert_eq!(code(&mut playground.child).await, Some(0));
}
