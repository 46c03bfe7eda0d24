//! `roadstead health`: whether a node is ready, for containers that have no other client to ask
//! with.

use std::time::Duration;

use clap::Args;
use reqwest::Method;

use super::cluster::{StatusError, send};
use super::node::{Server, client};
use super::{Failure, say};

/// How long the node may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// The node's admin listener.
    #[arg(long, value_name = "URL", default_value = "http://localhost:5002")]
    server: Server,
}

/// Says that the node is ready; fails with what it waits for when it is not.
pub(super) async fn health(arguments: &HealthArgs) -> Result<(), Failure> {
    let server = &arguments.server;
    let client = client(server, TIMEOUT, None)?;
    let answer = send(&client, Method::GET, server, "/readyz", None).await?;
    if answer.status().is_success() {
        say("ready");
        return Ok(());
    }
    let reason = answer.text().await.unwrap_or_default().trim().to_owned();
    Err(StatusError::NotReady { server: server.to_string(), reason }.into())
}
