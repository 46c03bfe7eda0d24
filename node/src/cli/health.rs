//! `roadstead health`: whether a node is ready, for containers that have no other client to ask
//! with.

use clap::Args;

use super::cluster::{Server, StatusError, ask};
use super::{Failure, say};

#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// The node's admin listener.
    #[arg(long, value_name = "URL", default_value = "http://localhost:5002")]
    server: Server,
}

/// Says that the node is ready; fails with what it waits for when it is not.
pub(super) async fn health(arguments: &HealthArgs) -> Result<(), Failure> {
    let server = &arguments.server;
    let answer = ask(server, "/readyz").await?;
    if answer.status().is_success() {
        say("ready");
        return Ok(());
    }
    let reason = answer.text().await.unwrap_or_default().trim().to_owned();
    Err(StatusError::NotReady { server: server.to_string(), reason }.into())
}
