//! `roadstead role`: names for sets of verbs.

use clap::Subcommand;
use proto::access::RoleName;
use reqwest::Method;
use serde_json::json;

use super::{Managed, text};
use crate::cli::table::table;
use crate::cli::{Failure, say};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum RoleCommand {
    /// Show all roles.
    List,
    /// Make a role, or change what it permits.
    Put {
        /// The name.
        name: RoleName,
        /// What it permits: pull, push, create-tag, move-tag, delete, manage.
        #[arg(required = true)]
        verbs: Vec<String>,
    },
    /// Remove a role that no grant gives.
    Remove {
        /// The name.
        name: RoleName,
    },
}

/// Does what the command line says.
pub(in crate::cli) async fn run(arguments: &Managed<RoleCommand>) -> Result<(), Failure> {
    let registry = arguments.registry.open()?;
    match &arguments.command {
        RoleCommand::List => {
            let roles = registry.list("roles", "roles").await?;
            let rows = roles.iter();
            let rows =
                rows.map(|role| ["name", "verbs", "built_in"].map(|field| text(&role[field])));
            say(table(["NAME", "VERBS", "BUILT IN"], rows));
        }
        RoleCommand::Put { name, verbs } => {
            let path = format!("roles/{name}");
            registry.send(Method::PUT, &path, Some(&json!({ "verbs": verbs }))).await?;
            say(format_args!("{name} permits {}", verbs.join(", ")));
        }
        RoleCommand::Remove { name } => {
            registry.send(Method::DELETE, &format!("roles/{name}"), None).await?;
            say(format_args!("role {name} is removed"));
        }
    }
    Ok(())
}
