//! `roadstead key` and `roadstead robot`: what programs log in with.

use std::time::Duration;

use clap::{Args, Subcommand};
use proto::access::{AccountName, KeyId};
use reqwest::Method;
use serde_json::json;

use super::{Managed, text};
use crate::cli::management::Management;
use crate::cli::output::complain;
use crate::cli::table::table;
use crate::cli::{Failure, say};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum KeyCommand {
    /// Make a key for an account, and show it once.
    Create {
        /// The account.
        account: AccountName,
        #[command(flatten)]
        key: NewKey,
    },
    /// Show the keys of an account.
    List {
        /// The account.
        account: AccountName,
    },
    /// End a key at once, on every node.
    Revoke {
        /// The account.
        account: AccountName,
        /// The key's id, as `roadstead key list` shows it.
        id: KeyId,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum RobotCommand {
    /// Make a robot, which logs in with keys alone, and its first key, which is shown once.
    Add {
        /// The name.
        name: AccountName,
        /// A group that the robot is a member of; can be repeated.
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        #[command(flatten)]
        key: NewKey,
    },
    /// Remove a robot, with its keys and what was granted to it.
    Remove {
        /// The name.
        name: AccountName,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct NewKey {
    /// What it is for.
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    /// After how long it ends, such as 90d; otherwise only when it is revoked.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    expires: Option<Duration>,
    /// Limits it to some repositories and verbs, such as 'team/**=pull,push'; can be repeated.
    #[arg(long, value_name = "PATTERN=VERBS")]
    scope: Vec<String>,
}

impl NewKey {
    async fn create(&self, registry: &Management, account: &AccountName) -> Result<(), Failure> {
        let key = json!({
            "description": self.description,
            "expires_in": self.expires.map(|time| time.as_secs()),
            "scope": self.scope,
        });
        let path = format!("accounts/{account}/keys");
        let made = registry.send(Method::POST, &path, Some(&key)).await?;
        say(text(&made["key"]));
        Ok(())
    }
}

/// What is shown of keys.
const KEY_FIELDS: [&str; 6] = ["id", "description", "created", "expires", "last_used", "scope"];
const KEY_TITLES: [&str; 6] = ["ID", "DESCRIPTION", "CREATED", "EXPIRES", "LAST USED", "SCOPE"];

/// Does what the command line says.
pub(in crate::cli) async fn run(arguments: &Managed<KeyCommand>) -> Result<(), Failure> {
    let registry = arguments.registry.open()?;
    match &arguments.command {
        KeyCommand::Create { account, key } => key.create(&registry, account).await?,
        KeyCommand::List { account } => {
            let mut body = registry.get(&format!("accounts/{account}/keys")).await?;
            let keys = body["keys"].take();
            let rows = keys
                .as_array()
                .into_iter()
                .flatten()
                .map(|key| KEY_FIELDS.map(|field| text(&key[field])));
            say(table(KEY_TITLES, rows));
        }
        KeyCommand::Revoke { account, id } => {
            let path = format!("accounts/{account}/keys/{id}");
            registry.send(Method::DELETE, &path, None).await?;
            say(format_args!("key {id} of {account} has ended"));
        }
    }
    Ok(())
}

/// Does what the command line says.
pub(in crate::cli) async fn run_robot(arguments: &Managed<RobotCommand>) -> Result<(), Failure> {
    let registry = arguments.registry.open()?;
    match &arguments.command {
        RobotCommand::Add { name, groups, key } => {
            let account = json!({ "name": name.as_str(), "kind": "robot", "groups": groups });
            registry.send(Method::POST, "accounts", Some(&account)).await?;
            key.create(&registry, name).await.inspect_err(|_| {
                complain(format_args!(
                    "robot {name} is made, but has no key yet: `roadstead key create {name}`"
                ));
            })?;
        }
        RobotCommand::Remove { name } => {
            registry.send(Method::DELETE, &format!("accounts/{name}"), None).await?;
            say(format_args!("{name} is removed, with its keys and what was granted to it"));
        }
    }
    Ok(())
}
