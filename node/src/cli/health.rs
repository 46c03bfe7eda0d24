//! `roadstead health`: whether a node is ready, or alive, for containers that have no other client
//! to ask with.

use std::time::Duration;

use clap::Args;
use reqwest::Method;

use super::cluster::{StatusError, send};
use super::node::{Server, client};
use super::output::plain;
use super::{Failure, say};

/// How long the node may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// The node's admin listener.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:5002")]
    server: Server,
    /// Ask only whether the node is worth keeping, as one is too that is not ready.
    #[arg(long)]
    alive: bool,
}

/// Says that the node is ready; fails with what it waits for when it is not.
pub(super) async fn health(arguments: &HealthArgs) -> Result<(), Failure> {
    let server = &arguments.server;
    let client = client(server, TIMEOUT, None)?;
    let path = if arguments.alive { "/healthz" } else { "/readyz" };
    let answer = send(&client, Method::GET, server, path, None).await?;
    let is_well = answer.status().is_success();
    let said = plain(answer.text().await.unwrap_or_default().trim());
    if is_well {
        say(said);
        return Ok(());
    }
    Err(StatusError::Unwell { server: server.to_string(), reason: said }.into())
}
