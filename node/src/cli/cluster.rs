//! `roadstead cluster`: a cluster seen from outside.

use std::error::Error;
use std::time::Duration;

use clap::{Args, ValueEnum};
use http::StatusCode;
use http::header::LOCATION;
use proto::NodeId;
use raft::{PeerStatus, Role};
use reqwest::{Client, Method, Response};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::login::{self, Login, LoginArgs};
use super::node::{NodeArgs, Server};
use super::output::plain;
use super::table::table as columns;
use super::{Failure, say};

/// How long a node may take to answer, having asked all others itself.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    login: LoginArgs,
    /// How to show it.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// A cluster as one of its nodes sees it: what `/roadstead/v1/cluster` answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ClusterReport {
    /// The cluster's id.
    pub(crate) cluster: String,
    /// The node that answers.
    pub(crate) node: NodeId,
    /// Its role.
    pub(crate) role: Role,
    /// Its term.
    pub(crate) term: u64,
    /// The leader it knows.
    pub(crate) leader: Option<NodeId>,
    /// The index up to which it has applied the log.
    pub(crate) applied: Option<u64>,
    /// All nodes, by id.
    pub(crate) nodes: Vec<PeerStatus>,
}

impl ClusterReport {
    /// Asks the node at `server`, as `login`.
    pub(crate) async fn fetch(
        client: &Client,
        server: &Server,
        login: Option<&Login>,
    ) -> Result<Self, StatusError> {
        let answer = send(client, Method::GET, server, "/roadstead/v1/cluster", login).await?;
        let answer = accepted(server, &Method::GET, login, answer).await?;
        answer.json().await.map_err(|_| StatusError::Foreign { server: server.to_string() })
    }
}

/// Sends `server` a request without a body, and takes any answer.
pub(super) async fn send(
    client: &Client,
    method: Method,
    server: &Server,
    path: &str,
    login: Option<&Login>,
) -> Result<Response, StatusError> {
    let request = client.request(method.clone(), format!("{server}{path}"));
    let answer = login::with(request, login).send().await;
    answer.map_err(|error| unanswered(server, &method, &error))
}

/// The answer of `server` to a request with `method` as `login`, unless it is a refusal: then its
/// own words, if it is a registry.
pub(super) async fn accepted(
    server: &Server,
    method: &Method,
    login: Option<&Login>,
    answer: Response,
) -> Result<Response, StatusError> {
    let (server, status) = (server.to_string(), answer.status());
    if status.is_success() {
        return Ok(answer);
    }
    if let (true, Some(location)) = (status.is_redirection(), answer.headers().get(LOCATION)) {
        let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
        return Err(StatusError::Elsewhere { server, status: status.to_string(), location });
    }
    if status == StatusCode::UNAUTHORIZED {
        return Err(match login {
            None => StatusError::LoginNeeded { server },
            Some(_) => StatusError::LoginFailed { server },
        });
    }
    let body: Value = answer.json().await.unwrap_or_default();
    let reason = body["errors"][0]["message"].as_str().map(plain);
    Err(match reason {
        // A node that does not know what came of it, or a proxy that waited no longer for one.
        reason if status.is_server_error() && !method.is_safe() => StatusError::Unknown {
            reason: reason.unwrap_or_else(|| format!("it answers {status}")),
            server,
        },
        Some(reason) if status == StatusCode::NOT_FOUND => StatusError::Absent { server, reason },
        Some(reason) => StatusError::Said { server, reason },
        None => StatusError::Refused { server, status: status.to_string() },
    })
}

/// The error that nobody answers at `server`, or that the answer to a request with `method` is
/// lost.
pub(super) fn unanswered(server: &Server, method: &Method, error: &reqwest::Error) -> StatusError {
    let (server, reason) = (server.to_string(), root_cause(error, server.is_local()));
    // What was sent may have been done.
    if method.is_safe() || error.is_connect() {
        StatusError::Unreachable { server, reason }
    } else {
        StatusError::Unknown { server, reason }
    }
}

/// Shows the nodes of the cluster.
pub(super) async fn status(arguments: &StatusArgs) -> Result<(), Failure> {
    let login = arguments.login.read()?;
    let client = arguments.node.client(TIMEOUT)?;
    let report = ClusterReport::fetch(&client, &arguments.node.server, login.as_ref()).await?;
    match arguments.output {
        Output::Table => say(table(&report)),
        Output::Json => {
            say(serde_json::to_string_pretty(&report).map_err(StatusError::Json)?);
        }
    }
    Ok(())
}

const HEAD: [&str; 8] =
    ["NODE", "PEER ADDRESS", "ROLE", "LEADER", "TERM", "APPLIED", "LAG", "STATE"];

fn table(report: &ClusterReport) -> String {
    let rows = report.nodes.iter().map(|node| row(node, report.leader));
    let nodes = columns(HEAD, rows);
    format!("cluster {}, seen from node {}\n{nodes}", report.cluster, report.node)
}

fn row(node: &PeerStatus, leader: Option<NodeId>) -> [String; 8] {
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let role = match node.role {
        Some(role) => role.to_string(),
        // One that does not answer plays no part that anybody knows of.
        None => if node.voter { "voter" } else { "learner" }.to_owned(),
    };
    [
        node.node.to_string(),
        node.peer_address.clone(),
        role,
        if leader == Some(node.node) { "*" } else { "" }.to_owned(),
        number(node.term),
        number(node.applied),
        number(node.lag),
        if node.reachable { "reachable" } else { "unreachable" }.to_owned(),
    ]
}

