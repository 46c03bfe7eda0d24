//! `roadstead key` and `roadstead robot`: what programs log in with.

use std::fmt::Write as _;
use std::time::Duration;

use clap::{Args, Subcommand};
use proto::access::{AccountName, KeyId, KeyScope, KeyScopeError};
use proto::limits::KEY_DESCRIPTION_BYTES_MAX;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Managed, text};
use crate::cli::management::Management;
use crate::cli::output::{complain, plain};
use crate::cli::table::table;
use crate::cli::{Failure, say};

/// Shortest and longest time until a key ends: the API counts whole seconds, and has no date for
/// the end of time.
const LIFETIME_MIN: Duration = Duration::from_secs(1);
const LIFETIME_MAX: Duration = Duration::from_secs(1_000 * 366 * 24 * 60 * 60);

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
    /// Remove a robot, with its keys and what was granted to it; a user, `roadstead user remove`
    /// does.
    Remove {
        /// The name.
        name: AccountName,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct NewKey {
    /// What it is for.
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = description)]
    description: String,
    /// After how long it ends, such as 90d; otherwise only when it is revoked.
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    expires: Option<Duration>,
    /// Limits it to some repositories and verbs, such as 'team/**=pull,push'; can be repeated.
    #[arg(long, value_name = "PATTERN=VERBS", value_parser = scope)]
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
        say(made["key"].as_str().map(plain).ok_or_else(|| registry.foreign())?);
        Ok(())
    }

    /// The command line that makes such a key for `account`.
    fn command(&self, account: &AccountName) -> String {
        let mut line = format!("roadstead key create {account}");
        let description = Some(&self.description).filter(|text| !text.is_empty());
        let expires = self.expires.map(|time| format!("{}s", time.as_secs()));
        let options = description.map(|text| ("description", text)).into_iter();
        let options = options.chain(expires.as_ref().map(|time| ("expires", time)));
        for (option, value) in options.chain(self.scope.iter().map(|part| ("scope", part))) {
            // As a shell reads it. Writing to a String cannot fail.
            let _ = write!(line, " --{option} '{}'", value.replace('\'', r"'\''"));
        }
        line
    }
}

fn description(text: &str) -> Result<String, String> {
    if text.len() > KEY_DESCRIPTION_BYTES_MAX {
        return Err(format!("a description has at most {KEY_DESCRIPTION_BYTES_MAX} bytes"));
    }
    Ok(text.to_owned())
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (LIFETIME_MIN..=LIFETIME_MAX).contains(&time) {
        Ok(time)
    } else {
        Err("a key is good for a second at least, and for a thousand years at most".to_owned())
    }
}

fn scope(text: &str) -> Result<String, KeyScopeError> {
    KeyScope::of([text]).map(|_| text.to_owned())
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
            let keys = registry.list(&format!("accounts/{account}/keys"), "keys").await?;
            let shown = |key: &Value, field| match &key[field] {
                Value::Null if field == "expires" => "never".to_owned(),
                value => text(value),
            };
            let rows = keys.iter().map(|key| KEY_FIELDS.map(|field| shown(key, field)));
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
                let command = key.command(name);
                complain(format_args!("robot {name} is made, but no key is shown: `{command}`"));
            })?;
        }
        RobotCommand::Remove { name } => {
            if registry.get(&format!("accounts/{name}")).await?["kind"] != "robot" {
                return Err(Failure::NoRobot(name.clone()));
            }
            registry.send(Method::DELETE, &format!("accounts/{name}"), None).await?;
            say(format_args!("{name} is removed, with its keys and what was granted to it"));
        }
    }
    Ok(())
}
