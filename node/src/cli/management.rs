//! Talking to the management API of a registry.

use std::time::Duration;

use clap::Args;
use form_urlencoded::Serializer;
use reqwest::{Client, Method};
use serde_json::Value;

use super::Failure;
use super::cluster::{accepted, unreachable};
use super::login::{self, Login, LoginArgs};
use super::node::{NodeArgs, Server};

/// How long a request may take: an election, and the hashing of a password.
const TIMEOUT: Duration = Duration::from_secs(15);

#[derive(Debug, Args)]
pub(super) struct ManagementArgs {
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    login: LoginArgs,
}

/// A registry, as one account manages it.
pub(super) struct Management {
    server: Server,
    login: Option<Login>,
    client: Client,
}

impl ManagementArgs {
    /// The registry, with the password that the account has.
    pub(super) fn open(&self) -> Result<Management, Failure> {
        let (client, server) = (self.node.client(TIMEOUT)?, self.node.server.clone());
        Ok(Management { server, login: self.login.read()?, client })
    }
}

impl Management {
    /// What is at `path` below `/roadstead/v1/`.
    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(Method::GET, path, None).await
    }

    /// All pages of the list `name` at `path`.
    pub(super) async fn list(&self, path: &str, name: &str) -> Result<Vec<Value>, Failure> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let after = all.last().and_then(|last| last["name"].as_str()).unwrap_or_default();
            let query = Serializer::new(String::new()).append_pair("last", after).finish();
            let mut page = self.get(&format!("{path}?{query}")).await?;
            match page[name].take() {
                Value::Array(entries) if !entries.is_empty() => all.extend(entries),
                _ => return Ok(all),
            }
        }
    }

    /// Sends `body` to `path`.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let url = format!("{}/roadstead/v1/{path}", self.server);
        let mut request = self.client.request(method, url);
        if let Some(body) = body {
            request = request.json(body);
        }
        let request = login::with(request, self.login.as_ref());
        let answer = request.send().await.map_err(|error| unreachable(&self.server, &error))?;
        let answer = accepted(&self.server, self.login.as_ref(), answer).await?;
        Ok(answer.json().await.unwrap_or_default())
    }
}
