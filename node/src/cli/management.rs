//! Talking to the management API of a registry.

use std::time::Duration;

use clap::Args;
use form_urlencoded::Serializer;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Map, Value};

use super::Failure;
use super::cluster::{StatusError, accepted, unanswered};
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

    /// The list `name` in what is at `path`.
    pub(super) async fn list(&self, path: &str, name: &str) -> Result<Vec<Value>, Failure> {
        match self.get(path).await?[name].take() {
            Value::Array(entries) => Ok(entries),
            _ => Err(self.foreign()),
        }
    }

    /// All pages of the list `name` at `path`.
    pub(super) async fn pages(&self, path: &str, name: &str) -> Result<Vec<Value>, Failure> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let after = all.last().and_then(|last| last["name"].as_str()).unwrap_or_default();
            let query = Serializer::new(String::new()).append_pair("last", after).finish();
            let page = self.list(&format!("{path}?{query}"), name).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// Sends `body` to `path`. The answer is `Null` when it is that a change was made, and no more.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let url = format!("{}/roadstead/v1/{path}", self.server);
        let mut request = self.client.request(method.clone(), url);
        if let Some(body) = body {
            request = request.json(body);
        }
        let request = login::with(request, self.login.as_ref());
        let lost = |error| unanswered(&self.server, &method, &error);
        let answer = request.send().await.map_err(lost)?;
        let answer = accepted(&self.server, &method, self.login.as_ref(), answer).await?;
        let (is_change, status) = (!method.is_safe(), answer.status());
        // With 200, pages of a proxy answer to anything.
        if is_change && !matches!(status, StatusCode::CREATED | StatusCode::NO_CONTENT) {
            return Err(self.foreign());
        }
        let said = answer.bytes().await.map_err(lost)?;
        if is_change && said.is_empty() {
            return Ok(Value::Null);
        }
        let object = serde_json::from_slice::<Map<_, _>>(&said);
        object.map(Value::Object).map_err(|_| self.foreign())
    }

    /// The error that what answers is no node.
    pub(super) fn foreign(&self) -> Failure {
        StatusError::Foreign { server: self.server.to_string() }.into()
    }
}