/// What an error of a request comes down to, of a server on this machine or elsewhere: its own text
/// only repeats the URL.
fn root_cause(error: &(dyn Error + 'static), is_local: bool) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let errno = cause.downcast_ref().and_then(Errno::from_io_error);
    match errno {
        // Of the addresses of localhost, the last to be tried is one that this machine has not.
        Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT) if is_local => {
            "nothing listens there".into()
        }
        _ => cause.to_string(),
    }
}

/// Why a cluster cannot be asked, or refuses.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// Nobody answers.
    #[error("no node answers at {server}: {reason}")]
    Unreachable {
        /// Who was asked.
        server: String,
        /// Why there is no answer.
        reason: String,
    },
    /// A change was asked for, and may have been made.
    #[error(
        "whether this was done is not known, since {server} did not say: {reason}; look before you \
         repeat it"
    )]
    Unknown {
        /// Who was asked.
        server: String,
        /// Why it is not known.
        reason: String,
    },
    /// The node could not answer.
    #[error("{server} answers {status}; is it the API of a node?")]
    Refused {
        /// Who was asked.
        server: String,
        /// The HTTP status.
        status: String,
    },
    /// The answer is to be had elsewhere, or a login page is in front.
    #[error(
        "{server} answers {status} and sends on to {location}, where nothing was asked: is it \
         the API of a node, and is its scheme right?"
    )]
    Elsewhere {
        /// Who was asked.
        server: String,
        /// The HTTP status.
        status: String,
        /// Where it sends to.
        location: String,
    },
    /// The registry wants to know who asks.
    #[error("{server} wants to know who asks: give --user, and ROADSTEAD_PASSWORD")]
    LoginNeeded {
        /// Who was asked.
        server: String,
    },
    /// The registry does not know who asks.
    #[error("{server} does not take this name and password")]
    LoginFailed {
        /// Who was asked.
        server: String,
    },
    /// The registry says why not.
    #[error("{server}: {reason}")]
    Said {
        /// Who was asked.
        server: String,
        /// What it said.
        reason: String,
    },
    /// The registry has no such thing.
    #[error("{server}: {reason}")]
    Absent {
        /// Who was asked.
        server: String,
        /// What it said.
        reason: String,
    },
    /// The node says that it is not ready, or that it cannot go on.
    #[error("the node at {server} does not serve: {reason}")]
    Unwell {
        /// Who was asked.
        server: String,
        /// What it waits for, or what happened to it.
        reason: String,
    },
    /// What answers is not an admin listener.
    #[error("{server} answers {status}; is it the admin listener of a node?")]
    NoAdmin {
        /// Who was asked.
        server: String,
        /// The HTTP status.
        status: String,
    },
    /// The cluster gives no token.
    #[error("there is no token: {0}")]
    NoToken(String),
    /// The cluster keeps the node.
    #[error("node {node} is not removed: {reason}")]
    NotRemoved {
        /// The node.
        node: NodeId,
        /// Why.
        reason: String,
    },
    /// The cluster may yet remove the node.
    #[error(
        "whether node {node} is removed is not known: {reason}; keep the node and its folder until \
         `roadstead cluster status` no longer lists it"
    )]
    InDoubt {
        /// The node.
        node: NodeId,
        /// Why.
        reason: String,
    },
    /// What answers is no node.
    #[error("what answers at {server} is not a Roadstead node of this version")]
    Foreign {
        /// Who was asked.
        server: String,
    },
    /// The answer cannot be written.
    #[error("the status cannot be written as JSON: {0}")]
    Json(serde_json::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_ipv6_has_nothing_that_listens_at_its_localhost() {
        for (errno, is_local, said) in [
            (Errno::ADDRNOTAVAIL, true, "nothing listens there"),
            (Errno::AFNOSUPPORT, true, "nothing listens there"),
            (Errno::ADDRNOTAVAIL, false, "Cannot assign requested address (os error 99)"),
            (Errno::CONNREFUSED, true, "Connection refused (os error 111)"),
        ] {
            assert_eq!(root_cause(&Failure::Terminal(errno.into()), is_local), said);
        }
    }

    #[test]
    fn the_table_marks_the_leader_and_who_does_not_answer() {
        let leader = PeerStatus {
            node: 1,
            peer_address: "127.0.0.1:5001".to_owned(),
            voter: true,
            reachable: true,
            role: Some(Role::Leader),
            term: Some(2),
            applied: Some(40),
            lag: Some(0),
        };
        let dead = PeerStatus {
            node: 17,
            peer_address: "127.0.0.1:5011".to_owned(),
            reachable: false,
            role: None,
            term: None,
            applied: None,
            lag: None,
            ..leader.clone()
        };
        let report = ClusterReport {
            cluster: "c0".to_owned(),
            node: 1,
            role: Role::Leader,
            term: 2,
            leader: Some(1),
            applied: Some(40),
            nodes: vec![leader, dead],
        };
        assert_eq!(
            table(&report),
            "cluster c0, seen from node 1\n\
             NODE  PEER ADDRESS    ROLE    LEADER  TERM  APPLIED  LAG  STATE\n\
             1     127.0.0.1:5001  leader  *       2     40       0    reachable\n\
             17    127.0.0.1:5011  voter           -     -        -    unreachable"
        );
    }
}
