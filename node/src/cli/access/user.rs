//! `roadstead user`: people who log in.

use std::io::{self, IsTerminal as _};

use clap::{Args, Subcommand};
use proto::access::AccountName;
use reqwest::Method;
use serde_json::json;

use super::{Managed, text};
use crate::cli::login::ask;
use crate::cli::table::table;
use crate::cli::{Failure, say};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum UserCommand {
    /// Make a user; what they may do, `roadstead grant add` says.
    Add {
        /// The name.
        name: AccountName,
        /// A group that the user is a member of; can be repeated.
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Show all users and robots.
    List,
    /// Give a user another password, which ends what the old one was used for.
    Password {
        /// The name.
        name: AccountName,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Say which groups a user or robot is a member of, and of no others; without any, show them.
    Groups {
        /// The name.
        name: AccountName,
        /// The groups.
        groups: Vec<String>,
        /// Take all groups away.
        #[arg(long, conflicts_with = "groups")]
        none: bool,
    },
    /// Let a user or robot log in no more.
    Disable {
        /// The name.
        name: AccountName,
    },
    /// Let a user or robot log in again.
    Enable {
        /// The name.
        name: AccountName,
    },
    /// Remove a user or robot, with its keys and what was granted to it.
    Remove {
        /// The name.
        name: AccountName,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct PasswordArgs {
    /// Read the password from standard input, up to the end of the line.
    #[arg(long)]
    password_stdin: bool,
}

impl PasswordArgs {
    fn read(&self, name: &AccountName) -> Result<String, Failure> {
        if self.password_stdin || !io::stdin().is_terminal() {
            let mut line = String::new();
            io::stdin().read_line(&mut line).map_err(Failure::Terminal)?;
            return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
        }
        let password = ask(&format!("new password of {name}: "))?;
        if ask("once more: ")? != password {
            return Err(Failure::PasswordsDiffer);
        }
        Ok(password)
    }
}

/// Does what the command line says.
pub(in crate::cli) async fn run(arguments: &Managed<UserCommand>) -> Result<(), Failure> {
    let registry = arguments.registry.open()?;
    let change = async |name: &AccountName, changes| {
        let path = format!("accounts/{name}");
        registry.send(Method::PATCH, &path, Some(&changes)).await
    };
    match &arguments.command {
        UserCommand::Add { name, groups, password } => {
            let password = password.read(name)?;
            let account = json!({ "name": name.as_str(), "password": password, "groups": groups });
            registry.send(Method::POST, "accounts", Some(&account)).await?;
            say(format_args!("{name} can log in; what they may do, `roadstead grant add` says"));
        }
        UserCommand::List => {
            let accounts = registry.pages("accounts", "accounts").await?;
            let rows = accounts.iter().map(|account| {
                ["name", "kind", "groups", "enabled"].map(|field| text(&account[field]))
            });
            say(table(["NAME", "KIND", "GROUPS", "ENABLED"], rows));
        }
        UserCommand::Password { name, password } => {
            change(name, json!({ "password": password.read(name)? })).await?;
            say(format_args!("{name} has another password; tokens for the old one have ended"));
        }
        UserCommand::Groups { name, groups, none } => {
            let groups = if *none || !groups.is_empty() {
                change(name, json!({ "groups": groups })).await?;
                groups.join(",")
            } else {
                text(&registry.get(&format!("accounts/{name}")).await?["groups"])
            };
            say(match groups.as_str() {
                "" => format!("{name} is in no group"),
                groups => format!("{name} is in these groups: {groups}"),
            });
        }
        UserCommand::Disable { name } => {
            change(name, json!({ "enabled": false })).await?;
            say(format_args!("{name} can log in no more"));
        }
        UserCommand::Enable { name } => {
            change(name, json!({ "enabled": true })).await?;
            say(format_args!("{name} can log in"));
        }
        UserCommand::Remove { name } => {
            registry.send(Method::DELETE, &format!("accounts/{name}"), None).await?;
            say(format_args!("{name} is removed, with its keys and what was granted to it"));
        }
    }
    Ok(())
}
