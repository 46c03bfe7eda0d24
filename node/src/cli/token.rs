//! `roadstead cluster token`: lets nodes join.

use std::time::Duration;

use clap::{Args, Subcommand};
use reqwest::{Client, Method};
use serde_json::Value;

use super::cluster::{StatusError, send};
use super::node::{Server, client};
use super::{Failure, say};

/// How long it may take: an election, and the decision.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    command: Option<TokenCommand>,
    /// The admin listener of the node on this machine: tokens are given out to nobody else.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:5002", global = true)]
    admin: Server,
    /// For how many hours the token is good.
    #[arg(long, value_name = "N", default_value_t = 24, global = true,
        value_parser = clap::value_parser!(u64).range(1..=8760))]
    hours: u64,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token, and take back all that were made before.
    Rotate,
}

/// Prints a token, and nothing else, so that it can be kept in a file.
pub(super) async fn token(arguments: &TokenArgs) -> Result<(), Failure> {
    let client = client(&arguments.admin, TIMEOUT, None)?;
    let lifetime = Duration::from_secs(arguments.hours * 60 * 60);
    say(issue(&client, &arguments.admin, lifetime, arguments.command.is_some()).await?);
    Ok(())
}

/// A token that the node with this admin listener has had issued.
pub(crate) async fn issue(
    client: &Client,
    admin: &Server,
    lifetime: Duration,
    alone: bool,
) -> Result<String, StatusError> {
    let seconds = lifetime.as_secs();
    let path = format!("/roadstead/v1/cluster/tokens?lifetime_s={seconds}&alone={alone}");
    let answer = send(client, Method::POST, admin, &path, None).await?;
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    if !status.is_success() {
        let reason = text.trim();
        return Err(match reason.is_empty() || status.as_u16() == 404 {
            true => StatusError::NoAdmin { server: admin.to_string(), status: status.to_string() },
            false => StatusError::NoToken(reason.to_owned()),
        });
    }
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    let token = answer["token"].as_str().map(str::to_owned);
    token.ok_or_else(|| StatusError::Foreign { server: admin.to_string() })
}
