//! The program as a user runs it, for the tests of this folder.
#![allow(dead_code, reason = "each test uses a part")]

pub(crate) mod pki;

use std::future::Future;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::{sleep, timeout};

/// How long anything may take: much longer than it does, on a machine that is busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(20);

/// A command line of the program, away from the environment's configuration.
pub(crate) fn roadstead(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roadstead"));
    command.args(arguments).env_clear().kill_on_drop(true).stdin(Stdio::null());
    command
}

/// Runs `command`, which ends by itself.
pub(crate) async fn output(mut command: Command) -> Output {
    timeout(DEADLINE, command.output()).await.expect("the program ends").unwrap()
}

/// The one line with which `command` fails.
pub(crate) async fn complaint(command: Command) -> String {
    let output = output(command).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let last = said.lines().last().unwrap_or_default().to_owned();
    assert!(last.starts_with("roadstead: "), "{said}");
    assert!(!said.contains("panicked") && !said.contains("backtrace"), "{said}");
    last
}

/// Waits until `probe` says so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut probe: impl FnMut() -> F) {
    let holds = async {
        while !probe().await {
            sleep(PAUSE).await;
        }
    };
    timeout(DEADLINE, holds).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Waits until `child` has ended, and answers its exit code.
pub(crate) async fn code(child: &mut Child) -> Option<i32> {
    timeout(DEADLINE, child.wait()).await.expect("the process ends").unwrap().code()
}

/// Sends `signal` to `child`.
pub(crate) fn send(child: &Child, signal: rustix::process::Signal) {
    let pid = child.id().expect("it runs").cast_signed();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// Status and body of `GET url`; `None` when nobody answers.
pub(crate) async fn get(url: &str) -> Option<(u16, String)> {
    node::install_cryptography();
    let client =
        reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
    let answer = client.get(url).send().await.ok()?;
    Some((answer.status().as_u16(), answer.text().await.ok()?))
}

/// The first of 30 ports of which those that a playground of three nodes uses are free. Below the
/// range from which the system picks ports by itself.
#[allow(clippy::disallowed_methods, reason = "bound for a moment, to see what is free")]
pub(crate) fn free_ports() -> u16 {
    let start = u16::try_from(std::process::id() % 300).unwrap() * 30 + 20_000;
    let bases = (start..29_000).chain(20_000..start).step_by(30);
    bases
        .into_iter()
        .find(|base| {
            [0, 1, 2, 10, 11, 12, 20, 21, 22]
                .iter()
                .all(|offset| TcpListener::bind((Ipv4Addr::LOCALHOST, base + offset)).is_ok())
        })
        .expect("there are free ports")
}

/// The environment of a node in `folder` that listens at any free ports.
pub(crate) fn alone(command: &mut Command, folder: &Path) {
    command
        .env("ROADSTEAD_NODE_DATA_DIR", folder.join("data"))
        .env("ROADSTEAD_ACCESS_MODE", "open")
        .env("ROADSTEAD_API_LISTEN", "127.0.0.1:0")
        .env("ROADSTEAD_PEER_LISTEN", "127.0.0.1:0")
        .env("ROADSTEAD_ADMIN_LISTEN", "127.0.0.1:0")
        .env("ROADSTEAD_LOG_FORMAT", "json");
}

/// A node that serves.
pub(crate) struct Serving {
    pub(crate) child: Child,
    /// What it said before it served.
    pub(crate) earlier: Vec<String>,
    pub(crate) log: Lines<BufReader<ChildStderr>>,
    pub(crate) api: String,
    pub(crate) admin: String,
}

/// Starts a node in `folder` and waits until it is ready.
pub(crate) async fn serve(folder: &Path, arguments: &[&str], stdin: Stdio) -> Serving {
    serve_with(folder, arguments, stdin, |_| {}).await
}

/// Does what [`serve`] does, with what `set` sets.
pub(crate) async fn serve_with(
    folder: &Path,
    arguments: &[&str],
    stdin: Stdio,
    set: impl FnOnce(&mut Command),
) -> Serving {
    let mut command = roadstead(&["serve"]);
    alone(&mut command, folder);
    set(&mut command);
    let mut child = command.args(arguments).stdin(stdin).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut earlier = Vec::new();
    let serving = loop {
        let line = timeout(DEADLINE, log.next_line()).await.expect("it logs").unwrap();
        let line = line.expect("it serves");
        let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        if said["message"] == "serving" {
            break said;
        }
        earlier.push(line);
    };
    let address = |key: &str| serving[key].as_str().unwrap().to_owned();
    let (api, admin) = (address("api"), address("admin"));
    let ready = format!("http://{admin}/readyz");
    until("the node is ready", async || get(&ready).await.is_some_and(|(status, _)| status == 200))
        .await;
    Serving { child, earlier, log, api, admin }
}
