//! `roadstead grant`: who has which role where.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;

use super::{Managed, text};
use crate::cli::table::table;
use crate::cli::{Failure, say};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum GrantCommand {
    /// Show all grants.
    List,
    /// Give a role to somebody on some repositories.
    Add(Grant),
    /// Take a grant back, at once and on every node.
    Remove(Grant),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Grant {
    /// Who: user:NAME (robots too), group:NAME, authenticated or anonymous.
    grantee: String,
    /// The role: read-only, developer, maintainer, administrator, or one of your own.
    role: String,
    /// Where: team/app, team/* (one level), team/** (all below), ** (everywhere).
    pattern: String,
}

/// Does what the command line says.
pub(in crate::cli) async fn run(arguments: &Managed<GrantCommand>) -> Result<(), Failure> {
    let registry = arguments.registry.open()?;
    match &arguments.command {
        GrantCommand::List => {
            let grants = registry.list("grants", "grants").await?;
            let fields = ["grantee", "role", "pattern"];
            let rows = grants.iter().map(|grant| fields.map(|field| text(&grant[field])));
            say(table(["WHO", "ROLE", "WHERE"], rows));
        }
        GrantCommand::Add(Grant { grantee, role, pattern }) => {
            let grant = json!({ "grantee": grantee, "role": role, "pattern": pattern });
            registry.send(Method::POST, "grants", Some(&grant)).await?;
            say(format_args!("{grantee} is {role} on {pattern}"));
        }
        GrantCommand::Remove(Grant { grantee, role, pattern }) => {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.extend_pairs([("grantee", grantee), ("role", role), ("pattern", pattern)]);
            let path = format!("grants?{}", query.finish());
            registry.send(Method::DELETE, &path, None).await?;
            say(format_args!("{grantee} is no longer {role} on {pattern}"));
        }
    }
    Ok(())
}
