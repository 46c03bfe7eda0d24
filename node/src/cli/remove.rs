//! `roadstead cluster remove`: takes a node out of a cluster, for good.

use std::time::Duration;

use clap::Args;
use proto::NodeId;
use reqwest::{Client, Method, Response, StatusCode};

use super::cluster::{StatusError, accepted, send};
use super::login::{Login, LoginArgs};
use super::node::{NodeArgs, Server};
use super::{Failure, say};

/// How long it may take: an election, the decision, and that it is carried out.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// The node's id, as `roadstead cluster status` shows it.
    node: NodeId,
    #[command(flatten)]
    at: NodeArgs,
    #[command(flatten)]
    login: LoginArgs,
}

/// Removes the node, or fails with the reason that the cluster gives.
pub(super) async fn remove(arguments: &RemoveArgs) -> Result<(), Failure> {
    let RemoveArgs { node, at, login } = arguments;
    let login = login.read()?;
    let (client, server) = (at.client(TIMEOUT)?, &at.server);
    let path = format!("/roadstead/v1/cluster/nodes/{node}");
    let answer =
        ask(&client, server, &path, login.as_ref()).await.map_err(|error| match error {
            StatusError::Said { reason, .. } | StatusError::Absent { reason, .. } => {
                StatusError::NotRemoved { node: *node, reason }
            }
            StatusError::Unknown { reason, .. } => StatusError::InDoubt { node: *node, reason },
            other => other,
        })?;
    match answer.status() {
        StatusCode::ACCEPTED => say(format_args!(
            "the removal of node {node} is decided, and not carried out yet: keep the node and its \
             folder until `roadstead cluster status` no longer lists it"
        )),
        StatusCode::NO_CONTENT => say(format_args!(
            "node {node} is removed; if it still runs, it stops, and its folder can be deleted"
        )),
        // A page of a proxy.
        _ => return Err(StatusError::Foreign { server: server.to_string() }.into()),
    }
    Ok(())
}

async fn ask(
    client: &Client,
    server: &Server,
    path: &str,
    login: Option<&Login>,
) -> Result<Response, StatusError> {
    let answer = send(client, Method::DELETE, server, path, login).await?;
    accepted(server, &Method::DELETE, login, answer).await
}
